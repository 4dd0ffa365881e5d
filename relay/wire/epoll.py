"""The sockets of many lines behind one descriptor that the reactor watches."""

from __future__ import annotations

import select
from typing import Any, Protocol

from twisted.internet.interfaces import IReadDescriptor
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.timing.deadline import Deadline
from relay.timing.turns import TURN_SECONDS
from relay.wire.shares import HEAVY_SECONDS, Shares

_log = Logger()

LINES_A_TURN = 256
"""Most lines that are read or written in one turn of the reactor."""

SLICE_SECONDS = 0.0003
"""
Seconds that one read may take: a line whose read takes longer reads less next time. While it is
crowded, also the seconds until the hub looks again who else is ready.
"""

IN, OUT = getattr(select, "EPOLLIN", 1), getattr(select, "EPOLLOUT", 4)

RETRY_SECONDS = 0.1
"""Seconds until the next try to open an epoll, if there was no descriptor for it."""


class WatchedLine(Protocol):
    """
    A line, as the hub sees it: an L{IReadWriteDescriptor}.

    @ivar number: the number of its socket, also after the socket is closed.
    """

    number: int

    def fileno(self) -> int:
        """The number of its socket; -1 if the socket is closed."""

    def doRead(self) -> Exception | None:
        """Read what there is, or say how the connection ended."""

    def read_less(self) -> None:
        """Read less at once: what was read took longer than L{SLICE_SECONDS}."""

    def doWrite(self) -> Exception | None:
        """Write what waits, or say how the connection ended."""

    def connectionLost(self, reason: Failure) -> None:
        """The connection ended for this reason."""


@implementer(IReadDescriptor)
class Hub:
    """
    Watches many sockets by an epoll of its own, which the reactor watches.

    The reactor takes 2.8 µs for each descriptor that is ready (a context for its log, two checks).
    That is as much as all that the relay does with a message. The hub takes 0.3 µs.

    A socket is watched by the hub alone, for reading and for writing. If the reactor watched it
    too, both could find the same reset in one turn. The hub would close the socket, an accept could
    get its number, and the reactor would then end the new connection for the old one's reset.

    The hub has the methods of L{IReactorFDSet} that lines use, so that a reactor can stand in for
    it where there is no epoll.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: an L{IReactorFDSet} with L{IReactorTime}.
        """
        self._reactor = reactor
        self._watched: dict[int, tuple[WatchedLine, int]] = {}  # by number, with the event mask
        self._epoll: Any = None  # open only while there are lines
        self._opening = Deadline(reactor)
        self._shares = Shares()
        self._ready: list[tuple[int, int]] = []  # found by the epoll, and still to be served

    def addReader(self, line: WatchedLine) -> None:
        """Watch whether there is something to read."""
        self._watch(line, self._mask(line) | IN)

    def removeReader(self, line: WatchedLine) -> None:
        """No longer watch whether there is something to read."""
        self._watch(line, self._mask(line) & ~IN)

    def addWriter(self, line: WatchedLine) -> None:
        """Watch whether there is room to write."""
        self._watch(line, self._mask(line) | OUT)

    def removeWriter(self, line: WatchedLine) -> None:
        """No longer watch whether there is room to write."""
        self._watch(line, self._mask(line) & ~OUT)

    def _mask(self, line: WatchedLine) -> int:
        """The events watched for; 0 if none, or if the number is another line's by now."""
        watched, mask = self._watched.get(line.number, (None, 0))
        return mask if watched is line else 0

    def _watch(self, line: WatchedLine, mask: int) -> None:
        before = self._mask(line)
        is_closed = line.fileno() != line.number
        if mask == before or (is_closed and not before):
            return
        if mask:
            self._watched[line.number] = (line, mask)
        else:
            del self._watched[line.number]
        if self._epoll is None:
            self._open_or_not()
            return
        if not before:
            self._epoll.register(line.number, mask)
        elif not is_closed:  # the kernel takes a closed socket out of the epoll by itself
            self._epoll.modify(line.number, mask) if mask else self._epoll.unregister(line.number)
        if not self._watched:
            self._close()

    # -- its epoll -------------------------------------------------------------------------

    def _open_or_not(self) -> None:
        if not self._watched:
            self._opening.clear()
        elif not self._opening.is_set:
            # In a turn of its own. In this turn the epoll might get the number of a socket that was
            # closed a moment ago. What the reactor's poll has found for that socket would then be
            # taken for the epoll's, and a reset would end all lines.
            self._opening.set(0, self._open)

    def _open(self) -> None:
        try:
            self._epoll = select.epoll()
        except OSError:
            self._opening.set(RETRY_SECONDS, self._open)  # out of descriptors
            return
        for number, (_, mask) in self._watched.items():
            self._epoll.register(number, mask)
        self._reactor.addReader(self)

    def _close(self) -> None:
        self._reactor.removeReader(self)
        epoll, self._epoll = self._epoll, None
        epoll.close()

    # -- IReadDescriptor -------------------------------------------------------------------

    def fileno(self) -> int:
        """The epoll's number."""
        return int(self._epoll.fileno())

    def logPrefix(self) -> str:
        """The prefix of what is logged while the hub reads."""
        return "relay"

    def doRead(self) -> None:
        """
        Let the lines read and write that can, for L{TURN_SECONDS}; the rest goes first next turn.
        While it is crowded, those go first that took least of the time lately. Else a few that
        flood would make everybody wait.
        """
        now = self._reactor.seconds()
        self._shares.age(now)
        if self._shares.is_crowded:
            self._ready = []
            self._serve_in_slices(now)
            return
        self._ready = self._serve(self._ready or self._poll(), now + TURN_SECONDS)
        if self._ready:
            self._shares.crowd()

    def _poll(self) -> list[tuple[int, int]]:
        """The numbers of lines that can read or write, with the events."""
        ready: list[tuple[int, int]] = self._epoll.poll(0, LINES_A_TURN)
        return ready

    def _serve_in_slices(self, now: float) -> None:
        end = now + TURN_SECONDS
        while now < end and self._epoll is not None:
            ready = sorted(self._poll(), key=self._shares.taken)
            if not self._serve(ready, min(end, now + SLICE_SECONDS)):
                return
            self._shares.crowd()
            now = self._reactor.seconds()

    def _serve(self, ready: list[tuple[int, int]], end: float) -> list[tuple[int, int]]:
        """
        Serve lines, one after the other, at least one.

        @param end: the time at which to stop.
        @return: those for which there was no time.
        """
        watched, used, seconds = self._watched, self._shares.used, self._reactor.seconds
        before = seconds()
        for at, (number, events) in enumerate(ready, 1):
            line, mask = watched.get(number, (None, 0))
            if line is None:
                continue  # another line's end in this turn ended this one too
            try:
                # A read also finds a reset, which is an event of its own.
                why = line.doRead() if mask == IN else self._write_and_read(line, events)
            except Exception as error:
                _log.failure("exception while reading or writing")
                why = error
            now = seconds()
            took = now - before
            used[number] = taken = used.get(number, 0.0) + took
            if taken > HEAVY_SECONDS:
                self._shares.crowd()
            if took > SLICE_SECONDS:
                line.read_less()
            if why is not None:
                self._end(line, Failure(why))
            if now >= end:
                return ready[at:]
            before = now
        return []

    def _write_and_read(self, line: WatchedLine, events: int) -> Exception | None:
        """Serve a line that waits for room to write."""
        if events & ~IN:
            why = line.doWrite()
            if why is not None:
                return why
        return line.doRead() if events & ~OUT and self._mask(line) & IN else None

    def _end(self, line: WatchedLine, reason: Failure) -> None:
        """End one line. An exception from it is logged, and reaches no other line."""
        self._watch(line, 0)
        self._shares.forget(line.number)
        try:
            line.connectionLost(reason)
        except Exception:
            _log.failure("exception at the end of a connection")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends, and with it all lines."""
        for line, _ in list(self._watched.values()):
            self._end(line, reason)
