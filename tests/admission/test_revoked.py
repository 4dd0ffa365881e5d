"""Whose secrets are no longer good."""

from __future__ import annotations

from relay.admission.revoked import REMEMBERED, Revoked


def test_a_secret_from_before_is_barred_and_one_from_after_is_not() -> None:
    revoked = Revoked()
    revoked.add("ann", 1000.5)
    assert revoked.bars("ann", 1000)
    assert not revoked.bars("ann", 1001)
    assert not revoked.bars("ben", 1000)
    assert not revoked.bars(None, 0)


def test_what_comes_late_does_not_make_less_of_it() -> None:
    revoked = Revoked()
    revoked.add("ann", 1000)
    revoked.add("ann", 900)
    assert revoked.bars("ann", 950)


def test_it_is_forgotten_when_each_such_secret_has_expired() -> None:
    revoked = Revoked()
    revoked.add("ann", 1000)
    revoked.add("ben", 1000 + REMEMBERED)
    assert not revoked.bars("ann", 1000)
    assert len(revoked._times) == 1
