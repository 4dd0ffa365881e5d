"""The end of one connection, as the table has it."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.peer.ending import DEAF, ENDING, Action, Happening, Phase

PHASES: tuple[Phase, ...] = get_args(Phase)
HAPPENINGS: tuple[Happening, ...] = get_args(Happening)


def run(happenings: list[Happening]) -> tuple[Phase, list[Action]]:
    phase: Phase = "open"
    done: list[Action] = []
    for happening in happenings:
        phase, actions = ENDING[phase][happening]
        done += actions
    return phase, done


def test_each_phase_of_an_end_has_an_answer_to_every_happening() -> None:
    assert set(ENDING) == set(PHASES)
    for row in ENDING.values():
        assert set(row) == set(HAPPENINGS)


@pytest.mark.parametrize("happening", HAPPENINGS)
def test_nothing_is_asked_of_a_connection_that_is_gone(happening: Happening) -> None:
    assert ENDING["gone"][happening] == ("gone", ())


@given(st.lists(st.sampled_from(HAPPENINGS)))
def test_one_close_is_sent_at_most(happenings: list[Happening]) -> None:
    _, done = run(happenings)
    assert sum(action in ("send_close", "answer_close") for action in done) <= 1


@given(st.lists(st.sampled_from(HAPPENINGS)))
def test_the_listener_is_told_of_one_end_at_most(happenings: list[Happening]) -> None:
    _, done = run(happenings)
    assert sum(action in ("tell_close", "tell_fault") for action in done) <= 1


@given(st.lists(st.sampled_from(HAPPENINGS)))
def test_no_phase_of_an_end_is_taken_back(happenings: list[Happening]) -> None:
    order = ("open", "closing", "failing", "ending", "gone")
    phases = [run(happenings[:count])[0] for count in range(len(happenings) + 1)]
    assert phases == sorted(phases, key=order.index)


@given(st.lists(st.sampled_from(HAPPENINGS)))
def test_a_connection_that_has_begun_to_end_is_over_by_a_deadline(
    happenings: list[Happening],
) -> None:
    phase, done = run(happenings)
    if phase not in ("open", "gone"):
        assert {"linger", "hang_up", "cut_off"} & set(done)


def test_nothing_is_read_after_a_fault() -> None:
    assert ENDING["open"]["fault"][0] in DEAF
    assert ENDING["closing"]["fault"][0] in DEAF


@given(st.lists(st.sampled_from(HAPPENINGS)))
def test_a_client_that_was_failed_is_half_closed_and_not_hung_up_on(
    happenings: list[Happening],
) -> None:
    phase, done = run(happenings)
    if phase == "failing":
        assert "half_close" in done
        assert "hang_up" not in done
