"""A session ends with its grant, if the grant says so."""

from __future__ import annotations

from typing import Any

import pytest
from memory import World, last_words

from relay import Grant, Settings

NOW = 1_800_000_000.5


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's date does not move. A grant's time is read once, when the session begins."""
    monkeypatch.setattr("relay.timing.clock.time", lambda: NOW)


@pytest.fixture(params=["splice", "message"], autouse=True)
def _plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(World, "plane", request.param)


def granting(*, settings: Settings | None = None, **fields: Any) -> World:
    grant = Grant("ann", **fields)
    return World(settings or Settings(), options={"admit": lambda request: grant})


@pytest.mark.parametrize("rest", [30.0, 30.5, 0.25])
def test_a_session_ends_within_a_second_of_its_expiry_and_not_before(rest: float) -> None:
    world = granting(expires=NOW + rest, end_on_expiry=True)
    downstream, upstream = world.open()
    world.advance(rest - 0.1)
    world.settle(downstream, upstream)
    assert downstream.close is None
    world.advance(0.2)
    world.settle(downstream, upstream)
    assert downstream.close == (1008, "relay: credential expired")
    assert upstream.close == (1008, "relay: credential expired")
    error = last_words(downstream)
    assert (error["code"], error["retryable"]) == ("expired", False)
    assert error["close"] == {"code": 1008, "reason": "relay: credential expired"}
    downstream.line.lose()
    upstream.line.lose()
    (end,) = world.listener.ends
    assert (end.close_code, end.closed_by, end.hold.subject) == (1008, "relay", "ann")
    assert world.is_clean()


def test_a_session_outlives_a_grant_that_is_for_its_beginning() -> None:
    world = granting(expires=NOW + 5)
    downstream, upstream = world.open()
    world.advance(10)
    world.settle(downstream, upstream)
    assert downstream.close is None


def test_a_session_that_ended_before_leaves_no_deadline() -> None:
    world = granting(expires=NOW + 3600, end_on_expiry=True)
    downstream, upstream = world.open()
    downstream.send_close(1000)
    world.settle(upstream, downstream)
    downstream.line.lose()
    upstream.line.lose()
    (end,) = world.listener.ends
    assert end.close_code == 1000
    assert world.is_clean()


def test_a_session_that_is_ending_already_keeps_its_cause() -> None:
    world = granting(expires=NOW + 2, end_on_expiry=True)
    downstream, upstream = world.open()
    downstream.send_close(3001)
    world.advance(2.5)
    downstream.line.lose()
    upstream.line.lose()
    (end,) = world.listener.ends
    assert (end.close_code, end.closed_by) == (3001, "downstream")


def test_an_expired_grant_is_refused_before_any_dial() -> None:
    world = granting(expires=NOW)
    downstream = world.downstream()
    assert b" 401 " in downstream.line.take()
    (record,) = world.listener.holds
    assert (record.outcome, record.detail) == ("unauthorized", "the credential has expired")
    assert world.reactor.tcpClients == []
