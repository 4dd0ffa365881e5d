"""An HTTP proxy that makes tunnels, and proxies that do not."""

from __future__ import annotations

from typing import Any

from integration.broken import Broken
from integration.loopback import HOLD, REACTOR
from integration.upstreams import answers, ends, head, resets, sends, sends_on
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.python.failure import Failure


class End(Protocol):
    """One end of a tunnel: what it receives goes to the other, no faster than that takes it."""

    transport: Any
    other: End | None = None
    is_lost = False

    def join(self, other: End) -> None:
        """Be one end, and the other the other."""
        for one, two in ((self, other), (other, self)):
            one.other = two
            one.transport.registerProducer(two.transport, True)

    def dataReceived(self, data: bytes) -> None:
        """Pass it on, if there is still somebody."""
        if self.other is not None:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The other end ends too."""
        self.is_lost = True
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            other.transport.unregisterProducer()
            other.transport.loseConnection()


class FarEnd(End):
    """The end at the upstream."""

    def __init__(self, near: ProxyPeer) -> None:
        self.near = near

    def connectionMade(self) -> None:
        """The tunnel is there, unless nobody wants it any more."""
        if self.near.is_lost:
            self.transport.loseConnection()
        else:
            self.near.transport.write(head(200))
            self.join(self.near)


class FarFactory(ClientFactory):
    """Makes the far end of a tunnel."""

    noisy = False

    def __init__(self, near: ProxyPeer) -> None:
        self.near = near

    def buildProtocol(self, addr: Any) -> FarEnd:
        """It."""
        return FarEnd(self.near)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        """There is no upstream."""
        self.near.transport.write(head(502))


class ProxyPeer(End):
    """
    One connection to the proxy.

    @ivar request: the head of what it was asked.
    """

    factory: Any

    def __init__(self) -> None:
        self.request = b""

    def connectionMade(self) -> None:
        """Be known to the port."""
        self.factory.peers.append(self)

    def dataReceived(self, data: bytes) -> None:
        """Connect to where the request says; nothing may come before the answer."""
        if self.other is not None:
            super().dataReceived(data)
            return
        self.request += data
        if self.request.endswith(b"\r\n\r\n"):
            method, target, _ = self.request.decode("ascii").split(" ", 2)
            assert method == "CONNECT", self.request
            host, _, port = target.rpartition(":")
            REACTOR.connectTCP(host, int(port), FarFactory(self))


class ProxyPort(Factory):
    """
    A good proxy.

    @ivar peers: every connection there ever was.
    """

    noisy = False
    protocol = ProxyPeer

    def __init__(self) -> None:
        self.peers: list[ProxyPeer] = []


_open = ("upstream_connect_failed", 502, True)
_shut = ("upstream_connect_failed", 502, False)
_late = ("upstream_timeout", 504, True)


def _broken(name: str, does: tuple[Any, ...], told: tuple[str, int, bool], **more: Any) -> Broken:
    return Broken(name, does, *told, stage="proxy", **more)


BROKEN_PROXIES = [
    # -- it answers, and there is no tunnel --------------------------------------------------
    _broken(
        "407",
        (answers(407, 'Proxy-Authenticate: Basic realm="x"', body=b"who?"),),
        _shut,
        says="proxy answered HTTP 407",
    ),
    _broken("403", (answers(403),), _shut, says="proxy answered HTTP 403"),
    _broken("502", (answers(502),), _open, says="proxy answered HTTP 502"),
    _broken("503 and then a FIN", (answers(503), ends), _open, says="proxy answered HTTP 503"),
    _broken("302", (answers(302, "Location: http://h/"),), _open, says="proxy answered HTTP 302"),
    _broken("a body that does not end", (sends(head(407)), sends_on(b"x" * 4096)), _shut),
    # -- it does not answer ------------------------------------------------------------------
    _broken("FIN at once", (ends,), _open, cue="connection", says="proxy dropped"),
    _broken("reset at once", (resets,), _open, cue="connection", says="proxy dropped"),
    _broken("FIN", (ends,), _open, says="proxy dropped"),
    _broken("reset", (resets,), _open, says="proxy dropped"),
    _broken("half an answer, then FIN", (sends(b"HTTP/1.1 20"), ends), _open, says="proxy dropped"),
    _broken("silence", (), _late, seconds=HOLD),
    _broken("half an answer, then silence", (sends(b"HTTP/1.1 20"),), _late, seconds=HOLD),
    _broken("endless 1xx", (sends_on(head(102)),), _late, seconds=HOLD),
    # -- what it says is no HTTP -------------------------------------------------------------
    _broken("garbage", (sends(bytes(range(256)) + b"\r\n\r\n"),), _open, says="as one"),
    _broken("an endless head", (sends_on(b"x" * 4096),), _open, says="as one"),
    _broken("TLS", (sends(b"\x15\x03\x03\x00\x02\x02\x28\r\n\r\n"),), _open, says="as one"),
]
"""Upstreams can play them: they wait for a request too."""

REFUSED = _broken("refused port", (), _open, says="proxy cannot be reached")
NO_NAME = _broken("no such name", (), _open, says="proxy cannot be reached")
