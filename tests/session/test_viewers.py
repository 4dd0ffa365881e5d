"""All that are shown what crosses a session, in both planes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from memory import World

from relay.session.viewers import Viewers

View = list[Any]


class MessageWorld(World):
    """The other plane."""

    plane = "message"


@pytest.fixture(params=[World, MessageWorld])
def world(request: Any) -> Any:
    return request.param()


def test_each_gets_as_much_of_a_message_as_it_wants(world: World) -> None:
    downstream, upstream = world.open()
    [session] = world.factory._register.sessions
    short: View = []
    long: View = []
    session.show(lambda *told: short.append(told), 3)  # type: ignore[attr-defined]
    stop = session.show(lambda *told: long.append(told), 100)  # type: ignore[attr-defined]
    downstream.send("hello")
    upstream.send(b"\x00" * 5)
    assert short == [("client", b"hel", 5, False), ("upstream", b"\x00" * 3, 5, True)]
    assert long == [("client", b"hello", 5, False), ("upstream", b"\x00" * 5, 5, True)]
    stop()
    stop()
    downstream.send("more")
    assert (len(short), len(long)) == (3, 2)


def test_one_may_leave_while_it_is_shown_a_message(world: World) -> None:
    downstream, upstream = world.open()
    [session] = world.factory._register.sessions
    seen: View = []

    def once(*told: object) -> None:
        seen.append(told)
        stop()

    stop: Callable[[], None] = session.show(once, 9)  # type: ignore[attr-defined]
    downstream.send("one")
    downstream.send("two")
    world.settle(downstream, upstream)
    assert [told[1] for told in seen] == [b"one"]
    assert upstream.received == ["one", "two"]


def test_nothing_is_watched_before_the_first_and_after_the_last() -> None:
    watched: list[bool] = []
    viewers = Viewers(lambda seen: watched.append(seen is not None))
    stops = [viewers.add(lambda *told: None, most) for most in (5, 9)]
    assert (watched, viewers.most) == ([True], 9)
    stops.pop()()
    assert (watched, viewers.most) == ([True], 5)
    stops.pop()()
    assert (watched, viewers.most) == ([True, False], 0)
