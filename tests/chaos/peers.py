"""The WebSockets at both ends: honest ones, by C{picows}."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from time import perf_counter

from chaos.chains import Chain, sizes
from chaos.faults import ABORT
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
    ws_create_server,
)

FIRST = b'{"type":"session.created","event_id":"event_1","session":{"id":"sess_1"}}'

DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)

OPEN_SECONDS = 120.0
"""Until a session that does not open is given up: a relay may have been stopped."""

BURST = 16
"""Messages that one side sends at once, at most; then others have their turn."""


class Peer(WSListener):
    """
    One end of a session.

    @ivar ended: fires when the connection is gone.
    @ivar close: code and reason of the Close that came.
    """

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.close: tuple[int | None, str] | None = None
        self._parts: list[bytes] = []
        self._binary = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in DATA:
            if frame.msg_type is not WSMsgType.CONTINUATION:
                self._binary = frame.msg_type is WSMsgType.BINARY
            self._parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                parts, self._parts = self._parts, []
                self.message(b"".join(parts), self._binary)
        elif frame.msg_type is WSMsgType.CLOSE:
            payload = frame.get_payload_as_bytes()
            code = int.from_bytes(payload[:2], "big") if payload else None
            self.close = code, payload[2:].decode()
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.ended.set_result(None)

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass

    def message(self, payload: bytes, binary: bool) -> None:
        """A whole message came."""


class Echo(Peer):
    """An upstream that says what it hears."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        transport.send(WSMsgType.TEXT, FIRST)

    def message(self, payload: bytes, binary: bool) -> None:
        """Say it."""
        self.transport.send(WSMsgType.BINARY if binary else WSMsgType.TEXT, payload)


class Flood(Echo):
    """An upstream that sends without end, as fast as it is read."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self._blocked = False
        self._send()

    def _send(self) -> None:
        if self._blocked or self.close is not None or self.ended.done():
            return
        self.transport.send(WSMsgType.BINARY, bytes(65536))
        asyncio.get_running_loop().call_soon(self._send)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._send()

    def message(self, payload: bytes, binary: bool) -> None:
        """Of no interest."""


class Deaf(Echo):
    """An upstream that reads nothing once it is open, no Ping either."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        transport.underlying_transport.pause_reading()

    def hang_up(self) -> None:
        """Deaf as it is, it does not notice the end."""
        self.transport.disconnect(graceful=False)

    def reset(self) -> None:
        """End the connection by a RST."""
        underlying = self.transport.underlying_transport
        underlying.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        underlying.abort()


class Caller(Peer):
    """
    A client of an echo: sends a text, and when that is back the next one.

    @ivar first: fires when upstream's first event is there, or the connection is gone.
    @ivar trips: seconds that each took.
    @ivar wrong: what came back and had not been sent.
    """

    def __init__(self, size: int = 200) -> None:
        super().__init__()
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.trips: list[float] = []
        self.wrong: list[bytes] = []
        self._size = size
        self._over = False
        self._sent = b""

    def message(self, payload: bytes, binary: bool) -> None:
        """The first event, or what was sent."""
        if not self.first.done():
            self.first.set_result(None)
        elif payload == self._sent:
            self.trips.append(perf_counter() - self._began)
        else:
            self.wrong.append(payload)
        self._next()

    def _next(self) -> None:
        if self._over:
            self.transport.send_close(WSCloseCode.OK)
            return
        self._sent = (b"%d " % len(self.trips)).ljust(self._size, b".")
        self._began = perf_counter()
        self.transport.send(WSMsgType.TEXT, self._sent)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        super().on_ws_disconnected(transport)
        if not self.first.done():
            self.first.set_result(None)

    async def finish(self) -> None:
        """Close when the next echo is back."""
        self._over = True
        await self.ended


class ChainPeer(Peer):
    """
    Sends a chain and follows the other side's.

    Some messages go in two frames, with a Ping in between.

    @ivar sent: its own chain.
    @ivar received: the other side's, as it came.
    @ivar faults: what should not have come.
    @param seed: of its own chain.
    @param other: seed of the other side's.
    @param count: messages to send.
    @param awaited: messages that must have come before it closes; L{None}: it does not close.
    """

    def __init__(self, seed: int, other: int, count: int, awaited: int | None) -> None:
        super().__init__()
        self.sent, self.received = Chain(seed), Chain(other)
        self.faults: list[str] = []
        self._random = Random(seed)
        self._sizes = sizes(self._random, count)
        self._awaited = awaited
        self._blocked = False

    def begin(self) -> None:
        """Send a burst, and see to the next one."""
        if self._blocked or self.ended.done() or self.close is not None:
            return
        for _ in range(self._random.randint(1, BURST)):
            if not self._sizes or self._blocked:
                break
            self._send(self._sizes.pop())
        if self._sizes:
            asyncio.get_running_loop().call_soon(self.begin)
        else:
            self._close_if_over()

    def _send(self, size: int) -> None:
        kind = WSMsgType.BINARY if self._random.random() < 0.5 else WSMsgType.TEXT
        message = self.sent.message(size, kind is WSMsgType.BINARY)
        if self._random.random() < 0.9:
            self.transport.send(kind, message)
            return
        middle = self._random.randint(0, size)
        self.transport.send(kind, message[:middle], False)
        self.transport.send_ping(b"between")
        self.transport.send(WSMsgType.CONTINUATION, message[middle:])

    def _close_if_over(self) -> None:
        if self._awaited is not None and self.received.count >= self._awaited and not self._sizes:
            self._awaited = None
            self.transport.send_close(WSCloseCode.OK)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self.begin()

    def message(self, payload: bytes, binary: bool) -> None:
        """Follow it."""
        if self.close is not None:
            self.faults.append("a message behind the Close")
        elif not self.received.follows(payload, binary):
            self.faults.append(f"not message {self.received.count - 1}: {payload[:50]!r}")
        self._close_if_over()


async def call(url: str, size: int = 200) -> Caller:
    """A session that has its first event; L{Caller.close} tells if it ended instead."""
    caller = Caller(size)
    await ws_connect(lambda: caller, url, websocket_handshake_timeout=OPEN_SECONDS)
    await caller.first
    return caller


@asynccontextmanager
async def upstream(
    listener: Callable[[WSUpgradeRequest], WSListener],
    context: ssl.SSLContext | None = None,
    pongs: bool = True,
) -> AsyncIterator[int]:
    """
    An upstream in this process; its port.

    @param pongs: whether Pings are answered at once, and not by the listener.
    """
    server = await ws_create_server(
        listener, "127.0.0.1", 0, ssl=context, backlog=1024, enable_auto_pong=pongs
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def echo(request: WSUpgradeRequest) -> Echo:
    """For L{upstream}."""
    return Echo()
