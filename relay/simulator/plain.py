"""
The plain requests among a connection's: what is posted is answered here, and Autobahn never sees
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from relay.simulator import faults
from relay.simulator.calls import Answered, reply_to
from relay.simulator.connection import HEAD_BYTES, Connection
from relay.simulator.faults import EventRefusal, Fault, HttpRefusal, Reset
from relay.simulator.posted import MAX_BODY, METHOD, Unreadable, posted_in
from relay.timing.turns import drop

if TYPE_CHECKING:
    from relay.simulator.server import SimulatorFactory


class PlainConnection(Connection):
    """A connection whose first request may be a plain C{POST}; then it has no other."""

    def __init__(self, simulator: SimulatorFactory) -> None:
        super().__init__(simulator.reactor, simulator.new_id)
        self._simulator = simulator
        self._posted = b""
        self._take: Callable[[bytes], None] = self._look

    def dataReceived(self, data: bytes) -> None:
        """Feed whoever the request is for."""
        self._take(data)

    def _look(self, data: bytes) -> None:
        self._posted += data
        if METHOD.startswith(self._posted[: len(METHOD)]):
            if len(self._posted) >= len(METHOD):
                self._take = self._post
                self._post(b"")
            return
        first, self._posted = self._posted, b""
        self._take = super().dataReceived
        self._take(first)

    def _post(self, data: bytes) -> None:
        self._posted += data
        try:
            asked = posted_in(self._posted)
        except Unreadable as fault:
            self._refuse_plainly(HttpRefusal(400, "invalid_request_error", None, str(fault)))
            return
        if asked is not None:
            self._patience.clear()
            self._take = drop
            self._reply(reply_to(asked, self._simulator.calls, self._new_id))
        elif len(self._posted) > MAX_BODY + HEAD_BYTES:
            self._abort()

    def _reply(self, reply: Answered | Fault) -> None:
        match reply:
            case Answered():
                self._write(reply.on_wire(self._new_id("req")))
            case HttpRefusal():
                self._refuse_plainly(reply)
            case EventRefusal(code=code, message=message):
                refusal = HttpRefusal(400, "invalid_request_error", code, message)
                self._refuse_plainly(refusal)
            case Reset():
                self._abort()

    def _refuse_plainly(self, refusal: HttpRefusal) -> None:
        self._write(faults.http_answer(refusal, self._new_id("req")))

    def _write(self, answer: bytes) -> None:
        self._take = drop
        self.sendData(answer)
        self.dropConnection()
