"""
Real sockets on loopback, all in one reactor, under a time that only the test moves.

The relay gets a L{SteppedReactor}: what it does at once happens by itself, what it does by a
deadline happens when a test says so. So nothing here depends on how fast the machine is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from integration.canary import CANARY, traces_in
from twisted.internet import reactor as _installed
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from relay import HoldRecord, RelayFactory, Upstream
from relay.admission.evenly import EVEN_SECONDS
from relay.telemetry.lines import LogRecords
from relay.testing import RecordingListener

REACTOR: Any = _installed
"""The one reactor. "Any", for no interface names all that a reactor does."""

BOUND = 10.0
"""Seconds after which a wait has failed."""


HOLD, LINGER = 8.0, 3.0
"""The defaults of C{hold_seconds} and C{linger_seconds}."""

OF_UPSTREAM = ("ca_file", "client_certificate", "credential", "proxy")
"""Options that every upstream of a relay gets."""


async def until(holds: Callable[[], object], what: str) -> None:
    """
    Let the reactor turn until something holds.

    @raise AssertionError: if it never does, with C{what} was waited for.
    """
    end = REACTOR.seconds() + BOUND
    while not holds():
        assert REACTOR.seconds() < end, f"waited in vain: {what}"
        await deferLater(REACTOR, 0)


class SteppedReactor(Clock):
    """
    The reactor's sockets, and a time of its own.

    @ivar connecting: how many TCP connections were begun.
    """

    def __init__(self) -> None:
        super().__init__()
        self.connecting = 0
        directlyProvides(self, providedBy(REACTOR))

    def __getattr__(self, name: str) -> Any:
        return getattr(REACTOR, name)

    def callLater(self, delay: float, *args: Any, **options: Any) -> Any:
        """What only waits for the next turn gets it; what waits for a time waits for the test."""
        if delay == 0:
            return REACTOR.callLater(0, *args, **options)
        return super().callLater(delay, *args, **options)

    def connectTCP(self, *args: Any, **options: Any) -> Any:
        """Count it."""
        self.connecting += 1
        return REACTOR.connectTCP(*args, **options)

    def has_due(self, seconds: float) -> bool:
        """Whether some call is due in that time."""
        end = self.seconds() + seconds
        return any(call.getTime() <= end for call in self.getDelayedCalls())


class RawClient(Protocol):
    """
    A downstream that writes bytes and keeps what comes.

    @ivar lost: why the connection ended; L{None} while it is there.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.lost: Failure | None = None

    def send(self, data: bytes) -> None:
        """Write."""
        self.transport.write(data)

    def leave(self) -> None:
        """End the connection by a FIN."""
        self.transport.loseConnection()

    def die(self) -> None:
        """End the connection by a reset."""
        self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Keep why."""
        self.lost = reason

    async def closed(self) -> bytes:
        """Wait for the relay to end the connection properly; return all it sent."""
        await until(lambda: self.lost is not None, f"end of connection after {self.received!r}")
        assert self.lost is not None
        assert self.lost.check(ConnectionDone), f"{self.lost.value!r} after {self.received!r}"
        return self.received


class Heard(RecordingListener):
    """What the relay's listener was told."""

    def one_refusal(self) -> HoldRecord:
        """The record of the one refusal, and of nothing else, that was told."""
        assert (self.openings, self.ends) == ([], [])
        (record,), (refusal,) = self.holds, self.refusals
        assert record.outcome == (refusal.code if refusal else "left")
        return record


class Relay(RelayFactory):
    """
    The relay under test.

    @ivar heard: what its listener was told.
    @ivar arrived: how many bytes its connections have read.
    @ivar port: where it listens.
    """

    port = 0

    def __init__(self, upstreams: list[Upstream], **options: Any) -> None:
        self.heard = Heard()
        self.arrived = 0
        super().__init__(upstreams, listeners=[self.heard, LogRecords()], **options)

    def buildProtocol(self, addr: Any) -> Any:
        """Count what its connection reads."""
        front = super().buildProtocol(addr)
        read = front.dataReceived

        def count(data: bytes) -> None:
            self.arrived += len(data)
            read(data)

        front.dataReceived = count  # type: ignore[method-assign]
        return front


def _key(url: str, credential: Any = CANARY, proxy: object = None, **_: object) -> Any:
    return None if proxy is not None and url.startswith("ws:") else credential


class Loopback:
    """All that a test has open."""

    def __init__(self) -> None:
        self.clock = SteppedReactor()
        self.clients: list[RawClient] = []
        self._ports: list[Any] = []
        self._calls = set(REACTOR.getDelayedCalls())
        self._sockets = self._open_sockets()

    def _open_sockets(self) -> set[Any]:
        return {*REACTOR.getReaders(), *REACTOR.getWriters()} - set(self._ports)

    def listen(self, factory: Factory, tls: Any = None) -> int:
        """Listen on a free port, and return it."""
        options = {"interface": "127.0.0.1"}
        if tls is None:
            port = REACTOR.listenTCP(0, factory, **options)
        else:
            port = REACTOR.listenSSL(0, factory, tls, **options)
        self._ports.append(port)
        return int(port.getHost().port)

    def relay(self, *urls: str, **options: Any) -> Relay:
        """
        A relay to these upstreams, tried in this order. Their key is the canary unless
        C{credential} is given; one that would be sent in clear by a proxy has none.
        """
        names = ("openai", "second", "third")
        more = {name: options.pop(name) for name in OF_UPSTREAM if name in options}
        upstreams = [
            Upstream(url, name, priority=place, **{**more, "credential": _key(url, **more)})
            for place, (url, name) in enumerate(zip(urls, names, strict=False))
        ]
        relay = Relay(upstreams, **{"reactor": self.clock, **options})
        relay.port = self.listen(relay)
        return relay

    async def connect(self, relay: Relay, client: RawClient | None = None) -> RawClient:
        """A client that is connected to the relay."""
        client = client or RawClient()
        self.clients.append(client)
        REACTOR.connectTCP("127.0.0.1", relay.port, ClientFactory.forProtocol(lambda: client))
        await until(lambda: client.connected, "a connection to the relay")
        return client

    async def time_out(self, seconds: float) -> None:
        """Wait until a deadline of so many seconds runs, and let it pass."""
        await until(lambda: self.clock.has_due(seconds), f"a deadline of {seconds} s")
        self.clock.advance(seconds)

    async def answered(self, client: RawClient) -> bytes:
        """Wait for the answer to a client, also if that is to come no sooner than other 401s."""

        def is_there() -> bool:
            if self.clock.has_due(EVEN_SECONDS):
                self.clock.advance(EVEN_SECONDS)
            return b"\r\n\r\n" in client.received

        await until(is_there, "an answer")
        return client.received

    async def settled(self, relay: Relay, lingering: bool = False) -> None:
        """
        Wait until nothing of any connection is left, on either side.

        @param lingering: let the time pass that the relay gives to who answers no Close.
        """

        def is_settled() -> bool:
            if lingering and self.clock.has_due(LINGER):
                self.clock.advance(LINGER)
            return not self._left()

        await until(is_settled, "nothing left open")
        assert (relay.active_holds, relay.active_sessions) == (0, 0)

    def _left(self) -> list[object]:
        calls = [*self.clock.getDelayedCalls(), *(set(REACTOR.getDelayedCalls()) - self._calls)]
        return [*calls, *(self._open_sockets() - self._sockets)]

    async def close(self) -> None:
        """Close what is still open. The key must not have come to any client."""
        for port in self._ports:
            await port.stopListening()
        for client in self.clients:
            client.die()
        await until(lambda: all(client.lost for client in self.clients), "the clients' ends")
        for client in self.clients:
            assert not traces_in(client.received), client.received
