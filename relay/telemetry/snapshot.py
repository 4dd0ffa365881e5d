"""
All that was counted until one moment, as a value: it is added up with those of other processes,
crosses to another process as JSON, and is written in Prometheus' text format.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import copy
from itertools import accumulate
from typing import Any

from attrs import define, field, frozen
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from relay.telemetry.kinds import METRICS, Combine
from relay.telemetry.known import Labels

BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0)
"""Upper bounds of the histograms' buckets, in seconds; a hold ends at 8 by default."""

Values = dict[Labels, float]

COMBINED: Mapping[Combine, Callable[[float, float], float]] = {
    "sum": lambda one, other: one + other,
    "most": max,
    "least": min,
}

_PROCESS = ProcessCollector(registry=None)
_FAMILIES = (*_PROCESS.collect(),)
"""Name and meaning of each. To collect counts the open descriptors, which takes long for many."""

_CPU, _START = "process_cpu_seconds", "process_start_time_seconds"


@define
class Distribution:
    """How many values fell into each of the L{BUCKETS}, and their sum."""

    counts: list[int] = field(factory=lambda: [0] * (len(BUCKETS) + 1))
    sum: float = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(BUCKETS, value)] += 1
        self.sum += value

    def __add__(self, other: Distribution) -> Distribution:
        """Both together."""
        counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        return Distribution(counts, self.sum + other.sum)

    def buckets(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus wants them: each counts also all values below it."""
        bounds = [*(str(bound) for bound in BUCKETS), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self.counts)), strict=True))


@frozen
class Snapshot:
    """
    What one process, or several, counted until one moment.

    @ivar values: gauges and counters, by the metric and its labels.
    @ivar distributions: histograms likewise.
    @ivar process: what the process itself has used, by the name of the client library's metric.
    """

    values: Mapping[str, Mapping[Labels, float]]
    distributions: Mapping[str, Mapping[Labels, Distribution]]
    process: Mapping[str, float]

    def one(self, name: str) -> float:
        """A metric without labels."""
        return self.values.get(name, {}).get((), 0)

    def counted(self, name: str) -> Values:
        """A metric by its labels, as far as it is not 0."""
        return {labels: value for labels, value in self.values.get(name, {}).items() if value}

    def distribution(self, name: str) -> list[int]:
        """How many values of a histogram fell into each of the L{BUCKETS}, whatever its labels."""
        every = (each.counts for each in self.distributions.get(name, {}).values())
        return [*map(sum, zip([0] * (len(BUCKETS) + 1), *every, strict=True))]

    def once_ended(self) -> Snapshot:
        """What is left of it when its process has ended: what was counted, but not what is."""
        values = {n: each for n, each in self.values.items() if METRICS[n].type == "counter"}
        return Snapshot(values, self.distributions, {_CPU: self.process.get(_CPU, 0)})

    def __add__(self, other: Snapshot) -> Snapshot:
        """Both together."""
        values = {
            name: _joined(kind.combine, self.values.get(name, {}), other.values.get(name, {}))
            for name, kind in METRICS.items()
            if kind.type != "histogram"
        }
        distributions = {
            name: _both(self.distributions.get(name, {}), other.distributions.get(name, {}))
            for name in {**self.distributions, **other.distributions}
        }
        started = _joined("least", _only(self.process, _START), _only(other.process, _START))
        process = _joined("sum", self.process, other.process) | started
        return Snapshot(values, distributions, process)

    def as_json(self) -> dict[str, Any]:
        """In JSON's own types."""
        return {
            "values": {n: [*map(list, each.items())] for n, each in self.values.items()},
            "distributions": {
                name: [[labels, found.counts, found.sum] for labels, found in each.items()]
                for name, each in self.distributions.items()
            },
            "process": {**self.process},
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Snapshot:
        """What L{as_json} made."""
        return cls(
            {
                name: {tuple(labels): value for labels, value in each}
                for name, each in told["values"].items()
            },
            {
                name: {tuple(labels): Distribution(counts, sum) for labels, counts, sum in each}
                for name, each in told["distributions"].items()
            },
            told["process"],
        )

    def exposition(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(_Scrape(self._families()))

    def _families(self) -> Iterator[Metric]:
        for name, kind in METRICS.items():
            if kind.type == "gauge":
                yield self._filled(GaugeMetricFamily(name, kind.doc, labels=kind.labels), name)
            elif kind.type == "counter":
                yield self._filled(CounterMetricFamily(name, kind.doc, labels=kind.labels), name)
            else:
                histogram = HistogramMetricFamily(name, kind.doc, labels=kind.labels)
                for labels, found in self.distributions.get(name, {}).items():
                    histogram.add_metric(labels, found.buckets(), found.sum)
                yield histogram
        for known in _FAMILIES:
            family = copy(known)
            sample = known.samples[0]
            family.samples = [sample._replace(value=self.process[known.name])]
            yield family

    def _filled(self, family: GaugeMetricFamily | CounterMetricFamily, name: str) -> Metric:
        for labels, value in self.values.get(name, {}).items():
            family.add_metric(labels, value)
        return family


def of_this_process() -> dict[str, float]:
    """What this process has used so far, by the name of the client library's metric."""
    return {family.name: family.samples[0].value for family in _PROCESS.collect()}


def total(snapshots: Iterable[Snapshot]) -> Snapshot:
    """All of them together."""
    whole = Snapshot({}, {}, {})
    for each in snapshots:
        whole = whole + each
    return whole


@frozen
class _Scrape:
    """
    What the client library needs of a registry. The library's own is one for the whole process.
    """

    families: Iterator[Metric]

    def collect(self) -> Iterator[Metric]:
        """Each metric with its values."""
        return self.families


def _joined(combine: Combine, one: Mapping[Any, float], other: Mapping[Any, float]) -> Any:
    join = COMBINED[combine]
    both = {key: join(value, other[key]) for key, value in one.items() if key in other}
    return {**one, **other, **both}


def _both(
    one: Mapping[Labels, Distribution], other: Mapping[Labels, Distribution]
) -> dict[Labels, Distribution]:
    both = {labels: each + other[labels] for labels, each in one.items() if labels in other}
    return {**one, **other, **both}


def _only(values: Mapping[str, float], name: str) -> dict[str, float]:
    return {name: values[name]} if name in values else {}
