"""The far ends of the relay's connections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import Factory, define
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from relay.testing.reactor import THERE, Reactor
from relay.testing.sockets import ROOM

ALL = 1 << 30
"""Bytes."""


class Line:
    """
    The far end of one connection, as bytes.

    What it does reaches the relay at once, unless the relay does not read.

    @ivar protocol: the relay's.
    @param direct: whether the relay may use the connection's socket.
    """

    def __init__(self, reactor: Reactor, protocol: Any, direct: bool = True) -> None:
        self.protocol = protocol
        self.transport = reactor.connect(protocol, ROOM, direct)
        self.socket = self.transport.end
        self._number = self.socket.fileno()
        self._reactor = reactor
        reactor.rest()

    @property
    def sent(self) -> bytes:
        """What the relay wrote and nobody has read yet."""
        return bytes(self.socket.outbound)

    @property
    def lost(self) -> Failure | None:
        """Why the connection ended; L{None} while it is there."""
        return self.transport.lost

    @property
    def ended(self) -> bool:
        """Whether the relay has said that it sends no more, and all of it is read."""
        return self.socket.is_ended

    @property
    def disconnecting(self) -> bool:
        """Whether the relay ends it once all is written."""
        return bool(self.transport.disconnecting)

    @property
    def paused(self) -> bool:
        """Whether the relay does not read."""
        return self._number not in [each.fileno() for each in self._reactor.getReaders()]

    def deliver(self, data: bytes) -> None:
        """Bytes arrive."""
        self.socket.deliver(data)
        self._reactor.rest()

    def take(self) -> bytes:
        """Read all there is, and what comes when there is room again."""
        parts = []
        self._reactor.rest()
        while part := self.socket.take(ALL):
            parts.append(part)
            self._reactor.rest()
        return b"".join(parts)

    def fin(self) -> None:
        """Send no more; a relay that does not read does not notice."""
        self.socket.fin()
        self._reactor.rest()

    def reset(self) -> None:
        """Drop the connection; a relay that neither reads nor writes does not notice."""
        self.socket.reset()
        self._reactor.rest()

    def lose(self) -> None:
        """End the connection, whether the relay looks for that or not."""
        self._reactor.rest()
        if self.transport.lost is None:
            self.transport.connectionLost(Failure(ConnectionDone()))
        self._reactor.rest()


def no_limits(sans: Any) -> Any:
    """C{websockets} caps messages at 1 MiB by default; the cap that counts is the relay's."""
    sans.max_message_size = sans.max_fragment_size = None
    return sans


def _select(_: ServerProtocol, offered: Sequence[Any]) -> Any:
    return "realtime" if "realtime" in offered else None


def client(path: str, **options: Any) -> Any:
    """A WebSocket client without input and output; for the options see C{websockets}."""
    return no_limits(ClientProtocol(parse_uri("ws://localhost:8080" + path), **options))


def server() -> Any:
    """A WebSocket server without input and output, which selects C{realtime} if it is offered."""
    return no_limits(ServerProtocol(select_subprotocol=_select))


@define(eq=False)
class Peer:
    """
    A WebSocket endpoint at the far end of a line.

    It speaks by the C{websockets} package, which shares no code with the relay and Autobahn.

    Unless it is one of its reactor's C{far_ends}, it reads only when told to.

    @ivar sans: that package's protocol.
    @ivar request: the upgrade request that came, if this is the server.
    @ivar response: its answer, if this is the client.
    @ivar received: messages, in order.
    @ivar pings: payloads of Pings.
    @ivar pongs: payloads of Pongs.
    @ivar close: code and reason of the Close that came.
    @ivar reads: whether it reads whatever comes, if it is one of a reactor's far ends.
    @ivar answers_close: whether it answers what must be answered.
    """

    line: Line
    sans: Any
    request: Request | None = None
    response: Response | None = None
    received: list[bytes | str] = Factory(list)
    pongs: list[bytes] = Factory(list)
    pings: list[bytes] = Factory(list)
    close: tuple[int | None, str] | None = None
    reads: bool = True
    answers_close: bool = True
    _fragments: list[bytes] = Factory(list)
    _is_text: bool = False
    _is_closing: bool = False

    @property
    def status(self) -> int | None:
        """The HTTP status that the client's upgrade was answered with; L{None} before that."""
        return None if self.response is None else self.response.status_code

    @property
    def error(self) -> dict[str, Any]:
        """The error object of a refusal, by its HTTP answer or in band."""
        assert self.response is not None, "no answer yet"
        told = self.received[0] if self.status == 101 else bytes(self.response.body)
        error: dict[str, Any] = json.loads(told)["error"]
        return error

    def ask(self, headers: Mapping[str, str] | None = None) -> None:
        """As a client, send the upgrade request."""
        request = self.sans.connect()
        for name, value in (headers or {}).items():
            request.headers.pop(name, None)
            request.headers[name] = value
        self.sans.send_request(request)
        self.flush()

    def answer(self) -> None:
        """As a server, answer 101 to the upgrade request that came."""
        self.sans.send_response(self.sans.accept(self.request))
        self.flush()

    def send(self, data: bytes | str) -> None:
        """Send one message."""
        if isinstance(data, str):
            self.sans.send_text(data.encode())
        else:
            self.sans.send_binary(data)
        self.flush()

    def send_close(self, code: int | None = None, reason: str = "") -> None:
        """Send a Close of any kind."""
        payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
        self._is_closing = True
        self.send_frame(Frame(Opcode.CLOSE, payload))

    def send_frame(self, frame: Frame) -> None:
        """Send any frame, valid or not."""
        mask = isinstance(self.sans, ClientProtocol)
        self.line.deliver(frame.serialize(mask=mask))

    def flush(self) -> None:
        """Put what the endpoint has to send on the line."""
        for data in self.sans.data_to_send():
            if data:
                self.line.deliver(data)

    def read(self) -> bool:
        """Read all that is on the line and answer it; return whether there was anything."""
        data = self.line.take()
        if data:
            self.sans.receive_data(data)
        for event in self.sans.events_received():
            self._take(event)
        if self.answers_close and not self._is_closing:
            self.flush()
        else:
            self.sans.data_to_send()
        if self.answers_close and self.line.ended:
            self.line.fin()
        return bool(data)

    def moves(self) -> bool:
        """Read, if it reads, and as the server hang up behind both Closes."""
        moved = self.reads and self.read()
        if moved and self.close and self.answers_close and isinstance(self.sans, ServerProtocol):
            self.line.fin()
        return moved

    def _take(self, event: Any) -> None:
        if isinstance(event, Frame):
            self._take_frame(event, bytes(event.data))
        elif isinstance(event, Request):
            self.request = event
        else:
            self.response = event

    def _take_frame(self, frame: Frame, data: bytes) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            self._take_data(frame, data)
        elif frame.opcode is Opcode.PONG:
            self.pongs.append(data)
        elif frame.opcode is Opcode.PING:
            self.pings.append(data)
        elif frame.opcode is Opcode.CLOSE:
            code = int.from_bytes(data[:2], "big") if data else None
            self.close = (code, data[2:].decode())

    def _take_data(self, frame: Frame, data: bytes) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._fragments.append(data)
        if frame.fin:
            message, self._fragments = b"".join(self._fragments), []
            self.received.append(message.decode() if self._is_text else message)


def connect(
    reactor: Reactor,
    factory: Any,
    path: str = "/v1/realtime?model=gpt-realtime",
    headers: Mapping[str, str] | None = None,
    **options: Any,
) -> Peer:
    """
    Connect a client to the relay and send its upgrade request. The client reads by itself.

    @param factory: the L{relay.RelayFactory}, or what your app has wrapped around it.
    @param headers: fields of the request, in place of those of the same names.
    @param options: of the C{websockets} package's C{ClientProtocol}, such as C{subprotocols}.
    """
    peer = Peer(Line(reactor, factory.buildProtocol(THERE)), client(path, **options))
    reactor.far_ends.append(peer)
    peer.ask(headers)
    reactor.settle()
    return peer
