"""What is measured: every load, in the order they run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from attrs import evolve, frozen

Mode = Literal["messages", "paced", "handshakes", "idle"]

RELAY = ("splice", "message", "relay")
"""The peers that are this relay."""

SCALED = (*RELAY, "plain", "nginx")
"""The peers whose cost is followed from few sessions to many."""

WORKERS = "workers"
"""The peer that is this relay with two workers."""

PACE = 4000
"""Messages a second that C{scale} sends, whatever the number of sessions."""


@frozen(kw_only=True)
class Load:
    """
    One load.

    @ivar what: in a few words, for a table's heading.
    @ivar metric: the figure that ratios are made of.
    @ivar sessions: at once; of C{handshakes}, how many are being opened at once.
    @ivar in_flight: messages that each session keeps under way.
    @ivar size: bytes of a message.
    @ivar tls: whether the upstream speaks TLS.
    @ivar warm_up: seconds before what is measured.
    @ivar seconds: how long it is measured.
    @ivar rate: messages that all sessions together send in a second, in mode C{paced}.
    @ivar opens: sessions opened and closed in all, in mode C{handshakes}.
    @ivar only: the peers it is for; empty for all but L{WORKERS}.
    """

    name: str
    what: str
    mode: Mode = "messages"
    metric: str = "cpu_us"
    sessions: int = 1
    in_flight: int = 1
    size: int = 200
    tls: bool = False
    warm_up: float = 0.5
    seconds: float = 1.5
    rate: int = 0
    opens: int = 0
    only: tuple[str, ...] = ()

    @property
    def descriptors(self) -> int:
        """File descriptors that a peer needs for it, with some for itself."""
        return 2 * self.sessions + 100

    def concerns(self, peer: str) -> bool:
        """Whether this peer is measured with it."""
        return peer in self.only if self.only else peer != WORKERS


def _messages(kind: str, size: int, sessions: int, in_flight: int = 1, tls: bool = False) -> Load:
    what = f"{sessions} sessions, {in_flight} in flight each, {size:,} B"
    what += ", TLS upstream" if tls else ""
    return Load(
        name=f"{kind}-{size}",
        what=what,
        sessions=sessions,
        in_flight=in_flight,
        size=size,
        tls=tls,
    )


def _workers(size: int) -> Load:
    """
    What two workers can do is limited by the busier one, on a machine with cores enough for all.
    """
    return evolve(
        _messages("workers", size, 200), metric="busiest_us", only=("splice", WORKERS), seconds=3.0
    )


def _handshakes(opens: int, tls: bool = False) -> Load:
    what = f"{opens:,} sessions opened, first event, closed; 50 at once"
    return Load(
        name="handshakes-tls" if tls else "handshakes",
        what=what + (", TLS upstream" if tls else ""),
        mode="handshakes",
        metric="cpu_ms",
        sessions=50,
        opens=opens,
        tls=tls,
    )


def _idle(sessions: int, only: tuple[str, ...] = ()) -> Load:
    return Load(
        name=f"idle-{sessions}",
        what=f"{sessions:,} sessions that say nothing, and one that does",
        mode="idle",
        metric="session_kb",
        sessions=sessions,
        size=1000,
        seconds=3.0,
        only=only,
    )


def _scale(sessions: int) -> Load:
    return Load(
        name=f"scale-{sessions}",
        what=f"{sessions:,} sessions, {PACE:,} messages of 200 B a second in all",
        mode="paced",
        sessions=sessions,
        rate=PACE,
        warm_up=1.0,
        seconds=3.0,
        only=SCALED,
    )


_RTT = Load(name="rtt", what="one session, 1 kB, round trip", size=1000, metric="p50_ms")

_MESSAGES = (
    _messages("quiet", 200, 200),
    _messages("quiet", 8000, 200),
    _messages("busy", 200, 50, in_flight=4),
    _messages("busy", 8000, 50, in_flight=4),
    _messages("tls", 200, 100, tls=True),
    _messages("tls", 8000, 100, tls=True),
    _RTT,
)

LOADS = (
    *_MESSAGES,
    _handshakes(2000),
    _handshakes(2000, tls=True),
    _idle(5000),
    _idle(9500, only=RELAY),
    *map(_scale, (10, 100, 1000, 5000)),
    *map(_workers, (200, 8000)),
)
"""All of it."""

QUICK = (
    *(load for load in _MESSAGES if load.name != "busy-8000"),
    _handshakes(500),
    _idle(1000),
    _scale(10),
    _scale(1000),
)
"""A glance; L{hurried} shortens each."""


def hurried(load: Load) -> Load:
    """The same load, measured for less long."""
    return evolve(load, warm_up=0.3, seconds=load.seconds * 0.6)


def chosen(loads: Sequence[Load], names: str | None) -> list[Load]:
    """
    Those of some loads that are named, with commas between, whole or by what is before the dash.

    @raise SystemExit: if a name stands for none of them.
    """
    if names is None:
        return list(loads)
    wanted = names.split(",")
    short = {load.name: {load.name, load.name.partition("-")[0]} for load in loads}
    unknown = [name for name in wanted if not any(name in known for known in short.values())]
    if unknown:
        raise SystemExit(f"no load is called {', '.join(unknown)}; there are {', '.join(short)}")
    return [load for load in loads if short[load.name] & set(wanted)]
