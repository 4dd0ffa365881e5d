"""What a grant may hold, and what it says of a request."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from relay import Grant, InvalidValue
from relay.policy.policy import Policy

SECRET = "sk-hunter2"


def test_a_grant_without_more_is_for_all_and_for_ever() -> None:
    grant = Grant()
    assert (grant.subject, grant.expires, grant.upstream, grant.credential) == (None,) * 4
    assert not grant.has_expired(1e12)
    assert not grant.bounds
    assert grant.seconds_left(0) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": ""},
        {"subject": 7},
        {"subject": "a\nb"},
        {"expires": "noon"},
        {"expires": True},
        {"expires": float("inf")},
        {"expires": float("nan")},
        {"end_on_expiry": 1},
        {"mints": None},
        {"models": [""]},
        {"models": [7]},
        {"upstream": ""},
        {"credential": f"{SECRET}\r\nX-Evil: 1"},
        {"credential": ""},
        {"credential": [SECRET]},
        {"headers": [("a", "b")]},
        {"headers": {"X-Note": "a\r\nb: c"}},
        {"headers": {"X-Note": "ü"}},
        {"headers": {"X-Note": 1}},
        {"headers": {"Authorization": SECRET}},
        {"headers": {"api-key": SECRET}},
        {"headers": {"Host": "h"}},
        {"headers": {"Sec-WebSocket-Key": "k"}},
        {"headers": {"no name": "k"}},
        {"policy": {"models": ["a"]}},
        {"limits": {"sessions": 1}},
    ],
)
def test_a_wrong_value_is_told_where_the_grant_is_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as caught:
        Grant(**wrong)
    assert SECRET not in str(caught.value)


def test_a_credential_does_not_show() -> None:
    grant = Grant(credential=SECRET, headers={"X-Note": SECRET})
    assert SECRET not in repr(grant)


def test_a_grant_can_be_a_key_of_a_table() -> None:
    assert len({Grant("a", headers={"X": "y"}), Grant("a", headers={"X": "y"})}) == 1


def test_it_has_expired_from_its_second_on() -> None:
    grant = Grant(expires=100)
    assert not grant.has_expired(99.9)
    assert grant.has_expired(100)


def test_its_sessions_end_with_it_only_if_it_says_so() -> None:
    grant = Grant(expires=100)
    assert grant.seconds_left(40) is None
    ending = evolve(grant, end_on_expiry=True)
    assert (ending.seconds_left(40), ending.seconds_left(140)) == (60, 0)
    assert Grant(end_on_expiry=True).seconds_left(40) is None


def test_one_model_may_be_said_as_a_string() -> None:
    assert Grant(models="gpt-realtime") == Grant(models=["gpt-realtime"])


def test_its_bounds_are_its_policy_and_its_models() -> None:
    policy = Policy(models=("b", "c"), lock=("voice",))
    assert Grant(models=["a", "b"], policy=policy).bounds == Policy(models=("b",), lock=("voice",))
    assert Grant(models=[]).bounds.refusal_of("a") is not None
