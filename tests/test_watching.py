"""The dashboard and the alerts know the metrics that the relay exports, and no others."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from memory import World
from processes import SECONDS
from prometheus_client.parser import text_string_to_metric_families as parse
from promql import grouped, selectors

from relay import Metrics
from relay.rules.refusals import KINDS
from relay.telemetry.kinds import METRICS

ROOT = Path(__file__).parents[1]
ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yaml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/realtime-relay.json").read_text("utf-8"))

(GROUP,) = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

SCRAPED = {"instance", "job"}
"""Labels that Prometheus gives to all that it scrapes."""

OPEN = {"kind", "status", "version", "python", "twisted", "listener", "upstream", "le"}
"""Labels whose values are not all known, or are the operator's own."""

Exported = dict[str, dict[str, set[str]]]
"""The values of each label, by the name of the sample."""


@pytest.fixture(scope="module")
def exported() -> Exported:
    """What a relay really exports that had one of everything, where there is no series before."""
    metrics = Metrics()
    world = World(options={"listeners": [metrics]}, at="tcp:8080")
    metrics.certified({"tcp:8080": 0.0})
    metrics.share(lambda: (True, 3))
    client = world.downstream()
    world.connected().deliver(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    client.read()
    plain = world.accept()
    plain.deliver(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n")
    found: Exported = {}
    for family in parse(metrics.scrape(world.factory).decode()):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    # It takes a whole session to bill some.
    found["relay_usage_seconds_total"] = {"upstream": set(), "kind": set()}
    return found


def expressions() -> Iterator[Any]:
    """Each expression, with the labels that its legend or its annotations show."""
    for rule in GROUP["rules"]:
        shown = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        yield pytest.param(rule["expr"], shown, id=rule["alert"])
    for panel in PANELS:
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            yield pytest.param(target["expr"], shown, id=f"{panel['title']}-{target['refId']}")


@pytest.mark.parametrize(("expression", "shown"), [*expressions()])
def test_each_metric_and_label_that_is_asked_for_is_exported(
    exported: Exported, expression: str, shown: set[str]
) -> None:
    found = [*selectors(expression)]
    assert found, "it asks for a metric"
    known = set(SCRAPED)
    for each in found:
        labels = exported[each.name]
        known |= set(labels)
        for name, operator, value in each.matchers:
            assert name in labels or (name, operator, value) == ("instance", "=~", "$instance")
            if name in OPEN or name == "instance":
                continue
            wanted = value.split("|") if "~" in operator else [value]
            for one in wanted:
                assert any(re.fullmatch(one, real) for real in labels[name]), f"{name}={one}"
    groups = grouped(expression)
    assert groups <= known
    assert shown <= known
    if re.match(r"(sum|max|count|histogram_quantile)\b", expression):
        assert shown <= groups, "what it adds up has no other labels"


def test_the_dashboard_shows_each_metric() -> None:
    asked = {each.name for param in expressions() for each in selectors(param.values[0])}
    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    assert {*METRICS} <= stems


def test_the_panels_have_each_a_place_and_a_number_of_their_own() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        aside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert aside or below
        assert one["x"] + one["w"] <= 24


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", (ROOT / page).read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("rule", GROUP["rules"], ids=lambda rule: rule["alert"])
def test_each_alert_says_how_bad_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert not anchor or anchor in anchors(page)
    assert (ROOT / page).exists()


def test_each_alert_has_a_row_on_the_page() -> None:
    page = (ROOT / "docs/operating.md").read_text("utf-8")
    for rule in GROUP["rules"]:
        assert f"| `{rule['alert']}` |" in page


def test_what_only_an_operator_can_mend_is_no_matter_of_rates() -> None:
    (rule,) = (rule for rule in GROUP["rules"] if rule["alert"] == "RelayNeedsItsOperator")
    ((_, _, codes),) = next(selectors(rule["expr"])).matchers
    told = {code for code, kind in KINDS.items() if "operator must" in kind.message}
    assert told <= {*codes.split("|")}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize(
    "command", [["check", "rules", str(ALERTS)], ["test", "rules", "tests/data/alerts.yaml"]]
)
def test_prometheus_takes_the_alerts_and_they_fire(command: list[str]) -> None:
    done = subprocess.run(
        ["promtool", *command], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
