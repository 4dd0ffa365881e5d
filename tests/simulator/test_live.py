"""Sessions of the Live API, and their forks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator.service import LOUD, PAUSE, RATE, Service, heard, kinds
from simulator.talk import Event

from relay.simulator import live as live_module
from relay.simulator.faults import EventRefusal, ResetAfter
from relay.simulator.live import LiveSession


@pytest.fixture
def service() -> Service:
    return Service()


def test_a_session_is_silent_until_it_is_started(service: Service) -> None:
    client = service.primary()
    assert client.dialogue.opening() == []
    assert not client.dialogue.speaking
    (started,) = client.send("session.start", session={"model": "gpt-live-1"}, event_id="mine")
    assert started == {
        "type": "session.started",
        "event_id": "event_2",
        "client_event_id": "mine",
        "session": {
            "id": "sess_1",
            "status": "active",
            "expires_at": 4600,
            "model": "gpt-live-1",
            "audio": {
                "format": {"type": "audio/pcm", "rate": 24_000},
                "output": {"voice": "marin"},
            },
            "delegation": {"type": "client"},
            "instructions": "",
            "store": False,
        },
    }
    assert list(service.sessions.open) == ["sess_1"]


@pytest.mark.parametrize("kind", ["session.input_audio.append", "session.close", "session.update"])
def test_nothing_comes_before_the_start(service: Service, kind: str) -> None:
    (error,) = service.primary().send(kind, event_id="mine", audio="", session={})
    assert error["error"] == {
        "type": "invalid_request_error",
        "code": "session_not_started",
        "message": "Send session.start first, and wait for session.started.",
        "param": "type",
        "client_event_id": "mine",
    }


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.model"),
        ({"model": "m", "voice": "x"}, "unknown_parameter", "session.voice"),
        (
            {"model": "m", "audio": {"format": {"type": "audio/pcm", "rate": 44_100}}},
            "invalid_value",
            "session.audio.format",
        ),
        ({"model": "m", "audio": {"output": {"voice": 1}}}, "invalid_type", None),
    ],
)
def test_a_start_that_cannot_be_done_may_be_tried_again(
    service: Service, session: Event, code: str, param: str | None
) -> None:
    client = service.primary()
    (error,) = client.send("session.start", session=session)
    assert error["error"]["code"] == code
    assert param is None or error["error"]["param"] == param
    assert service.sessions.open == {}
    assert kinds(client.send("session.start", session={"model": "m"})) == ["started"]


def test_a_session_starts_once(service: Service) -> None:
    (error,) = service.started().send("session.start", session={"model": "m"})
    assert error["error"]["code"] == "session_already_started"


def test_what_is_said_comes_back_after_a_pause(service: Service) -> None:
    client = service.started()
    assert client.say(LOUD) == []
    service.time += 2.9
    (heard_words,) = client.say(PAUSE)
    assert heard_words["type"] == "session.input_transcript.delta"
    assert (heard_words["start_ms"], heard_words["end_ms"]) == (0, 1500)
    events = client.rest()
    assert heard(events) == LOUD + PAUSE
    words, *sounds, usage = events
    assert words["type"] == "session.output_transcript.delta"
    assert words["delta"] == heard_words["delta"] == "(1.50 s of your own audio)"
    assert (words["start_ms"], words["end_ms"]) == (1500, 3000)
    # Of all events these alone have neither an id nor a time.
    assert all(sound.keys() == {"type", "delta"} for sound in sounds)
    assert (usage["type"], usage["usage"]) == ("session.usage.updated", {"seconds": 2.0})


@pytest.mark.parametrize(
    ("form", "loud", "rate"),
    [
        ({"type": "audio/pcm", "rate": 16_000}, b"\x00\x40" * 4 + b"\x00\xc0" * 4, 32_000),
        ({"type": "audio/pcmu", "rate": 8_000}, b"\x00\x80", 8_000),
        ({"type": "audio/pcma", "rate": 8_000}, b"\x2a\xaa", 8_000),
    ],
)
def test_audio_comes_back_in_the_format_it_was_sent(
    service: Service, form: Event, loud: bytes, rate: int
) -> None:
    client = service.started(audio={"format": form})
    silence = {"audio/pcmu": b"\xff", "audio/pcma": b"\xd5"}.get(form["type"], b"\0")
    said = loud * (rate // len(loud)) + silence * (rate // 2)
    client.say(said)
    assert heard(client.rest()) == said


def test_who_speaks_again_interrupts_what_is_said(service: Service) -> None:
    client = service.started()
    client.say(LOUD + PAUSE)
    client.dialogue.advance()
    client.say(LOUD[: RATE // 5])
    assert not client.dialogue.speaking
    client.say(PAUSE)
    assert len(heard(client.rest())) < len(LOUD)


def test_who_is_muted_is_not_heard(service: Service) -> None:
    client = service.started()
    (muted,) = client.send("session.input_audio.mute", event_id="m1")
    assert (muted["type"], muted["client_event_id"]) == ("session.input_audio.muted", "m1")
    assert client.say(LOUD + PAUSE) == []
    assert kinds(client.send("session.input_audio.unmute")) == ["input_audio.unmuted"]
    assert kinds(client.say(LOUD + PAUSE)) == ["input_transcript.delta"]


def test_commentary_is_spoken(service: Service) -> None:
    client = service.started(audio={"output": {"voice": {"id": "voice_1"}}})
    comment = {"content": "hi", "delegation_id": None}
    (appended,) = client.send("session.commentary.append", **comment)
    assert appended["type"] == "session.commentary.appended"
    assert (appended["start_ms"], appended["end_ms"]) == (0, 0)
    words, *sounds, _usage = client.rest()
    assert words["delta"] == "hi"
    assert any(heard(sounds))


@pytest.mark.parametrize("kind", ["instructions", "thinking"])
def test_what_is_only_to_be_known_is_acknowledged(service: Service, kind: str) -> None:
    client = service.started()
    (appended,) = client.send(f"session.{kind}.append", content="x", delegation_id=None)
    assert appended["type"] == f"session.{kind}.appended"
    assert not client.dialogue.speaking


def test_an_update_changes_what_may_be_changed(service: Service) -> None:
    backend = {"model": "gpt-backend", "instructions": "think"}
    client = service.started(delegation={"type": "responses", "responses": backend})
    change = {"type": "responses", "responses": {"instructions": "think twice"}}
    (updated,) = client.send("session.update", session={"delegation": change}, event_id="mine")
    assert updated["client_event_id"] == "mine"
    changed = {"type": "responses", "responses": {**backend, "instructions": "think twice"}}
    assert updated["session"]["delegation"] == changed
    assert updated["session"]["model"] == "m"
    (unchanged,) = client.send("session.update", session={})
    assert unchanged["session"] == updated["session"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model": "other"}, "unknown_parameter"),
        ({"delegation": {"type": "decisions"}}, "invalid_value"),
        ({"delegation": {"type": "none"}}, "invalid_value"),
    ],
)
def test_what_may_not_be_changed_stays(service: Service, change: Event, code: str) -> None:
    client = service.started()
    (error,) = client.send("session.update", session=change)
    assert error["error"]["code"] == code
    assert client.send("session.update", session={})[0]["session"]["delegation"] == {
        "type": "client"
    }


def test_a_backend_is_named_whole_at_the_start(service: Service) -> None:
    start = {"model": "m", "delegation": {"type": "responses"}}
    (error,) = service.primary().send("session.start", session=start)
    assert error["error"]["param"] == "session.delegation.responses"


def test_a_close_ends_the_session_with_its_usage(service: Service) -> None:
    client = service.started()
    client.say(LOUD + PAUSE)
    service.time += 7.5
    (closed,) = client.send("session.close", event_id="c")
    assert closed["type"] == "session.closed"
    assert closed["client_event_id"] == "c"
    assert closed["reason"] == "close_requested"
    assert closed["usage"] == {"seconds": 7.0}
    assert closed["session"]["status"] == "active"
    assert client.dialogue.ended
    assert not client.dialogue.speaking
    assert service.sessions.open == {}
    assert client.send("session.close") == []
    client.dialogue.lost()


@pytest.mark.parametrize(
    ("model", "fault", "starts"),
    [
        ("fault-error-3000", EventRefusal, False),
        ("fault-reset-after-2", ResetAfter, True),
    ],
)
def test_the_model_asks_for_a_fault(
    service: Service, model: str, fault: type, starts: bool
) -> None:
    client = service.primary()
    events = client.send("session.start", session={"model": model})
    assert isinstance(client.dialogue.fault, fault)
    assert bool(events) is starts


def test_a_fork_has_the_settings_of_a_stored_session(service: Service) -> None:
    service.started(store=True, instructions="be kind")
    (source,) = service.sessions.stored.values()
    fork = service.primary(source)
    form = {"type": "audio/pcmu", "rate": 8_000}
    start = {"audio": {"format": form}, "store": False}
    (started,) = fork.send("session.start", session=start)
    session = started["session"]
    assert session["id"] != source["id"]
    assert (session["model"], session["instructions"]) == ("m", "be kind")
    assert session["audio"] == {"format": form, "output": {"voice": "marin"}}
    assert list(service.sessions.stored) == [source["id"]]


def test_a_fork_has_no_model_of_its_own(service: Service) -> None:
    service.started(store=True)
    (source,) = service.sessions.stored.values()
    (error,) = service.primary(source).send("session.start", session={"model": "other"})
    assert error["error"]["code"] == "unknown_parameter"


def test_what_is_stored_is_bounded(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "MAX_STORED", 2)
    for _ in range(3):
        service.started(store=True)
    assert list(service.sessions.stored) == list(service.sessions.open)[1:]


_kinds = st.sampled_from([*LiveSession.answers, "response.create"])
_values = st.none() | st.integers() | st.text(max_size=3) | st.just({"model": "m"})
_names = st.sampled_from(["session", "audio", "content", "event_id"])


@given(st.lists(st.tuples(_kinds, st.dictionaries(_names, _values)), max_size=8), st.booleans())
def test_no_message_breaks_a_session(said: list[tuple[str, Event]], starts: bool) -> None:
    service = Service()
    client = service.started() if starts else service.primary()
    clients = [client, service.sideband()] if starts else [client]
    for kind, more in said:
        for each in clients:
            assert all("type" in event for event in each.send(kind, **more) + each.rest())
