"""The sessions that are open, on the admin listener: listed, looked at, and ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from twisted.web.http import ACCEPTED
from twisted.web.resource import Resource
from twisted.web.server import Request

from relay.lifecycle.handles import Handles, SessionHandle
from relay.rules.refusals import Refused, refuse
from relay.telemetry.records import OpenRecord, Traffic
from relay.web.page import Page, PlainRequest, bad, refused, refusing

FILTERS = ("subject", "model", "upstream")

PAGE = 500
"""Most sessions in one answer, so that it takes the reactor no more than some milliseconds."""

NO_SUBJECT = "Name whose sessions are to end: DELETE /sessions?subject=NAME, or /sessions/ID."
GONE = "There is no open session with this id."


def as_json(record: OpenRecord) -> dict[str, object]:
    """A session, for the operator to read."""
    hold = record.hold
    return {
        "id": hold.request_id,
        "session_id": record.session_id,
        "subject": hold.subject,
        "model": hold.model,
        "upstream": hold.upstream,
        "peer": hold.peer,
        "origin": hold.origin,
        "path": hold.path,
        "state": record.state,
        "seconds": round(record.seconds, 3),
        "plane": record.plane,
        "up": _traffic(record.sent["downstream"]),
        "down": _traffic(record.sent["upstream"]),
        "tokens": record.tokens,
    }


def _traffic(traffic: Traffic) -> dict[str, int]:
    return {"messages": traffic.messages, "bytes": traffic.bytes}


class Sessions(Resource):
    """
    The pages C{/sessions} and C{/sessions/ID}.

    @param is_private: tells whether no other machine can ask for them here.
    """

    def __init__(self, handles: Handles, is_private: Callable[[], bool], elsewhere: str) -> None:
        super().__init__()
        self._handles = handles
        self._is_private = is_private
        self._elsewhere = refuse("unauthorized", elsewhere, status=403)

    def getChild(self, path: bytes, request: Request) -> Resource:
        """The page of one session; of all, if the path ends with a slash."""
        if request.postpath:
            return refusing(refuse("not_found", GONE))
        name = path.decode("ascii", "replace")
        return Page(lambda asked: self._answer(asked, name or None))

    def render(self, request: Any) -> bytes:
        """The page of all sessions."""
        return Page(lambda asked: self._answer(asked, None)).render(request)

    def _answer(self, request: PlainRequest, id: str | None) -> bytes:
        try:
            if not self._is_private():
                raise Refused(self._elsewhere)
            told = json.dumps(self._told(request, id))
        except Refused as failed:
            return refused(request, failed.refusal)
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Cache-Control", "no-store")
        return told.encode("ascii") + b"\n"

    def _told(self, request: PlainRequest, id: str | None) -> Mapping[str, object]:
        asked = _asked(request, () if id is not None else (*FILTERS, "offset"))
        if request.method in (b"GET", b"HEAD"):
            return self._list(asked) if id is None else as_json(self._one(id).record())
        if request.method != b"DELETE":
            request.setHeader("Allow", "GET, HEAD, DELETE")
            raise Refused(refuse("method_not_allowed", "Ask for this with GET or DELETE."))
        request.setResponseCode(ACCEPTED)
        return {"ended": self._end(asked, id)}

    def _list(self, asked: dict[str, str]) -> dict[str, object]:
        start = _offset(asked.pop("offset", "0"))
        found = sorted(self._handles.find(**asked), key=attrgetter("began"))
        page = [as_json(each.record()) for each in found[start : start + PAGE]]
        rest = start + PAGE if start + PAGE < len(found) else None
        return {"total": len(found), "sessions": page, "next_offset": rest}

    def _end(self, asked: dict[str, str], id: str | None) -> int:
        if id is not None:
            self._one(id).close()
            return 1
        if asked.keys() != {"subject"} or not asked["subject"]:
            raise bad(NO_SUBJECT)
        return self._handles.revoke(asked["subject"])

    def _one(self, id: str) -> SessionHandle:
        for found in self._handles.find(id=id):
            return found
        raise Refused(refuse("not_found", GONE))


def _asked(request: PlainRequest, known: Sequence[str]) -> dict[str, str]:
    """The query. What is not known or said twice would be left out, and more would end or show."""
    query = request.asked.request.head.query
    asked = dict(query)
    if unknown := asked.keys() - set(known):
        raise bad(f"Ask by {', '.join(known) or 'the path alone'}, not by {min(unknown)}.")
    if len(asked) < len(query):
        raise bad("Say each parameter once.")
    return asked


def _offset(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise bad("offset must be a whole number.")
    return int(value)
