"""
The simulator on the wire: Autobahn around a L{Conversation}, and the faults of L{faults}.

It does not use the relay's own protocols, so that an error in them is not hidden by the same error
on the other side.
"""

from __future__ import annotations

import json
import secrets
from collections import deque
from collections.abc import Callable
from time import time
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.simulator import faults
from relay.simulator.connection import STALL_SECONDS, Connection
from relay.simulator.conversation import Conversation
from relay.simulator.faults import (
    CloseWith,
    EventRefusal,
    Fault,
    Hang,
    HttpRefusal,
    Reset,
    ResetAfter,
    Silent,
    Slow,
)
from relay.simulator.fields import Event, error_event
from relay.timing.deadline import Deadline

MAX_MESSAGE = 24 * 1024 * 1024
"""Most bytes of a message: enough for 15 MiB of audio in base64."""


def random_id(kind: str) -> str:
    """An id that looks like OpenAI's, such as C{"item_3f…"}."""
    return f"{kind}_{secrets.token_hex(12)}"


@implementer(IPushProducer)
class SimulatorProtocol(Connection):
    """
    One connection to the simulator.

    It is the push producer of its own transport: while the client does not read, the simulator
    sends nothing and reads nothing.
    """

    def __init__(self, simulator: SimulatorFactory) -> None:
        super().__init__(simulator.reactor)
        self._simulator = simulator
        self._fault: Fault | None = None
        self._refusal: HttpRefusal | None = None
        self._unanswered: Deferred[None] | None = None
        self._conversation: Conversation | None = None
        self._inbox: deque[tuple[bytes, bool]] = deque()
        self._received = 0
        self._begun = False
        self._choked = False
        self._pace = Deadline(simulator.reactor)
        self._delay = Deadline(simulator.reactor)

    # The handshake

    def dataReceived(self, data: bytes) -> None:
        """
        Feed Autobahn, but not while C{onConnect} is pending: it would take the bytes for another
        request.
        """
        if self._unanswered is None:
            super().dataReceived(data)

    # Autobahn awaits a Deferred, though its annotation does not say so.
    def onConnect(  # type: ignore[override]
        self, request: ConnectionRequest
    ) -> tuple[str | None, dict[str, str]] | Deferred[None]:
        """Accept the client, unless the fault that it asks for comes before that."""
        self._patience.clear()
        self._fault = faults.parse_request(request.path, request.params)
        match self._fault:
            case HttpRefusal():
                self._refusal = self._fault
                raise ConnectionDeny(self._fault.status)
            case Hang() | Reset():
                return self._leave_unanswered(isinstance(self._fault, Reset))
        self._conversation = Conversation(
            self._model(request), self._simulator.now, self._simulator.new_id
        )
        # If the subprotocol was not offered, Autobahn fails and leaves the client waiting.
        subprotocol = "realtime" if "realtime" in request.protocols else None
        return subprotocol, {"x-request-id": self._simulator.new_id("req")}

    def _model(self, request: ConnectionRequest) -> str | None:
        if "intent" in request.params and "model" not in request.params:
            return None
        return str(request.params.get("model", ["gpt-realtime"])[0])

    def _leave_unanswered(self, reset: bool) -> Deferred[None]:
        self._unanswered = Deferred()
        if reset:
            self._abort()
        return self._unanswered

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        """
        Answer with a whole HTTP response. Autobahn's has no body and no length, and has C{reason}
        in its status line, CR LF included.
        """
        # Autobahn also calls this for the Deferred that connectionLost cancels.
        if self.state != self.STATE_CONNECTING:
            return
        refusal = self._refusal or HttpRefusal(
            code, "invalid_request_error", None, "Open a WebSocket here, of version 13."
        )
        self.sendData(faults.http_answer(refusal, self._simulator.new_id("req")))
        self.dropConnection()

    # The session

    def onOpen(self) -> None:
        """The 101 is sent: start the session, or act out the fault."""
        self.transport.registerProducer(self, True)
        match self._fault:
            case Silent():
                return
            case EventRefusal(code=code, message=message, close_code=close_code, reason=reason):
                event_id = {"event_id": self._simulator.new_id("event")}
                self._tell([{"type": "error", **event_id, **error_event(code, message)}])
                self.sendCloseFrame(close_code, reason.encode("ascii"))
            case Slow():
                self._delay.set(self._simulator.slow_seconds, self._begin)
            case _:
                self._begin()

    def _begin(self) -> None:
        assert self._conversation is not None
        self._begun = True
        self._tell(self._conversation.opening())
        self._catch_up()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Answer a message, or keep it until it can be answered."""
        if isinstance(self._fault, Silent):
            return
        self._inbox.append((payload, isBinary))
        self._catch_up()

    def _catch_up(self) -> None:
        """
        Answer what was received while that is possible, then read on.

        Messages that were read before a pause wait in the inbox, one chunk of them at most.
        """
        while self._inbox and self._begun and not self._choked and self.state == self.STATE_OPEN:
            self._answer(*self._inbox.popleft())
        waiting = self.state == self.STATE_OPEN and (bool(self._inbox) or self._choked)
        if not waiting:
            # What a client sends behind a Close is not answered.
            self._inbox.clear()
        self._read(not waiting)

    def _answer(self, payload: bytes, is_binary: bool) -> None:
        assert self._conversation is not None
        self._received += 1
        match self._fault:
            case CloseWith(code):
                # Not by sendClose, which takes only 1000 and 3000 to 4999.
                self.sendCloseFrame(code, b"simulated")
            case ResetAfter(messages) if self._received == messages:
                self._abort()
            case _:
                self._tell(self._conversation.receive(payload, is_binary))
                self._speak_later()

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            self.sendMessage(json.dumps(event, separators=(",", ":")).encode("ascii"))

    def _speak_later(self) -> None:
        assert self._conversation is not None
        if self._conversation.speaking and not self._choked and not self._pace.is_set:
            self._pace.set(self._simulator.delta_seconds, self._speak)

    def _speak(self) -> None:
        assert self._conversation is not None
        if self.state == self.STATE_OPEN:
            self._tell(self._conversation.advance())
            self._speak_later()

    # A client that does not read

    def pauseProducing(self) -> None:
        """The transport's buffer is full: send nothing, and start the stall deadline."""
        self._choked = True
        self._pace.clear()
        if self.state == self.STATE_OPEN:
            # Nor read anything: the answers to Pings would fill the buffer further. A paused
            # transport does not see that the client is gone, so there is a deadline.
            self._read(False)
            self._patience.set(STALL_SECONDS, self._abort)

    def resumeProducing(self) -> None:
        """The transport's buffer is empty again."""
        self._choked = False
        if self.state == self.STATE_OPEN:
            self._patience.clear()
            self._speak_later()
            self._catch_up()

    def stopProducing(self) -> None:
        """Does nothing: C{connectionLost} tells of the loss too."""

    # The end

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timers, and the handshake if it waits."""
        self._pace.clear()
        self._delay.clear()
        super().connectionLost(reason)
        # Autobahn does not cancel this. It must have marked the connection closed before.
        if self._unanswered is not None:
            self._unanswered.cancel()


class SimulatorFactory(WebSocketServerFactory):
    """
    Listens as an upstream at C{/v1/realtime}, on any endpoint.

    @ivar countConnections: connections that are open now.
    """

    noisy = False

    def __init__(
        self,
        reactor: IReactorTime,
        *,
        delta_seconds: float = 0.02,
        slow_seconds: float = 2.0,
        new_id: Callable[[str], str] = random_id,
        now: Callable[[], float] = time,
    ) -> None:
        """
        @param reactor: the clock of all delays.
        @param delta_seconds: the pause before each piece of an answer.
        @param slow_seconds: how late C{fault-slow} is.
        @param new_id: makes an unused id that begins with the given word.
        @param now: tells the date, in seconds since 1970.
        """
        super().__init__(reactor=reactor, server="")
        self.delta_seconds = delta_seconds
        self.slow_seconds = slow_seconds
        self.new_id = new_id
        self.now = now
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            failByDrop=False,
            openHandshakeTimeout=0,
            closeHandshakeTimeout=0,
            autoPingInterval=0,
            maxMessagePayloadSize=MAX_MESSAGE,
            # Without this option, Autobahn would reset it to False.
            allowNullOrigin=True,
        )

    def buildProtocol(self, addr: IAddress | None) -> SimulatorProtocol:
        """A new connection."""
        protocol = SimulatorProtocol(self)
        protocol.factory = self
        return protocol
