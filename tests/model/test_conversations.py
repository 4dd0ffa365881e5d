"""A session that ends badly ends alone, whatever its ends did: a search for what breaks that."""

from __future__ import annotations

from functools import partial
from itertools import product

import pytest
from chaos.scale import scaled
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from model.conversation import Conversation
from model.world import Plane

from relay.rules.closes import Side

LEGS: list[frozenset[Side]] = [
    frozenset(),
    frozenset({"downstream"}),
    frozenset({"upstream"}),
    frozenset({"downstream", "upstream"}),
]


COMBINATIONS = [*product(["splice", "message"], LEGS), *product(["transport"], LEGS[::3])]


def _named(value: object) -> str:
    return "+".join(sorted(value)) or "plain" if isinstance(value, frozenset) else str(value)


BOTH: list[tuple[Side, Side]] = [("downstream", "upstream"), ("upstream", "downstream")]

combinations = pytest.mark.parametrize(("plane", "secure"), COMBINATIONS, ids=_named)
both_ways = pytest.mark.parametrize(("side", "other"), BOTH)


@combinations
def test_a_session_that_ends_badly_ends_alone(plane: Plane, secure: frozenset[Side]) -> None:
    run_state_machine_as_test(
        partial(Conversation, plane, secure),  # type: ignore[arg-type]  # any callable will do
        settings=settings(
            max_examples=scaled(40, 1000),
            stateful_step_count=scaled(30, 60),
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


# -- what has gone wrong -------------------------------------------------------------------


def began(plane: Plane, secure: frozenset[Side], side: Side, *leaving: str) -> Conversation:
    """A conversation in which this side is within a large frame."""
    conversation = Conversation(plane, secure)
    conversation.begins(
        room=65536, writes_first=False, pings_soon=False, leaving=leaving, first="upstream"
    )
    conversation.begins_a_large_frame(side=side, cut="half", turns="rest")
    return conversation


@combinations
@both_ways
@pytest.mark.parametrize("leaving", [("leave", "leave"), ("reset", "reset"), ("drain",)], ids=str)
def test_within_a_large_frame_the_receiver_wants_a_pong_and_resets(
    plane: Plane, secure: frozenset[Side], side: Side, other: Side, leaving: tuple[str, ...]
) -> None:
    conversation = began(plane, secure, side, *leaving)
    conversation.pings(side=other, size=5, turns="rest")
    conversation.ends(side=other, way="reset", turns="rest")
    conversation.teardown()


@combinations
@both_ways
def test_within_a_large_frame_the_receiver_closes_and_resets(
    plane: Plane, secure: frozenset[Side], side: Side, other: Side
) -> None:
    conversation = began(plane, secure, side, "leave", "leave")
    conversation.closes(side=other, code=1000, reason=b"", turns="rest")
    conversation.ends(side=other, way="reset", turns="rest")
    conversation.goes_on(side=side, cut="half", turns="rest")
    conversation.goes_on(side=side, cut="all", turns="rest")
    conversation.teardown()


@combinations
@both_ways
def test_within_a_large_frame_the_receiver_breaks_a_rule_and_is_cut(
    plane: Plane, secure: frozenset[Side], side: Side, other: Side
) -> None:
    conversation = began(plane, secure, side, "leave", "leave")
    conversation.breaks_a_rule(side=other, fault="reserved bits", turns="rest")
    conversation.time_passes(seconds=2.0)
    conversation.teardown()


@combinations
@both_ways
def test_a_sender_is_lost_while_it_is_paused_and_then_the_receiver_reads_on(
    plane: Plane, secure: frozenset[Side], side: Side, other: Side
) -> None:
    conversation = Conversation(plane, secure)
    conversation.begins(
        room=4096, writes_first=False, pings_soon=True, leaving=("leave", "leave"), first="upstream"
    )
    conversation.stops_reading(side=other)
    conversation.says(side=side, size=60_000, text=False, fin=True, cut="all", turns="rest")
    conversation.ends(side=side, way="reset", turns="rest")
    conversation.time_passes(seconds=4.5)
    conversation.reads(side=other, size=1 << 30, turns="rest")
    conversation.teardown()


@combinations
@both_ways
def test_within_a_large_frame_the_sender_resets_and_the_receiver_never_reads(
    plane: Plane, secure: frozenset[Side], side: Side, other: Side
) -> None:
    conversation = Conversation(plane, secure)
    conversation.begins(
        room=4096, writes_first=False, pings_soon=True, leaving=("vanish",) * 2, first="upstream"
    )
    conversation.stops_reading(side=other)
    conversation.begins_a_large_frame(side=side, cut="half", turns="rest")
    conversation.pings(side=other, size=5, turns="rest")
    conversation.ends(side=side, way="reset", turns="rest")
    conversation.time_passes(seconds=4.5)
    conversation.teardown()
