"""
JSON that every reader understands alike, whichever of two equal keys it takes and however it
repairs bad text.

Source: RFC 8259; RFC 7493 (I-JSON), 2.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

DEEPEST = 64
"""Objects and lists within each other, the outermost counted."""


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class NotStrict(ValueError):
    """The payload is no strict JSON object. The text says why, and quotes nothing of it."""


def parse_strict(payload: bytes) -> dict[str, Any]:
    """
    The object that a payload describes.

    Refused are, besides what is no JSON: keys of one object that differ by case at most (some
    parsers take them for equal), numbers that are not finite, half a surrogate pair, and objects
    nested deeper than L{DEEPEST}.

    @raise NotStrict: if it is no strict JSON object.
    """
    try:
        value = json.loads(
            payload.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_number,
            parse_float=_finite,
        )
        if _SURROGATE.search(payload):
            _ = serialised(value)  # which a half of a pair does not survive
    except NotStrict:
        raise
    except UnicodeError:
        raise NotStrict("it has bytes or surrogates that are no text") from None
    except RecursionError:
        raise NotStrict("it is nested too deeply") from None
    except ValueError:
        raise NotStrict("it is no JSON, or has a number out of range") from None
    if not isinstance(value, dict):
        raise NotStrict("it is no object")
    _look_at_depth(value)
    return value


def serialised(value: object) -> bytes:
    """
    The value as JSON text.

    @raise ValueError: for a number that is not finite, and half a surrogate pair.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > 1 and len({key.casefold() for key, _ in pairs}) < len(pairs):
        raise NotStrict("two keys of one object are the same")
    return dict(pairs)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise NotStrict("it has a number out of range")
    return number


def _no_number(_: str) -> NoReturn:
    raise NotStrict("NaN and Infinity are no numbers of JSON")


def _look_at_depth(value: object) -> None:
    level = [value]
    for _ in range(DEEPEST):
        if not level:
            return
        level = [inner for each in level for inner in _inside(each)]
    if level:
        raise NotStrict("it is nested too deeply")


def _inside(value: object) -> list[Any]:
    values = value.values() if isinstance(value, dict) else value
    return [each for each in values if isinstance(each, (dict, list))]  # type: ignore[attr-defined]
