"""What has crossed in open sessions, gathered over several turns while sessions come and go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from relay.lifecycle.register import Register
from relay.lifecycle.traffic import SLICE, OpenTraffic
from relay.rules.closes import Side
from relay.telemetry.records import Traffic


class Session:
    """So many messages have crossed, downwards."""

    def __init__(self) -> None:
        self.crossed = 0
        self.looks = 0

    def add_to(self, total: Mapping[Side, Traffic]) -> None:
        self.looks += 1
        total["upstream"].messages += self.crossed
        total["upstream"].bytes += 10 * self.crossed


def opened(register: Register, count: int) -> list[Any]:
    sessions: list[Any] = [Session() for _ in range(count)]
    register.sessions.update(dict.fromkeys(sessions))
    return sessions


def test_few_are_looked_at_at_once() -> None:
    register, clock = Register(1, ()), Clock()
    for session in opened(register, SLICE):
        session.crossed = 2
    found: list[Any] = []
    OpenTraffic(register, clock).gather().addCallback(found.append)
    assert found[0]["upstream"] == Traffic(2 * SLICE, 20 * SLICE)
    assert found[0]["downstream"] == Traffic(0, 0)


def test_many_are_looked_at_in_several_turns_and_once_for_all_who_ask() -> None:
    register, clock = Register(1, ()), Clock()
    sessions = opened(register, 2 * SLICE + 1)
    traffic, found = OpenTraffic(register, clock), list[Any]()
    for _ in range(2):
        traffic.gather().addCallback(found.append)
    assert [session.looks for session in sessions].count(1) == SLICE
    assert found == []
    clock.advance(0)
    assert {session.looks for session in sessions} == {1}
    assert len(found) == 2


@example(["open", "cross", "gather", "close", "gather"])
@example(["open", "open", "cross", "gather", "close", "turn", "gather", "turn"])
@given(st.lists(st.sampled_from(["open", "cross", "close", "turn", "gather"]), max_size=60))
def test_the_sum_with_those_that_ended_never_falls(steps: list[str]) -> None:
    register, clock = Register(1, ()), Clock()
    traffic, ended, last = OpenTraffic(register, clock), 0, 0
    for step in steps:
        sessions: list[Any] = [*register.sessions]
        if step == "open":
            opened(register, SLICE)
        elif step == "cross":
            for session in sessions[::3]:
                session.crossed += 1
        elif step == "close" and sessions:
            for session in sessions[:: max(1, len(sessions) // 7)]:
                ended += session.crossed
                register.sessions.pop(session)
        elif step == "turn":
            clock.advance(0)
        elif step == "gather":
            traffic.gather()
        now = ended + traffic.gathered()["upstream"].messages
        assert now >= last
        last = now
