"""A session as the load generator has it, and the count of what became of all of them."""

from __future__ import annotations

import asyncio
from array import array
from collections import deque
from functools import partial
from time import perf_counter

from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

OPEN_SECONDS = 20.0
"""Time for one session to be opened and have its first event."""

GIVE_UP = 100
"""So many sessions that do not open are enough: each may take L{OPEN_SECONDS}."""

DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)


def message(size: int) -> bytes:
    """An event as speech apps send it, of so many bytes."""
    start, end = b'{"type":"input_audio_buffer.append","audio":"', b'"}'
    return start + b"A" * (size - len(start) - len(end)) + end


class Tally:
    """
    What all sessions of a load have seen.

    @ivar message: what they send.
    @ivar trips: round trips, in seconds.
    @ivar refused: sessions that did not open.
    @ivar untried: sessions that were not opened any more after so many failed.
    @ivar lost: sessions that ended and should not have.
    @ivar wrong: echoes that were not as long as what was sent.
    @ivar over: whether sessions may end now.
    """

    def __init__(self, size: int) -> None:
        self.message = message(size)
        self.trips: array[float] = array("d")
        self.refused = self.untried = self.lost = self.wrong = 0
        self.over = False

    def failures(self) -> dict[str, int]:
        """By kind."""
        return {
            "refused": self.refused,
            "untried": self.untried,
            "lost": self.lost,
            "wrong": self.wrong,
        }


class Session(WSListener):
    """
    One session.

    @ivar first: fires with the first message, fails if the connection is lost before.
    @ivar ended: fires when the connection is gone.
    @ivar echoes: messages that came back.
    @ivar repeat: whether each echo is answered with the next message.
    """

    def __init__(self, tally: Tally) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.echoes = 0
        self.repeat = False
        self._tally = tally
        self._sent: deque[float] = deque()
        self._length = 0
        self._closing = False

    @property
    def unanswered(self) -> int:
        """Messages that have not come back."""
        return len(self._sent)

    def send(self) -> None:
        """Send one message, if the session still lives."""
        if not self.ended.done():
            self._sent.append(perf_counter())
            self._transport.send(WSMsgType.TEXT, self._tally.message)

    def close(self) -> None:
        """Begin the closing handshake; L{ended} fires when it is done."""
        self._closing = True
        self._transport.send_close(WSCloseCode.OK)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in DATA:
            self._length += frame.payload_size
            if frame.fin:
                length, self._length = self._length, 0
                self._received(length)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.ended.set_result(None)
        if not self.first.done():
            self.first.set_exception(ConnectionError("lost before the first event"))
            # It may be that nobody waits for it any more.
            self.first.exception()
        elif not self._closing and not self._tally.over:
            self._tally.lost += 1

    def _received(self, length: int) -> None:
        if not self.first.done():
            self.first.set_result(None)
        elif self._sent and length == len(self._tally.message):
            # One session's echoes come in the order it sent.
            self._tally.trips.append(perf_counter() - self._sent.popleft())
            self.echoes += 1
            if self.repeat:
                self.send()
        else:
            self._tally.wrong += 1


async def open_session(url: str, tally: Tally) -> Session | None:
    """A session that has its first event, or nothing, which is counted."""
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            make = partial(Session, tally)
            _, session = await ws_connect(make, url, websocket_handshake_timeout=OPEN_SECONDS)
            assert isinstance(session, Session)
            await session.first
            return session
    except (OSError, TimeoutError, WSError):
        tally.refused += 1
        return None


async def open_sessions(count: int, url: str, tally: Tally, at_once: int = 50) -> list[Session]:
    """As many of so many sessions as open."""
    gate = asyncio.Semaphore(at_once)

    async def one() -> Session | None:
        async with gate:
            if tally.refused >= GIVE_UP:
                tally.untried += 1
                return None
            return await open_session(url, tally)

    opened = await asyncio.gather(*(one() for _ in range(count)))
    return [session for session in opened if session is not None]
