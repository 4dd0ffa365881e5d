"""
What an error says, in whatever shape it is written.

Sources: OpenAI's error object; Google's (AIP-193); FastAPI's C{detail}; problem details (RFC 9457);
the answers of xAI, vLLM and LiteLLM as observed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from attrs import evolve, frozen

from relay.rules.values import as_text, parse_json

MAX_DEPTH = 5
"""How deep an error may lie in others."""

MAX_LINE = 300
"""Most characters of a plain text that is taken for an error; a longer one is a page."""

_RELAY = "relay_error"
"""The type of a relay's own refusal (see L{relay.rules.refusals})."""

_NAMES = ("code", "reason", "type", "status")
_NUMBERS = ("code", "status", "status_code", "statusCode")
_TEXTS = ("message", "msg", "error_description", "detail", "title")
_INNER = ("error", "errors", "detail", "details", "message")
_NO_NAMES = frozenset({"error", "about:blank", "None"})
"""The type of each C{error} event, of a problem without a type, and of a Python service without."""

_NAME = re.compile(r"(?=.{1,99}\Z)[A-Za-z_][\w-]*(?:\.[\w-]+)*")
_LABELLED = re.compile(r"([A-Za-z_][\w.-]*): ")


@frozen
class Said:
    """
    What an error says.

    @ivar codes: its names for what is wrong, the most exact first: code, then type, then status.
    @ivar message: its text.
    @ivar status: the HTTP status that a field of it has.
    @ivar request_id: the request id of the service that refused.
    @ivar relayed: the error object of another relay's refusal; L{None} if it is none.
    """

    codes: tuple[str, ...] = ()
    message: str = ""
    status: int | None = None
    request_id: str | None = None
    relayed: Mapping[str, Any] | None = None

    @property
    def code(self) -> str:
        """The most exact code; C{""} without one, or if the message has it."""
        code = self.codes[0] if self.codes else ""
        return "" if code in self.message else code

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.code, self.message)))


NOTHING = Said()


def error_in(value: object) -> Said:
    """What a JSON value says as an error; L{NOTHING} if it is none."""
    return _read(value, MAX_DEPTH)


def error_in_body(body: bytes) -> Said:
    """What the body of an HTTP answer says: JSON, or one short line of text that is no HTML."""
    value = parse_json(body)
    if value is not None:
        return error_in(value)
    try:
        line = body[: 4 * MAX_LINE + 1].decode("utf-8").strip()
    except UnicodeDecodeError:
        return NOTHING
    is_text = len(line) <= MAX_LINE and line.isprintable() and line != "null"
    is_text = is_text and line[:1] not in ("<", "{", "[")
    return error_in_text(line) if is_text else NOTHING


def error_in_text(text: str) -> Said:
    """
    What a text says, such as the reason of a Close: C{type.code}, C{code: text} or a text alone.
    """
    if _NAME.fullmatch(text):
        return Said((*reversed(text.split(".")),), text)
    return _read(text, MAX_DEPTH)


def merged(first: Said, second: Said) -> Said:
    """What both say; where they differ, the first counts."""
    return Said(
        tuple(dict.fromkeys(first.codes + second.codes)),
        first.message or second.message,
        first.status or second.status,
        first.request_id or second.request_id,
        first.relayed or second.relayed,
    )


def _read(value: object, depth: int) -> Said:
    if depth == 0:
        return NOTHING
    if isinstance(value, str):
        return _read_text(value, depth)
    if isinstance(value, list):
        return _joined(_read(item, depth - 1) for item in value[:MAX_DEPTH])
    if isinstance(value, dict):
        return _read_table(value, depth)
    return NOTHING


def _read_text(text: str, depth: int) -> Said:
    """A text may be JSON in turn, or begin with a code."""
    if text[:1] == "{":
        inner = parse_json(text.encode("utf-8", "replace"))
        said = _read(inner, depth - 1)
        return said if said != NOTHING else Said(message=text)
    label = _LABELLED.match(text)
    return Said((label[1],) if label else (), text)


def _joined(parts: Iterable[Said]) -> Said:
    result = NOTHING
    messages = []
    for said in parts:
        result = merged(result, said)
        messages.append(said.message)
    return evolve(result, message="; ".join(filter(None, messages)))


def _read_table(table: dict[str, Any], depth: int) -> Said:
    if table.get("type") == _RELAY:
        return _relayed(table)
    result = NOTHING
    for name in _INNER:
        inner = table.get(name)
        if isinstance(inner, (dict, list)):
            result = merged(result, _read(inner, depth - 1))
    return merged(result, _own(table, depth))


def _relayed(table: dict[str, Any]) -> Said:
    code, message = as_text(table.get("code")), as_text(table.get("message"))
    return Said((code,) if code else (), message, request_id=_request_id(table), relayed=table)


def _own(table: dict[str, Any], depth: int) -> Said:
    """What the fields of a table say, apart from the tables in it."""
    error = as_text(table.get("error"))
    is_name = _NAME.fullmatch(error) is not None
    names = [*filter(None, (_name(table.get(name)) for name in _NAMES))]
    texts = [as_text(table.get(name)) for name in _TEXTS] + ["" if is_name else error]
    text = _read_text(next(filter(None, texts), ""), depth)
    message = f"{_place(table)}{text.message}" if text.message else ""
    status = next(filter(None, (_status(table.get(name)) for name in _NUMBERS)), None)
    codes = (*names, *((error,) if is_name else ()))
    said = Said(codes, message, text.status or status, _request_id(table))
    return merged(said, evolve(text, message=""))


def _request_id(table: dict[str, Any]) -> str | None:
    return as_text(table.get("request_id")) or None


def _name(value: object) -> str:
    """
    A code; a number is none. It is kept whole, though a problem's type is a URI, because no secret
    is known by its end alone.
    """
    text = as_text(value)
    return "" if text in _NO_NAMES or text.isdigit() else text


def _status(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:9])
    is_status = isinstance(value, int) and not isinstance(value, bool) and 400 <= value < 600
    return value if is_status and isinstance(value, int) else None


def _place(table: dict[str, Any]) -> str:
    """Where FastAPI found a fault: C{["query", "model"]}."""
    place = table.get("loc")
    if not isinstance(place, list):
        return ""
    return ".".join(map(str, _scalars(place))) + ": "


def _scalars(values: list[Any]) -> Iterator[str | int]:
    return (value for value in values[:MAX_DEPTH] if isinstance(value, (str, int)))
