"""
How much so many sessions take: computed from the benchmark's figures, nothing else.

    python -m bench.scale

prints what stands on the page about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil

from attrs import frozen

from bench.measured import measured
from bench.store import BEATS, BEGINS, COLUMN, ENDS, LEASE, MANY, OPENS, RELAYS, RENEWS, REPORTS
from relay.fleet.fleet import BEAT_SECONDS, CHUNK, RENEWALS

BUSY = 0.6
"""The part of a core that the messages of open sessions may take."""

LENGTH = 300
"""Seconds of a session."""

REPORT = 10
"""Seconds between two responses, each of which reports usage."""

RATE = 24_000 * 2
"""Bytes of audio a second: 24 kHz, mono, 16 bits."""

AROUND = 100
"""Bytes of an event besides its audio."""

DESCRIPTORS = 2
"""Of a session."""

WORKER_MB = 65
"""Memory of a worker without sessions (docs/workers.md)."""

CONNECTIONS = 2
"""Of a relay to its store: one for questions, one on which it hears of others."""

SESSIONS = (10_000, 100_000, 1_000_000)


@frozen
class Speech:
    """
    How a session speaks: in both directions, all the time.

    @ivar chunk: seconds of audio in one message.
    """

    chunk: float

    @property
    def messages(self) -> float:
        """A second, both ways counted."""
        return 2 / self.chunk

    @property
    def size(self) -> float:
        """Bytes of a message: its audio in base64, and the event around it."""
        return RATE * self.chunk * 4 / 3 + AROUND

    @property
    def alone(self) -> float:
        """Seconds of CPU for a message that a reactor's turn is made for, TLS upstream."""
        return self._cost(measured("scale-1000", "splice", "CPU µs/message"))

    @property
    def together(self) -> float:
        """The same where each turn has many: what a core can do at most."""
        return self._cost(measured("quiet-200", "splice", "CPU µs/message"))

    def _cost(self, plain: float) -> float:
        """@param plain: microseconds for 200 B without TLS."""
        small, large = (
            measured(load, "splice", "CPU µs/message") for load in ("tls-200", "tls-8000")
        )
        tls = small - measured("quiet-200", "splice", "CPU µs/message")
        return (plain + tls + (large - small) * (self.size - 200) / 7800) / 1e6

    @property
    def sessions(self) -> int:
        """That one core carries with room to spare."""
        return int(BUSY / (self.messages * self.alone + handshake() / LENGTH))

    @property
    def most(self) -> int:
        """That one core carries with none."""
        return int(1 / (self.messages * self.together + handshake() / LENGTH))


SPEECHES = (Speech(0.02), Speech(0.1))


def handshake() -> float:
    """Seconds of CPU that one session's opening and end take."""
    return measured("handshakes", "splice", "CPU ms/handshake") / 1000


def session_kb() -> float:
    """Memory of a session whose upstream speaks TLS: of a hundred, shared by them."""
    with_them = measured("tls-200", "splice", "memory MB")
    return (with_them - measured("rtt", "splice", "memory MB")) / 100 * 1000


def _store(step: str) -> float:
    """Seconds of the store's CPU."""
    return measured("store", step, COLUMN, "store.md") / 1e6


@frozen
class Need:
    """What so many sessions take."""

    sessions: int
    speech: Speech

    @property
    def relays(self) -> int:
        """Processes, each with a core."""
        return ceil(self.sessions / self.speech.sessions)

    @property
    def messages(self) -> float:
        """A second."""
        return self.sessions * self.speech.messages

    @property
    def gigabits(self) -> float:
        """A second that come in, and as much goes out."""
        return self.messages * self.speech.size * 8 / 1e9

    @property
    def gigabytes(self) -> float:
        """Of memory, all relays together."""
        return (self.relays * WORKER_MB + self.sessions * session_kb() / 1000) / 1000

    @property
    def opens(self) -> float:
        """Sessions that begin, and that end, in a second."""
        return self.sessions / LENGTH

    @property
    def reports(self) -> float:
        """Of usage, in a second."""
        return self.sessions / REPORT

    @property
    def asked(self) -> float:
        """Scripts a second that the store is asked to run."""
        leases = self.sessions / self.relays * BEAT_SECONDS / (LEASE / RENEWALS)
        renewals = min(leases, ceil(leases / CHUNK)) / BEAT_SECONDS
        return self.relays * (1 / BEAT_SECONDS + renewals) + 3 * self.opens + self.reports

    @property
    def store_cores(self) -> float:
        """Of the store, which uses one; each caller is on one relay."""
        life = self.opens * sum(map(_store, (BEGINS, OPENS, ENDS)))
        leases = self.sessions * RENEWALS / LEASE * _store(RENEWS) / CHUNK
        beats = self.relays / BEAT_SECONDS * _store(BEATS)
        return life + self.reports * _store(REPORTS) + leases + beats

    @property
    def store_cores_of_one(self) -> float:
        """The same if one caller is on all relays, because what it spends is kept by relay."""
        begins, reports = (
            (_store(step + MANY) - _store(step)) / RELAYS * self.relays
            for step in (BEGINS, REPORTS)
        )
        return self.store_cores + self.opens * begins + self.reports * reports


def needs_table() -> str:
    """What the page has of it: a row for each thing, a column for each number of sessions."""
    needs = [Need(sessions, speech) for speech in SPEECHES for sessions in SESSIONS]

    def row(what: str, figure: Callable[[Need], float]) -> tuple[str, ...]:
        return (what, *(_short(figure(need)) for need in needs))

    heads = (f"{n.sessions:,} of {n.speech.chunk * 1000:.0f} ms" for n in needs)
    rows = (
        row("relays, a core each", lambda n: n.relays),
        row("sessions in each", lambda n: n.speech.sessions),
        row("descriptors in each", lambda n: n.speech.sessions * DESCRIPTORS),
        row("GB of memory, together", lambda n: n.gigabytes),
        row("thousand messages a second", lambda n: n.messages / 1000),
        row("Gbit/s in, and as much out", lambda n: n.gigabits),
        row("handshakes a second", lambda n: n.opens),
        row("Redis: scripts a second", lambda n: n.asked),
        row("Redis: cores, of which it uses one", lambda n: n.store_cores),
        row("the same, if all have one key", lambda n: n.store_cores_of_one),
        row("Redis: connections", lambda n: n.relays * CONNECTIONS),
    )
    return _table(("", *heads), rows)


def costs_table() -> str:
    """What each way to speak comes to."""
    heads = ("a message has", "messages a second", "bytes", "CPU µs, alone", "CPU µs, together")
    rows = (
        (
            f"{speech.chunk * 1000:.0f} ms of audio",
            f"{speech.messages:.0f}",
            f"{speech.size:,.0f}",
            f"{speech.alone * 1e6:.1f}",
            f"{speech.together * 1e6:.1f}",
            f"{speech.sessions:,}",
            f"{speech.most:,}",
        )
        for speech in SPEECHES
    )
    return _table((*heads, "sessions a core", "at most"), rows)


def _short(figure: float) -> str:
    if figure == int(figure) or figure >= 10:
        return f"{figure:,.0f}"
    return f"{figure:.{1 if figure >= 1 else 2}f}"


def _table(heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    first, *others = heads
    lines = [(first, *others), ("---", *("---:" for _ in others)), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(costs_table(), needs_table(), sep="\n")
