"""A recorded session, served again as an upstream."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket.types import ConnectionRequest
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from relay.recording.lines import Closed, Cut, Message
from relay.recording.reading import Recording
from relay.recording.replay import Awaits, Over, Pause, Replay
from relay.session.glance import BEGINNING, type_of
from relay.simulator.connection import OPTIONS, Connection
from relay.simulator.server import random_id
from relay.timing.deadline import Deadline

AWAITED_SECONDS = 5.0
"""Seconds after which it is told what the client should say, for a replay to go on."""

ENDS_HERE = b"the recording ends here"


def payload_of(message: Message) -> bytes:
    """
    The payload of a message; if it was not recorded, one of the same type and size, unless that
    size is too small for the type.
    """
    if message.payload is not None:
        return message.payload
    if message.is_binary:
        return bytes(message.size)
    told = {} if message.type is None else {"type": message.type}
    bare = json.dumps({**told, "padding": ""}, separators=(",", ":"))
    padding = "." * (message.size - len(bare))
    return json.dumps({**told, "padding": padding}, separators=(",", ":")).encode("ascii")


class ReplayFactory(WebSocketServerFactory):
    """
    Listens as an upstream, and gives each client the recording from its start, whatever the path
    and the model that it asks for.

    @param reactor: the clock of the replay.
    @param tell: is given lines on how it goes.
    """

    noisy = False

    def __init__(
        self, recording: Recording, tell: Callable[[str], object], reactor: IReactorTime
    ) -> None:
        super().__init__(reactor=reactor, server="")
        self.recording = recording
        self.tell = tell
        self.setProtocolOptions(**OPTIONS)

    def buildProtocol(self, addr: IAddress | None) -> ReplayProtocol:
        """A new connection."""
        protocol = ReplayProtocol(self)
        protocol.factory = self
        return protocol


class ReplayProtocol(Connection):
    """One client of a replay."""

    def __init__(self, upstream: ReplayFactory) -> None:
        super().__init__(upstream.reactor, random_id)
        self._clock = upstream.reactor
        self._tell = upstream.tell
        self._recording = upstream.recording
        self._replay: Replay | None = None
        self._is_over = False
        self._pause = Deadline(upstream.reactor)
        self._awaited = Deadline(upstream.reactor)
        self._line = 0  # that is awaited

    def onConnect(self, request: ConnectionRequest) -> tuple[str | None, dict[str, str]]:
        """Accept the client."""
        self._patience.clear()
        subprotocol = "realtime" if "realtime" in request.protocols else None
        return subprotocol, {"x-request-id": self._new_id("req")}

    def onOpen(self) -> None:
        """The 101 is sent: begin."""
        super().onOpen()
        self._replay = Replay(self._recording, self._clock.seconds())
        self._go_on()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Count what the client says."""
        if self._replay is not None and not self._is_over:
            self._replay.heard(type_of(payload[:BEGINNING], len(payload)))
            self._go_on()

    def _go_on(self) -> None:
        if self.state == self.STATE_OPEN:
            self._read(not self._choked)
        while self._replay and self.state == self.STATE_OPEN and not self._choked:
            match self._replay.step(self._clock.seconds()):
                case Message() as message:
                    self._say(message)
                case Pause(seconds):
                    self._pause.set(seconds, self._go_on)
                    return
                case Awaits(message, line):
                    self._await(message, line)
                    return
                case Over():
                    self._end()
                    return

    def _say(self, message: Message) -> None:
        self._awaited.clear()
        # Not by sendMessage, which raises above a limit that is meant for the client.
        self.sendFrame(opcode=2 if message.is_binary else 1, payload=payload_of(message))

    def _await(self, message: Message, line: int) -> None:
        if line != self._line:
            self._line = line
            what = message.type or "a message without a type"
            text = f"waits for the client's {what}, at {message.at:.3f} s, line {line}"
            self._awaited.set(AWAITED_SECONDS, partial(self._tell, text))

    def _end(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._awaited.clear()
        match self._recording.end:
            case Closed(by="upstream", code=code):
                how = "without a code" if code is None else f"with {code}"
                self._tell(f"played to its end; closes {how}, as the upstream did")
                self.sendCloseFrame(code, None if code is None else b"")
            case Closed(by=by):
                self._tell(f"played to its end; waits for the client's end, since the {by} closed")
            case Cut(why=why):
                self._tell(f"played to where the recording ends: {why}")
                self.sendCloseFrame(1011, ENDS_HERE)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop the timers."""
        if self._replay is not None and not self._is_over:
            self._tell(f"the client left before line {self._replay.line}")
        self._replay = None
        self._pause.clear()
        self._awaited.clear()
        super().connectionLost(reason)
