"""The lines of the log that tell of each hold, session and plain request, with their fields."""

from __future__ import annotations

import json
from typing import Any

from attrs import fields
from twisted.logger import Logger

from relay.rules.refusals import Refusal
from relay.telemetry.records import (
    AnsweredRecord,
    AttemptRecord,
    ClosedRecord,
    HoldRecord,
    RelayListener,
    shown,
)

# Operators filter by this name, which is older than this file.
_log = Logger("relay.telemetry.records")


_KINDS = (HoldRecord, AttemptRecord, AnsweredRecord)
_NAMES = {kind: tuple(a.name for a in fields(kind)) for kind in _KINDS}


def _fields(record: HoldRecord | AttemptRecord | AnsweredRecord) -> dict[str, Any]:
    """
    The record as a table. Not by C{asdict}, which inspects each value, and costs more than all
    the rest of a log line.
    """
    return {name: getattr(record, name) for name in _NAMES[type(record)]}


def _hold_fields(record: HoldRecord) -> dict[str, Any]:
    return {**_fields(record), "attempts": [_fields(attempt) for attempt in record.attempts]}


def _attempted(attempt: AttemptRecord) -> str:
    """What became of one attempt: the upstream, the stage, the outcome, and upstream's words."""
    at = f" at {attempt.stage}" if attempt.stage else ""
    error = f" ({attempt.error})" if attempt.error else ""
    said = f", said: {attempt.said}" if attempt.said else ""
    return f"; {attempt.upstream}{at}: {attempt.outcome}{error}{said}"


def _left_alone(refusal: Refusal | None) -> str:
    """Why the upstream was not tried, if that is why."""
    if refusal is None or refusal.since is None or refusal.upstream is None:
        return ""
    facts = refusal.upstream
    at = f" at {facts.stage}" if facts.stage else ""
    return f"; {facts.name} is left alone for {refusal.cause}{at} since {refusal.since}"


def _refused(record: HoldRecord, refusal: Refusal | None) -> str:
    """The line of a refusal. A model is quoted, because the caller chooses its name."""
    parts = [f"refused {record.request_id} for {record.peer}: {record.outcome}"]
    parts.append(f" after {record.seconds:.3f} s")
    if record.path:
        parts.append(f", {record.method} {record.path}")
    if record.model:
        parts.append(f", model {json.dumps(shown(record.model))}")
    if record.detail:
        parts.append(f" ({record.detail})")
    return "".join([*parts, *map(_attempted, record.attempts), _left_alone(refusal)])


def _ended(record: ClosedRecord) -> str:
    """How the session ended, in words."""
    code = "without a code" if record.close_code is None else f"with code {record.close_code}"
    return f"closed {record.hold.request_id} for {record.hold.peer} by {record.closed_by} {code}"


def _literal(line: str) -> str:
    """
    The line as a format without fields, because Twisted's formatter takes four times as long as
    Python's.
    """
    return line.replace("{", "{{").replace("}", "}}")


class LogRecords(RelayListener):
    """Logs each record as one line with its fields; not events, which hold what was said."""

    def opened(self, record: HoldRecord) -> None:
        """Log at info."""
        line = f"opened {record.request_id} for {record.peer} by {record.upstream}"
        line = f"{line} in {record.seconds:.3f} s"
        _log.info(_literal(line), **_hold_fields(record), log_same=None)

    def called(self, record: HoldRecord) -> None:
        """Log at info."""
        line = f"called {record.request_id} for {record.peer} by {record.upstream}"
        line = f"{line} in {record.seconds:.3f} s, {record.path}"
        _log.info(_literal(line), **_hold_fields(record), log_same=None)

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        """Log at warn a refusal with a status of 500 or above, and any other at info."""
        log = _log.warn if refusal and refusal.status >= 500 else _log.info
        log(
            _literal(_refused(record, refusal)),
            **_hold_fields(record),
            status=refusal and refusal.status,
            cause=refusal and refusal.cause,
            since=refusal and refusal.since,
            log_same=("refused", record.outcome, record.peer),
        )

    def answered(self, record: AnsweredRecord) -> None:
        """Log at info, but for what is asked again and again."""
        if record.is_routine:
            return
        line = f"answered {record.request_id} for {record.peer}: {record.status}"
        _log.info(
            _literal(f"{line}, {record.method} {record.path}"),
            **_fields(record),
            log_same=("answered", record.status, record.peer),
        )

    def closed(self, record: ClosedRecord) -> None:
        """Log at info."""
        hold = record.hold
        down, up = record.sent["upstream"], record.sent["downstream"]
        line = (
            f"{_ended(record)}"
            f" after {record.seconds:.3f} s, {up.messages} messages up, {down.messages} down"
            f"{'' if record.loss is None else f'; {record.loss.told()}'}"
        )
        _log.info(
            _literal(line),
            log_same=None,
            request_id=hold.request_id,
            trace_id=hold.trace_id,
            peer=hold.peer,
            subject=hold.subject,
            model=hold.model,
            upstream=hold.upstream,
            session_id=record.session_id,
            close_code=record.close_code,
            closed_by=record.closed_by,
            seconds=record.seconds,
            messages_up=up.messages,
            messages_down=down.messages,
            bytes_up=up.bytes,
            bytes_down=down.bytes,
            plane=record.plane,
            tokens=record.tokens,
            usage_seconds=record.usage_seconds,
            responses=record.responses,
            turns=record.turns,
            stalled=record.stalled,
            budget=record.budget,
            lost_by=record.loss and record.loss.by,
            quiet_seconds=record.loss and record.loss.quiet_seconds,
        )
