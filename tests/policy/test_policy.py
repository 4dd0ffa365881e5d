"""A policy as a value, and one within another."""

from __future__ import annotations

import math
from typing import Any

import pytest

from relay.config.load import SettingsError, load
from relay.policy.policy import Policy, fixing
from relay.rules.errors import InvalidValue


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": "m"},
        {"events": [""]},
        {"events": (1,)},
        {"lock": ("a..b",)},
        {"force": []},
        {"force": {"a": math.nan}},
        {"force": {"a": object()}},
        {"default": {"model": "m"}},
        {"event_bytes": 1},
        {"event_bytes": True},
    ],
)
def test_a_wrong_value_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        Policy(**wrong)


def test_a_policy_that_asks_for_nothing_is_none() -> None:
    assert not Policy()
    assert not Policy().within(Policy())
    some: list[dict[str, Any]] = [{"models": ()}, {"events": ()}, {"lock": ("a",)}]
    some += [{"force": {"a": 1}}, {"default": {"a": 1}}]
    assert all(Policy(**each) for each in some)


def test_what_both_allow_is_allowed() -> None:
    outer = Policy(models=("a", "b"), events=("session.*", "x"), lock=("tools",))
    inner = Policy(models=("b", "c"), events=("session.update", "*"), lock=("voice", "tools"))
    both = inner.within(outer)
    assert both.models == ("b",)
    assert both.events == ("session.update", "session.*", "x")
    assert not both.allows_event("y")
    assert both.lock == ("tools", "voice")
    assert Policy().within(outer) == outer.within(Policy()) == outer


def test_the_outer_policy_forces_and_the_inner_one_defaults() -> None:
    outer = Policy(force={"a": {"x": 1}}, default={"d": 1, "e": 1}, event_bytes=2000)
    both = Policy(force={"a": {"x": 2, "y": 2}, "b": 2}, default={"d": 2}).within(outer)
    assert both.force == {"a": {"x": 1, "y": 2}, "b": 2}
    assert both.default == {"d": 2, "e": 1}
    assert both.event_bytes == 2000


def test_a_session_that_is_fixed_has_its_model_and_fields() -> None:
    assert fixing({"model": "m", "voice": "v"}) == Policy(models=("m",), force={"voice": "v"})
    assert fixing({}) == Policy()


def test_a_request_that_names_no_model_is_told_to() -> None:
    refusal = Policy(models=("m",)).refusal_of(None)
    assert refusal is not None
    assert refusal.message.startswith("Name a model")


def test_the_settings_say_one() -> None:
    text = '[policy]\nevents = ["a.*"]\n[policy.force.audio.output]\nvoice = "marin"\n'
    policy = load(text).policy.policy
    assert policy == Policy(events=("a.*",), force={"audio": {"output": {"voice": "marin"}}})


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('events = ["*.x"]', "events: #1: must be the type of an event"),
        ('lock = ["a."]', "lock: #1: must be names with dots"),
        ("force = {a = 1979-05-27}", "force: must hold what JSON can say"),
        ('force = {model = "m"}', "force: says its model by models"),
        ("force = 1", "force: must be a table"),
    ],
)
def test_a_fault_in_the_settings_names_its_key(text: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        load(f"[policy]\n{text}")
