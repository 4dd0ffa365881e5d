"""What crosses a session that is watched, in JSON's own types."""

from __future__ import annotations

from collections.abc import Mapping

from relay.telemetry.crossings import Crossing, Crossings
from relay.telemetry.records import ClosedRecord

_BY: Mapping[str, str] = {"downstream": "client"}


def crossings_as_json(batch: Crossings, payloads: bool) -> dict[str, object]:
    """
    Some messages; how many more were C{missed}; and how the session C{closed}, or C{None}.

    @param payloads: whether it is told what the messages say.
    """
    return {
        "crossed": [_crossing(each, payloads) for each in batch.crossed],
        "missed": batch.missed,
        "closed": _closed(batch.closed) if batch.closed else None,
    }


def _crossing(crossing: Crossing, payloads: bool) -> dict[str, object]:
    told: dict[str, object] = {
        "number": crossing.number,
        "at": round(crossing.seconds, 3),
        "from": crossing.sender,
        "type": crossing.type,
        "bytes": crossing.bytes,
    }
    return told | {"payload": crossing.payload, "cut": crossing.is_cut} if payloads else told


def _closed(record: ClosedRecord) -> dict[str, object]:
    by = _BY.get(record.closed_by, record.closed_by)
    return {"code": record.close_code, "by": by, "seconds": round(record.seconds, 3)}
