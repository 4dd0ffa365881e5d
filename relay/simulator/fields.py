"""
Client events as they come off the wire: read, checked field by field, or refused.

Error codes and wording follow what OpenAI's service answers, where that is known.
"""

from __future__ import annotations

import binascii
import json
import math
from typing import Any, TypeVar

from attrs import define

Event = dict[str, Any]
"""One Realtime event, either way."""

MAX_DEPTH = 32
"""Levels of nesting a client event may have; the encoder gives up somewhere below 1,000."""

MAX_AUDIO = 15 * 1024 * 1024
"""Bytes of audio one field may carry once decoded."""

_T = TypeVar("_T")
_KINDS: dict[type, str] = {
    str: "a string",
    int: "an integer",
    dict: "an object",
    list: "an array",
}


@define
class ClientError(Exception):
    """
    What the client got wrong; the socket stays open.

    @ivar code: OpenAI's name of the mistake.
    @ivar message: what to do about it, in one sentence.
    @ivar param: the dotted name of the field at fault, if one is.
    """

    code: str
    message: str
    param: str | None = None


def error_event(code: str, message: str, param: str | None = None, about: object = None) -> Event:
    """
    An C{error} event.

    @param about: the C{event_id} of the client event at fault, if it had one.
    """
    return {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "code": code,
            "message": message,
            "param": param,
            "event_id": about if isinstance(about, str) else None,
        },
    }


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _no_constant(text: str) -> float:
    raise ValueError(text)


def _deeper_than(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(child, levels - 1) for child in children)


def parse(payload: bytes, is_binary: bool = False) -> Event:
    """
    Read one message of the client.

    What comes back can be encoded again: finite numbers, at most L{MAX_DEPTH} levels.

    @raise ClientError: it is binary, or not a JSON object within those bounds.
    """
    if is_binary:
        raise ClientError("invalid_message_type", "Send events as text messages, not as binary.")
    try:
        event = json.loads(payload, parse_float=_finite, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise ClientError("invalid_json", "Send each event as one JSON object.") from None
    if not isinstance(event, dict) or _deeper_than(event, MAX_DEPTH):
        raise ClientError("invalid_json", "Send each event as one JSON object, not nested so deep.")
    return event


def required(table: Event, name: str, kind: type[_T], within: str = "") -> _T:
    """
    The field C{name}, which must be there and be a C{kind}.

    @param within: what stands before the name in the error, such as C{"session."}.
    @raise ClientError: it is missing, or of another kind.
    """
    value = table.get(name)
    if value is None:
        param = within + name
        raise ClientError("missing_required_parameter", f"Give the parameter '{param}'.", param)
    # JSON's true and false are no integers, though Python's are.
    if not isinstance(value, kind) or isinstance(value, bool):
        param = within + name
        raise ClientError("invalid_type", f"Make '{param}' {_KINDS[kind]}.", param)
    return value


def optional(table: Event, name: str, kind: type[_T], default: _T, within: str = "") -> _T:
    """Like L{required}, but C{default} where the field is missing or null."""
    return default if table.get(name) is None else required(table, name, kind, within)


def one_of(value: object, choices: tuple[object, ...], param: str) -> None:
    """
    @raise ClientError: C{value} is none of C{choices}.
    """
    if value not in choices:
        allowed = ", ".join(json.dumps(choice) for choice in choices)
        raise ClientError("invalid_value", f"Make '{param}' one of: {allowed}.", param)


def audio(table: Event, name: str, within: str = "") -> bytes:
    """
    The bytes of a base64 field, L{MAX_AUDIO} at most.

    @raise ClientError: it is missing, no base64, or too long.
    """
    text = required(table, name, str, within)
    param = within + name
    try:
        samples = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise ClientError("invalid_value", f"Encode '{param}' as base64.", param) from None
    if len(samples) > MAX_AUDIO:
        message = f"Send at most {MAX_AUDIO} bytes of audio in '{param}'."
        raise ClientError("string_above_max_length", message, param)
    return samples
