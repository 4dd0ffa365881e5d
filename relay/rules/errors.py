"""What an embedder catches: every exception that the relay's own API raises on purpose."""

from __future__ import annotations

from typing import Any


class RelayError(Exception):
    """
    The base of every exception that the relay's API raises on purpose. Its text is one or more
    plain lines that say what was wanted, and never holds a secret.
    """


class InvalidValue(RelayError, ValueError):
    """A value that the API was given, or the type of one, is not what was wanted."""


def kind_of(value: object) -> str:
    """What to call a value in a message that must not repeat it: by its type alone."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def wanted(what: str, value: object) -> InvalidValue:
    """The error for a value of a wrong type; the value itself is not repeated."""
    return InvalidValue(f"{what}, not {kind_of(value)}")


def each_is(values: Any, kind: type, what: str) -> None:
    """
    Look whether something is a list or tuple of instances of one class.

    @raise InvalidValue: if not; C{what} says what was wanted.
    """
    if not isinstance(values, (list, tuple)):
        raise wanted(what, values)
    for number, value in enumerate(values, 1):
        if not isinstance(value, kind):
            raise InvalidValue(f"{what}, but #{number} is {kind_of(value)}")
