"""The bars that the relay has to hold, and whether it does. Pure functions only."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from attrs import frozen

from bench.figures import Run, failures, median, outcomes, ratio, spread
from bench.loads import WORKERS
from bench.tables import MARK, Table, number

SCALES = ("scale-10", "scale-100", "scale-1000", "scale-5000")


@frozen
class Bar:
    """
    One bar.

    @ivar unit: what the figure is in.
    @ivar limit: that the figure must not be above.
    @ivar figure: of all runs, if they have it.
    @ivar cells: loads and peers that the figure comes from.
    """

    what: str
    unit: str
    limit: float
    figure: Callable[[Sequence[Run]], float | None]
    cells: Sequence[tuple[str, str]]

    def verdict(self, runs: Sequence[Run]) -> str:
        """Whether it holds."""
        value = self.figure(runs)
        if value is None:
            return "not measured"
        failed = any(failures(runs, *cell) for cell in self.cells)
        return ("holds" if value <= self.limit else "does not hold") + (MARK if failed else "")


def _times(
    what: str, limit: float, load: str, peer: str, rival: str, metric: str = "cpu_us"
) -> Bar:
    def figure(runs: Sequence[Run]) -> float | None:
        return ratio(runs, load, peer, rival, metric)

    return Bar(what, f"times {rival}", limit, figure, [(load, peer), (load, rival)])


def _idle(load: str, limit: float) -> Bar:
    def figure(runs: Sequence[Run]) -> float | None:
        return median(runs, load, "splice", "session_kb")

    return Bar("idle, 5,000 sessions", "kB a session", limit, figure, [(load, "splice")])


def _all_live(what: str, load: str) -> Bar:
    def figure(runs: Sequence[Run]) -> float | None:
        cells = outcomes(runs, load, "splice")
        # Where one run has no figure, how many were lost in it is not known.
        if not cells or any(cell.not_run for cell in cells):
            return None
        return float(sum(failures(runs, load, "splice").values()))

    return Bar(what, "failures", 0, figure, [(load, "splice")])


def _even(what: str, limit: float) -> Bar:
    def figure(runs: Sequence[Run]) -> float | None:
        costs = [median(runs, load, "splice", "cpu_us") for load in SCALES]
        known = [cost for cost in costs if cost is not None]
        return spread(known) * 100 if len(known) == len(SCALES) else None

    return Bar(what, "± %", limit, figure, [(load, "splice") for load in SCALES])


BARS = (
    _times("splice, quiet, 8 kB", 1.4, "quiet-8000", "splice", "nginx"),
    _times("splice, quiet, 200 B", 2.2, "quiet-200", "splice", "nginx"),
    _times("splice, quiet, 200 B", 1.0, "quiet-200", "splice", "node"),
    _times("splice, TLS upstream, 8 kB", 1.6, "tls-8000", "splice", "nginx"),
    _times("splice, TLS upstream, 8 kB", 1.0, "tls-8000", "splice", "node"),
    _times("splice, TLS upstream, 200 B", 2.8, "tls-200", "splice", "nginx"),
    _times("splice, TLS upstream, 200 B", 1.0, "tls-200", "splice", "node"),
    _times("message plane, quiet, 8 kB", 0.7, "quiet-8000", "message", "plain"),
    _times("handshake, splice", 0.75, "handshakes", "splice", "plain", "cpu_ms"),
    _times("handshake, message plane", 0.75, "handshakes", "message", "plain", "cpu_ms"),
    _idle("idle-5000", 20.0),
    _all_live("9,500 sessions in one process", "idle-9500"),
    _times("round trip, one session, 1 kB, p50", 1.8, "rtt", "splice", "nginx", "p50_ms"),
    _times("busier of two workers, 200 B", 0.55, "workers-200", WORKERS, "splice", "busiest_us"),
    _times("busier of two workers, 8 kB", 0.55, "workers-8000", WORKERS, "splice", "busiest_us"),
    _even("CPU per message, 10 to 5,000 sessions", 25.0),
)


def bars_table(runs: Sequence[Run]) -> Table:
    """Each bar, what was measured, and whether it holds."""
    rows = [
        [bar.what, f"≤ {number(bar.limit)} {bar.unit}", number(bar.figure(runs)), bar.verdict(runs)]
        for bar in BARS
    ]
    return Table("To beat", ["", "bar", "measured", ""], rows)
