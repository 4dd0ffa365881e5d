"""The runbook has an entry for each code of a refusal, and each entry says all that it should."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.rules.first_steps import FIRST
from relay.rules.refusals import KINDS, RefusalCode

PAGE = Path(__file__).parents[1] / "docs" / "runbook.md"
HEADINGS = re.compile(r"^### `(\w+)`$", re.MULTILINE)
PARTS = ("- **You see**: ", "- **First**: ", "- **Why**: ")


def entries() -> dict[str, str]:
    """The text of each entry by its code."""
    _, *parts = HEADINGS.split(PAGE.read_text("utf-8"))
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_each_code_has_one_entry_and_each_entry_a_code() -> None:
    assert sorted(HEADINGS.findall(PAGE.read_text("utf-8"))) == sorted(KINDS)


@pytest.mark.parametrize("code", KINDS)
def test_an_entry_says_what_is_seen_what_to_do_first_and_why(code: str) -> None:
    entry = entries()[code]
    assert [line for part in PARTS for line in re.findall(f"^{re.escape(part)}", entry, re.M)] == [
        *PARTS
    ]


@pytest.mark.parametrize("code", KINDS)
def test_an_entry_names_the_status_that_clients_get_if_it_names_one(code: RefusalCode) -> None:
    named = re.search(r"\*\*You see\*\*: (\d{3})\b", entries()[code])
    assert named is None or int(named[1]) == KINDS[code].status


@pytest.mark.parametrize("code", KINDS)
def test_the_dashboard_says_the_same_as_the_page(code: RefusalCode) -> None:
    found = re.search(r"\*\*First\*\*: (.*?)^- ", entries()[code], re.DOTALL | re.MULTILINE)
    assert found is not None
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(found[1].split())).replace("`", "")
    assert FIRST[code].casefold() == plain.casefold()
