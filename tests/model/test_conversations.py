"""A session that ends badly ends alone, whatever its ends did: a search for what breaks that."""

from __future__ import annotations

from functools import partial
from itertools import product

import pytest
from chaos.scale import scaled
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from model.conversation import Conversation
from model.world import Plane

from relay.closing import Side

LEGS: list[frozenset[Side]] = [
    frozenset(),
    frozenset({"downstream"}),
    frozenset({"upstream"}),
    frozenset({"downstream", "upstream"}),
]


COMBINATIONS = list(product(["splice", "message"], LEGS))


def _named(value: object) -> str:
    return "+".join(sorted(value)) or "plain" if isinstance(value, frozenset) else str(value)


@pytest.mark.parametrize(("plane", "secure"), COMBINATIONS, ids=_named)
def test_a_session_that_ends_badly_ends_alone(plane: Plane, secure: frozenset[Side]) -> None:
    run_state_machine_as_test(
        partial(Conversation, plane, secure),  # type: ignore[arg-type]  # any callable will do
        settings=settings(
            max_examples=scaled(40, 5000),
            stateful_step_count=scaled(30, 60),
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
