"""A fake upstream: it does with each connection as a script says."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from attrs import define
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IConnector
from twisted.python.failure import Failure

from relay.testing.peers import Line, Peer, server
from relay.testing.reactor import HERE, Reactor

CREATED = '{"type":"session.created","session":{"id":"sess_1"}}'
"""How OpenAI opens a session."""


@define(eq=False)
class Dialed:
    """One connection that the relay has begun to make."""

    _upstream: FakeUpstream
    _factory: Any
    _connector: Any

    def refuse(self, error: Exception | None = None) -> None:
        """Let it fail: the port is closed, unless another error is given."""
        reason = Failure(error or ConnectionRefusedError())
        self._factory.clientConnectionFailed(self._connector, reason)

    def accept(self) -> Peer:
        """Let it succeed; the upgrade request is the peer's C{request}, and not answered yet."""
        line = Line(self._upstream.reactor, self._factory.buildProtocol(HERE))
        peer = Peer(line, server())
        peer.read()
        self._upstream.peers.append(peer)
        self._upstream.reactor.far_ends.append(peer)
        return peer


Script = Callable[[Dialed], None]
"""What is done with one connection."""


class FakeUpstream:
    """
    An upstream in memory that reads all it is sent, and answers Pings and Closes.

    @ivar peers: its ends of the connections that it accepted, in order.
    @ivar url: for a L{relay.Upstream}.
    @param scripts: what is done with the first connection, the second and so on; the last one
        holds for all that follow. Without any, each gets a session.
    @param port: on 127.0.0.1; each upstream of a reactor needs its own.
    """

    def __init__(self, reactor: Reactor, *scripts: Script, port: int = 9000) -> None:
        self.reactor = reactor
        self.peers: list[Peer] = []
        self.url = f"ws://127.0.0.1:{port}/v1/realtime"
        self._scripts = list(scripts) or [opens()]
        reactor.listeners["127.0.0.1", port] = self._dialed

    def _dialed(self, factory: Any, connector: IConnector) -> None:
        script = self._scripts.pop(0) if self._scripts[1:] else self._scripts[0]
        script(Dialed(self, factory, connector))


def opens(*messages: str | bytes) -> Script:
    """Answer 101, then send these messages; C{session.created} if there are none."""

    def script(dialed: Dialed) -> None:
        peer = dialed.accept()
        peer.answer()
        for message in messages or (CREATED,):
            peer.send(message)

    return script


def rejects(code: str, message: str = "said upstream", close: int = 1008) -> Script:
    """Answer 101, then an C{error} event and a Close."""
    event = {"type": "error", "error": {"code": code, "message": message}}

    def script(dialed: Dialed) -> None:
        peer = dialed.accept()
        peer.answer()
        peer.send(json.dumps(event))
        peer.send_close(close)

    return script


def answers(status: int, body: bytes = b"", **fields: str) -> Script:
    """
    Answer the upgrade by this HTTP status.

    @param fields: more header fields, with C{_} for the hyphens of their names.
    """
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    top = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    head = "\r\n".join([top, f"Content-Length: {len(body)}", *lines, "", ""])
    return lambda dialed: dialed.accept().line.deliver(head.encode("ascii") + body)


def refuses_connections(dialed: Dialed) -> None:
    """Have the port closed."""
    dialed.refuse()


def says_nothing(dialed: Dialed) -> None:
    """Accept the connection, and answer nothing."""
    dialed.accept()


def opens_silently(dialed: Dialed) -> None:
    """Answer 101, and send no first event."""
    dialed.accept().answer()


def drops(dialed: Dialed) -> None:
    """Reset the connection on which the upgrade request came."""
    dialed.accept().line.reset()
