"""
The simulator's endpoints: which path opens which session, and which fault a request asks for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from attrs import frozen

from relay.simulator import faults
from relay.simulator.calls import Calls
from relay.simulator.conversation import Conversation
from relay.simulator.dialogue import Dialogue
from relay.simulator.faults import Fault
from relay.simulator.live import LiveSession, LiveSessions
from relay.simulator.sideband import Session, Sideband, Unheard
from relay.simulator.translation import Translation


@frozen
class Asked:
    """
    What a client asks for, and what a session needs.

    @ivar path: the path of its URL.
    @ivar query: the parameters of its URL, each with at least one value.
    @ivar sessions: the simulator's Live sessions.
    @ivar calls: its calls.
    @ivar now: tells the time, in seconds since 1970.
    @ivar new_id: makes an unused id that begins with the given word.
    @ivar wake: is called when another connection has given this one something to say.
    """

    path: str
    query: Mapping[str, Sequence[str]]
    sessions: LiveSessions
    calls: Calls
    now: Callable[[], float]
    new_id: Callable[[str], str]
    wake: Callable[[], None]

    @property
    def model(self) -> str:
        """The model in the query; C{gpt-realtime} if there is none."""
        return self.query.get("model", ["gpt-realtime"])[0]


def _conversation(asked: Asked) -> Dialogue:
    is_transcription = "intent" in asked.query and "model" not in asked.query
    model = None if is_transcription else asked.model
    return Conversation(model, asked.now, asked.new_id)


def _translation(asked: Asked) -> Dialogue:
    return Translation(asked.model, asked.now, asked.new_id)


def _live(asked: Asked) -> Dialogue:
    return LiveSession(asked.sessions, asked.now, asked.new_id, asked.wake)


def _sideband(asked: Asked, session_id: str) -> Dialogue | None:
    session: Session | None = asked.sessions.open.get(session_id)
    if session is None and session_id in asked.calls.open:
        session = Unheard()
    return None if session is None else Sideband(session, asked.new_id, asked.wake)


def _fork(asked: Asked, session_id: str) -> Dialogue | None:
    source = asked.sessions.stored.get(session_id)
    if source is None:
        return None
    return LiveSession(asked.sessions, asked.now, asked.new_id, asked.wake, source)


_ENDPOINTS: dict[str, Callable[..., Dialogue | None]] = {
    "/v1/realtime": _conversation,
    "/v1/realtime/translations": _translation,
    "/v1/live/sessions": _live,
    "/v1/live/sessions/([^/]+)/attach": _sideband,
    "/v1/live/sessions/([^/]+)/fork": _fork,
}
"""A path, with a place for the id, to what makes the session. L{None}: there is no such id."""

_FAULTS: dict[str, Callable[[Mapping[str, Sequence[str]]], Fault | None]] = {
    "/v1/realtime": faults.of_realtime,
    "/v1/realtime/translations": faults.of_translations,
}


def fault_of(asked: Asked) -> Fault | None:
    """The fault that a request asks for, or makes, by its query."""
    of_query = _FAULTS.get(asked.path)
    return of_query(asked.query) if of_query else None


def dialogue_of(asked: Asked) -> Dialogue | None:
    """The session that a request opens; L{None} if there is nothing at its path."""
    for path, make in _ENDPOINTS.items():
        found = re.fullmatch(path, asked.path)
        if found:
            return make(asked, *found.groups())
    return None
