"""Which session is at which path, and how those of the newer endpoints end, on the wire."""

from __future__ import annotations

import pytest
from simulator.wire import DELTA_SECONDS, Wire, opened

LIVE = "/v1/live/sessions"
TRANSLATIONS = "/v1/realtime/translations"


def live(model: str = "m", **settings: object) -> Wire:
    """A Live session that was asked to start."""
    wire = connected(LIVE)
    wire.say("session.start", session={"model": model, **settings})
    return wire


def connected(path: str, neighbour: Wire | None = None) -> Wire:
    wire = Wire("", path, neighbour=neighbour)
    response = wire.shake()
    assert response is not None
    assert response.status_code == 101
    return wire


def status(path: str, query: str = "", neighbour: Wire | None = None) -> int:
    response = Wire(query, path, neighbour=neighbour).shake()
    assert response is not None
    return response.status_code


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/realtime/",
        "/v1/live",
        f"{LIVE}/sess_1",
        f"{LIVE}/sess_1/attach",
        f"{LIVE}/sess_1/fork",
        f"{LIVE}/a/b/attach",
    ],
)
def test_there_is_nothing_elsewhere(path: str) -> None:
    assert status(path, "?model=m") == 404


def test_a_translation_session_begins_by_itself() -> None:
    wire = opened("gpt-realtime-translate", path=TRANSLATIONS)
    (created,) = wire.events
    assert created["session"]["type"] == "translation"
    assert created["session"]["model"] == "gpt-realtime-translate"


def test_a_translation_session_needs_a_model() -> None:
    wire = Wire("?intent=transcription", TRANSLATIONS)
    wire.shake()
    assert wire.events[0]["error"]["code"] == "missing_model"
    assert wire.close() == (4000, "invalid_request_error.missing_model")


def test_a_translation_session_fails_on_request() -> None:
    assert status(TRANSLATIONS, "?model=fault-http-503") == 503


def test_a_translation_session_closes_when_all_is_translated() -> None:
    wire = opened(path=TRANSLATIONS)
    wire.types()
    wire.say("session.close")
    assert wire.types() == []
    wire.advance(DELTA_SECONDS)
    assert wire.types() == ["session.closed"]
    assert wire.close() == (1000, "")


def test_a_live_session_is_silent_until_it_is_started() -> None:
    wire = connected(LIVE)
    wire.advance(1000)
    assert wire.types() == []
    wire.say("session.start", session={"model": "m"})
    assert wire.types() == ["session.started"]
    wire.say("session.close")
    assert wire.types() == ["session.closed"]
    assert wire.close() == (1000, "")


@pytest.mark.parametrize(
    ("model", "close", "code"),
    [
        ("fault-error-3000", 3000, "invalid_api_key"),
        ("fault-http-429", 4000, "rate_limit_exceeded"),
        ("fault-quota", 4000, "insufficient_quota"),
    ],
)
def test_a_live_session_is_refused_at_its_start(model: str, close: int, code: str) -> None:
    wire = live(model)
    assert wire.events[0]["error"]["code"] == code
    assert wire.close() == (close, f"invalid_request_error.{code}")


@pytest.mark.parametrize("model", ["fault-silent", "fault-hang"])
def test_a_live_session_is_silent_on_request(model: str) -> None:
    wire = live(model)
    wire.say("session.close")
    assert wire.types() == []
    assert not wire.lost


@pytest.mark.parametrize("model", ["fault-reset", "fault-reset-after-1"])
def test_a_live_session_is_reset_on_request(model: str) -> None:
    assert live(model).transport.aborted


def test_a_live_session_is_reset_at_a_message_on_request() -> None:
    wire = live("fault-reset-after-2")
    assert wire.types() == ["session.started"]
    wire.say("session.input_audio.mute")
    assert wire.transport.aborted


def test_a_live_session_is_closed_on_request() -> None:
    assert live("fault-close-4321").close() == (4321, "simulated")


def test_a_sideband_hears_of_the_session_and_of_its_end() -> None:
    wire = live()
    session_id = wire.events[-1]["session"]["id"]
    sideband = connected(f"{LIVE}/{session_id}/attach", wire)
    wire.say("session.input_audio.mute")
    sideband.advance(DELTA_SECONDS)
    assert sideband.types() == ["session.input_audio.muted"]
    sideband.say("session.close")
    wire.types()
    sideband.advance(DELTA_SECONDS)
    wire.pump()
    for each in (sideband, wire):
        assert each.types() == ["session.closed"]
        assert each.close() == (1000, "")
    assert status(f"{LIVE}/{session_id}/attach", neighbour=wire) == 404


def test_a_sideband_hears_that_the_primary_connection_is_lost() -> None:
    wire = live()
    sideband = connected(f"{LIVE}/{wire.events[-1]['session']['id']}/attach", wire)
    wire.lose()
    sideband.advance(DELTA_SECONDS)
    assert sideband.events[-1]["reason"] == "connection_lost"
    assert sideband.close() == (1000, "")


def test_a_sideband_that_attaches_while_something_is_said_hears_the_rest() -> None:
    wire = live()
    session_id = wire.events[-1]["session"]["id"]
    wire.say("session.commentary.append", content="hello, hello, hello", delegation_id=None)
    sideband = connected(f"{LIVE}/{session_id}/attach", wire)
    for _ in range(20):
        sideband.advance(DELTA_SECONDS)
    assert "session.output_audio.delta" in sideband.types()
    assert wire.clock.getDelayedCalls() == []


def test_only_a_stored_session_can_be_forked() -> None:
    wire = live(store=True)
    session_id = wire.events[-1]["session"]["id"]
    fork = connected(f"{LIVE}/{session_id}/fork", wire)
    fork.say("session.start", session={})
    assert fork.events[-1]["session"]["model"] == "m"
    other = live()
    kept_nowhere = other.events[-1]["session"]["id"]
    assert status(f"{LIVE}/{kept_nowhere}/fork", neighbour=other) == 404
