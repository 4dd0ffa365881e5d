"""A relay whose upstream is a relay: its client reads what is wrong, and where."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest
import pytest_twisted
from integration.answers import WebSocketClient, parse_answer
from integration.loopback import Loopback, Relay
from integration.requests import upgrade
from integration.upstreams import CREATED, Step, UpstreamPort, answers, closes, error, switches

from relay import Settings

Form = Literal["http", "event"]
CASES: dict[str, tuple[Step, str, int, bool]] = {
    "a refused key": (answers(401), "upstream_unauthorized", 502, False),
    "a wrong model": (
        answers(404, body=error("model_not_found", "No model x.")),
        "upstream_rejected_request",
        404,
        False,
    ),
    "a rate limit": (answers(429, "Retry-After: 7"), "upstream_rate_limited", 503, True),
    "no quota": (
        answers(429, body=error("insufficient_quota")),
        "upstream_quota_exhausted",
        502,
        False,
    ),
    "a failure": (answers(500), "upstream_refused", 502, True),
    "a 403": (answers(403), "upstream_refused", 502, False),
    "a Close": (switches(closes(1013)), "upstream_refused", 502, True),
}


def chained(loopback: Loopback, does: Step, form: Form) -> Relay:
    """A relay before a relay before an upstream that does this."""
    url = f"ws://127.0.0.1:{loopback.listen(UpstreamPort(does))}"
    inner = loopback.relay(url, settings=Settings(refusals=form))
    return loopback.relay(f"ws://127.0.0.1:{inner.port}")


async def refused(loopback: Loopback, relay: Relay) -> tuple[int, dict[str, str], dict[str, Any]]:
    client = await loopback.connect(relay)
    client.send(upgrade())
    answer = parse_answer(await client.closed())
    return answer.status, answer.headers, answer.error


@pytest.mark.parametrize("form", ["http", "event"])
@pytest.mark.parametrize("case", CASES)
@pytest_twisted.ensureDeferred
async def test_a_refusal_keeps_its_meaning_over_two_relays(
    loopback: Loopback, case: str, form: Form
) -> None:
    does, code, status, retryable = CASES[case]
    relay = chained(loopback, does, form)
    told, headers, error = await refused(loopback, relay)
    assert (error["code"], told, error["retryable"]) == (code, status, retryable)
    upstream = error["upstream"]
    assert (upstream["name"], upstream["upstream"]["name"]) == ("openai", "openai")
    assert upstream["request_id"].startswith("req_")
    assert upstream["stage"] == ("upgrade" if form == "http" else "first_event")
    assert upstream["upstream"]["stage"] == ("first_event" if case == "a Close" else "upgrade")
    if case == "a rate limit":
        assert headers["retry-after"] == ("7" if form == "http" else "5")


@pytest.mark.parametrize("form", ["http", "event"])
@pytest_twisted.ensureDeferred
async def test_the_message_of_the_last_upstream_crosses_both_relays(
    loopback: Loopback, form: Form
) -> None:
    does = CASES["a wrong model"][0]
    _, _, error = await refused(loopback, chained(loopback, does, form))
    assert "The upstream relay refused (upstream_rejected_request)" in error["message"]
    assert "No model x." in error["message"]


@pytest_twisted.ensureDeferred
async def test_a_session_opens_over_two_relays(loopback: Loopback) -> None:
    relay = chained(loopback, switches(CREATED), "http")
    client = WebSocketClient()
    await loopback.connect(relay, client)
    (created,) = await client.hears(1)
    assert json.loads(bytes(created.data))["type"] == "session.created"
