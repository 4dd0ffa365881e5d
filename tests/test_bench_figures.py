"""What becomes of the benchmark's numbers. No process is started and no time measured."""

from __future__ import annotations

import pytest

from bench.bars import BARS, bars_table
from bench.figures import (
    Outcome,
    Run,
    failures,
    median,
    not_run,
    percentile,
    ratio,
    spread,
)
from bench.loads import LOADS, QUICK, chosen, hurried
from bench.tables import Table, load_table, number

QUIET = next(load for load in LOADS if load.name == "quiet-8000")


def run_of(load: str = "quiet-8000", **figures: float) -> Run:
    """A run of one load, with the CPU per message that each peer took."""
    return {load: {peer: Outcome({"cpu_us": figure}) for peer, figure in figures.items()}}


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 1), (1, 1), (50, 50), (50.5, 51), (99, 99), (100, 100)]
)
def test_a_percentile_is_one_of_the_values(percent: float, value: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == value


def test_there_is_no_percentile_and_no_spread_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_the_median_is_of_the_runs_that_have_the_figure() -> None:
    failed: Run = {"quiet-8000": {"splice": Outcome(not_run="died")}}
    runs = [run_of(splice=3), failed, run_of(splice=1), {}, run_of(splice=9)]
    assert median(runs, "quiet-8000", "splice", "cpu_us") == 3
    assert median(runs, "quiet-8000", "nginx", "cpu_us") is None
    assert median(runs, "quiet-8000", "splice", "p50_ms") is None
    assert not_run(runs, "quiet-8000", "splice") == "died"


def test_a_ratio_is_made_within_each_run() -> None:
    # The second run was on a machine twice as slow: the ratio of the medians would be 4.
    runs = [run_of(splice=10, nginx=5), run_of(splice=20, nginx=10), run_of(splice=20, nginx=5)]
    assert ratio(runs, "quiet-8000", "splice", "nginx", "cpu_us") == 2


def test_a_run_without_the_rival_has_no_ratio() -> None:
    runs = [run_of(splice=10), run_of(nginx=5), run_of(splice=10, nginx=0)]
    assert ratio(runs, "quiet-8000", "splice", "nginx", "cpu_us") is None


def test_failures_of_all_runs_are_counted() -> None:
    runs: list[Run] = [
        {"idle-5000": {"plain": Outcome({}, {"refused": 2, "lost": 0})}},
        {"idle-5000": {"plain": Outcome({}, {"refused": 3, "lost": 0})}},
    ]
    assert failures(runs, "idle-5000", "plain") == {"refused": 5}
    assert failures(runs, "idle-5000", "nginx") == {}


@pytest.mark.parametrize(
    ("values", "part"), [([5], 0), ([3, 5], 0.25), ([75, 100, 125], 0.25), ([0, 0], 0)]
)
def test_the_spread_is_around_one_middle(values: list[float], part: float) -> None:
    assert spread(values) == part


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "0"), (0.0451, "0.045"), (1.234, "1.23"), (12.34, "12.3"), (12345, "12,345")],
)
def test_figures_are_shown_with_few_digits(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_table_aligns_its_columns() -> None:
    table = Table("Title", ["", "CPU"], [["nginx", "5.50"], ["a", "61.0"]], ["a note"])
    assert table.as_text().splitlines() == [
        "Title",
        "          CPU",
        "  nginx  5.50",
        "  a      61.0",
        "a note",
    ]
    assert table.as_markdown().splitlines() == [
        "## Title",
        "",
        "|  | CPU |",
        "| --- | ---: |",
        "| nginx | 5.50 |",
        "| a | 61.0 |",
        "",
        "a note",
    ]


def test_a_failure_is_marked_and_told() -> None:
    runs: list[Run] = [
        {
            "quiet-8000": {
                "splice": Outcome({"cpu_us": 12.0}, {"lost": 2, "wrong": 0}),
                "nginx": Outcome({"cpu_us": 10.0}),
                "node": Outcome(not_run="node is not installed"),
            }
        }
    ]
    table = load_table(runs, QUIET, ["splice", "plain", "nginx", "node"])
    assert [row[:2] for row in table.rows] == [
        ["splice", "12.0!"],
        ["nginx", "10.0"],
        ["node", "-"],
    ]
    assert [row[-2:] for row in table.rows] == [["1.20", "-"], ["1.00", "-"], ["-", "-"]]
    assert table.notes == [
        "! splice: in all runs together 2 lost",
        "node: not run: node is not installed",
    ]


def verdict(what: str, unit: str, runs: list[Run]) -> str:
    (bar,) = [bar for bar in BARS if bar.what == what and bar.unit == unit]
    return bar.verdict(runs)


@pytest.mark.parametrize(
    ("cost", "said"), [(13.9, "holds"), (14.0, "holds"), (14.1, "does not hold")]
)
def test_a_bar_holds_up_to_its_limit(cost: float, said: str) -> None:
    runs = [run_of(splice=cost, nginx=10)]
    assert verdict("splice, quiet, 8 kB", "times nginx", runs) == said


def test_a_bar_that_holds_despite_failures_says_so() -> None:
    cells = {"splice": Outcome({"cpu_us": 10.0}, {"lost": 1}), "nginx": Outcome({"cpu_us": 10.0})}
    assert verdict("splice, quiet, 8 kB", "times nginx", [{"quiet-8000": cells}]) == "holds!"


def test_sessions_all_live_only_if_every_run_says_so() -> None:
    def said(*outcomes: Outcome) -> str:
        runs: list[Run] = [{"idle-9500": {"splice": outcome}} for outcome in outcomes]
        return verdict("9,500 sessions in one process", "failures", runs)

    assert said(Outcome(), Outcome()) == "holds"
    assert said(Outcome(), Outcome(failures={"refused": 1})) == "does not hold!"
    assert said(Outcome(), Outcome(not_run="died")) == "not measured"
    assert said() == "not measured"


def test_cost_against_sessions_needs_every_number_of_sessions() -> None:
    costs = {"scale-10": 10.0, "scale-100": 9.0, "scale-1000": 11.0}
    run: dict[str, dict[str, Outcome]] = {}
    for load, cost in costs.items():
        run.update({load: {"splice": Outcome({"cpu_us": cost})}})
    what = "CPU per message, 10 to 5,000 sessions"
    assert verdict(what, "± %", [run]) == "not measured"
    run["scale-5000"] = {"splice": Outcome({"cpu_us": 15.0})}
    assert verdict(what, "± %", [run]) == "holds"
    run["scale-5000"] = {"splice": Outcome({"cpu_us": 15.1})}
    assert verdict(what, "± %", [run]) == "does not hold"


def test_a_bar_without_a_measurement_does_not_hold() -> None:
    assert {row[-1] for row in bars_table([]).rows} == {"not measured"}


def test_every_bar_belongs_to_a_load() -> None:
    known = {load.name for load in LOADS}
    assert {load for bar in BARS for load, _ in bar.cells} <= known


def test_loads_have_unique_names() -> None:
    for loads in (LOADS, QUICK):
        assert len({load.name for load in loads}) == len(loads)


def test_loads_are_chosen_by_name_or_first_word() -> None:
    names = [load.name for load in chosen(LOADS, "handshakes,quiet,tls-200")]
    assert names == ["quiet-200", "quiet-8000", "tls-200", "handshakes", "handshakes-tls"]
    assert chosen(LOADS, None) == list(LOADS)
    with pytest.raises(SystemExit, match="no load is called loud; there are quiet-200"):
        chosen(LOADS, "quiet,loud")


def test_a_quick_run_measures_the_same_loads_for_less_time() -> None:
    short = hurried(QUIET)
    assert short.seconds < QUIET.seconds
    assert (short.name, short.sessions, short.size) == (QUIET.name, QUIET.sessions, QUIET.size)
