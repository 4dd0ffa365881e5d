"""Honest sessions beside a load, which must not notice it."""

from __future__ import annotations

import asyncio
import ssl
from hashlib import sha1
from itertools import product
from random import Random
from time import monotonic

from chaos.accepting import number_of
from chaos.chains import Chain, sizes
from chaos.peers import FIRST, Peer
from chaos.relays import Relay
from picows import WSCloseCode, WSMsgType, WSTransport, WSUpgradeRequest, ws_connect

WORD_SECONDS = 0.02
"""From one word of a bystander to the next."""

OVER_SECONDS = 15.0
"""Until a session has been left open: longer than all of the relay's deadlines together."""

LEGS = tuple(product(("plain", "tls"), repeat=2))
"""Downstream's, and upstream's."""


class Honest(Peer):
    """
    One end of a bystander: sends a chain and follows the other's.

    @ivar faults: what should not have come.
    """

    def __init__(self, name: str, other: str, first: bool) -> None:
        super().__init__()
        self.sent, self.received = Chain(hash_of(name)), Chain(hash_of(other))
        self.faults: list[str] = []
        self._random = Random(name)
        self._hears_first = first
        self._blocked = False

    def say(self) -> None:
        """A message more, unless the last ones are still on their way."""
        if self._blocked or self.ended.done() or self.close is not None:
            return
        kind = self._random.choice((WSMsgType.TEXT, WSMsgType.BINARY))
        (size,) = sizes(self._random, 1)
        self.transport.send(kind, self.sent.message(size, kind is WSMsgType.BINARY))

    def message(self, payload: bytes, binary: bool) -> None:
        """Follow it."""
        if self._hears_first:
            self._hears_first = False
            if payload != FIRST:
                self.faults.append(f"first came {payload[:50]!r}")
        elif not self.received.follows(payload, binary):
            self.faults.append(f"not message {self.received.count - 1}: {payload[:50]!r}")

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False


class HonestUpstream(Honest):
    """Says its first word."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        transport.send(WSMsgType.TEXT, FIRST)


def hash_of(name: str) -> int:
    """A seed of a chain, the same in every run."""
    return int.from_bytes(sha1(name.encode()).digest()[:16], "big")


class Bystanders:
    """
    Sessions that go on whatever becomes of the others.

    For L{upstream} they are the upstream ends, by the number in C{intent}.
    """

    def __init__(self) -> None:
        self._upstreams: dict[int, HonestUpstream] = {}
        self._downstreams: dict[int, Honest] = {}

    def __call__(self, asked: WSUpgradeRequest) -> HonestUpstream:
        number = number_of(asked.path)
        made = HonestUpstream(f"up {number}", f"down {number}", first=False)
        self._upstreams[number] = made
        return made

    async def open(self, running: Relay, number: int, client: ssl.SSLContext) -> None:
        """One more."""
        downstream, leg = LEGS[number % len(LEGS)]
        made = Honest(f"down {number}", f"up {number}", first=True)
        scheme, port = ("ws", running.port) if downstream == "plain" else ("wss", running.tls_port)
        url = f"{scheme}://127.0.0.1:{port}/v1/realtime?model=honest-{leg}&intent={number}"
        context = client if scheme == "wss" else None
        await ws_connect(lambda: made, url, ssl_context=context)
        self._downstreams[number] = made

    @property
    def _ends(self) -> list[Honest]:
        return [*self._downstreams.values(), *self._upstreams.values()]

    async def talk(self) -> None:
        """Until cancelled."""
        while True:
            for end in self._ends:
                end.say()
            await asyncio.sleep(WORD_SECONDS)

    def check(self) -> None:
        """Nobody has touched them."""
        for end in self._ends:
            assert not end.faults
            assert end.close is None, f"a bystander was closed: {end.close}"
            assert not end.ended.done(), "a bystander was cut"

    async def finish(self) -> int:
        """All that was said comes, then they close; how many messages that were."""
        until = monotonic() + OVER_SECONDS
        pairs = [(down, self._upstreams[at]) for at, down in self._downstreams.items()]
        for down, up in pairs:
            while (down.received, up.received) != (up.sent, down.sent):
                self.check()
                assert monotonic() < until, "a bystander's message is lost"
                await asyncio.sleep(0.01)
        for down, up in pairs:
            down.transport.send_close(WSCloseCode.OK)
            await asyncio.wait_for(asyncio.gather(down.ended, up.ended), OVER_SECONDS)
            assert (down.close, up.close) == ((1000, ""), (1000, ""))
            assert not [*down.faults, *up.faults]
        return sum(down.sent.count + up.sent.count for down, up in pairs)
