"""Which form of a refusal each client gets, by its listener and its User-Agent."""

from __future__ import annotations

import pytest

from relay.config.forms import Form, RefusalRule, form_for

PYTHON = "Python/3.12 websockets/17.4"


def test_without_a_rule_a_client_gets_what_it_can_read() -> None:
    assert form_for((), "tcp:8080", PYTHON) == "auto"


@pytest.mark.parametrize(
    ("pattern", "agent", "matches"),
    [
        (None, PYTHON, True),
        (None, "", True),
        ("Python/*", PYTHON, True),
        ("*websockets/*", PYTHON, True),
        ("python/*", PYTHON, False),
        ("websockets/*", PYTHON, False),
        ("Python/3.12", PYTHON, False),
        ("*", "", True),
        ("[FBAN/*", "[FBAN/FBIOS;FBAV/1.0]", True),
        ("[FP]ython/*", PYTHON, False),
        ("Python/?.12*", PYTHON, False),
        ("", "", True),
        ("", PYTHON, False),
    ],
)
def test_a_rule_is_for_the_user_agents_that_its_pattern_is_the_whole_of(
    pattern: str | None, agent: str, matches: bool
) -> None:
    assert RefusalRule(user_agent=pattern).matches("tcp:8080", agent) is matches


@pytest.mark.parametrize(
    ("named", "listener", "matches"),
    [
        (None, "tcp:8080", True),
        (None, None, True),
        ("tcp:8080", "tcp:8080", True),
        ("tcp:8080", "tcp:8081", False),
        ("tcp:8080", None, False),
    ],
)
def test_a_rule_is_for_the_listener_that_it_names(
    named: str | None, listener: str | None, matches: bool
) -> None:
    assert RefusalRule(listener=named).matches(listener, PYTHON) is matches


@pytest.mark.parametrize(
    ("listener", "agent", "form"),
    [
        ("tcp:1", "A/1", "event"),
        ("tcp:2", "A/1", "http"),
        ("tcp:1", "B/1", "auto"),
        ("tcp:2", "B/1", "event"),
    ],
)
def test_the_first_rule_that_matches_decides(listener: str, agent: str, form: Form) -> None:
    rules = (
        RefusalRule(user_agent="A/*", listener="tcp:1", form="event"),
        RefusalRule(user_agent="A/*", form="http"),
        RefusalRule(listener="tcp:1"),
        RefusalRule(form="event"),
    )
    assert form_for(rules, listener, agent) == form
