"""
Upstreams that do as a test says: on each connection a list of steps, once.

Frames and heads are written here or by C{websockets}, never by what the relay reads them with.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Literal

from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key
from zope.interface import implementer

Cue = Literal["connection", "bytes", "request"]
"""When the steps are done: at once, at the first bytes, or when a request head is whole."""


class UpstreamPeer(Protocol):
    """
    One connection.

    @ivar received: what came, request head included.
    @ivar acted: whether the steps are done, and answered if one of them asks for that.
    @ivar lost: why the connection ended; L{None} while it is there.
    """

    transport: Any
    factory: Any

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None
        self.expected = 0
        self._begun = False

    @property
    def acted(self) -> bool:
        """See the class."""
        return self._begun and len(self.received) >= self.expected

    def connectionMade(self) -> None:
        """Be known to the port."""
        self.factory.peers.append(self)
        self._act(self.factory.cue == "connection")

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data
        self._act(self.factory.cue == "bytes" or b"\r\n\r\n" in self.received)

    def _act(self, cued: bool) -> None:
        if cued and not self._begun:
            self._begun = True
            for step in self.factory.steps:
                step(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep why."""
        self.lost = reason

    def header(self, name: str) -> str:
        """A header of the request."""
        for line in self.received.decode("latin-1").split("\r\n"):
            field, _, value = line.partition(":")
            if field.lower() == name:
                return value.strip()
        raise AssertionError(f"no {name} in {self.received!r}")


Step = Callable[[UpstreamPeer], None]


class UpstreamPort(Factory):
    """
    @ivar peers: every connection there ever was.
    """

    noisy = False
    protocol = UpstreamPeer

    def __init__(self, *steps: Step, cue: Cue = "request") -> None:
        self.steps = steps
        self.cue = cue
        self.peers: list[UpstreamPeer] = []

    @property
    def acted(self) -> bool:
        """Whether a connection came and has done its steps."""
        return any(peer.acted for peer in self.peers)


def sends(data: bytes) -> Step:
    """Write bytes."""
    return lambda peer: peer.transport.write(data)


def ends(peer: UpstreamPeer) -> None:
    """End the connection by a FIN."""
    peer.transport.loseConnection()


def resets(peer: UpstreamPeer) -> None:
    """End the connection by a reset, behind what was written."""
    peer.transport.doWrite()
    peer.transport.abortConnection()


def head(status: int, *fields: str) -> bytes:
    """A response head."""
    phrases = {member.value: member.phrase for member in HTTPStatus}
    lines = [f"HTTP/1.1 {status} {phrases.get(status, 'Odd')}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def answers(status: int, *fields: str, body: bytes = b"") -> Step:
    """Write a whole HTTP answer."""
    return sends(head(status, f"Content-Length: {len(body)}", *fields) + body)


def error(code: str | None, message: str = "said upstream", **fields: object) -> bytes:
    """OpenAI's error body."""
    return json.dumps({"error": {"code": code, "message": message, **fields}}).encode("ascii")


def error_event(code: str, message: str = "said upstream") -> bytes:
    """OpenAI's C{error} event, as a frame."""
    return text(json.dumps({"type": "error", "error": {"code": code, "message": message}}))


def switches(*frames: bytes, without: str = "", **changed: str) -> Step:
    """Write a 101, right but for what is changed or left out, and frames behind it."""

    def step(peer: UpstreamPeer) -> None:
        fields = {
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec_websocket_accept": accept_key(peer.header("sec-websocket-key")),
            **changed,
        }
        lines = [f"{k.replace('_', '-')}: {v}" for k, v in fields.items() if k != without]
        peer.transport.write(head(101, *lines) + b"".join(frames))

    return step


def frame(opcode: Opcode, payload: bytes, *, masked: bool = False) -> bytes:
    """One frame as a server writes it, or wrongly masked."""
    return Frame(opcode, payload).serialize(mask=masked)


def text(payload: str) -> bytes:
    """A text message."""
    return frame(Opcode.TEXT, payload.encode("utf-8"))


def binary(payload: bytes) -> bytes:
    """A binary message."""
    return frame(Opcode.BINARY, payload)


def closes(code: int, reason: str = "") -> bytes:
    """A Close with any code at all."""
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode("utf-8"))


def pings(peer: UpstreamPeer) -> None:
    """Ping; the steps count as done when the answer is here, masked and six bytes long."""
    peer.expected = len(peer.received) + 6
    peer.transport.write(frame(Opcode.PING, b""))


@implementer(IPullProducer)
class _Endless:
    """Writes a piece whenever there is room, up to far more than anybody should read."""

    def __init__(self, peer: UpstreamPeer, pieces: Iterator[bytes]) -> None:
        self._peer = peer
        self._pieces = pieces

    def resumeProducing(self) -> None:
        self._peer.transport.write(next(self._pieces))

    def stopProducing(self) -> None:
        pass


def sends_on(piece: bytes) -> Step:
    """Write the same again and again, until the relay has had enough."""

    def step(peer: UpstreamPeer) -> None:
        pieces = iter([piece] * (2**26 // len(piece)))
        peer.transport.registerProducer(_Endless(peer, pieces), False)

    return step


CREATED = text('{"type":"session.created","session":{"id":"sess_1"}}')
"""How OpenAI opens a session."""
