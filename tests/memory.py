"""The relay in memory: one clock, no sockets, and far ends that do what a test says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from attrs import Factory, define, evolve, field

from relay import Admit, RelayFactory, Settings, Upstream
from relay.admission.static import require_keys
from relay.config.access import ClientKey, digest_of
from relay.testing.listener import RecordingListener
from relay.testing.peers import Line, Peer, client, server
from relay.testing.reactor import HERE, STEP, THERE, Reactor


def keyed(*keys: str) -> Admit:
    """What lets in whoever sends one of these keys."""
    known = tuple(ClientKey(f"key-{n}", digest_of(key)) for n, key in enumerate(keys, 1))
    return require_keys(lambda: known)


def last_words(peer: Peer) -> dict[str, Any]:
    """The error object that the relay sent before its Close; it is taken from what came."""
    event = json.loads(peer.received.pop())
    assert event["type"] == "error"
    error: dict[str, Any] = event["error"]
    assert error["type"] == "relay_error"
    return error


@define
class World:
    """
    A relay with one upstream, on one clock.

    @ivar at: what the settings' rules call the listener that a downstream connects to.
    @cvar plane: what the settings say.
    @cvar direct: whether the relay may use the connections' sockets.
    """

    plane: ClassVar[Any] = "auto"
    direct: ClassVar[bool] = True
    settings: Settings = field(factory=Settings)
    upstream: Upstream = field(factory=lambda: Upstream("ws://127.0.0.1:9000/v1/realtime"))
    upstreams: list[Upstream] = Factory(list)
    options: dict[str, Any] = Factory(dict)
    at: str | None = None
    reactor: Reactor = field(factory=Reactor)
    listener: RecordingListener = Factory(RecordingListener)
    factory: RelayFactory = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.factory = RelayFactory(
            self.upstreams or [self.upstream],
            reactor=self.reactor,
            settings=evolve(self.settings, plane=self.plane),
            **{"listeners": [self.listener], **self.options},
        )

    def accept(self) -> Line:
        """A downstream connects."""
        here = self.factory if self.at is None else self.factory.at(self.at)
        return self.wire(here.buildProtocol(THERE))

    def connected(self) -> Line:
        """The upstream accepts the connection that the relay last asked for."""
        _, _, factory, _, _ = self.reactor.tcpClients[-1]
        return self.wire(factory.buildProtocol(HERE))

    def wire(self, protocol: Any) -> Line:
        """The far end of a connection that has this protocol at the relay's end."""
        return Line(self.reactor, protocol, self.direct)

    def downstream(
        self,
        path: str = "/v1/realtime?model=m",
        agent: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Peer:
        """A downstream that has sent its upgrade request."""
        peer = Peer(self.accept(), client(path, **options))
        peer.ask({**({} if agent is None else {"User-Agent": agent}), **(headers or {})})
        return peer

    def answering(self, line: Line | None = None) -> Peer:
        """An upstream that has answered 101."""
        peer = Peer(line or self.connected(), server())
        peer.read()
        peer.answer()
        return peer

    def open(
        self, first: str | None = '{"type":"session.created"}', **options: Any
    ) -> tuple[Peer, Peer]:
        """An open session, downstream and upstream; upstream's first event is received."""
        downstream = self.downstream(**options)
        upstream = self.answering()
        if first is not None:
            upstream.send(first)
        downstream.read()
        return downstream, upstream

    def advance(self, seconds: float) -> None:
        """Time passes, in steps so small that every deadline fires on time."""
        self.reactor.pump([STEP] * round(seconds / STEP))

    def settle(self, *peers: Peer) -> None:
        """Let the peers read and answer until nothing moves."""
        for _ in range(4):
            for peer in peers:
                peer.read()

    def is_clean(self) -> bool:
        """Whether nothing is left: no hold, no session, no delayed call."""
        calls = self.reactor.getDelayedCalls()
        return not (self.factory.active_holds or self.factory.active_sessions or calls)
