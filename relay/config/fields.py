"""
What a field of the settings is made of: its text for the reference, its default, its validator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

from attrs import field

from relay.config import checks

FILE, SECRET = "file", "secret"
"""
In the metadata of a field that is the path of a file, or paths; and a function of the table that
tells whether it is of secrets.
"""


def documented(doc: str, default: Any, validator: checks.Validator, **more: Any) -> Any:
    """Any value that passes the validator."""
    return field(default=default, validator=validator, metadata={"doc": doc}, **more)


def count(doc: str, default: int, low: int, high: int) -> int:
    """A whole number from C{low} to C{high}."""
    doc = f"{doc} {low} to {high}."
    return cast(int, documented(doc, default, checks.whole_number(low, high)))


def seconds(doc: str, default: float, high: float) -> float:
    """A time above 0, up to C{high} seconds."""
    doc = f"{doc} Seconds, more than 0, at most {high:g}."
    return cast(float, documented(doc, default, checks.seconds(high)))


def wait(doc: str, default: float, high: float) -> float:
    """A time from 0 to C{high} seconds."""
    doc = f"{doc} Seconds, 0 to {high:g}."
    return cast(float, documented(doc, default, checks.seconds(high, or_none=True)))


def _always(_: object) -> bool:
    return True


def _never(_: object) -> bool:
    return False


def file(doc: str, *, secret: Callable[[Any], bool] = _never) -> str | None:
    """
    The path of a file; none if it is not set.

    @param secret: whether, in a table, the file is to be read by the relay alone.
    """
    told = {"doc": doc, FILE: True, SECRET: secret}
    return cast(
        str | None, field(default=None, validator=checks.optional(checks.printable), metadata=told)
    )


def secret_file(doc: str) -> str | None:
    """The path of a file that is to be read by the relay alone; none if it is not set."""
    return file(doc, secret=_always)


def secret_files(doc: str) -> tuple[str, ...]:
    """The paths of files that are to be read by the relay alone."""
    told = {"doc": doc, FILE: True, SECRET: _always}
    return cast(
        tuple[str, ...],
        field(default=(), validator=checks.each(checks.printable), metadata=told),
    )


class _Named(Protocol):
    @property
    def name(self) -> str:
        """What it is called."""


@checks.named
def unique_names(tables: tuple[_Named, ...]) -> str | None:
    """Tables each of which has a name of its own."""
    names = [table.name for table in tables]
    double = next((name for name in names if names.count(name) > 1), None)
    return None if double is None else f"two are named {checks.shown(double)}"
