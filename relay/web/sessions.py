"""The sessions that are open, on the admin listener: listed, looked at, and ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.web.http import ACCEPTED
from twisted.web.resource import Resource
from twisted.web.server import Request

from relay.rules.refusals import Refused, refuse
from relay.web.overview import Directory, Told, answered
from relay.web.page import Later, PlainRequest, bad, refused, refusing
from relay.web.watchers import Places
from relay.web.watching import SessionEvents

FILTERS = ("subject", "model", "upstream")

NO_SUBJECT = "Name whose sessions are to end: DELETE /sessions?subject=NAME, or /sessions/ID."
GONE = "There is no open session with this id."


class Sessions(Resource):
    """
    The pages C{/sessions}, C{/sessions/ID} and C{/sessions/ID/events}.

    @param is_private: tells whether no other machine can ask for them here.
    @param places: for those who watch a session.
    @param payloads: whether those see what its messages say.
    """

    def __init__(
        self,
        directory: Directory,
        is_private: Callable[[], bool],
        elsewhere: str,
        places: Places,
        payloads: Callable[[], bool],
    ) -> None:
        super().__init__()
        self._directory = directory
        self._is_private = is_private
        self._elsewhere = refuse("unauthorized", elsewhere, status=403)
        self._places = places
        self._payloads = payloads

    def getChild(self, path: bytes, request: Request) -> Resource:
        """The page of one session, or of its events; of all, if the path ends with a slash."""
        name = path.decode("ascii", "replace")
        if request.postpath == [b"events"]:
            return self._events(name)
        if request.postpath:
            return refusing(refuse("not_found", GONE))
        return Later(lambda asked: self._answer(asked, name or None))

    def render(self, request: Any) -> int:
        """The page of all sessions."""
        return Later(lambda asked: self._answer(asked, None)).render(request)

    def _events(self, id: str) -> Resource:
        if not self._is_private():
            return refusing(self._elsewhere)
        return SessionEvents(partial(self._watch, id), self._places, self._payloads())

    async def _watch(
        self, id: str, request: PlainRequest, told: Callable[[Told], None], payloads: bool
    ) -> Callable[[], None]:
        _asked(request, ())
        stop = await answered(self._directory.watch(id, told, payloads))
        if stop is None:
            raise Refused(refuse("not_found", GONE))
        return stop

    async def _answer(self, request: PlainRequest, id: str | None) -> bytes:
        try:
            if not self._is_private():
                raise Refused(self._elsewhere)
            told = json.dumps(await self._told(request, id))
        except Refused as failed:
            return refused(request, failed.refusal)
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Cache-Control", "no-store")
        return told.encode("ascii") + b"\n"

    async def _told(self, request: PlainRequest, id: str | None) -> Mapping[str, object]:
        asked = _asked(request, () if id is not None else (*FILTERS, "offset"))
        if request.method in (b"GET", b"HEAD"):
            if id is None:
                start = _offset(asked.pop("offset", "0"))
                return await answered(self._directory.page(asked, start))
            found = await answered(self._directory.show(id))
            if found is None:
                raise Refused(refuse("not_found", GONE))
            return found
        if request.method != b"DELETE":
            request.setHeader("Allow", "GET, HEAD, DELETE")
            raise Refused(refuse("method_not_allowed", "Ask for this with GET or DELETE."))
        ended = await self._end(asked, id)
        request.setResponseCode(ACCEPTED)
        return {"ended": ended}

    async def _end(self, asked: dict[str, str], id: str | None) -> int:
        if id is not None:
            if not await answered(self._directory.close(id)):
                raise Refused(refuse("not_found", GONE))
            return 1
        if asked.keys() != {"subject"} or not asked["subject"]:
            raise bad(NO_SUBJECT)
        return await answered(self._directory.revoke(asked["subject"]))


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
