"""Whether the store decides."""

from __future__ import annotations

from relay.fleet.standing import Standing


def test_a_change_is_one_and_what_stays_is_none() -> None:
    standing = Standing(1.0)
    assert (standing.state, standing.is_up, standing.answers) == ("starting", False, False)
    assert standing.become("down", 2.0, "lost")
    assert not standing.become("down", 3.0, "late")
    assert (standing.since, standing.why) == (2.0, "late"), "the latest reason"
    assert standing.become("settling", 4.0)
    assert (standing.is_up, standing.answers, standing.why) == (False, True, "")
    assert standing.become("up", 5.0)
    assert (standing.is_up, standing.answers, standing.since) == (True, True, 5.0)


def test_a_relay_that_has_left_is_told_of_nothing_more() -> None:
    standing = Standing(0.0)
    standing.become("left", 1.0)
    assert not standing.become("down", 2.0)
    assert not standing.answers
