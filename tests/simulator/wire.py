"""A simulator on the wire, in memory, and the client side of C{websockets}."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.test.iosim import FakeTransport
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from relay.simulator import SimulatorFactory

Event = dict[str, Any]
DELTA_SECONDS = 0.125
SLOW_SECONDS = 2.0


class Transport(FakeTransport):
    """
    Remembers how it was ended, and whether it reads.

    @ivar full: whether its buffer overflows at each write.
    """

    producer: Any
    aborted = False
    reading = True
    full = False

    def write(self, data: bytes) -> None:
        super().write(data)
        if self.full:
            self.producer.pauseProducing()

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def pauseProducing(self) -> None:
        self.reading = False

    def resumeProducing(self) -> None:
        self.reading = True


@dataclass
class Wire:
    """
    A simulator and one client, with the network between them.

    @ivar neighbour: another client of the same simulator.
    """

    query: str = "?model=gpt-realtime"
    path: str = "/v1/realtime"
    subprotocols: tuple[str, ...] = ()
    clock: Clock = field(default_factory=Clock)
    events: list[Event] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    response: Response | None = None
    received: bytes = b""
    neighbour: Wire | None = None
    lost: bool = False

    def __post_init__(self) -> None:
        numbers: Iterator[int] = count()
        self.factory = SimulatorFactory(
            self.clock,
            delta_seconds=DELTA_SECONDS,
            slow_seconds=SLOW_SECONDS,
            new_id=lambda kind: f"{kind}_{next(numbers)}",
            now=lambda: 1_700_000_000,
        )
        if self.neighbour is not None:
            self.factory, self.clock = self.neighbour.factory, self.neighbour.clock
        address = IPv4Address("TCP", "127.0.0.1", 1)
        self.protocol = self.factory.buildProtocol(address)
        self.transport = Transport(self.protocol, True, address, address)
        self.protocol.makeConnection(self.transport)
        self.client = ClientProtocol(
            parse_uri(f"ws://127.0.0.1{self.path}{self.query}"),
            subprotocols=[Subprotocol(name) for name in self.subprotocols] or None,
            max_size=None,
        )

    def shake(self) -> Response | None:
        """Send the client's head; what comes back."""
        self.client.send_request(self.client.connect())
        self.pump()
        return self.response

    def pump(self) -> None:
        """Move all bytes there are; end the connection if the simulator does."""
        for data in self.client.data_to_send():
            if data and not self.lost:
                self.protocol.dataReceived(data)
        data = self.transport.getOutBuffer() or b""
        self.received += data
        self.client.receive_data(data)
        for event in self.client.events_received():
            if isinstance(event, Response):
                self.response = event
            elif isinstance(event, Frame):
                self.take(event)
        if self.transport.disconnecting and not self.lost:
            self.lose(ConnectionAborted() if self.transport.aborted else ConnectionDone())
            self.client.receive_eof()

    def take(self, frame: Frame) -> None:
        self.frames.append(frame)
        if frame.opcode is Opcode.TEXT:
            self.events.append(json.loads(bytes(frame.data)))

    def lose(self, why: Exception | None = None) -> None:
        self.lost = True
        self.protocol.connectionLost(Failure(why or ConnectionDone()))

    def say(self, kind: str, **fields: object) -> None:
        self.send(json.dumps({"type": kind, **fields}).encode())

    def send(self, payload: bytes) -> None:
        self.client.send_text(payload)
        self.pump()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.pump()

    def types(self) -> list[str]:
        """The types of the events received since the last look."""
        found = [event["type"] for event in self.events]
        self.events.clear()
        return found

    def close(self) -> tuple[int, str]:
        """The one Close received."""
        (frame,) = [frame for frame in self.frames if frame.opcode is Opcode.CLOSE]
        return int.from_bytes(frame.data[:2], "big"), bytes(frame.data[2:]).decode()

    def speaking(self) -> None:
        """Get an answer of three deltas going."""
        self.append(bytes(12_288 * 3))
        self.say("input_audio_buffer.commit")
        self.say("response.create")
        self.types()

    def append(self, samples: bytes) -> None:
        self.say("input_audio_buffer.append", audio=b64encode(samples).decode())


def opened(model: str = "gpt-realtime", **fields: Any) -> Wire:
    """A wire past its handshake."""
    wire = Wire(f"?model={model}", **fields)
    response = wire.shake()
    assert response is not None
    assert response.status_code == 101
    return wire
