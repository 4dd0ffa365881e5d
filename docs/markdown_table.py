"""A table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable


def table(columns: str, rows: Iterable[tuple[str, ...]]) -> str:
    """A table of these columns, whose names have commas between."""
    names = columns.split(",")
    lines = [names, ["---"] * len(names), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
