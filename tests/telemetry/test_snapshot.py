"""What several processes counted, added up; and across to another process and back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from memory import World
from prometheus_client.parser import text_string_to_metric_families as parse

from relay import Metrics
from relay.telemetry.kinds import METRICS
from relay.telemetry.snapshot import BUCKETS, Distribution, Snapshot, of_this_process, total

NUMBERS = st.integers(0, 1000).map(float)
LABELS = st.tuples(st.sampled_from(["openai", "azure"]))
DISTRIBUTIONS = st.lists(st.sampled_from([0.01, 0.3, 3.0, 30.0]), max_size=5).map(
    lambda values: _distribution(values)
)


def _distribution(values: list[float]) -> Distribution:
    found = Distribution()
    for value in values:
        found.add(value)
    return found


SNAPSHOTS = st.builds(
    Snapshot,
    st.fixed_dictionaries(
        {
            "relay_sessions_active": st.dictionaries(st.just(()), NUMBERS),
            "relay_retries_total": st.dictionaries(LABELS, NUMBERS),
            "relay_breaker_state": st.dictionaries(LABELS, st.sampled_from([0.0, 1.0, 2.0])),
        }
    ),
    st.fixed_dictionaries({"relay_attempt_seconds": st.dictionaries(LABELS, DISTRIBUTIONS)}),
    st.fixed_dictionaries({"process_cpu_seconds": NUMBERS, "process_open_fds": NUMBERS}),
)


@given(SNAPSHOTS)
def test_it_crosses_as_json_and_stays_the_same(snapshot: Snapshot) -> None:
    assert Snapshot.from_json(json.loads(json.dumps(snapshot.as_json()))) == snapshot


@given(st.lists(SNAPSHOTS, min_size=1, max_size=4))
def test_counts_add_up_and_of_states_the_worst_is_told(snapshots: list[Snapshot]) -> None:
    whole = total(snapshots)
    assert whole.one("relay_sessions_active") == sum(
        each.one("relay_sessions_active") for each in snapshots
    )
    for label in {key for each in snapshots for key in each.values["relay_breaker_state"]}:
        states = [each.values["relay_breaker_state"].get(label, 0) for each in snapshots]
        assert whole.values["relay_breaker_state"][label] == max(states)
    assert sum(whole.distribution("relay_attempt_seconds")) == sum(
        sum(each.distribution("relay_attempt_seconds")) for each in snapshots
    )
    assert whole.process["process_open_fds"] == sum(
        each.process["process_open_fds"] for each in snapshots
    )


@given(SNAPSHOTS)
def test_what_an_ended_process_had_counted_stays_and_what_it_had_open_does_not(
    snapshot: Snapshot,
) -> None:
    left = snapshot.once_ended()
    assert left.values.keys() == {"relay_retries_total"}
    assert left.counted("relay_retries_total") == snapshot.counted("relay_retries_total")
    assert left.distributions == snapshot.distributions
    assert left.process == {"process_cpu_seconds": snapshot.process["process_cpu_seconds"]}


def test_a_whole_of_two_relays_is_told_like_one() -> None:
    metrics = Metrics()
    world = World(options={"listeners": [metrics]})
    one = metrics.snapshot(world.factory)
    names = [family.name for family in parse((one + one).exposition().decode())]
    assert names == [family.name for family in parse(one.exposition().decode())]
    assert (one + one).one("relay_sessions_limit") == 2 * one.one("relay_sessions_limit")
    assert (one + one).values["relay_build_info"] == one.values["relay_build_info"]


def test_the_process_that_started_first_tells_since_when_it_runs() -> None:
    own = of_this_process()
    early = {**own, "process_start_time_seconds": 1.0}
    whole = Snapshot({}, {}, own) + Snapshot({}, {}, early)
    assert whole.process["process_start_time_seconds"] == 1.0
    assert whole.process["process_max_fds"] == 2 * own["process_max_fds"]


def test_each_metric_says_how_it_is_combined() -> None:
    assert {kind.combine for kind in METRICS.values()} == {"sum", "most", "least"}
    assert len(_distribution([0.1]).counts) == len(BUCKETS) + 1
