"""
Faults on request: which model name makes the simulator fail, and how.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus

from attrs import frozen


@frozen
class HttpRefusal:
    """An HTTP answer instead of the upgrade, with an error object of OpenAI's shape."""

    status: int
    type: str
    code: str | None
    message: str
    retry_after: int | None = None


@frozen
class EventRefusal:
    """The upgrade, then one C{error} event, then a Close: how OpenAI refuses keys and models."""

    close_code: int
    code: str
    message: str

    @property
    def reason(self) -> str:
        """The reason in the Close."""
        return f"invalid_request_error.{self.code}"


@frozen
class Silent:
    """The upgrade, then not one event."""


@frozen
class Hang:
    """No answer to the handshake."""


@frozen
class Reset:
    """A TCP reset instead of an answer."""


@frozen
class ResetAfter:
    """A TCP reset at the client's message number C{messages}, counted from 1."""

    messages: int


@frozen
class CloseWith:
    """A Close with C{code}, any 16 bits, at the client's first message."""

    code: int


@frozen
class Slow:
    """C{session.created} comes late."""


Fault = HttpRefusal | EventRefusal | Silent | Hang | Reset | ResetAfter | CloseWith | Slow


@frozen
class FaultName:
    """
    One row of the table of faults.

    @ivar name: the model name; capital letters stand for a number.
    @ivar description: what happens, in one sentence, for the docs.
    @ivar make: is called with the numbers in the name; returns the fault, or L{None} if a number is
        out of range.
    """

    name: str
    description: str
    make: Callable[..., Fault | None]

    def match(self, model: str) -> Fault | None:
        """The fault, if C{model} asks for this one."""
        found = re.fullmatch(re.sub("[A-Z]+", "([0-9]{1,5})", self.name), model)
        return self.make(*map(int, found.groups())) if found else None


NOT_FOUND = HttpRefusal(
    404, "invalid_request_error", None, "Invalid URL: there is no session here."
)
MISSING_MODEL = EventRefusal(4000, "missing_model", "You must provide a model parameter.")
INVALID_INTENT = EventRefusal(4000, "invalid_intent", "The intent must be 'transcription'.")

_INVALID = "invalid_request_error"
_REFUSALS = (
    HttpRefusal(401, _INVALID, "invalid_api_key", "Incorrect API key provided."),
    HttpRefusal(403, _INVALID, "insufficient_permissions", "Your key may not use this model."),
    HttpRefusal(429, "requests", "rate_limit_exceeded", "Rate limit reached for requests.", 2),
    HttpRefusal(500, "server_error", "server_error", "The server had an error. Sorry about that!"),
    HttpRefusal(503, "server_error", "server_overloaded", "The server is overloaded.", 5),
)
_QUOTA = HttpRefusal(
    429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."
)
_BAD_KEY = EventRefusal(3000, "invalid_api_key", "Incorrect API key provided.")
_BAD_MODEL = EventRefusal(4000, "invalid_model", "The requested model does not exist.")


def _reset_after(messages: int) -> ResetAfter | None:
    return ResetAfter(messages) if messages else None


def _close_with(code: int) -> CloseWith | None:
    return CloseWith(code) if code < 1 << 16 else None


def _http_row(refusal: HttpRefusal) -> FaultName:
    status = HTTPStatus(refusal.status)
    retry = " and Retry-After" if refusal.retry_after else ""
    text = f"Refuses the upgrade with HTTP {refusal.status} {status.phrase}{retry}."
    return FaultName(f"fault-http-{refusal.status}", text, lambda: refusal)


FAULTS: tuple[FaultName, ...] = (
    *map(_http_row, _REFUSALS),
    FaultName(
        "fault-quota",
        "Refuses the upgrade with HTTP 429 and the code insufficient_quota.",
        lambda: _QUOTA,
    ),
    FaultName(
        "fault-error-3000",
        "Upgrades, then sends the error invalid_api_key and closes with 3000.",
        lambda: _BAD_KEY,
    ),
    FaultName(
        "fault-error-4000",
        "Upgrades, then sends the error invalid_model and closes with 4000.",
        lambda: _BAD_MODEL,
    ),
    FaultName("fault-silent", "Upgrades, then never sends an event.", Silent),
    FaultName("fault-hang", "Never answers the handshake.", Hang),
    FaultName("fault-reset", "Resets the TCP connection instead of answering.", Reset),
    FaultName(
        "fault-reset-after-N",
        "Resets the TCP connection at your message number N (1 to 99999).",
        _reset_after,
    ),
    FaultName(
        "fault-close-CODE",
        "Closes with CODE (0 to 65535) and the reason 'simulated' at your first message.",
        _close_with,
    ),
    FaultName("fault-slow", "Sends session.created late, after 2 seconds by default.", Slow),
)
"""Every fault a model name can ask for."""


def parse_model(model: str) -> Fault | None:
    """The fault a model name asks for; L{None} for a healthy session."""
    matches = (row.match(model) for row in FAULTS)
    return next((fault for fault in matches if fault is not None), None)


def of_realtime(query: Mapping[str, Sequence[str]]) -> Fault | None:
    """
    The fault that a request for a Realtime session asks for, or makes.

    @param query: the parameters of its URL, each with at least one value.
    @return: L{None} for a healthy session.
    """
    if "model" in query:
        return parse_model(query["model"][0])
    if query.get("intent", ["transcription"])[0] != "transcription":
        return INVALID_INTENT
    return None if "intent" in query or "call_id" in query else MISSING_MODEL


def of_translations(query: Mapping[str, Sequence[str]]) -> Fault | None:
    """Like L{of_realtime}, for a translation session, which always has a model."""
    return parse_model(query["model"][0]) if "model" in query else MISSING_MODEL


def http_answer(refusal: HttpRefusal, request_id: str) -> bytes:
    """The whole HTTP answer: head and JSON body."""
    error = {
        "message": refusal.message,
        "type": refusal.type,
        "param": None,
        "code": refusal.code,
    }
    body = json.dumps({"error": error}).encode("ascii")
    head = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        f"x-request-id: {request_id}",
    ]
    if refusal.retry_after is not None:
        head.append(f"Retry-After: {refusal.retry_after}")
    return "\r\n".join([*head, "", ""]).encode("ascii") + body
