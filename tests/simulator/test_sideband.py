"""Sidebands of the Live API: second connections to a session."""

from __future__ import annotations

from base64 import b64decode

import pytest
from simulator.service import LOUD, PAUSE, Service, heard, kinds

from relay.simulator.sideband import MAX_WAITING


@pytest.fixture
def service() -> Service:
    return Service()


def test_a_sideband_hears_both_sides(service: Service) -> None:
    client = service.started(audio={"format": {"type": "audio/pcmu", "rate": 8_000}})
    sideband = service.sideband()
    assert sideband.dialogue.opening() == []
    said = b"\x00\x80" * 4000 + b"\xff" * 4000
    client.say(said)
    client.rest()
    assert service.woken == [sideband] * len(service.woken) != []
    spoken, words, answer, *sounds, usage = sideband.rest()
    assert spoken.keys() == {"type", "audio"}
    assert len(b64decode(spoken["audio"])) == 6 * len(said)
    assert kinds([words, answer, usage]) == [
        "input_transcript.delta",
        "output_transcript.delta",
        "usage.updated",
    ]
    assert len(heard(sounds)) == 6 * len(said)
    times = [(sound["start_ms"], sound["end_ms"]) for sound in sounds]
    assert times == [(1500, 3000)]


def test_a_sideband_does_not_hear_the_mistakes_of_others(service: Service) -> None:
    client = service.started()
    sideband = service.sideband()
    client.send("session.dance")
    assert not sideband.dialogue.speaking


def test_what_a_sideband_does_is_told_to_all(service: Service) -> None:
    client = service.started()
    one, other = service.sideband(), service.sideband()
    assert one.send("session.input_audio.mute", event_id="mine") == []
    assert set(service.woken) == {client, one, other}
    for each in (client, one, other):
        (muted,) = each.rest()
        assert (muted["type"], muted["client_event_id"]) == ("session.input_audio.muted", "mine")
    assert client.say(LOUD + PAUSE) == []


@pytest.mark.parametrize("kind", ["session.start", "session.input_audio.append"])
def test_a_sideband_neither_starts_nor_speaks(service: Service, kind: str) -> None:
    service.started()
    (error,) = service.sideband().send(kind, event_id="mine")
    assert error["error"]["code"] == "invalid_value"
    assert error["error"]["client_event_id"] == "mine"


def test_a_sideband_may_end_the_session(service: Service) -> None:
    client = service.started()
    client.say(LOUD + PAUSE)
    sideband = service.sideband()
    sideband.send("session.close")
    for each in (client, sideband):
        assert not each.dialogue.ended
        (closed,) = each.rest()
        assert closed["reason"] == "close_requested"
        assert each.dialogue.ended
    assert sideband.send("session.input_audio.mute") == []


def test_the_end_of_the_primary_connection_is_told_to_sidebands(service: Service) -> None:
    client = service.started()
    sideband = service.sideband()
    client.dialogue.lost()
    (closed,) = sideband.rest()
    assert closed["reason"] == "connection_lost"
    assert sideband.dialogue.ended
    assert service.sessions.open == {}
    sideband.dialogue.lost()


def test_a_session_goes_on_without_its_sidebands(service: Service) -> None:
    client = service.started()
    sideband = service.sideband()
    sideband.dialogue.lost()
    client.say(LOUD + PAUSE)
    assert not sideband.dialogue.speaking
    assert heard(client.rest()) == LOUD + PAUSE


def test_a_connection_that_was_never_started_leaves_nothing(service: Service) -> None:
    service.primary().dialogue.lost()
    assert service.sessions.open == {}


def test_what_waits_for_a_sideband_is_bounded_and_the_end_is_told(service: Service) -> None:
    client = service.started()
    sideband = service.sideband()
    for _ in range(2 * MAX_WAITING):
        client.send("session.input_audio.mute")
    client.send("session.close")
    events = sideband.rest()
    assert len(events) == MAX_WAITING
    assert kinds(events)[-1] == "closed"
