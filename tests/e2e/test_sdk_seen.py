"""The page that says what SDKs show of a refusal and of an end says what they show."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from e2e import node_scripts, python_scripts
from e2e.relays import Authority, Relay, authority
from e2e.sdk_seen import CASES, SDKS, at_times, known, measure, patterns, relays, row

PAGE = Path(__file__).parents[2] / "docs" / "sdks.md"
EXAMPLE = re.compile(r"<!-- runs: (\w+) -->\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)
QUOTA = ["upstream_quota_exhausted", "The relay's upstream quota is used up; its operator must"]


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def to(
    tmp_path_factory: pytest.TempPathFactory, trusted: Authority
) -> Iterator[Mapping[str, Relay]]:
    """The relays, running."""
    with relays(tmp_path_factory.mktemp("relays"), trusted, patterns()) as running:
        yield running


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_shows_what_the_file_says(
    name: str, to: Mapping[str, Relay], trusted: Authority, tmp_path: Path
) -> None:
    sdk = SDKS[name]
    sdk.needs()
    cells = at_times(known()[name]["cases"], measure(sdk, to, trusted.ca_file, tmp_path))
    assert row(sdk, cells) == known()[name], "run: cd tests && python -m e2e.sdk_seen"


def test_the_file_has_every_sdk_and_case() -> None:
    assert {name: [*sdk["cases"]] for name, sdk in known().items()} == {
        name: [*CASES] for name in SDKS
    }


@pytest.mark.parametrize("name", SDKS)
def test_auto_tells_in_band_whom_shows_nothing_of_a_status_and_no_other(name: str) -> None:
    cases = known()[name]["cases"]
    form = "http" if cases["http"]["shows"] else "event"
    assert cases["auto"] == cases[form]


@pytest.mark.parametrize("name", SDKS)
def test_auto_makes_no_sdk_come_back_without_end(name: str) -> None:
    assert known()[name]["cases"]["auto"]["attempts"] != "no end"


@pytest.mark.parametrize("name", SDKS)
def test_a_rule_for_an_sdks_user_agent_tells_it_in_band(name: str) -> None:
    cases = known()[name]["cases"]
    assert cases["by rule"] == cases["event"]


@pytest.mark.parametrize(
    ("needs", "code"), EXAMPLE.findall(PAGE.read_text("utf-8")), ids=["openai", "aiohttp", "ws"]
)
def test_an_example_shows_the_whole_refusal(
    needs: str, code: str, to: Mapping[str, Relay], trusted: Authority
) -> None:
    if needs == "node":
        node_scripts.require()
        run = node_scripts.run("example.mjs", code, to["auto"].secure, ca_file=trusted.ca_file)
    else:
        python_scripts.require(needs)
        run = python_scripts.run(needs, "example.py", code, to["auto"].plain)
    assert all(told in run for told in QUOTA), run
