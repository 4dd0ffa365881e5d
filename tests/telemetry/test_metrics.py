"""The metrics: what is counted, how it reads, and that no caller can make up a label."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any, Literal

import prometheus_client
import pytest
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st
from memory import World
from prometheus_client.parser import text_string_to_metric_families as parse

from relay import Limits, Metrics, Settings, Upstream
from relay.rules.budgets import BUDGETS
from relay.rules.closes import PASSED, TRANSLATED
from relay.rules.refusals import KINDS
from relay.rules.usage import STATUSES
from relay.telemetry.kinds import METRICS
from relay.telemetry.known import ATTEMPTS, STAGES
from relay.telemetry.metrics import close_label
from relay.telemetry.snapshot import BUCKETS, Distribution
from relay.testing.peers import Peer
from relay.upstreams.breaker import JITTER, MOST

Values = dict[tuple[str, ...], float]

CANARY = "sk-canary-0123456789abcdef"


@frozen
class Counted:
    """A relay in memory whose metrics are read."""

    world: World
    metrics: Metrics

    def text(self) -> str:
        return self.metrics.scrape(self.world.factory).decode()

    def samples(self) -> dict[str, Values]:
        """Each sample's values by its labels' values, but for series that are still at 0."""
        return {
            name: {labels: value for labels, value in values.items() if value}
            for name, values in self.all_samples().items()
        }

    def all_samples(self) -> dict[str, Values]:
        """Each sample's values by its labels' values, in the order of the table."""
        found: dict[str, Values] = {}
        for family in parse(self.text()):
            if family.name.startswith("process_"):
                continue
            kind = METRICS.get(family.name) or METRICS[f"{family.name}_total"]
            for sample in family.samples:
                labels = [*kind.labels, *(["le"] if "le" in sample.labels else [])]
                values = tuple(sample.labels[name] for name in labels)
                assert len(values) == len(sample.labels)
                found.setdefault(sample.name, {})[values] = sample.value
        return found

    def end(self, downstream: Peer, upstream: Peer) -> None:
        """Let a session that is closing end."""
        self.world.settle(downstream, upstream)
        upstream.line.fin()
        downstream.line.fin()


def counted(**options: Any) -> Counted:
    metrics = Metrics()
    return Counted(World(options={"listeners": [metrics]}, **options), metrics)


@pytest.fixture(params=["splice", "message"])
def relay(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Counted:
    monkeypatch.setattr(World, "plane", request.param)
    return counted()


# -- what is counted -----------------------------------------------------------------------


def test_a_relay_that_has_done_nothing_has_every_metric(relay: Counted) -> None:
    families = {
        family.name: family.type
        for family in parse(relay.text())
        if not family.name.startswith("process_")
    }
    assert families == {name.removesuffix("_total"): kind.type for name, kind in METRICS.items()}
    samples = relay.all_samples()
    assert samples["relay_sessions_active"] == {(): 0}
    assert samples["relay_messages_total"] == {("up",): 0, ("down",): 0}
    assert samples["relay_stalled_total"] == {("downstream",): 0, ("upstream",): 0}


def test_a_session_is_counted_from_its_hold_to_its_end(relay: Counted) -> None:
    downstream = relay.world.downstream()
    assert relay.samples()["relay_holds_active"] == {(): 1}
    relay.world.advance(0.5)
    upstream = relay.world.answering()
    upstream.send('{"type":"session.created"}')
    downstream.read()
    samples = relay.samples()
    assert samples["relay_holds_active"] == {}
    assert samples["relay_sessions_active"] == {(): 1}
    assert samples["relay_upstream_connections"] == {("openai",): 1}
    assert samples["relay_sessions_limit"] == {(): Limits().sessions}
    assert samples["relay_hold_seconds_count"] == {(): 1}
    assert samples["relay_hold_seconds_sum"] == {(): 0.5}
    assert samples["relay_attempts_total"] == {("openai", "open"): 1}
    assert samples["relay_attempt_seconds_sum"] == {("openai",): 0.5}
    assert samples["relay_attempt_seconds_bucket"].get(("openai", "0.3"), 0) == 0
    assert samples["relay_attempt_seconds_bucket"]["openai", "0.5"] == 1
    assert samples["relay_attempt_seconds_bucket"]["openai", "+Inf"] == 1
    assert samples["relay_sessions_total"] == {}
    downstream.send_close(4001, "enough")
    relay.end(downstream, upstream)
    samples = relay.samples()
    assert samples["relay_sessions_active"] == {}
    assert samples["relay_sessions_total"] == {("4xxx", "downstream"): 1}


def test_traffic_is_counted_during_the_session_and_kept_after_it(
    relay: Counted,
) -> None:
    sessions = [relay.world.open() for _ in range(2)]
    for downstream, upstream in sessions:
        downstream.send("four")
        downstream.send(b"12345")
        upstream.read()
        upstream.send("x" * 100)
    messages, payload = {("up",): 4, ("down",): 4}, {("up",): 18, ("down",): 2 * 126}
    for _ in range(2):
        samples = relay.samples()
        assert samples["relay_messages_total"] == messages
        assert samples["relay_bytes_total"] == payload
        for downstream, upstream in sessions[:1]:
            upstream.send_close(1000)
            relay.end(downstream, upstream)
    assert relay.samples()["relay_sessions_active"] == {(): 1}
    assert relay.samples()["relay_messages_total"] == messages


def test_tokens_are_counted_when_their_session_ends(relay: Counted) -> None:
    downstream, upstream = relay.world.open()
    usage = {"input_tokens": 7, "output_tokens": 9, "made_up": 5}
    for _ in range(2):
        upstream.send(json.dumps({"type": "response.done", "response": {"usage": usage}}))
    upstream.send_close(1000)
    relay.end(downstream, upstream)
    assert relay.samples()["relay_tokens_total"] == {
        ("openai", "input"): 14,
        ("openai", "output"): 18,
    }


def test_each_known_series_starts_at_0() -> None:
    samples = counted().all_samples()
    assert samples["relay_refusals_total"] == {(code,): 0 for code in KINDS}
    for closed in ("1000", "1011", "4xxx", "none"):
        assert samples["relay_sessions_total"][closed, "upstream"] == 0
    for outcome in ("opened", "left", "relay_full"):
        assert samples["relay_requests_total"]["", outcome] == 0
    for outcome in ("open", "cancelled", "upstream_timeout", "upstream_unavailable"):
        assert samples["relay_attempts_total"]["openai", outcome] == 0
    for metric in ("relay_stage_seconds_count", "relay_failed_attempts_total"):
        assert samples[metric] == {("openai", stage): 0 for stage in STAGES}
    assert samples["relay_responses_total"] == {("openai", status): 0 for status in STATUSES}
    for metric in ("relay_retries_total", "relay_speech_turns_total"):
        assert samples[metric] == {("openai",): 0}
    for metric in ("relay_attempt_seconds_count", "relay_first_audio_seconds_count"):
        assert samples[metric] == {("openai",): 0}


@pytest.mark.parametrize("outcome", ATTEMPTS)
def test_each_known_outcome_of_an_attempt_is_one_that_an_attempt_can_have(outcome: str) -> None:
    assert outcome in ("open", "cancelled") or outcome in KINDS


def test_what_runs_is_told() -> None:
    text = counted().text()
    families = {family.name: family for family in parse(text)}
    (build,) = families["relay_build_info"].samples
    assert build.value == 1
    assert build.labels["version"] == version("realtime-relay")
    assert families["process_open_fds"].samples[0].value > 0
    assert "process_cpu_seconds" in families


def test_the_time_of_each_stage_is_counted() -> None:
    relay = counted()
    relay.world.downstream()
    relay.world.advance(0.5)
    relay.world.answering().send('{"type":"session.created"}')
    stages = relay.samples()["relay_stage_seconds_count"]
    assert {("openai", "tcp"), ("openai", "upgrade"), ("openai", "first_event")} <= {*stages}
    assert sum(relay.samples()["relay_stage_seconds_sum"].values()) == 0.5
    assert relay.all_samples()["relay_authorizing_seconds_count"] == {(): 1}
    assert relay.samples()["relay_failed_attempts_total"] == {}


def test_sessions_and_refusals_are_counted_by_their_listener() -> None:
    relay = counted(at="tcp:8080")
    downstream, upstream = relay.world.open()
    assert relay.samples()["relay_listener_sessions_active"] == {("tcp:8080",): 1}
    relay.world.accept().deliver(b"GET /v1/realtime HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    relay.world.downstream().line.fin()
    upstream.send_close(1000)
    relay.end(downstream, upstream)
    assert relay.all_samples()["relay_listener_sessions_active"] == {("tcp:8080",): 0}
    assert relay.samples()["relay_requests_total"] == {
        ("tcp:8080", "opened"): 1,
        ("tcp:8080", "host_not_allowed"): 1,
        ("tcp:8080", "left"): 1,
    }


def test_the_event_loops_lag_is_counted() -> None:
    relay = counted()
    relay.metrics.lagged(0.25)
    samples = relay.samples()
    assert samples["relay_event_loop_lag_seconds_sum"] == {(): 0.25}
    assert samples["relay_event_loop_lag_seconds_bucket"][("0.3",)] == 1
    assert ("0.2",) not in samples["relay_event_loop_lag_seconds_bucket"]


@pytest.mark.parametrize("side", ["downstream", "upstream"])
def test_a_stalled_session_is_counted_by_its_side(side: Literal["downstream", "upstream"]) -> None:
    relay = counted(settings=Settings(limits=Limits(stall_seconds=2, linger_seconds=1)))
    downstream, upstream = relay.world.open()
    talker, reader = (upstream, downstream) if side == "downstream" else (downstream, upstream)
    for _ in range(4):
        talker.send(b"x" * 65536)
    relay.world.advance(5)
    assert reader.line.lost
    relay.world.settle(talker)
    talker.line.fin()
    relay.world.advance(5)
    samples = relay.samples()
    assert samples["relay_stalled_total"] == {(side,): 1}
    assert samples["relay_sessions_total"] == {("1008", "relay"): 1}


def test_a_session_whose_budget_is_used_up_is_counted_by_that(relay: Counted) -> None:
    budgeted = counted(settings=Settings(limits=Limits(session_tokens=5)))
    downstream, upstream = budgeted.world.open()
    usage = {"input_tokens": 5}
    upstream.send(json.dumps({"type": "response.done", "response": {"usage": usage}}))
    budgeted.world.advance(0.1)
    budgeted.end(downstream, upstream)
    samples = budgeted.samples()
    assert samples["relay_budgets_exhausted_total"] == {("session_tokens",): 1}
    assert samples["relay_sessions_total"] == {("1008", "relay"): 1}


def test_seconds_responses_and_turns_are_counted_when_their_session_ends(relay: Counted) -> None:
    downstream, upstream = relay.world.open()
    transcribed = "conversation.item.input_audio_transcription.completed"
    for event in (
        {"type": transcribed, "usage": {"type": "duration", "seconds": 1.5}},
        {"type": "session.usage.updated", "usage": {"seconds": 4}},
        {"type": "session.usage.updated", "usage": {"seconds": 6}},
        {"type": "response.done", "response": {"status": "cancelled"}},
        {"type": "response.done", "response": {"status": CANARY}},
        {"type": "input_audio_buffer.speech_stopped"},
    ):
        upstream.send(json.dumps(event))
    assert "relay_usage_seconds_total" not in relay.samples()
    upstream.send_close(1000)
    relay.end(downstream, upstream)
    samples = relay.samples()
    assert samples["relay_usage_seconds_total"] == {
        ("openai", "transcription"): 1.5,
        ("openai", "session"): 6,
    }
    assert samples["relay_responses_total"] == {("openai", "cancelled"): 1, ("openai", "other"): 1}
    assert samples["relay_speech_turns_total"] == {("openai",): 1}


def test_the_time_to_first_audio_is_counted_at_once(relay: Counted) -> None:
    _, upstream = relay.world.open()
    upstream.send('{"type":"response.created","response":{"id":"r"}}')
    relay.world.advance(0.5)
    upstream.send('{"type":"response.output_audio.delta","response_id":"r","delta":"AA=="}')
    samples = relay.samples()
    assert samples["relay_first_audio_seconds_count"] == {("openai",): 1}
    assert samples["relay_first_audio_seconds_sum"] == {("openai",): 0.5}


def test_failed_attempts_and_their_refusal_are_counted(relay: Counted) -> None:
    downstream = relay.world.downstream()
    relay.world.advance(0.5)
    relay.world.connected().reset()
    relay.world.connected().reset()
    downstream.read()
    samples = relay.samples()
    assert samples["relay_attempts_total"] == {("openai", "upstream_connect_failed"): 2}
    assert samples["relay_retries_total"] == {("openai",): 1}
    assert samples["relay_attempt_seconds_count"] == {("openai",): 2}
    assert samples["relay_attempt_seconds_sum"] == {("openai",): 0.5}
    assert samples["relay_refusals_total"] == {("upstream_connect_failed",): 1}


def test_breakers_and_passed_over_upstreams_are_counted(relay: Counted) -> None:
    assert relay.all_samples()["relay_breaker_state"] == {("openai",): 0}
    first = relay.world.downstream()
    relay.world.connected().deliver(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    first.read()
    relay.world.downstream()
    samples = relay.samples()
    assert samples["relay_breaker_state"] == {("openai",): 2}
    assert samples["relay_breaker_cause"] == {("openai", "upstream_unauthorized"): 1}
    assert samples["relay_failed_attempts_total"] == {("openai", "upgrade"): 1}
    assert samples["relay_attempts_total"] == {
        ("openai", "upstream_unauthorized"): 1,
        ("openai", "upstream_unavailable"): 1,
    }
    assert samples["relay_attempt_seconds_count"] == {("openai",): 1}
    assert samples["relay_refusals_total"] == {("upstream_unauthorized",): 2}


def test_the_breaker_of_an_idle_relay_is_half_open_when_its_wait_is_over(relay: Counted) -> None:
    downstream = relay.world.downstream()
    relay.world.connected().deliver(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    downstream.read()
    assert relay.samples()["relay_breaker_state"] == {("openai",): 2}
    relay.world.advance(MOST * (1 + JITTER))
    assert relay.samples()["relay_breaker_state"] == {("openai",): 1}


def test_an_upstream_without_a_breaker_has_no_breaker_state() -> None:
    upstream = Upstream("ws://127.0.0.1:9000/v1/realtime", breaker=False)
    assert "relay_breaker_state" not in counted(upstream=upstream).all_samples()


def test_a_client_that_left_counts_as_no_refusal(relay: Counted) -> None:
    relay.world.downstream().line.fin()
    samples = relay.samples()
    assert samples["relay_refusals_total"] == {}
    assert samples["relay_attempts_total"] == {("openai", "cancelled"): 1}
    assert samples["relay_hold_seconds_count"] == {}


def test_a_request_refused_before_a_hold_counts_as_no_hold(relay: Counted) -> None:
    line = relay.world.accept()
    line.deliver(b"GET /v1/realtime HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    samples = relay.samples()
    assert samples["relay_refusals_total"] == {("host_not_allowed",): 1}
    assert samples["relay_hold_seconds_count"] == {}


@given(st.lists(st.floats(0, 20)))
def test_a_histogram_is_cumulative(values: list[float]) -> None:
    distribution = Distribution()
    for value in values:
        distribution.add(value)
    buckets = dict(distribution.buckets())
    assert len(buckets) == len(BUCKETS) + 1
    for bound in BUCKETS:
        assert buckets[str(bound)] == sum(value <= bound for value in values)
    assert buckets["+Inf"] == len(values)
    assert distribution.sum == pytest.approx(sum(values))


# -- labels --------------------------------------------------------------------------------

CODES = {str(code) for code in PASSED | TRANSLATED} | {"3xxx", "4xxx", "none"}


@given(st.none() | st.integers(0, 65535))
def test_the_label_of_any_close_code_is_one_of_the_table(code: int | None) -> None:
    assert close_label(code) in CODES


@pytest.mark.parametrize(
    ("code", "label"),
    [(None, "none"), (1000, "1000"), (1015, "1015"), (2999, "1002"), (3000, "3xxx")],
)
def test_a_close_code_gets_its_label(code: int | None, label: str) -> None:
    assert close_label(code) == label


def test_no_caller_makes_up_a_label_and_no_secret_is_in_one() -> None:
    upstream = Upstream("ws://127.0.0.1:9000/v1/realtime", credential=CANARY)
    relay = counted(upstream=upstream)
    fields = {"OpenAI-Safety-Identifier": "made-up", "Origin": "http://localhost:made-up"}
    downstream, other = relay.world.open(path="/v1/realtime?model=made-up")
    assert downstream.received
    downstream.send_close(4242, "made-up")
    relay.end(downstream, other)
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    for line in ("GET /made-up", "MADE-UP /v1/realtime?made-up=1"):
        relay.world.accept().deliver(f"{line} HTTP/1.1\r\nHost: made-up\r\n{head}\r\n".encode())
    downstream = relay.world.downstream(path="/v1/realtime?model=made-up")
    answering = relay.world.answering()
    error = {"code": "made-up", "message": f"key {CANARY}"}
    answering.send(json.dumps({"type": "error", "error": error}))
    answering.send_close(4000, f"made-up {CANARY}")
    downstream.read()
    text = relay.text()
    assert "made-up" not in text.lower()
    assert "4242" not in text
    assert CANARY[:8] not in text
    for family in parse(text):
        for sample in family.samples:
            if family.name != "relay_build_info":
                assert_labels(sample.labels)


def assert_labels(labels: dict[str, str]) -> None:
    """Each value is one of a few."""
    known: dict[str, set[str]] = {
        "upstream": {"openai"},
        "outcome": {
            *("open", "cancelled", "opened", "called", "left", "taken", "refused"),
            *("admitted", "over_limit", "by_mode", "whole", "cut", "failed"),
            *KINDS,
        },
        "code": set(KINDS),
        "close_code": CODES,
        "closed_by": {"downstream", "upstream", "relay"},
        "direction": {"up", "down"},
        "side": {"downstream", "upstream"},
        "stage": {*STAGES},
        "listener": {""},
        "kind": {"input", "output"},
        "status": {*STATUSES},
        "budget": {*BUDGETS},
        "le": {*map(str, BUCKETS), "+Inf"},
    }
    for name, value in labels.items():
        assert value in known[name], f"{name}={value}"


# -- two in one process --------------------------------------------------------------------


def test_two_metrics_share_nothing_and_no_global_registry() -> None:
    before = prometheus_client.generate_latest().count(b"relay_")
    first, second = counted(), counted()
    first.world.open()
    assert first.samples()["relay_attempts_total"] == {("openai", "open"): 1}
    assert second.samples()["relay_attempts_total"] == {}
    assert prometheus_client.generate_latest().count(b"relay_") == before == 0


def test_sessions_that_a_drain_closes_are_counted() -> None:
    relay = counted(settings=Settings(drain_seconds=0))
    downstream, upstream = relay.world.open()
    relay.world.factory.drain()
    relay.world.advance(0.1)
    relay.end(downstream, upstream)
    assert relay.samples()["relay_sessions_total"] == {("1012", "relay"): 1}


def test_answers_to_plain_requests_but_probes_are_counted_by_status() -> None:
    seen = counted()
    for line in ("GET /healthz", "GET /nothing", "GET /other", "MADE-UP /healthz"):
        far = seen.world.accept()
        far.deliver(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        far.lose()
    assert seen.samples()["relay_answers_total"] == {("404",): 2, ("405",): 1}


def test_a_fleet_is_told_of_where_there_is_one() -> None:
    relay = counted()
    assert "relay_fleet_up" not in relay.samples()
    relay.metrics.share(lambda: (True, 3))
    relay.metrics.decided("admitted", 0.002)
    relay.metrics.decided("by_mode", 0.25)
    samples = relay.samples()
    assert samples["relay_fleet_up"] == {(): 1}
    assert samples["relay_fleet_relays"] == {(): 3}
    assert samples["relay_fleet_decisions_total"] == {("admitted",): 1, ("by_mode",): 1}
    assert samples["relay_fleet_seconds_count"] == {(): 2}
