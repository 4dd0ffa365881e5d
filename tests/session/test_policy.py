"""A session under a policy, as both of its sides see it."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
from memory import World, last_words
from websockets.frames import Frame, Opcode

from relay import Grant, Policy, Settings
from relay.config.policy import PolicyTable
from relay.testing.peers import Peer

SECRET = "Speak like a pirate."
CREATED = json.dumps(
    {"type": "session.created", "session": {"type": "realtime", "instructions": "Be kind."}}
)
UPDATED = json.dumps({"type": "session.updated", "session": {"instructions": SECRET}})
TABLE = PolicyTable(
    models=("m",),
    events=("session.update", "input_audio_buffer.*", "response.create"),
    force={"instructions": SECRET},
    lock=("tools",),
)


@pytest.fixture(params=["splice", "message"], autouse=True)
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever plane the settings say, a session with a policy is looked at."""
    monkeypatch.setattr(World, "plane", request.param)


def opened(**options: Any) -> tuple[World, Peer, Peer]:
    """A session under the table above; the policy's own update is sent and taken."""
    world = World(settings=Settings(policy=TABLE), **options)
    downstream, upstream = world.open(CREATED)
    upstream.read()
    upstream.send(UPDATED)
    downstream.read()
    return world, downstream, upstream


def received(peer: Peer) -> list[dict[str, Any]]:
    """The events that came since the last look."""
    peer.read()
    events = [json.loads(each) for each in peer.received]
    peer.received.clear()
    return events


def test_upstream_is_told_the_values_before_anything_else() -> None:
    _, downstream, upstream = opened()
    downstream.send('{"type":"input_audio_buffer.append","audio":"AAAA"}')
    update, append = received(upstream)
    assert update["session"] == {"type": "realtime", "instructions": SECRET}
    assert append == {"type": "input_audio_buffer.append", "audio": "AAAA"}


def test_the_client_never_sees_the_forced_instructions() -> None:
    _, downstream, _ = opened()
    created, updated = received(downstream)
    assert created == {"type": "session.created", "session": {"type": "realtime"}}
    assert updated == {"type": "session.updated", "session": {}}


def test_a_forbidden_event_is_told_of_and_the_session_goes_on() -> None:
    world, downstream, upstream = opened()
    received(upstream), received(downstream)
    downstream.send('{"type":"conversation.item.delete","event_id":"mine","item_id":"i"}')
    (told,) = received(downstream)
    assert (told["error"]["code"], told["error"]["event_id"]) == ("event_not_allowed", "mine")
    downstream.send('{"type":"response.create"}')
    assert received(upstream) == [{"type": "response.create"}]
    assert world.factory.active_sessions == 1


def test_binary_does_not_cross() -> None:
    _, downstream, upstream = opened()
    received(upstream), received(downstream)
    downstream.send(b'{"type":"session.update"}')
    assert received(downstream)[0]["error"]["code"] == "invalid_event"
    assert received(upstream) == []


def test_binary_of_upstream_crosses() -> None:
    _, downstream, upstream = opened()
    downstream.read()
    upstream.send(b"\x00\x01")
    downstream.read()
    assert downstream.received[-1] == b"\x00\x01"


def test_no_boundary_between_fragments_hides_anything() -> None:
    _, downstream, upstream = opened()
    received(upstream), received(downstream)
    event = b'{"type":"session.update","session":{"instructions":"Mine.","speed":1.5}}'
    cut_once = [[event[:at], event[at:]] for at in range(len(event) + 1)]
    in_bytes = [bytes([each]) for each in event]
    for parts in [*cut_once, in_bytes]:
        for number, part in enumerate(parts):
            opcode = Opcode.CONT if number else Opcode.TEXT
            downstream.send_frame(Frame(opcode, part, fin=number == len(parts) - 1))
        (update,) = received(upstream)
        assert update["session"] == {"instructions": SECRET, "speed": 1.5}


def test_an_upstream_that_rejects_the_values_ends_the_session() -> None:
    world = World(settings=Settings(policy=TABLE))
    downstream, upstream = world.open(CREATED)
    upstream.send('{"type":"error","error":{"code":"invalid_value","message":"No pirates."}}')
    world.settle(downstream, upstream)
    assert last_words(downstream)["code"] == "policy_rejected"
    assert downstream.close == (1008, "relay: upstream rejected the policy")
    assert b"pirates" not in b"".join(map(str.encode, map(str, downstream.received)))
    world.advance(5)
    assert world.is_clean()


def test_a_client_that_does_not_read_is_told_nothing_more() -> None:
    world, downstream, _ = opened()
    received(downstream)
    (session,) = world.factory._register.sessions
    peer = cast(Any, session)._peers["downstream"]
    peer.blocked()
    downstream.send("[]")
    assert received(downstream) == []
    peer.drained()
    downstream.send("[]")
    assert received(downstream)[0]["error"]["code"] == "invalid_event"


def test_a_grant_adds_to_the_settings() -> None:
    def admit(_: object) -> Grant:
        return Grant(policy=Policy(force={"speed": 1}, models=("m", "n")))

    _, _, upstream = opened(options={"admit": admit})
    assert received(upstream)[0]["session"] == {
        "type": "realtime",
        "instructions": SECRET,
        "speed": 1,
    }


@pytest.mark.parametrize(
    "path",
    [
        "/v1/realtime?model=other",
        "/v1/realtime?intent=transcription",
        "/openai/realtime?deployment=other",
    ],
)
def test_another_model_is_refused_before_upstream_is_asked(path: str) -> None:
    world = World(settings=Settings(policy=TABLE))
    downstream = world.downstream(path)
    downstream.read()
    assert downstream.status == 403
    assert downstream.error["code"] == "model_not_allowed"
    assert world.reactor.tcpClients == []


def test_a_live_session_says_its_model_by_its_first_event() -> None:
    world = World(settings=Settings(policy=TABLE))
    downstream, upstream = world.open(None, path="/v1/live/sessions")
    assert received(upstream) == []
    downstream.send('{"type":"session.start","session":{"model":"other"}}')
    assert received(downstream)[0]["error"]["code"] == "event_not_allowed"
