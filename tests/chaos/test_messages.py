"""Nothing is lost, doubled or moved between the ends of a session, in either plane."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trustme
from chaos.peers import FIRST, ChainPeer, upstream
from chaos.relays import PATIENT, Relay, relay, upstream_table
from chaos.scale import run, scaled
from picows import WSMsgType, WSTransport, WSUpgradeRequest, ws_connect

SESSIONS = scaled(60, 1000)
MESSAGES = scaled(6000, 1_000_000)
"""Of all sessions, half in each direction."""

AT_ONCE = 50
"""Sessions that are being opened."""

PATIENCE = scaled(30, 600)


class Upstream(ChainPeer):
    """Says its first word, and its chain when it may."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        transport.send(WSMsgType.TEXT, FIRST)


class Downstream(ChainPeer):
    """Hears the first word before all else."""

    heard = False

    def message(self, payload: bytes, binary: bool) -> None:
        """The first message is not of the chain."""
        if self.heard:
            super().message(payload, binary)
            return
        self.heard = True
        if payload != FIRST:
            self.faults.append(f"first came {payload[:50]!r}")


class Pair:
    """
    The two ends of one session.

    By turns one of them closes, at once behind its own last message, or when it has all of the
    other's too.

    @ivar upstream: L{None} until it is connected.
    """

    def __init__(self, number: int, count: int) -> None:
        self.number = number
        self.count = count
        self.closer = ("downstream", "upstream")[number % 2]
        self.waits = number % 4 < 2
        self.downstream = Downstream(2 * number, 2 * number + 1, count, self._awaits("downstream"))
        self.upstream: Upstream | None = None

    def _awaits(self, side: str) -> int | None:
        if side != self.closer:
            return None
        return self.count if self.waits else 0

    def meet(self) -> Upstream:
        """Upstream is connected, once."""
        assert self.upstream is None, "one session has one upstream"
        number = self.number
        self.upstream = Upstream(2 * number + 1, 2 * number, self.count, self._awaits("upstream"))
        return self.upstream

    def begin(self) -> None:
        """Both send from now on."""
        assert self.upstream is not None
        self.downstream.begin()
        self.upstream.begin()

    def check(self) -> int:
        """What came is what was sent; return how many messages that is known of."""
        down, up = self.downstream, self.upstream
        assert up is not None
        assert (down.faults, up.faults) == ([], [])
        closer, other = (down, up) if self.closer == "downstream" else (up, down)
        assert other.close == (1000, "")
        assert other.received == closer.sent
        assert closer.sent.count == self.count
        if self.waits:
            assert closer.received == other.sent
            assert other.sent.count == self.count
        return other.received.count + closer.received.count


class Pairs:
    """All sessions of a load, found by the model that the client asks for."""

    def __init__(self) -> None:
        self._pairs: dict[int, Pair] = {}

    def new(self, number: int, count: int) -> Pair:
        """One more."""
        self._pairs[number] = Pair(number, count)
        return self._pairs[number]

    def __call__(self, request: WSUpgradeRequest) -> Upstream:
        """The upstream end of one."""
        return self._pairs[int(request.path.rpartition(b"model=")[2])].meet()


async def load(running: Relay, pairs: Pairs, first: int, sessions: int, messages: int) -> int:
    """
    Open so many sessions, and when all are open let them send, and end.

    @return: the messages known to have come.
    """
    made = [pairs.new(first + at, messages // sessions // 2) for at in range(sessions)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def connect(pair: Pair) -> None:
        async with gate:
            await ws_connect(lambda: pair.downstream, f"{running.url}?model={pair.number}")

    await asyncio.gather(*map(connect, made))
    for pair in made:
        pair.begin()
    await asyncio.gather(*(pair.downstream.ended for pair in made))
    ends = [pair.upstream.ended for pair in made if pair.upstream is not None]
    await asyncio.gather(*ends)
    return sum(pair.check() for pair in made)


async def carried(folder: Path, plane: str, secure: bool) -> None:
    pairs = Pairs()
    async with AsyncExitStack() as stack:
        context, ca_file = certified(folder) if secure else (None, None)
        port = await stack.enter_async_context(upstream(pairs, context))
        config = f'plane = "{plane}"\n' + PATIENT + upstream_table(port, ca_file=ca_file)
        running = await stack.enter_async_context(relay(folder, config))
        # The first ones make it keep what it keeps.
        await load(running, pairs, 0, SESSIONS, MESSAGES // 4)
        async with running.checked():
            known = await load(running, pairs, SESSIONS, SESSIONS, MESSAGES)
            print(f"\n{known:,} messages followed of {MESSAGES:,}")


def certified(folder: Path) -> tuple[ssl.SSLContext, Path]:
    authority, path = trustme.CA(), folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context, path


@pytest.mark.parametrize(
    ("plane", "secure"),
    [("splice", False), ("message", False), ("splice", True), ("message", True)],
)
def test_no_message_is_lost_doubled_or_moved(tmp_path: Path, plane: str, secure: bool) -> None:
    run(carried(tmp_path, plane, secure), PATIENCE)
