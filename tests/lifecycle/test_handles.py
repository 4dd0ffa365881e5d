"""Sessions as handles: what they tell, and how they end, in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from memory import World, last_words

from relay import Grant, Request
from relay.testing.peers import Peer

DONE = json.dumps(
    {"type": "response.done", "response": {"status": "completed", "usage": {"total_tokens": 7}}}
)


def by_key(request: Request) -> Grant:
    """The credential is the subject."""
    return Grant(request.credential)


class MessageWorld(World):
    """The other plane."""

    plane = "message"


@pytest.fixture(params=[World, MessageWorld])
def world(request: Any) -> Any:
    return request.param(options={"admit": by_key})


def enter(world: World, subject: str, model: str = "m") -> tuple[Peer, Peer]:
    return world.open(
        headers={"Authorization": f"Bearer {subject}"}, path=f"/v1/realtime?model={model}"
    )


def test_a_handle_tells_whose_session_it_is_and_how_it_goes(world: World) -> None:
    downstream, upstream = enter(world, "shop")
    downstream.send("hello")
    upstream.send(DONE)
    world.settle(downstream, upstream)
    world.advance(2)
    [handle] = world.factory.handles.find()
    record = handle.record()
    assert (handle.hold.subject, handle.hold.model) == ("shop", "m")
    assert record.state == "open"
    assert record.seconds == pytest.approx(2, abs=0.1)
    assert record.sent["downstream"].messages == 1
    assert record.sent["upstream"].messages == 2
    assert record.plane == ("message" if isinstance(world, MessageWorld) else "splice")
    handle.close()
    assert handle.record().state == "ending"


def test_one_finds_the_sessions_of_a_subject_a_model_or_an_upstream(world: World) -> None:
    enter(world, "a", "m1")
    enter(world, "a", "m2")
    enter(world, "b", "m2")
    find = world.factory.handles.find
    assert len(list(find())) == 3
    assert [each.hold.model for each in find(subject="a", model="m2")] == ["m2"]
    assert {each.hold.subject for each in find(model="m2")} == {"a", "b"}
    assert list(find(upstream="other")) == []
    [one] = find(subject="b")
    assert [each.hold for each in find(id=one.hold.request_id)] == [one.hold]


def test_a_session_that_is_closed_by_its_handle_says_why(world: World) -> None:
    downstream, upstream = enter(world, "shop")
    [handle] = world.factory.handles.find()
    handle.close("you have signed out")
    handle.close("twice")
    world.settle(downstream, upstream)
    world.advance(5)
    assert downstream.close == upstream.close == (1008, "relay: you have signed out")
    error = last_words(downstream)
    assert error["code"] == "ended_by_operator"
    assert error["message"] == "The relay ended this session: you have signed out."
    assert error["retryable"] is False
    assert world.listener.ends[0].closed_by == "relay"
    handle.close("after its end")


def test_a_subject_that_is_revoked_loses_its_sessions_and_no_other_does(world: World) -> None:
    peers = [enter(world, "a") for _ in range(3)]
    others = enter(world, "b")
    assert world.factory.handles.revoke("a") == 3
    world.advance(0.1)
    for pair in peers:
        world.settle(*pair)
        assert pair[0].close == pair[1].close == (1008, "relay: access withdrawn")
        assert last_words(pair[0])["code"] == "revoked"
    world.settle(*others)
    world.advance(5)
    assert [each.hold.subject for each in world.factory.handles.find()] == ["b"]
    others[0].send("still here")
    world.settle(*others)
    assert others[1].received[-1] == "still here"


def test_a_hold_of_a_subject_that_is_revoked_is_refused(world: World) -> None:
    downstream = world.downstream(headers={"Authorization": "Bearer a"})
    other = world.downstream(headers={"Authorization": "Bearer b"})
    assert world.factory.handles.revoke("a") == 1
    world.advance(0.1)
    downstream.read()
    assert downstream.response is not None
    assert downstream.response.status_code == 401
    other.read()
    assert other.response is None
    assert world.factory.active_holds == 1


def test_nobody_is_revoked_by_the_name_of_nobody(world: World) -> None:
    enter(world, "a")
    assert world.factory.handles.revoke("b") == 0
    world.advance(0.1)
    assert world.factory.active_sessions == 1
