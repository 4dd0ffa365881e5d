"""
What listeners are told: of each hold that it C{opened}, C{called} or was C{refused}, of each
session that it C{closed}, of each plain request that it was C{answered}.

No payloads and no credentials, at any level.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Literal

from attrs import define, field, frozen

from relay.rules.closes import Side
from relay.rules.losses import Loss
from relay.rules.refusals import Refusal, Stage

LONGEST_SHOWN = 200
"""Characters of a method and of a path that a record repeats."""

ROUTINE = ("/healthz", "/readyz", "/metrics")
"""How the paths end that probes and scrapes ask for."""


def shown(text: str) -> str:
    """The text, cut at L{LONGEST_SHOWN} characters: a head may have a hundred times as many."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


@define
class Traffic:
    """Messages and bytes of payload that crossed in one direction."""

    messages: int = 0
    bytes: int = 0


def no_traffic() -> dict[Side, Traffic]:
    """No traffic yet, by the side that messages come from."""
    return {"downstream": Traffic(), "upstream": Traffic()}


def new_request_id() -> str:
    """A random id for a request, for records and answers."""
    return f"req_{secrets.token_hex(12)}"


@define
class AttemptRecord:
    """
    One attempt to open one upstream, or the reason why that was passed over.

    @ivar stage: the stage that the attempt has reached; L{None} while it waits for the credential,
        and for an upstream that was passed over.
    @ivar stages: seconds that each completed stage took.
    @ivar outcome: C{open}, the code of the refusal, or C{cancelled}. It is C{upstream_unavailable}
        if the upstream's breaker let nobody try, whatever the cause.
    @ivar error: the name of the error below, for the log only.
    @ivar said: what the upstream itself said when it refused, scrubbed of secrets.
    @ivar seconds: how long the attempt took in all.
    @ivar is_retry: whether this upstream was tried before for the same hold.
    """

    upstream: str
    stage: Stage | None = None
    stages: dict[Stage, float] = field(factory=dict)
    outcome: str = "cancelled"
    error: str | None = None
    said: str | None = None
    seconds: float = 0.0
    is_retry: bool = False


@define
class HoldRecord:
    """
    One hold.

    @ivar request_id: the request's id; downstream is sent it as C{X-Request-Id}.
    @ivar trace_id: the trace id in the request's C{traceparent}.
    @ivar peer: the address of downstream's end of the connection.
    @ivar method: the request's method; L{None} if its head was never whole, or malformed.
    @ivar path: the path that it asks for, without its query, cut at L{LONGEST_SHOWN} characters.
    @ivar listener: what the settings' rules call the listener that it came to; L{None} if they
        have no name for it.
    @ivar subject: whose session it is, as the grant says.
    @ivar outcome: C{opened}, C{called}, the code of the refusal, or C{left} if the client did not
        wait.
    @ivar seconds: from the end of the request head to the answer.
    @ivar authorizing: seconds of these in which it was decided whether to let the request in.
    @ivar detail: what the operator should know besides: what to mend, or the message that
        downstream got where no attempt says why.
    """

    request_id: str
    peer: str
    trace_id: str | None = None
    origin: str | None = None
    method: str | None = None
    path: str | None = None
    subject: str | None = None
    model: str | None = None
    upstream: str | None = None
    attempts: list[AttemptRecord] = field(factory=list)
    outcome: str = ""
    seconds: float = 0.0
    authorizing: float = 0.0
    detail: str | None = None
    listener: str | None = None

    @property
    def attempted(self) -> int:
        """How many attempts began to connect to an upstream."""
        return sum(attempt.stage is not None for attempt in self.attempts)


@frozen
class AnsweredRecord:
    """
    One plain request that a page of the relay's own answered, whatever the status.

    @ivar request_id: the request's id; the client is sent it as C{X-Request-Id}.
    @ivar path: as in L{HoldRecord}.
    @ivar status: the HTTP status of the answer.
    @ivar subject: who asked, where a page asks for a credential.
    """

    request_id: str
    peer: str
    trace_id: str | None
    origin: str | None
    method: str
    path: str
    status: int
    subject: str | None = None

    @property
    def is_routine(self) -> bool:
        """Whether a program asks this again and again: a probe, or a scrape of the metrics."""
        return self.method in ("GET", "HEAD") and self.path.endswith(ROUTINE)


@frozen
class OpenRecord:
    """
    A session that is open.

    @ivar session_id: upstream's id of the session.
    @ivar state: C{responding} if upstream is known to be in the middle of a response, C{ending} if
        the session's end has begun, else C{open}.
    @ivar seconds: since the 101.
    @ivar sent: what crossed so far, by the side it came from.
    @ivar tokens: what upstream billed so far, as in L{ClosedRecord}.
    """

    hold: HoldRecord
    session_id: str | None
    state: Literal["open", "responding", "ending"]
    seconds: float
    plane: str
    sent: dict[Side, Traffic]
    tokens: dict[str, int]


@frozen
class ClosedRecord:
    """
    The end of a session.

    @ivar session_id: upstream's id of the session.
    @ivar close_code: see L{relay.rules.closes}; L{None} for a Close without a code.
    @ivar stalled: the side that was given up because it read too little for too long.
    @ivar closed_by: C{downstream}, C{upstream} or C{relay}.
    @ivar seconds: from the 101 until both connections were gone.
    @ivar plane: how messages crossed: C{splice} or C{message}.
    @ivar sent: what crossed, by the side it came from.
    @ivar tokens: what upstream billed by tokens, by kind (see L{relay.rules.usage}).
    @ivar usage_seconds: what it billed by seconds of audio or of the session, by kind.
    @ivar responses: how many responses ended, by status (see L{relay.rules.usage.status_of}).
    @ivar turns: how often upstream heard the end of speech.
    @ivar budget: the budget that was used up, by its key in C{[limits]}, if that ended it.
    @ivar loss: how the connection of the side that C{closed_by} names ended, if without a Close.
    """

    hold: HoldRecord
    session_id: str | None
    close_code: int | None
    closed_by: str
    seconds: float
    plane: str
    sent: dict[Side, Traffic]
    tokens: dict[str, int]
    stalled: Side | None = None
    usage_seconds: dict[str, float] = field(factory=dict, kw_only=True)
    responses: dict[str, int] = field(factory=dict, kw_only=True)
    turns: int = field(default=0, kw_only=True)
    budget: str | None = field(default=None, kw_only=True)
    loss: Loss | None = field(default=None, kw_only=True)


RecordingOutcome = Literal["whole", "cut", "failed"]
"""
What became of the file of a session that was to be recorded: it has all; or all up to a bound; or
it could not be written, or not to its end.
"""


class RelayListener:
    """
    Is told of each hold and session. Subclass it, and override what you want to hear of: by itself
    each method does nothing. Only an instance of it is taken for a listener, so a method that a
    later version adds breaks none. An exception out of a listener is logged and goes no further.
    """

    def opened(self, record: HoldRecord) -> None:
        """A hold ended with a session."""

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        """A hold ended without a session; C{refusal} is L{None} if the client did not wait."""

    def called(self, record: HoldRecord) -> None:
        """A hold ended with a call, or with something done to one; the media go past the relay."""

    def event(self, record: HoldRecord, event: Mapping[str, Any]) -> None:
        """
        Upstream sent C{response.done}, C{error}, C{session.closed}, C{session.usage.updated}, or a
        finished transcription. Some upstreams send errors without a C{type}.

        @param event: as parsed from JSON. An event of more than 256 KiB is not told.
        """

    def first_audio(self, record: HoldRecord, seconds: float) -> None:
        """
        A response's first audio came from upstream.

        @param seconds: since the response was created, or since the end of speech if that came
            later.
        """

    def closed(self, record: ClosedRecord) -> None:
        """A session ended."""

    def recorded(self, record: HoldRecord, outcome: RecordingOutcome) -> None:
        """The file of a session that was to be recorded is done; the session may go on."""

    def answered(self, record: AnsweredRecord) -> None:
        """A page of the relay's own answered a plain request."""
