"""
Where each key of a configuration belongs, computed from the classes of its tables; so that a key in
the wrong table, or one that is misspelt, is told its place.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast, get_args

import attrs

TOP = "the top of the file, before the first table"
"""The place of a key that is in no table."""

NEAR = 0.8
"""How like it a key of another table must be, for L{difflib}: there are many."""


def table_in(attribute: attrs.Attribute[Any]) -> tuple[type | None, bool]:
    """
    The class of the table or tables in a field of a class whose types are resolved; L{None} if
    there is none. Then, whether there may be more than one.
    """
    kind = cast(Any, attribute.type)
    if attrs.has(kind):
        return kind, False
    return next((each for each in get_args(kind) if attrs.has(each)), None), True


@lru_cache
def places(root: type) -> Mapping[str, str]:
    """The keys of a configuration, each with what is said of its place."""
    written: dict[str, list[str]] = {}
    inside: dict[str, list[str]] = {}
    for key, place, is_table in _places(root, TOP):
        (written if is_table else inside).setdefault(key, []).append(place)
    said = {key: f"belongs to {' or '.join(found)}" for key, found in inside.items()}
    return said | {key: f"is written {' or '.join(found)}" for key, found in written.items()}


def _places(cls: type, inside: str) -> Iterator[tuple[str, str, bool]]:
    for attribute in attrs.fields(attrs.resolve_types(cls)):
        kind, many = table_in(attribute)
        if kind is None:
            yield attribute.name, inside, False
            continue
        parents = "" if inside == TOP else f"{inside.strip('[]')}."
        name = f"{parents}{attribute.name}"
        table = f"[[{name}]]" if many else f"[{name}]"
        yield attribute.name, table, True
        yield from _places(kind, table)


def hint(key: str, cls: type, root: type) -> str | None:
    """
    What an unknown key could be meant for; L{None} if nothing is like it.

    @param cls: the class of the table that it stands in.
    @param root: the class of the whole configuration.
    """
    known = places(root)
    if key in known:
        return f"{key} {known[key]}"
    own = [attribute.name for attribute in attrs.fields(cls)]
    if close := difflib.get_close_matches(key, own, n=1):
        return f"did you mean {close[0]}?"
    if close := difflib.get_close_matches(key, known, n=1, cutoff=NEAR):
        return f"did you mean {close[0]}, which {known[close[0]]}?"
    return None
