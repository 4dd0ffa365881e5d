"""When each message of a recording is said again."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from recording.recorded import recording, said

from relay.recording.lines import Closed, Cut, Message, Sender
from relay.recording.reading import Recording
from relay.recording.replay import Awaits, Over, Pause, Replay

START = 100.0


def due(replay: Replay, now: float) -> list[str | None]:
    """The types of what is said at this time."""
    found = []
    while isinstance(step := replay.step(now), Message):
        found.append(step.type)
    return found


def test_what_the_upstream_says_by_itself_comes_in_the_recorded_time() -> None:
    replay = Replay(recording(said(0, "upstream", "a"), said(1.5, "upstream", "b")), START)
    assert due(replay, START) == ["a"]
    assert replay.step(START + 1) == Pause(0.5)
    assert due(replay, START + 1.5) == ["b"]
    assert replay.step(START + 1.5) == Over()


def test_an_answer_waits_for_its_question() -> None:
    replay = Replay(recording(said(1, "client", "q"), said(1.25, "upstream", "a")), START)
    assert replay.step(START + 60) == Awaits(said(1, "client", "q"), 2)
    replay.heard("q")
    assert replay.step(START + 60) == Pause(0.25)
    assert due(replay, START + 60.25) == ["a"]


def test_a_client_that_asks_sooner_is_answered_sooner() -> None:
    replay = Replay(recording(said(9, "client", "q"), said(9.25, "upstream", "a")), START)
    replay.heard("q")
    assert replay.step(START) == Pause(0.25)
    assert due(replay, START + 0.25) == ["a"]


def test_but_not_before_what_was_said_before_the_question() -> None:
    replay = Replay(
        recording(said(4, "upstream", "a"), said(5, "client", "q"), said(5.5, "upstream", "b")),
        START,
    )
    replay.heard("q")
    assert replay.step(START) == Pause(4)
    assert due(replay, START + 4) == ["a"]
    assert replay.step(START + 4) == Pause(0.5)
    assert due(replay, START + 4.5) == ["b"]


def test_as_many_of_each_type_are_awaited_in_any_order() -> None:
    replay = Replay(
        recording(
            said(1, "client", "append"),
            said(2, "client", "append"),
            said(3, "client", "commit"),
            said(3, "upstream", "committed"),
        ),
        START,
    )
    for kind in ("commit", "append", "other", None):
        replay.heard(kind)
        assert due(replay, START + 99) == []
    replay.heard("append")
    assert due(replay, START + 99) == ["committed"]


def test_what_was_never_said_in_the_recording_is_not_kept() -> None:
    replay = Replay(recording(said(1, "client", "q")), START)
    for number in range(1000):
        replay.heard(str(number))
    assert not replay._ahead


def test_a_late_look_does_not_delay_what_follows() -> None:
    replay = Replay(recording(*(said(n, "upstream", str(n)) for n in range(3))), START)
    assert due(replay, START + 1.9) == ["0", "1"]
    assert due(replay, START + 2) == ["2"]


def test_a_client_that_closed_in_the_recording_is_not_waited_for() -> None:
    for by in ("client", "relay"):
        replay = Replay(recording(said(1, "upstream", "a"), end=Closed(5, by, 1000)), START)
        assert due(replay, START + 1) == ["a"]
        assert replay.step(START + 1) == Over()


def test_the_end_keeps_its_time_too() -> None:
    for end in (Closed(5, "upstream", 1000), Cut(5, "because")):
        replay = Replay(recording(said(1, "upstream", "a"), end=end), START)
        assert due(replay, START + 1) == ["a"]
        assert replay.step(START + 1) == Pause(4)
        assert replay.step(START + 5) == Over()


Said = tuple[Sender, str, int]

SENDERS: list[Sender] = ["client", "upstream"]
STEPS = st.lists(st.tuples(st.sampled_from(SENDERS), st.sampled_from("ab"), st.integers(0, 3)))


def played(steps: list[Said]) -> Recording:
    """A recording of what is said: by whom, what, and how long after what was said before."""
    at, messages = 0, []
    for sender, kind, gap in steps:
        at += gap
        messages.append(said(at, sender, kind))
    return recording(*messages)


@given(STEPS)
def test_a_client_that_does_the_same_gets_the_same_at_the_same_time(
    steps: list[Said],
) -> None:
    session = played(steps)
    replay, got = Replay(session, START), []
    for message in session.messages:
        now = START + message.at
        got += [(now - START, kind) for kind in due(replay, now)]
        if message.sender == "client":
            replay.heard(message.type)
            got += [(now - START, kind) for kind in due(replay, now)]
    assert got == [(each.at, each.type) for each in session.messages if each.sender == "upstream"]


@given(STEPS, st.randoms())
def test_a_client_that_says_it_all_in_any_order_gets_it_all(
    steps: list[Said], random: Random
) -> None:
    session = played(steps)
    replay = Replay(session, START)
    kinds = [each.type for each in session.messages if each.sender == "client"]
    random.shuffle(kinds)
    for kind in kinds:
        replay.heard(kind)
    now, got = START, []
    while not isinstance(step := replay.step(now), Over):
        assert not isinstance(step, Awaits)
        if isinstance(step, Pause):
            assert step.seconds > 0
            now += step.seconds
        else:
            got.append(step.type)
    assert got == [each.type for each in session.messages if each.sender == "upstream"]
