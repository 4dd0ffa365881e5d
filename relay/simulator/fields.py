"""
Read client events, and check them field by field.

Error codes and texts are OpenAI's, where those are known.
"""

from __future__ import annotations

import binascii
import json
import math
from typing import Any, TypeVar

from attrs import define

Event = dict[str, Any]
"""One Realtime event, of the client or of the server."""

MAX_DEPTH = 32
"""Most levels of nesting in a client event; Python's JSON encoder fails below 1,000 levels."""

MAX_AUDIO = 15 * 1024 * 1024
"""Most bytes of audio in one field, once decoded."""

_T = TypeVar("_T")
_KINDS: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "an array",
}


@define
class ClientError(Exception):
    """
    A mistake in a client event. The connection stays open.

    @ivar code: OpenAI's name of the mistake.
    @ivar message: what to do about it, in one sentence.
    @ivar param: the dotted name of the wrong field; L{None} if it is no single field.
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

    The event can be encoded as JSON again: its numbers are finite, and it has at most L{MAX_DEPTH}
    levels.

    @raise ClientError: if the message is binary, or no JSON object within those bounds.
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


def missing(param: str) -> ClientError:
    """The error about a field that must be there."""
    return ClientError("missing_required_parameter", f"Give the parameter '{param}'.", param)


def unknown(param: str) -> ClientError:
    """The error about a field that the simulator does not know."""
    return ClientError("unknown_parameter", f"Leave out '{param}': it is unknown.", param)


def of_kind(value: Any, kind: type[_T], param: str) -> _T:
    """
    The value, which must be a C{kind}. An integer is also a C{float}.

    @raise ClientError: if it is of another kind.
    """
    allowed: Any = (int, float) if kind is float else kind
    # True and false are integers in Python, but not in JSON.
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise ClientError("invalid_type", f"Make '{param}' {_KINDS[kind]}.", param)
    return value  # type: ignore[no-any-return]


def required(table: Event, name: str, kind: type[_T], within: str = "") -> _T:
    """
    The field C{name}, which must be there and be a C{kind}.

    @param within: what stands before the name in the error, such as C{"session."}.
    @raise ClientError: if it is missing, or of another kind.
    """
    value = table.get(name)
    if value is None:
        raise missing(within + name)
    return of_kind(value, kind, within + name)


def optional(table: Event, name: str, kind: type[_T], default: _T, within: str = "") -> _T:
    """Like L{required}, but C{default} if the field is missing or null."""
    return default if table.get(name) is None else required(table, name, kind, within)


def one_of(value: object, choices: tuple[object, ...], param: str) -> None:
    """
    Check that C{value} is one of C{choices}.

    @raise ClientError: if not.
    """
    if value not in choices:
        allowed = ", ".join(json.dumps(choice) for choice in choices)
        raise ClientError("invalid_value", f"Make '{param}' one of: {allowed}.", param)


def audio(table: Event, name: str, within: str = "") -> bytes:
    """
    The decoded bytes of a base64 field, L{MAX_AUDIO} at most.

    @raise ClientError: if the field is missing, no base64, or too long.
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
