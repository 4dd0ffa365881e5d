"""
One connection to the simulator: Autobahn around a L{Dialogue}, and the faults of L{faults}.

It does not use the relay's own protocols, so that an error in them is not hidden by the same error
on the other side.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING

from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from relay.simulator import faults
from relay.simulator.dialogue import Dialogue
from relay.simulator.endpoints import Asked, dialogue_of, fault_of
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
from relay.simulator.fields import Event
from relay.simulator.plain import PlainConnection
from relay.timing.deadline import Deadline

if TYPE_CHECKING:
    from relay.simulator.server import SimulatorFactory


class SimulatorProtocol(PlainConnection):
    """One connection to the simulator."""

    def __init__(self, simulator: SimulatorFactory) -> None:
        super().__init__(simulator)
        self._fault: Fault | None = None
        self._refusal: HttpRefusal | None = None
        self._unanswered: Deferred[None] | None = None
        self._dialogue: Dialogue | None = None
        self._inbox: deque[tuple[bytes, bool]] = deque()
        self._received = 0
        self._begun = False
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
        asked = Asked(
            request.path,
            request.params,
            self._simulator.live,
            self._simulator.calls,
            self._simulator.now,
            self._new_id,
            self._speak_later,
        )
        self._fault = fault_of(asked)
        match self._fault:
            case HttpRefusal():
                self._refusal = self._fault
                raise ConnectionDeny(self._fault.status)
            case Hang() | Reset():
                return self._leave_unanswered(isinstance(self._fault, Reset))
        self._dialogue = dialogue_of(asked)
        if self._dialogue is None:
            self._refusal = faults.NOT_FOUND
            raise ConnectionDeny(self._refusal.status)
        # If the subprotocol was not offered, Autobahn fails and leaves the client waiting.
        subprotocol = "realtime" if "realtime" in request.protocols else None
        return subprotocol, {"x-request-id": self._new_id("req")}

    def _leave_unanswered(self, reset: bool) -> Deferred[None]:
        self._unanswered = Deferred()
        if reset:
            self._abort()
        return self._unanswered

    def _refused(self, code: int) -> HttpRefusal:
        return self._refusal or super()._refused(code)

    # The session

    def onOpen(self) -> None:
        """The 101 is sent: start the session, or act out the fault."""
        super().onOpen()
        match self._fault:
            case Silent():
                return
            case EventRefusal():
                self._refuse(self._fault)
            case Slow():
                self._delay.set(self._simulator.slow_seconds, self._begin)
            case _:
                self._begin()

    def _begin(self) -> None:
        assert self._dialogue is not None
        self._begun = True
        self._say(self._dialogue.opening())
        self._catch_up()

    def _refuse(self, refusal: EventRefusal) -> None:
        assert self._dialogue is not None
        self._tell(self._dialogue.refused(refusal.code, refusal.message))
        self.sendCloseFrame(refusal.close_code, refusal.reason.encode("ascii"))

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
        assert self._dialogue is not None
        self._received += 1
        match self._fault:
            case CloseWith(code):
                # Not by sendClose, which takes only 1000 and 3000 to 4999.
                self.sendCloseFrame(code, b"simulated")
            case ResetAfter(messages) if self._received == messages:
                self._abort()
            case _:
                self._say(self._dialogue.receive(payload, is_binary))
                if self._fault is None and self._dialogue.fault is not None:
                    self._fail(self._dialogue.fault)

    def _fail(self, fault: Fault) -> None:
        """Act out a fault that a message asks for: it is too late to refuse the upgrade."""
        self._fault = fault
        match fault:
            case HttpRefusal(code=code, message=message):
                self._refuse(EventRefusal(4000, str(code), message))
            case EventRefusal():
                self._refuse(fault)
            case Reset() | ResetAfter(1):
                self._abort()
            case CloseWith(code):
                self.sendCloseFrame(code, b"simulated")
            case Hang():
                self._fault = Silent()

    def _say(self, events: list[Event]) -> None:
        assert self._dialogue is not None
        self._tell(events)
        if self._dialogue.ended:
            self.sendCloseFrame(1000, b"")
        self._speak_later()

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            self.sendMessage(json.dumps(event, separators=(",", ":")).encode("ascii"))

    def _speak_later(self) -> None:
        assert self._dialogue is not None
        if self._dialogue.speaking and not self._choked and not self._pace.is_set:
            self._pace.set(self._simulator.delta_seconds, self._speak)

    def _speak(self) -> None:
        assert self._dialogue is not None
        if self.state == self.STATE_OPEN:
            self._say(self._dialogue.advance())

    # A client that does not read

    def pauseProducing(self) -> None:
        """Say nothing."""
        self._pace.clear()
        super().pauseProducing()

    def _go_on(self) -> None:
        self._speak_later()
        self._catch_up()

    # The end

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timers, and the handshake if it waits."""
        if self._dialogue is not None:
            self._dialogue.lost()
        self._pace.clear()
        self._delay.clear()
        super().connectionLost(reason)
        # Autobahn does not cancel this. It must have marked the connection closed before.
        if self._unanswered is not None:
            self._unanswered.cancel()
