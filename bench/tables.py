"""Tables of the figures, for people and for the documentation. Pure functions only."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from bench.figures import Run, failures, median, not_run, ratio
from bench.loads import Load, Mode

RIVALS = ("nginx", "plain")
"""The peers that all others are compared with."""

COLUMNS: dict[Mode, tuple[tuple[str, str], ...]] = {
    "messages": (
        ("CPU µs/message", "cpu_us"),
        ("of the busiest process", "busiest_us"),
        ("p50 ms", "p50_ms"),
        ("p99 ms", "p99_ms"),
        ("max ms", "max_ms"),
        ("messages/s", "messages_per_second"),
        ("memory MB", "memory_mb"),
    ),
    "handshakes": (
        ("CPU ms/handshake", "cpu_ms"),
        ("p50 ms", "p50_ms"),
        ("p99 ms", "p99_ms"),
        ("max ms", "max_ms"),
        ("opens/s", "opens_per_second"),
    ),
    "idle": (
        ("kB/session", "session_kb"),
        ("opened", "opened"),
        ("p99 ms, opening", "opening_p99_ms"),
        ("max ms, opening", "opening_max_ms"),
        ("p99 ms, idle", "idle_p99_ms"),
        ("max ms, idle", "idle_max_ms"),
    ),
}
COLUMNS["paced"] = COLUMNS["messages"]
"""What each kind of load shows, and the metric it is."""

MARK = "!"
"""Behind a figure that was had with failures."""

COMPARED = {
    "cpu_us": "CPU",
    "busiest_us": "busiest process",
    "cpu_ms": "CPU",
    "session_kb": "kB",
    "p50_ms": "p50",
}
"""What the headings call the metrics that ratios are made of."""


@frozen
class Table:
    """
    @ivar rows: as many cells each as there are C{headings}.
    @ivar notes: lines below it.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def as_text(self) -> str:
        """For a terminal: the first column to the left, the others to the right."""
        lines = [self.headings, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join([self.title, *(_aligned(line, widths) for line in lines), *self.notes, ""])

    def as_markdown(self) -> str:
        """For the documentation."""
        rule = ["---", *["---:"] * (len(self.headings) - 1)]
        lines = [f"| {' | '.join(line)} |" for line in (self.headings, rule, *self.rows)]
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"## {self.title}\n", *lines, *notes, ""])


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.rjust(width) if place else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join(["  " + first, *others]).rstrip()


def number(value: float | None) -> str:
    """With as many digits as a noisy machine justifies."""
    if value is None:
        return "-"
    digits = (
        0
        if abs(value) >= 100 or not value
        else 1
        if abs(value) >= 10
        else 2
        if abs(value) >= 0.1
        else 3
    )
    return f"{value:,.{digits}f}"


def load_table(runs: Sequence[Run], load: Load, peers: Sequence[str]) -> Table:
    """One load: a row for each peer, a note for each that failed or did not run."""
    columns = COLUMNS[load.mode]
    compared = [f"{COMPARED[load.metric]}, times {rival}" for rival in RIVALS]
    headings = ["", *(heading for heading, _ in columns), *compared]
    tried = [peer for peer in peers if any(peer in run.get(load.name, {}) for run in runs)]
    rows = [_row(runs, load, peer, [metric for _, metric in columns]) for peer in tried]
    notes = [note for peer in tried for note in _notes(runs, load.name, peer)]
    return Table(f"{load.name}: {load.what}", headings, rows, notes)


def _row(runs: Sequence[Run], load: Load, peer: str, metrics: Sequence[str]) -> list[str]:
    mark = MARK if failures(runs, load.name, peer) else ""
    figures = [number(median(runs, load.name, peer, metric)) for metric in metrics]
    ratios = [number(ratio(runs, load.name, peer, rival, load.metric)) for rival in RIVALS]
    return [peer, figures[0] + mark, *figures[1:], *ratios]


def _notes(runs: Sequence[Run], load: str, peer: str) -> list[str]:
    reason = not_run(runs, load, peer)
    failed = failures(runs, load, peer)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in failed.items())
    return [
        *([f"{peer}: not run: {reason}"] if reason else []),
        *([f"{MARK} {peer}: in all runs together {counts}"] if counts else []),
    ]
