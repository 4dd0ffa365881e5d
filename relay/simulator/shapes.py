"""
What a client may send, as data: each shape checks a value, and returns it as it is kept.

A shape is called with the value and its dotted name, and raises a L{ClientError} that names the
wrong field. Tables are closed: what the simulator does not know it refuses, so no client can make
a session grow field by field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relay.simulator import fields
from relay.simulator.fields import ClientError, Event

Shape = Callable[[Any, str], Any]


def of(kind: type) -> Shape:
    """A C{str}, C{int}, C{bool}, C{dict} or C{list}."""

    def shape(value: Any, param: str) -> Any:
        return fields.of_kind(value, kind, param)

    return shape


text = of(str)
flag = of(bool)
whatever = of(dict)


def within(low: float, high: float, kind: type = float) -> Shape:
    """A number from C{low} to C{high}; an integer, if C{kind} is C{int}."""

    def shape(value: Any, param: str) -> Any:
        fields.of_kind(value, kind, param)
        if not low <= value <= high:
            raise ClientError("invalid_value", f"Make '{param}' {low} to {high}.", param)
        return value

    return shape


def one_of(*choices: object) -> Shape:
    """One of C{choices}."""

    def shape(value: Any, param: str) -> Any:
        fields.one_of(value, choices, param)
        return value

    return shape


def either(first: Shape, second: Shape) -> Shape:
    """C{first}, if that takes the value, or else C{second}."""

    def shape(value: Any, param: str) -> Any:
        try:
            return first(value, param)
        except ClientError as error:
            return _second(value, param, error)

    def _second(value: Any, param: str, error: ClientError) -> Any:
        try:
            return second(value, param)
        except ClientError as other:
            # Of the two, the one that takes this kind of value tells what is wrong with it.
            raise (error if other.code == "invalid_type" else other) from None

    return shape


def or_null(inner: Shape) -> Shape:
    """C{inner}, or null, which is kept: it switches something off."""

    def shape(value: Any, param: str) -> Any:
        return None if value is None else inner(value, param)

    shape.keeps_null = True  # type: ignore[attr-defined]
    return shape


def array(inner: Shape) -> Shape:
    """A list of C{inner}."""

    def shape(value: Any, param: str) -> Any:
        given = fields.of_kind(value, list, param)
        return [inner(each, f"{param}[{at}]") for at, each in enumerate(given)]

    return shape


def mapping(inner: Shape, most: int) -> Shape:
    """An object of at most C{most} names, each with an C{inner}."""

    def shape(value: Any, param: str) -> Any:
        given = fields.of_kind(value, dict, param)
        if len(given) > most:
            raise ClientError("invalid_value", f"Give '{param}' at most {most} names.", param)
        return {name: inner(each, f"{param}.{name}") for name, each in given.items()}

    return shape


def table(
    shapes: Mapping[str, Shape], required: tuple[str, ...] = (), defaults: Event | None = None
) -> Shape:
    """
    An object of known fields.

    A field that is null counts as left out, unless its shape keeps null.

    @param required: the names of fields that must be there.
    @param defaults: what stands where a field is left out.
    """

    def shape(value: Any, param: str) -> Any:
        given = fields.of_kind(value, dict, param)
        kept = dict(defaults or {})
        for name, each in given.items():
            if name not in shapes:
                raise fields.unknown(f"{param}.{name}")
            if each is not None or hasattr(shapes[name], "keeps_null"):
                kept[name] = shapes[name](each, f"{param}.{name}")
        for name in required:
            if kept.get(name) is None:
                raise fields.missing(f"{param}.{name}")
        return kept

    return shape


def variant(tables: Mapping[str, Shape]) -> Shape:
    """An object whose C{type} says which of C{tables} it is."""

    def shape(value: Any, param: str) -> Any:
        given = fields.of_kind(value, dict, param)
        kind = fields.required(given, "type", str, f"{param}.")
        fields.one_of(kind, tuple(tables), f"{param}.type")
        return tables[kind](given, param)

    return shape
