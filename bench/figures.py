"""From the outcomes of several runs to one figure. Pure functions only."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from attrs import Factory, frozen


@frozen
class Outcome:
    """
    What one load on one peer gave, once.

    @ivar metrics: by name, which ends with the unit: C{cpu_us}, C{p99_ms}, C{session_kb}.
    @ivar failures: what did not go well, counted by kind; nothing is left out of it.
    @ivar not_run: why there are no metrics.
    """

    metrics: Mapping[str, float] = Factory(dict)
    failures: Mapping[str, int] = Factory(dict)
    not_run: str | None = None


Run = Mapping[str, Mapping[str, Outcome]]
"""One run: outcomes by load, then by peer."""


def percentile(values: Sequence[float], percent: float) -> float:
    """
    The smallest value that C{percent} of all do not exceed.

    @raise ValueError: if there are none.
    """
    if not values:
        raise ValueError("no values")
    rank = -(-len(values) * percent // 100)
    return sorted(values)[max(int(rank) - 1, 0)]


def outcomes(runs: Iterable[Run], load: str, peer: str) -> list[Outcome]:
    """Of each run that tried this load on this peer."""
    cells = (run.get(load, {}).get(peer) for run in runs)
    return [cell for cell in cells if cell is not None]


def median(runs: Iterable[Run], load: str, peer: str, metric: str) -> float | None:
    """The median of the runs that measured it, if one did."""
    cells = outcomes(runs, load, peer)
    values = [cell.metrics[metric] for cell in cells if metric in cell.metrics]
    return statistics.median(values) if values else None


def ratio(runs: Iterable[Run], load: str, peer: str, rival: str, metric: str) -> float | None:
    """
    How many times the rival's figure the peer's is: the median of the runs' own ratios, for two
    figures of one run share its noise.
    """
    ratios = []
    for run in runs:
        mine, other = (median([run], load, name, metric) for name in (peer, rival))
        if mine is not None and other:
            ratios.append(mine / other)
    return statistics.median(ratios) if ratios else None


def failures(runs: Iterable[Run], load: str, peer: str) -> dict[str, int]:
    """What failed in all runs together, by kind; kinds that never occurred are not in it."""
    total: dict[str, int] = {}
    for cell in outcomes(runs, load, peer):
        for kind, count in cell.failures.items():
            total[kind] = total.get(kind, 0) + count
    return {kind: count for kind, count in total.items() if count}


def not_run(runs: Iterable[Run], load: str, peer: str) -> str | None:
    """The first reason why a run has no figure here."""
    reasons = (cell.not_run for cell in outcomes(runs, load, peer))
    return next((reason for reason in reasons if reason), None)


def spread(values: Sequence[float]) -> float:
    """
    The smallest part by which all values differ from one middle: 0.25 if all are within 25 % of it.

    @raise ValueError: if there are none.
    """
    if not values:
        raise ValueError("no values")
    low, high = min(values), max(values)
    return (high - low) / (high + low) if high + low else 0.0
