"""Read a recording that anybody may have made or damaged: lines in, values or one fault out."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from relay.config.settings import MOST_RECORDED
from relay.recording.lines import FORMAT, LARGEST, LATEST, Closed, Cut, Header, Message, as_bytes
from relay.rules.errors import RelayError
from relay.rules.values import as_text

UNFINISHED = "the file has no last line"
"""Why a recording ends if nothing in it says so: the relay that wrote it was killed, or runs."""


class RecordingFault(RelayError):
    """It is no recording; the text says in one line what is wrong with it."""


@frozen
class Recording:
    """A session, as it was recorded."""

    header: Header
    messages: Sequence[Message]
    end: Closed | Cut


def recording_at(path: Path) -> Recording:
    """
    The recording in a file.

    @raise RecordingFault: if there is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_RECORDED + 1)
    except OSError as error:
        raise RecordingFault(f"{path}: {error.strerror}") from None
    if len(data) > MOST_RECORDED:
        raise RecordingFault(f"{path}: larger than {MOST_RECORDED} bytes, which no relay writes")
    try:
        return recording_of(data)
    except RecordingFault as fault:
        raise RecordingFault(f"{path}: {fault}") from None


def recording_of(data: bytes) -> Recording:
    """
    The recording in the bytes of a file. A last line that is not whole is passed over.

    @raise RecordingFault: if it is none.
    """
    first, *lines = data.split(b"\n")
    if not lines:
        raise RecordingFault("not a recording: it has no whole line")
    header = _header(_table(first, 1))
    messages: list[Message] = []
    at = 0.0
    for number, table in _tables(lines[:-1]):
        at = _at(table, number, at)
        if "from" not in table:
            return Recording(header, messages, _end(table, number, at))
        messages.append(_message(table, number, at))
    return Recording(header, messages, Cut(at, UNFINISHED))


def _tables(lines: Iterable[bytes]) -> Iterable[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, 2):
        yield number, _table(line, number)


def _table(line: bytes, number: int) -> dict[str, Any]:
    try:
        table = json.loads(line)
    except (ValueError, RecursionError):
        raise _fault(number, "not JSON") from None
    if not isinstance(table, dict):
        raise _fault(number, "not a JSON object")
    return table


def _fault(number: int, what: str) -> RecordingFault:
    return RecordingFault(f"line {number}: {what}")


def _header(table: dict[str, Any]) -> Header:
    if "recording" not in table:
        raise RecordingFault('not a recording: its first line has no "recording"')
    if table["recording"] != FORMAT or table["recording"] is True:
        raise RecordingFault(f"a recording of another format than {FORMAT}")
    optional = {name: as_text(table.get(name)) or None for name in ("path", "model", "subject")}
    return Header(
        relay=as_text(table.get("relay")),
        began=as_text(table.get("began")),
        id=as_text(table.get("id")),
        upstream=as_text(table.get("upstream")) or None,
        payloads=table.get("payloads") is True,
        **optional,
    )


def _at(table: dict[str, Any], number: int, before: float) -> float:
    at = table.get("at")
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not 0 <= at <= LATEST:
        raise _fault(number, f'"at" must be seconds, from 0 to {LATEST:g}')
    if at < before:
        raise _fault(number, '"at" is before that of the line above')
    return float(at)


def _message(table: dict[str, Any], number: int, at: float) -> Message:
    sender, size, is_binary = table["from"], table.get("bytes"), table.get("binary") is True
    if sender not in ("client", "upstream"):
        raise _fault(number, '"from" must be "client" or "upstream"')
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= LARGEST:
        raise _fault(number, f'"bytes" must be a whole number, from 0 to {LARGEST}')
    payload = _payload(table["payload"], is_binary, number) if "payload" in table else None
    return Message(at, sender, as_text(table.get("type")) or None, size, payload, is_binary)


def _payload(said: object, is_binary: bool, number: int) -> bytes:
    if isinstance(said, str):
        with suppress(ValueError):
            return b64decode(said, validate=True) if is_binary else as_bytes(said)
    wanted = "a string of base64" if is_binary else "a string"
    raise _fault(number, f'"payload" must be {wanted}')


def _end(table: dict[str, Any], number: int, at: float) -> Closed | Cut:
    if "cut" in table:
        return Cut(at, as_text(table["cut"]))
    by, code = table.get("closed_by"), table.get("code")
    if by not in ("client", "upstream", "relay"):
        raise _fault(number, 'neither a message ("from") nor an end ("closed_by", "cut")')
    if code is not None and (isinstance(code, bool) or not isinstance(code, int)):
        raise _fault(number, '"code" must be a whole number or null')
    if code is not None and not 0 <= code < 1 << 16:
        raise _fault(number, '"code" must be from 0 to 65535')
    return Closed(at, by, code)
