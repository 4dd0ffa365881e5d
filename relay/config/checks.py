"""
What a value in the settings may be: validators for L{relay.config.settings}, and the normal forms
in which hosts and origins are compared.

A validator raises L{InvalidValue} with one line that begins with the field's name. A value that
could be a secret in the wrong place (a key where its variable's name belongs) is never repeated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any
from urllib.parse import parse_qsl

import attrs

from relay.rules import errors
from relay.rules.addresses import DEFAULT_PORTS, is_address, is_host, is_origin, split_url
from relay.rules.errors import InvalidValue
from relay.upstreams.passing import is_secret

Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]

LONGEST_SHOWN = 60
"""Characters of a wrong value that a message repeats."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_DIGEST = re.compile("v1:[0-9a-f]{64}")
_BASE_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)*")


def kind_of(value: object) -> str:
    """What a TOML reader would call the value: C{"a string"}, C{"a table"}, …"""
    kinds: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "a boolean"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "a string"),
        (dict, "a table"),
        ((list, tuple), "a list"),
    ]
    return next((name for kind, name in kinds if isinstance(value, kind)), "a date or time")


def shown(text: str) -> str:
    """The text on one line, in quotes, cut at L{LONGEST_SHOWN}."""
    line = "".join(c if c.isprintable() else "?" for c in text)
    return f'"{line}"' if len(line) <= LONGEST_SHOWN else f'"{line[:LONGEST_SHOWN]}…"'


def named(check: Callable[[Any], str | None]) -> Validator:
    """A validator made of C{check}, which returns the fault of a value, or L{None}."""

    def validate(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        fault = check(value)
        if fault is not None:
            raise InvalidValue(f"{attribute.name}: {fault}")

    return validate


def _number(value: object, *, whole: bool) -> str | None:
    wanted = "a whole number" if whole else "a number"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return f"must be {wanted}, not {kind_of(value)}"
    return None


def _amount(value: float) -> str:
    # Python refuses to print an integer of thousands of digits.
    return "that" if isinstance(value, int) and abs(value) > 10**15 else f"{value}"


def whole_number(low: int, high: int) -> Validator:
    """Whole numbers from C{low} to C{high}."""

    def check(value: Any) -> str | None:
        if (fault := _number(value, whole=True)) is not None:
            return fault
        if value < low:
            return f"must be at least {low}, not {_amount(value)}"
        return f"must be at most {high}, not {_amount(value)}" if value > high else None

    return named(check)


def seconds(high: float, *, or_none: bool = False) -> Validator:
    """
    Numbers above 0, up to C{high}; no NaN.

    @param or_none: whether 0 is allowed too.
    """

    def check(value: Any) -> str | None:
        if (fault := _number(value, whole=False)) is not None:
            return fault
        if or_none and not value >= 0:
            return f"must be at least 0, not {_amount(value)}"
        if not or_none and not value > 0:
            return f"must be more than 0, not {_amount(value)}"
        return f"must be at most {high:g}, not {_amount(value)}" if value > high else None

    return named(check)


def unless_unset(check: Validator) -> Validator:
    """L{None}, or what passes the check."""
    return attrs.validators.optional(check)


@named
def true_or_false(value: Any) -> str | None:
    """Booleans only; no other value counts as true or false."""
    return None if isinstance(value, bool) else f"must be true or false, not {kind_of(value)}"


def one_of(*words: str) -> Validator:
    """One of the words."""
    listed = ", ".join(f'"{word}"' for word in words)

    def check(value: Any) -> str | None:
        if not isinstance(value, str):
            return f"must be one of {listed}, not {kind_of(value)}"
        return None if value in words else f"must be one of {listed}, not {shown(value)}"

    return named(check)


def text(check: Callable[[str], str | None]) -> Validator:
    """Strings that pass the check."""
    return named(lambda v: check(v) if isinstance(v, str) else _not_a_string(v))


def optional(check: Callable[[str], str | None]) -> Validator:
    """L{None}, or strings that pass the check."""
    return named(
        lambda v: None if v is None else check(v) if isinstance(v, str) else _not_a_string(v)
    )


def each(check: Callable[[str], str | None]) -> Validator:
    """Tuples of strings that pass the check."""

    def whole(values: Any) -> str | None:
        if not isinstance(values, tuple):
            return _not_a_list(values)
        faults = (check(v) if isinstance(v, str) else _not_a_string(v) for v in values)
        return next((f"#{n}: {fault}" for n, fault in enumerate(faults, 1) if fault), None)

    return named(whole)


def _not_a_list(value: object) -> str:
    if isinstance(value, list):  # which only Python can say: the file's are tuples by now
        return "must be a tuple, not a list"
    return f"must be a list (in Python a tuple), not {kind_of(value)}"


def table(kind: type) -> Validator:
    """Instances of the class of a table."""

    def check(value: Any) -> str | None:
        if isinstance(value, kind):
            return None
        return f"must be a {kind.__name__}, not {errors.kind_of(value)}"

    return named(check)


def tables(kind: type) -> Validator:
    """Tuples of instances of the class of a table."""

    def check(values: Any) -> str | None:
        if isinstance(values, tuple) and all(isinstance(value, kind) for value in values):
            return None
        return f"must be a tuple, each of it a {kind.__name__}"

    return named(check)


def _not_a_string(value: object) -> str:
    return f"must be a string, not {kind_of(value)}"


def printable(value: str) -> str | None:
    """Not empty, and without control characters."""
    return None if value and value.isprintable() else "must be printable, and not empty"


def printable_or_empty(value: str) -> str | None:
    """Without control characters."""
    return printable(value) if value else None


def name(value: str) -> str | None:
    """Names that can stand in a file name, a label and a log line."""
    wanted = "small letters, digits, - and _, and begin with a letter or digit"
    return None if _NAME.fullmatch(value) else f"must consist of {wanted}"


def digest(value: str) -> str | None:
    """A key's hash, behind the version of its format."""
    return None if _DIGEST.fullmatch(value) else 'must be "v1:" and 64 hexadecimal digits'


def variable(value: str) -> str | None:
    """Names of environment variables, without small letters, because every key has some."""
    return None if _VARIABLE.fullmatch(value) else "must be the name of a variable, in capitals"


def base_path(value: str) -> str | None:
    """Empty, or the beginning of a path."""
    ok = _BASE_PATH.fullmatch(value)
    return None if ok else f'must be empty or like "/path", with no / at its end: {shown(value)}'


def has_secret(url: str) -> bool:
    """Whether a parameter of the URL carries a credential."""
    query = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    return any(is_secret(name) for name, _ in query)


def websocket_url(value: str) -> str | None:
    """C{ws://} and C{wss://} URLs that carry no credential."""
    if not value:
        return "must be set, for this provider has no URL of its own"
    if "@" in value or "#" in value:
        return "a URL here has no user or fragment"
    if has_secret(value):
        return "keep keys and tokens out of the URL; name a file or variable by key_file or key_env"
    parts = split_url(value)
    if parts is None or parts.scheme not in ("ws", "wss"):
        return f"{shown(value.partition('?')[0])} is not a ws:// or wss:// URL"
    return None


def origin(value: str) -> str | None:
    """See L{is_origin}."""
    if value == "*":
        return 'name each origin; "*" would be every page of the web'
    ok = is_origin(value.lower())
    return None if ok else f"{shown(value)} is not an origin like https://app.example"


def host(value: str) -> str | None:
    """Host names and addresses without a port."""
    ok = is_host(value) or is_address(value, version=6)
    return None if ok else f"{shown(value)} is not a host name without a port"


def proxy_peer(value: str) -> str | None:
    """Networks like C{10.0.0.0/8}, addresses, and C{unix}."""
    try:
        if value != "unix":
            ip_network(value)
    except ValueError as error:
        bits = " (its first bits are the network's, the others must be 0)"
        why = bits if "host bits" in str(error) else ""
        return f'{shown(value)} is neither a network like 10.0.0.0/8 nor "unix"{why}'
    return None


def normal_origin(value: str) -> str:
    """The origin as browsers write it: small letters, no default port."""
    lower = value.lower()
    parts = split_url(lower)
    if parts is None or parts.port is None or parts.port != DEFAULT_PORTS.get(parts.scheme):
        return lower
    return lower.rpartition(":")[0]


def normal_host(value: str) -> str:
    """The host in small letters, without the brackets of an IPv6 address or a last dot."""
    lower = value.lower()
    if lower.startswith("[") and lower.endswith("]"):
        return lower[1:-1]
    return lower.removesuffix(".")


@named
def models(value: Any) -> str | None:
    """Tables of names, none of them empty."""
    if not isinstance(value, dict):
        return f"must be a table, not {kind_of(value)}"
    for name, upstream in value.items():
        if not isinstance(upstream, str) or not upstream.isprintable() or not (name and upstream):
            return f"{shown(name)} must be given a name"
    return None


def every(normal: Callable[[str], str]) -> Callable[[Any], Any]:
    """A converter that applies C{normal} to the strings of a tuple; it keeps other values."""

    def convert(values: Any) -> Any:
        if not isinstance(values, tuple):
            return values
        return tuple(normal(v) if isinstance(v, str) else v for v in values)

    return convert
