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

_log = Logger()

LINES_A_TURN = 256
"""Most lines that are read or written in one turn of the reactor."""

AGE_SECONDS = 0.2
"""How long what a line took is added up."""

HEAVY_SECONDS = AGE_SECONDS / 100
"""Seconds that a line may take in L{AGE_SECONDS}. One that takes more is heavy."""

SLICE_SECONDS = 0.0003
"""
Seconds for which heavy lines are served until the hub looks again who else is ready. Else a few
that flood would make everybody wait. Also the seconds that one read may take: a line whose read
takes longer reads less next time.
"""

HEAVY_AT_ONCE = 16
"""Most heavy lines that are looked for at once."""

IN, OUT = getattr(select, "EPOLLIN", 1), getattr(select, "EPOLLOUT", 4)

RETRY_SECONDS = 0.1
"""Seconds until the next try to open an epoll, if there was no descriptor for it."""


class WatchedLine(Protocol):
    """
    A line, as the hub sees it: an L{IReadWriteDescriptor}.

    @ivar number: the number of its socket, also after the socket is closed.
    @ivar age: the hub's, in which it was served last. This and the next two are the hub's to set.
    @ivar took: seconds that it took in that age.
    @ivar is_heavy: whether it took too much of them.
    """

    number: int
    age: int
    took: float
    is_heavy: bool

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
        self._ready: list[tuple[int, int]] = []  # found by the epoll, and still to be served
        self._age, self._aged = 0, 0.0  # when it began
        self._heavy: dict[int, WatchedLine] = {}  # by number: watched by an epoll of their own
        self._heavy_epoll: Any = None
        self._heavy_ready: list[tuple[int, int]] = []

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
            self._put(line)
        epoll = self._epoll_of(line)
        if not before:
            epoll.register(line.number, mask)
        elif not is_closed:  # the kernel takes a closed socket out of the epoll by itself
            epoll.modify(line.number, mask) if mask else epoll.unregister(line.number)
        if not mask:
            self._heavy.pop(line.number, None)
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
        for epoll in filter(None, (self._heavy_epoll, self._epoll)):
            epoll.close()
        self._epoll = self._heavy_epoll = None

    # -- heavy lines -----------------------------------------------------------------------

    def _epoll_of(self, line: WatchedLine) -> Any:
        """The epoll that watches a line, or is to do so."""
        return self._heavy_epoll if line.number in self._heavy else self._epoll

    def _weigh(self, line: WatchedLine, is_heavy: bool) -> None:
        """Let the other epoll watch a line; if none does at present, as soon as one has to."""
        line.is_heavy = is_heavy
        mask = self._mask(line)
        if mask and line.fileno() == line.number:
            self._epoll_of(line).unregister(line.number)
            self._put(line)
            self._epoll_of(line).register(line.number, mask)

    def _put(self, line: WatchedLine) -> None:
        """Remember which epoll watches a line."""
        self._heavy.pop(line.number, None)
        if line.is_heavy and self._heavy_epoll is not None:
            self._heavy[line.number] = line

    def _is_too_heavy(self, line: WatchedLine) -> None:
        if self._heavy_epoll is None:
            try:
                self._heavy_epoll = select.epoll()
            except OSError:
                return  # out of descriptors
            self._epoll.register(self._heavy_epoll.fileno(), IN)
        self._weigh(line, True)

    def _grow_older(self, now: float) -> None:
        """Count anew what lines take. Those that took little lately are heavy no more."""
        for line in list(self._heavy.values()):
            if line.age < self._age or line.took < HEAVY_SECONDS / 8:
                self._weigh(line, False)
        self._age, self._aged = self._age + 1, now

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
        Heavy lines come behind all others.
        """
        now = self._reactor.seconds()
        if now >= self._aged + AGE_SECONDS:
            self._grow_older(now)
        self._ready = self._serve(self._ready or self._poll(), now + TURN_SECONDS)
        if self._heavy:
            self._serve_heavy(now + TURN_SECONDS)

    def _poll(self) -> list[tuple[int, int]]:
        """
        Numbers of lines that can read or write, with the events. Among them may be that of the
        epoll of heavy lines, which is no line's.
        """
        ready: list[tuple[int, int]] = self._epoll.poll(0, LINES_A_TURN)
        return ready

    def _serve_heavy(self, end: float) -> None:
        """Serve heavy lines, one after the other, and between two slices of them all others."""
        seconds = self._reactor.seconds
        while self._heavy:
            ready = self._heavy_ready or self._heavy_epoll.poll(0, HEAVY_AT_ONCE)
            if not ready:
                return
            self._heavy_ready = self._serve(ready, seconds() + SLICE_SECONDS)
            if self._ready or seconds() >= end or self._epoll is None:
                return
            self._ready = self._serve(self._poll(), end)

    def _serve(self, ready: list[tuple[int, int]], end: float) -> list[tuple[int, int]]:
        """
        Serve lines, one after the other, at least one.

        @param end: the time at which to stop.
        @return: those for which there was no time.
        """
        watched, seconds, age = self._watched, self._reactor.seconds, self._age
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
            line.took = took if line.age != age else line.took + took
            line.age = age
            if took > SLICE_SECONDS:
                line.read_less()
            if line.took > HEAVY_SECONDS and not line.is_heavy:
                self._is_too_heavy(line)
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
        try:
            line.connectionLost(reason)
        except Exception:
            _log.failure("exception at the end of a connection")

    def connectionLost(self, reason: Failure) -> None:
        """The reactor ends, and with it all lines."""
        for line, _ in list(self._watched.values()):
            self._end(line, reason)
