"""What a check says: what became of each upstream, and what is likely wrong."""

from __future__ import annotations

from typing import get_args

import pytest
from attrs import evolve

from relay.rules.refusals import KINDS, RefusalCode, Stage, UpstreamFacts, refuse
from relay.upstreams.diagnosis import Finding, as_json, as_table

URL = "wss://host/v1/realtime"


def failed(
    code: RefusalCode,
    stage: Stage = "upgrade",
    error: str | None = None,
    status: int | None = None,
    retryable: bool | None = None,
) -> Finding:
    facts = UpstreamFacts("main", stage, status)
    refusal = refuse(code, retryable=retryable, upstream=facts)
    return Finding("main", URL, {"dns": 0.0021}, refusal, stage, error)


OPEN = Finding("main", URL, {"dns": 0.001, "tcp": 0.0102, "upgrade": 0.5, "first_event": 1.0})

CASES = {
    "wrong key": failed("upstream_unauthorized"),
    "wrong model": failed("upstream_rejected_request", "first_event"),
    "no quota": failed("upstream_quota_exhausted"),
    "rate": failed("upstream_rate_limited"),
    "no name": failed("upstream_dns_failed", "dns", "gaierror"),
    "wrong port": failed("upstream_connect_failed", "tcp", "ConnectionRefusedError"),
    "no route": failed("upstream_connect_failed", "tcp", "NoRouteError"),
    "dropped": failed("upstream_connect_failed", "upgrade", "ConnectionLost"),
    "black hole": failed("upstream_timeout", "tcp"),
    "silent tls": failed("upstream_timeout", "tls"),
    "silent http": failed("upstream_timeout", "upgrade"),
    "silent": failed("upstream_timeout", "first_event"),
    "silent dns": failed("upstream_timeout", "dns"),
    "expired": failed("upstream_tls_failed", "tls", "certificate has expired"),
    "unknown authority": failed(
        "upstream_tls_failed", "tls", "unable to get local issuer certificate"
    ),
    "wrong name": failed("upstream_tls_failed", "tls", "VerificationError"),
    "plain http": failed("upstream_tls_failed", "tls", "wrong version number"),
    "other tls": failed("upstream_tls_failed", "tls", "no shared cipher"),
    "wrong path": failed("upstream_refused", status=404),
    "kept out": failed("upstream_refused", status=403),
    "needs tls": failed("upstream_refused", status=400),
    "its failure": failed("upstream_refused", status=500, retryable=True),
    "refuses in band": failed("upstream_refused", "first_event"),
    "no websocket": failed("upstream_refused"),
    "no such subprotocol": failed(
        "upstream_refused", error="a 101 with a subprotocol that was not offered: x"
    ),
    "callback": failed("authorizer_unavailable"),
    "wants a certificate": failed(
        "upstream_tls_failed", "upgrade", "tlsv13 alert certificate required"
    ),
    "wants a certificate, says TLS 1.2": failed(
        "upstream_tls_failed", "tls", "ssl/tls alert handshake failure"
    ),
    "wants another": failed("upstream_tls_failed", "upgrade", "tlsv1 alert unknown ca"),
    "no proxy": failed("upstream_connect_failed", "proxy", "ConnectionRefusedError"),
    "proxy hangs up": failed("upstream_connect_failed", "proxy", "ConnectionDone"),
    "proxy is none": failed("upstream_connect_failed", "proxy", "no HTTP"),
    "no password": failed("upstream_connect_failed", "proxy", "HTTP 407"),
    "not allowed": failed("upstream_connect_failed", "proxy", "HTTP 403"),
    "proxy fails": failed("upstream_connect_failed", "proxy", "HTTP 502"),
    "silent proxy": failed("upstream_timeout", "proxy"),
}


def test_each_failure_has_a_likely_cause_of_its_own() -> None:
    causes = [finding.cause for finding in CASES.values()]
    assert all(causes)
    assert len(set(causes)) == len(causes)


def test_an_upstreams_own_failure_is_not_told_as_a_wrong_url() -> None:
    finding = failed("upstream_refused", "first_event", retryable=True)
    assert finding.cause == CASES["its failure"].cause


@pytest.mark.parametrize("code", [code for code in KINDS if code.startswith("upstream_")])
@pytest.mark.parametrize("stage", get_args(Stage))
def test_every_refusal_of_an_upstream_has_a_cause_in_one_sentence(
    code: RefusalCode, stage: Stage
) -> None:
    cause = failed(code, stage).cause
    assert cause is not None
    assert cause.endswith(".") or cause.endswith("?")


@pytest.mark.parametrize("version", ["sslv3", "tls", "ssl/tls", "tlsv1"])
def test_an_alert_is_the_same_in_every_openssl(version: str) -> None:
    error = f"{version} alert handshake failure"
    cause = failed("upstream_tls_failed", "tls", error).cause
    assert cause == CASES["wants a certificate, says TLS 1.2"].cause


def test_an_upstream_that_opened_has_no_cause() -> None:
    assert OPEN.cause is None


def test_the_table_has_a_line_for_each_upstream_then_the_causes() -> None:
    bad = CASES["wrong port"]
    lines = as_table([OPEN, bad]).splitlines()
    assert lines[0].split() == [
        "upstream",
        "dns",
        "tcp",
        "tls",
        "upgrade",
        "first",
        "event",
        "result",
    ]
    assert lines[1].split() == ["main", *["1", "ms", "10", "ms", "500", "ms", "1000", "ms"], "open"]
    assert lines[2].split() == ["main", "2", "ms", "failed", "upstream_connect_failed"]
    assert lines[4] == f"main: {URL}"
    assert "(ConnectionRefusedError)" in lines[5]
    assert lines[6] == f"  Likely cause: {bad.cause}"
    assert all(line == line.rstrip() for line in lines)


def test_the_columns_stand_below_their_names() -> None:
    lines = as_table([OPEN, CASES["wrong port"]]).splitlines()
    assert lines[0].index("result") == lines[1].index("open") == lines[2].index("upstream_c")
    assert lines[0].index("tcp") == lines[2].index("failed")


BY_PROXY = Finding("far", URL, {"proxy": 0.01, "upgrade": 0.5, "first_event": 1.0})


@pytest.mark.parametrize("finding", [BY_PROXY, CASES["no password"]])
def test_the_table_has_a_column_for_proxies_only_with_a_proxy(finding: Finding) -> None:
    lines = as_table([OPEN, finding]).splitlines()
    cell = lines[2][lines[0].index("proxy") : lines[0].index("tcp")].strip()
    assert cell == ("10 ms" if finding.refusal is None else "failed")
    assert "proxy" not in as_table([OPEN, CASES["wrong port"]]).splitlines()[0]


def test_a_finding_as_json_has_every_field() -> None:
    assert as_json(CASES["wrong path"]) == {
        "upstream": "main",
        "url": URL,
        "ok": False,
        "stages": {"dns": 2.1},
        "stage": "upgrade",
        "code": "upstream_refused",
        "status": 404,
        "message": KINDS["upstream_refused"].message,
        "cause": CASES["wrong path"].cause,
        "error": None,
        "said": None,
    }
    assert as_json(OPEN)["ok"] is True


def test_a_path_that_the_url_does_not_say_is_told() -> None:
    finding = evolve(CASES["wrong path"], url="wss://host", path="/v1/realtime")
    assert "main: wss://host (asked for /v1/realtime)" in as_table([finding]).splitlines()


def test_the_operator_reads_what_the_upstream_itself_said() -> None:
    said = "incorrect_hostname: Use us.api.openai.com."
    wrong_key = CASES["wrong key"]
    assert wrong_key.refusal is not None
    refusal = evolve(wrong_key.refusal, said=said)
    finding = Finding("main", URL, {}, refusal, "upgrade")
    *_, message, words, cause = as_table([finding]).splitlines()
    assert message == f"  {refusal.message}"
    assert words == f"  It said: {said}"
    assert (
        cause == "  Likely cause: The key is for another host, which it names; put that into url."
    )
    assert as_json(finding)["said"] == said
