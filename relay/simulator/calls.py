"""
The simulator's calls: what is asked by plain C{POST}, in place of a WebSocket.

Source: OpenAI's API reference, "Calls" and "Live"; the package C{openai} 3.57 for Python
(C{resources/realtime/calls}, C{resources/live}).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from attrs import Factory, define, frozen

from relay.simulator.faults import (
    EventRefusal,
    Fault,
    Hang,
    HttpRefusal,
    Reset,
    parse_model,
)
from relay.simulator.fields import Event
from relay.simulator.posted import Posted
from relay.simulator.sdp import NoOffer, answer_to

MAX_OPEN = 1000
"""Most calls that are remembered; the oldest are forgotten."""

VERBS = ("accept", "reject", "refer", "hangup")
ENDING = ("reject", "refer", "hangup")
"""The verbs that end a call."""

_REALTIME = "/v1/realtime/(?:translations/)?calls"
_LIVE = "/v1/live/sessions"
_FORK = re.compile(rf"{_LIVE}/([^/]+)/fork")
_VERB = re.compile(rf"(?:/v1/realtime/calls|{_LIVE})/([^/]+)/({'|'.join(VERBS)})")

NO_OFFER = HttpRefusal(400, "invalid_request_error", "invalid_offer", "Send an SDP offer.")
NO_JSON = HttpRefusal(400, "invalid_request_error", "invalid_json", "Send a JSON object.")
NO_CALL = HttpRefusal(404, "invalid_request_error", "call_id_not_found", "There is no such call.")
NOTHING = HttpRefusal(405, "invalid_request_error", None, "Open a WebSocket here, of version 13.")


@frozen
class Answered:
    """An answer to a plain request."""

    status: int
    body: bytes = b""
    kind: str = ""
    location: str | None = None

    def on_wire(self, request_id: str) -> bytes:
        """The whole HTTP answer."""
        head = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}"]
        head += [f"Content-Type: {self.kind}"] if self.kind else []
        head += [f"Location: {self.location}"] if self.location else []
        head += [f"Content-Length: {len(self.body)}", "Connection: close"]
        head.append(f"x-request-id: {request_id}")
        return "\r\n".join([*head, "", ""]).encode("ascii") + self.body


@define
class Calls:
    """
    The calls of one simulator.

    @ivar open: what each was set up with, by its id.
    @ivar told: each verb and the call's id, in their order, as far as they are remembered.
    """

    open: dict[str, Event] = Factory(dict)
    told: list[tuple[str, str]] = Factory(list)

    def begin(self, call_id: str, session: Event) -> None:
        """A call has begun."""
        self.open[call_id] = session
        if len(self.open) > MAX_OPEN:
            del self.open[next(iter(self.open))]

    def tell(self, call_id: str, verb: str, said: Event) -> bool:
        """Do what a verb says; L{False} if there is no such call."""
        if call_id not in self.open:
            return False
        self.told = [*self.told[1 - MAX_OPEN :], (verb, call_id)]
        if verb in ENDING:
            del self.open[call_id]
        else:
            self.open[call_id] = said
        return True


def reply_to(asked: Posted, calls: Calls, new_id: Callable[[str], str]) -> Answered | Fault:
    """What a plain request gets: an answer, or the fault that the model's name asks for."""
    try:
        return _reply(asked, calls, new_id)
    except NoOffer:
        return NO_OFFER
    except ValueError:
        return NO_JSON


def _reply(asked: Posted, calls: Calls, new_id: Callable[[str], str]) -> Answered | Fault:
    if re.fullmatch(_REALTIME, asked.path):
        return _call(asked, calls, new_id)
    if asked.path == _LIVE or _FORK.fullmatch(asked.path):
        return _live(asked, calls, new_id)
    if found := _VERB.fullmatch(asked.path):
        said = _object(asked.body or b"{}")
        return Answered(200) if calls.tell(found[1], found[2], said) else NO_CALL
    return NOTHING


def _call(asked: Posted, calls: Calls, new_id: Callable[[str], str]) -> Answered | Fault:
    is_form = asked.kind == "multipart/form-data"
    parts = asked.parts() if is_form else {"sdp": asked.body.decode("utf-8")}
    session = _object(parts.get("session", "{}"))
    fault = _fault(session, asked)
    if fault is not None:
        return fault
    answer = answer_to(parts.get("sdp", ""), len(calls.told) + 1).encode("utf-8")
    call_id = new_id("rtc")
    calls.begin(call_id, session)
    return Answered(201, answer, "application/sdp", f"/v1/realtime/calls/{call_id}")


def _live(asked: Posted, calls: Calls, new_id: Callable[[str], str]) -> Answered | Fault:
    said = _object(asked.body)
    session = said.get("session") or {}
    fault = _fault(session, asked)
    if fault is not None:
        return fault
    offer = said.get("transport", {}).get("sdp", "")
    transport = {"type": "webrtc", "sdp": answer_to(offer, len(calls.told) + 1)}
    session_id = new_id("live")
    calls.begin(session_id, session)
    told = json.dumps({"session": {"id": session_id}, "transport": transport})
    return Answered(201, told.encode("utf-8"), "application/json")


def _fault(session: Event, asked: Posted) -> Fault | None:
    """The fault that the model's name asks for; L{None} for one that is of events."""
    named = session.get("model", asked.query.get("model", [""])[0])
    fault = parse_model(str(named))
    return fault if isinstance(fault, (HttpRefusal, EventRefusal, Hang, Reset)) else None


def _object(text: str | bytes) -> Any:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value
