"""What is told when a relay starts, though it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config.advice import advice_on
from relay.config.settings import Settings
from relay.config.upstream_table import UpstreamTable


def test_the_defaults_need_no_advice() -> None:
    assert list(advice_on(Settings())) == []


@pytest.mark.parametrize(("hold", "told"), [(9.9, 0), (10, 1), (60, 1)])
def test_a_hold_that_outlasts_the_sdks_is_told(hold: float, told: int) -> None:
    lines = list(advice_on(Settings(hold_seconds=hold)))
    assert [line.startswith(f"hold_seconds: {hold:g}: SDKs give up at 10") for line in lines] == [
        True
    ] * told


def test_an_endpoint_that_speaks_tls_is_told_of_the_table() -> None:
    (line,) = advice_on(Settings(listen=("ssl:8443:privateKey=a.pem",)))
    assert line == (
        'listen: "ssl:8443:privateKey=a.pem": its certificate is never read anew: name certificate'
        " and key in a [[listener]], with a tcp: endpoint"
    )


def test_recordings_of_what_users_say_are_told() -> None:
    assert list(advice_on(Settings(record="/recordings"))) == []
    assert list(advice_on(Settings(record_payloads=True))) == []
    (line,) = advice_on(Settings(record="/recordings", record_payloads=True))
    assert line.startswith("record_payloads: the files in /recordings hold what users say")


def test_a_key_that_all_can_read_is_told_once(tmp_path: Path) -> None:
    key = tmp_path / "up.key"
    key.write_text("sk-hunter2")
    key.chmod(0o640)
    settings = Settings(upstream=(UpstreamTable(key_file=str(key)),))
    assert list(advice_on(settings)) == []
    key.chmod(0o644)
    (line,) = advice_on(settings)
    assert line == (
        f"[[upstream]] #1: key_file: all users of this machine can read {key};"
        " take that from them: chmod o="
    )
    key.unlink()
    assert list(advice_on(settings)) == [], "a file that is missing is a fault"
