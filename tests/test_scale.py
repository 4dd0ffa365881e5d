"""What so many sessions take is computed from the benchmark's figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.measured import figure, measured
from bench.scale import BUSY, SPEECHES, Need, Speech, costs_table, handshake, needs_table
from bench.store import DAY, claims, decide, ended, opened, renewed, spent
from relay.config.settings import Limits
from relay.fleet.fleet import CHUNK
from relay.fleet.scripts import DECIDE, FREE, RENEW
from relay.rules.refusals import KINDS
from relay.telemetry.kinds import METRICS

ROOT = Path(__file__).parents[1]

TEXT = """
## quiet-200: some

|  | CPU | messages/s |
| --- | ---: | ---: |
| splice | 8.62 | 113,694 |
| plain | 46.7! | 2 |

## quiet-2000: others

|  | CPU |
| --- | ---: |
| splice | 1 |
"""


def test_a_figure_is_found_by_load_row_and_column() -> None:
    assert figure(TEXT, "quiet-200", "splice", "messages/s") == 113_694
    assert figure(TEXT, "quiet-200", "plain", "CPU") == 46.7
    assert figure(TEXT, "quiet-2000", "splice", "CPU") == 1


@pytest.mark.parametrize(
    "asked", [("quiet", "splice", "CPU"), ("quiet-2000", "plain", "CPU"), ("quiet-200", "x", "CPU")]
)
def test_a_figure_that_is_not_there_is_not_made_up(asked: tuple[str, str, str]) -> None:
    with pytest.raises(LookupError):
        figure(TEXT, *asked)


def test_audio_is_counted_both_ways_in_base64() -> None:
    speech = Speech(0.1)
    assert speech.messages == 20
    assert speech.size == 4800 * 4 / 3 + 100


@pytest.mark.parametrize("speech", SPEECHES)
def test_a_core_is_as_busy_as_it_may_be(speech: Speech) -> None:
    one = speech.messages * speech.alone + handshake() / 300
    assert speech.sessions * one <= BUSY < (speech.sessions + 1) * one
    assert speech.most > speech.sessions


def test_a_message_of_the_benchmarks_size_costs_what_it_measured() -> None:
    """Nothing else is in the sum: TLS and the size come from the same tables."""
    size = (200 - 100) * 3 / 4 / 48_000
    assert Speech(size).together * 1e6 == pytest.approx(
        measured("tls-200", "splice", "CPU µs/message")
    )


def test_what_a_million_sessions_take() -> None:
    need = Need(1_000_000, Speech(0.02))
    assert need.relays * need.speech.sessions >= 1_000_000
    assert need.messages == 100_000_000
    assert need.opens == pytest.approx(3333, abs=1)
    # Two signs of life and two renewals a second of each relay, three for each session, a report
    # each ten seconds.
    assert need.asked == pytest.approx(4 * need.relays + 10_000 + 100_000)
    assert need.store_cores_of_one > 10 * need.store_cores


def test_few_sessions_are_renewed_one_by_one() -> None:
    need = Need(15, Speech(0.02))
    assert need.relays == 1
    assert need.asked == pytest.approx(2 + 15 / 10 + 3 * 15 / 300 + 15 / 10)


def test_a_session_asks_the_store_as_the_relay_does() -> None:
    address, subject = claims(5)
    assert (address.name, subject.name) == ("10.0.0.5", "shop")
    assert [call.script for call in (decide(5), opened(5), ended(5))] == [DECIDE, FREE, FREE]
    assert decide(5).arguments[3] == opened(5).arguments[0] == ended(5).arguments[0]
    assert [key.rpartition(":")[2] for key in opened(5).keys] == ["holds", "holds"]
    assert [key.rpartition(":")[2] for key in ended(5).keys] == ["sessions", "sessions"]
    assert decide(5).keys[2] == spent(1).keys[0] == DAY
    assert decide(5).arguments[3] == "relay:5"
    assert renewed(0).script == RENEW
    assert len(renewed(0).keys) == 2 * CHUNK == len(renewed(0).arguments) - 1


def test_the_tables_have_a_column_for_each_number_of_sessions() -> None:
    assert "| relays, a core each |" in needs_table()
    assert {line.count("|") for line in needs_table().splitlines()} == {8}
    assert {line.count("|") for line in costs_table().splitlines()} == {8}


def test_what_the_page_says_in_words_is_so() -> None:
    small, large = SPEECHES
    assert small.most < Limits().sessions < 1.1 * large.sessions
    assert Need(100_000, small).store_cores < 0.6
    assert Need(50_000, small).store_cores_of_one < 0.9 < Need(70_000, small).store_cores_of_one
    assert 550 < (1 - BUSY) / handshake() < 650


def test_the_metrics_alerts_and_settings_on_the_page_are_there() -> None:
    page = (ROOT / "docs" / "scale.md").read_text("utf-8")
    named = set(re.findall(r"`(relay_\w+)`", page)) - set(KINDS)
    assert len(named) > 5
    assert named <= set(METRICS)
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text("utf-8")
    for alert in re.findall(r"`(Relay\w+)`", page):
        assert f"alert: {alert}\n" in alerts
