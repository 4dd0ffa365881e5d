"""What a relay that runs takes, what it refuses, and which files it looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, globalLogPublisher

from relay.config.auth import Auth
from relay.config.fleet_table import FleetTable
from relay.config.plan import Faults, Plan
from relay.config.settings import ListenerTable, Settings
from relay.config.upstream_table import UpstreamTable
from relay.daemon import reload as module
from relay.daemon.reload import LOOK_SECONDS, RESTART, Reload, changed, files_of, restart_for
from relay.rules.errors import InvalidValue

OTHER = {
    "listen": Settings(listen=("tcp:8081:interface=127.0.0.1",)),
    "admin": Settings(admin=""),
    "log_format": Settings(log_format="json"),
    "plane": Settings(plane="message"),
    "workers": Settings(workers=2),
    "fleet": Settings(fleet=FleetTable(url="redis://store.example")),
}


@pytest.mark.parametrize("key", RESTART)
def test_what_needs_a_restart_is_named(key: str) -> None:
    assert restart_for(Settings(), OTHER[key]) == [key]
    assert restart_for(OTHER[key], OTHER[key]) == []


def test_tls_on_a_listener_needs_a_restart_and_another_certificate_does_not() -> None:
    endpoint = "tcp:8443:interface=127.0.0.1"
    without, with_tls, renewed = (
        Settings(listen=(), listener=(table,))
        for table in (
            ListenerTable(endpoint=endpoint),
            ListenerTable(endpoint=endpoint, certificate="a.pem", key="a.key"),
            ListenerTable(endpoint=endpoint, certificate="b.pem", key="b.key"),
        )
    )
    assert restart_for(without, with_tls) == ["listen"]
    assert restart_for(with_tls, renewed) == []
    assert changed(with_tls, renewed) == ["listener"]
    assert list(files_of(renewed)) == ["b.pem", "b.key"]


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> list[LogEvent]:
    """What is logged."""
    events: list[LogEvent] = []
    observer: Any = events.append
    monkeypatch.setattr(module, "_log", Logger("relay.daemon.reload", observer=observer))
    return events


class Stage:
    """A relay that can be told to take something else, and keeps what it took."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.clock = Clock()
        self.plan = Plan(settings or Settings())
        self.found: Plan | Faults = self.plan
        self.asked: list[Settings | None] = []
        self.took: list[Plan] = []
        self.counted: list[str] = []
        self.fault: str | None = None
        self.change: Callable[[Plan], None] = self.took.append
        self.reload = Reload(self.plan, self._find, self._take, self.counted.append, self.clock)
        self.reload.start()

    def _find(self, settings: Settings | None) -> Plan | Faults:
        self.asked.append(settings)
        return self.found

    def _take(self, plan: Plan) -> None:
        if self.fault is not None:
            raise InvalidValue(self.fault)
        self.change(plan)

    def look(self, times: int = 3) -> None:
        self.clock.pump([LOOK_SECONDS] * times)


def test_a_good_file_is_taken_as_a_whole() -> None:
    stage = Stage()
    stage.found = Plan(Settings(hold_seconds=5.0))
    stage.reload.by_signal()
    assert (stage.asked, stage.took, stage.counted) == ([None], [stage.found], ["taken"])
    stage.found = Plan(evolve(stage.found.settings, admin=""))
    stage.reload.by_signal()
    assert (stage.took, stage.counted) == ([Plan(Settings(hold_seconds=5.0))], ["taken", "refused"])


def test_new_advice_is_told_and_old_is_not_told_again() -> None:
    stage = Stage()
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        lines.extend([event["line"]] if "line" in event else [])

    observer: Any = observe
    globalLogPublisher.addObserver(observer)
    for advice in (("one",), ("one", "two")):
        stage.found = evolve(stage.plan, advice=advice)
        stage.reload.by_signal()
    globalLogPublisher.removeObserver(observer)
    assert lines == ["one", "two"]


def test_a_bad_one_changes_nothing() -> None:
    stage = Stage()
    stage.found = ("hold_seconds: must be more than 0",)
    stage.reload.by_signal()
    stage.found, stage.fault = Plan(Settings(hold_seconds=5.0)), "no"
    stage.reload.by_signal()
    assert (stage.took, stage.counted) == ([], ["refused", "refused"])


def test_a_file_that_changes_is_taken_once_it_is_whole_with_the_same_settings(
    tmp_path: Path,
) -> None:
    key = tmp_path / "signing"
    key.write_text("a" * 32)
    settings = Settings(auth=Auth(signing_keys=(str(key),)))
    stage = Stage(settings)
    stage.look()
    assert stage.asked == []
    key.write_text("b" * 40)
    stage.look(1)
    assert stage.asked == [], "it may still be written"
    stage.look(4)
    assert (stage.asked, stage.counted) == ([settings], ["taken"])
    (tmp_path / "next").write_text("c" * 50)
    (tmp_path / "link").symlink_to("next")
    (tmp_path / "link").rename(key)
    stage.look()
    assert stage.counted == ["taken", "taken"]
    stage.reload.stop()
    key.unlink()
    stage.look()
    assert len(stage.asked) == 2


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    key = tmp_path / "signing"
    key.write_text("a" * 32)
    stage = Stage(Settings(auth=Auth(signing_keys=(str(key),))))

    def change(plan: Plan) -> None:
        stage.took.append(plan)
        key.write_text("b" * (40 + len(stage.took) % 2))

    stage.change = change
    stage.reload.by_signal()
    stage.change = stage.took.append
    stage.look()
    assert stage.counted == ["taken", "taken"]
    stage.look()
    assert stage.counted == ["taken", "taken"]


def test_a_file_that_has_changed_is_taken_though_a_signal_was_refused_meanwhile(
    tmp_path: Path,
) -> None:
    key = tmp_path / "signing"
    key.write_text("a" * 32)
    stage = Stage(Settings(auth=Auth(signing_keys=(str(key),))))
    key.write_text("b" * 40)
    good, stage.found = stage.found, ("hold_seconds: must be more than 0",)
    stage.reload.by_signal()
    stage.found = good
    stage.look()
    assert (stage.took, stage.counted) == ([good], ["refused", "taken"])


def test_an_error_of_its_own_is_a_refusal(capture: list[LogEvent]) -> None:
    stage = Stage()

    def fail(plan: Plan) -> None:
        raise OSError(24, "Too many open files")

    stage.change = fail
    stage.reload.by_signal()
    assert stage.counted == ["refused"]
    assert [event["log_format"] for event in capture if "log_failure" in event] == [
        "{why}: exception while taking new settings"
    ]


def test_a_file_that_cannot_be_used_is_told_of_once(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("good")
    table = UpstreamTable(ca_file=str(authority))
    stage = Stage(Settings(upstream=(table,)))
    stage.found = ("upstream openai: ca_file: not a PEM certificate",)
    authority.write_text("bad one")
    stage.look(10)
    assert stage.counted == ["refused"]
