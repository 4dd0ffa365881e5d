"""Three charts: CPU per message, CPU per handshake, and cost against sessions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.figures import Run, failures, median
from bench.loads import Load
from bench.tables import MARK

# Reproducible files: the same figures give the same bytes.
mpl.rcParams["svg.hashsalt"] = "bench"
# Text as text keeps the files small.
mpl.rcParams["svg.fonttype"] = "none"


def draw(
    runs: Sequence[Run], loads: Sequence[Load], peers: Sequence[str], folder: Path
) -> list[Path]:
    """
    Draw what there are figures for. In bars, a figure that was had with failures is marked.

    @return: the files, which are SVG.
    """
    folder.mkdir(parents=True, exist_ok=True)
    messages = [load for load in loads if load.mode == "messages" and load.metric == "cpu_us"]
    paced = [load for load in loads if load.mode == "paced"]
    opening = [load for load in loads if load.mode == "handshakes"]
    files = []
    if messages:
        files.append(_save(_grouped(runs, messages, peers), folder / "messages.svg"))
    if opening:
        files.append(_save(_handshakes(runs, opening[0], peers), folder / "handshakes.svg"))
    if paced:
        files.append(_save(_scale(runs, paced, peers), folder / "sessions.svg"))
    return files


def _colour(peers: Sequence[str], peer: str) -> str:
    return f"C{peers.index(peer)}"


def _mark(runs: Sequence[Run], load: Load, peer: str) -> str:
    return MARK if failures(runs, load.name, peer) else ""


def _grouped(runs: Sequence[Run], loads: Sequence[Load], peers: Sequence[str]) -> Figure:
    """A group of bars for each load, a bar for each peer."""
    figure, axes = plt.subplots(figsize=(8, 4))
    width = 0.8 / len(peers)
    for place, peer in enumerate(peers):
        heights = [median(runs, load.name, peer, "cpu_us") or 0.0 for load in loads]
        at = [group + (place - (len(peers) - 1) / 2) * width for group in range(len(loads))]
        bars = axes.bar(at, heights, width, label=peer, color=_colour(peers, peer))
        axes.bar_label(bars, [_mark(runs, load, peer) for load in loads])
    axes.set_xticks(range(len(loads)), [load.name for load in loads])
    _dress(axes, "CPU µs per relayed message")
    return figure


def _handshakes(runs: Sequence[Run], load: Load, peers: Sequence[str]) -> Figure:
    figure, axes = plt.subplots(figsize=(8, 3))
    costs = {peer: median(runs, load.name, peer, "cpu_ms") for peer in reversed(peers)}
    for peer, cost in costs.items():
        if cost is not None:
            bars = axes.barh(peer, cost, color=_colour(peers, peer))
            axes.bar_label(bars, [_mark(runs, load, peer)])
    axes.set_xlabel("CPU ms per handshake")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _scale(runs: Sequence[Run], loads: Sequence[Load], peers: Sequence[str]) -> Figure:
    """A line for each peer."""
    figure, axes = plt.subplots(figsize=(8, 4))
    for peer in peers:
        costs = [(load.sessions, median(runs, load.name, peer, "cpu_us")) for load in loads]
        known = [(sessions, cost) for sessions, cost in costs if cost is not None]
        if known:
            axes.plot(*zip(*known, strict=True), "o-", label=peer, color=_colour(peers, peer))
    axes.set_xscale("log")
    axes.set_xticks([load.sessions for load in loads], [f"{load.sessions:,}" for load in loads])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"sessions, {loads[0].rate:,} messages a second in all")
    _dress(axes, "CPU µs per relayed message")
    return figure


def _dress(axes: Axes, label: str) -> None:
    axes.set_ylabel(label)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        # Above the chart: inside, it would lie on somebody's figures.
        axes.legend(
            frameon=False, fontsize="small", ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1)
        )


def _save(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path
