"""As much of PromQL as the tests of the dashboard and the alerts need: names, matchers, labels."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen

_SELECTED = re.compile(r"\b((?:relay|process)_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPED = re.compile(r"\b(by|on|without|ignoring)\s*\(([^)]*)\)")


@frozen
class Selected:
    """One selector of an expression: a metric, and by which labels' values it is selected."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(expression: str) -> Iterator[Selected]:
    """Each selector of metrics of the relay or of its process."""
    bare = _GROUPED.sub("", expression)
    for name, matchers in _SELECTED.findall(bare):
        yield Selected(name, tuple(_MATCHER.findall(matchers)))


def grouped(expression: str) -> set[str]:
    """The labels by which the expression groups or joins."""
    lists = (names.split(",") for _, names in _GROUPED.findall(expression))
    return {name.strip() for names in lists for name in names} - {""}
