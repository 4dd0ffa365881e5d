"""The benchmark's figures as the documentation has them, for what is computed from them."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PAGES = Path(__file__).parents[1] / "docs" / "performance"
"""Written by C{python -m bench --markdown}, and C{bench.store} likewise."""


def measured(load: str, row: str, column: str, page: str = "tables.md") -> float:
    """
    One figure of the benchmark's.

    @param load: the first word of its table's heading.
    @raise LookupError: if there is none.
    """
    return figure(_text(page), load, row, column)


@cache
def _text(page: str) -> str:
    return (PAGES / page).read_text("utf-8")


def figure(text: str, load: str, row: str, column: str) -> float:
    """
    One figure of some tables.

    @raise LookupError: if there is none.
    """
    headings: list[str] = []
    is_here = False
    for line in text.splitlines():
        if line.startswith("## "):
            is_here, headings = line.startswith(f"## {load}:"), []
        elif is_here and line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            headings = headings or cells
            if cells[0] == row and column in headings:
                return float(cells[headings.index(column)].replace(",", "").rstrip("!"))
    raise LookupError(f"the tables have no {column} of {row} in {load}")
