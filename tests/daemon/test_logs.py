"""Log events as JSON lines."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import SECONDS
from twisted.logger import Logger, LogLevel, textFileLogObserver
from twisted.python.failure import Failure

from relay.daemon.logs import JSONObserver, TextObserver, open_log


class Mute:
    """What cannot even be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no words")


class Stage:
    """A logger whose lines are read back."""

    def __init__(self) -> None:
        self._file = io.StringIO()
        self.observer = JSONObserver(self._file)
        self.log = Logger("relay.test", observer=self.observer)

    def row(self) -> dict[str, Any]:
        """The one line that was written."""
        (line,) = self._file.getvalue().splitlines()
        row = json.loads(line)
        assert isinstance(row, dict)
        return row


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_line_has_time_level_namespace_message_and_fields(stage: Stage) -> None:
    stage.log.warn("refused {code} {code!r}", code="relay_full", seconds=0.5, subject=None)
    row = stage.row()
    assert row.pop("time").endswith("+00:00")
    assert row == {
        "level": "warn",
        "namespace": "relay.test",
        "message": "refused relay_full 'relay_full'",
        "code": "relay_full",
        "seconds": 0.5,
        "subject": None,
    }


def test_the_time_of_a_line_is_that_of_the_event_in_utc(stage: Stage) -> None:
    stage.observer({"log_time": 1.5, "log_format": "x"})
    assert stage.row()["time"] == "1970-01-01T00:00:01.500+00:00"


def test_lists_and_tables_stay_and_objects_become_text(stage: Stage) -> None:
    fields = {"attempts": [{"upstream": "openai", "at": (1, Mute())}], "object": object()}
    stage.log.info("x", **fields)
    row = stage.row()
    assert row["attempts"] == [{"upstream": "openai", "at": [1, "<Mute that cannot be printed>"]}]
    assert "object" not in row


def test_a_failure_is_a_traceback_in_a_field(stage: Stage) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        stage.log.failure("while relaying")
    row = stage.row()
    assert (row["level"], row["message"]) == ("critical", "while relaying")
    assert "ValueError: broken" in row["failure"]
    assert "Traceback" in row["failure"]


def test_a_failure_that_cannot_be_printed_is_still_a_line(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = Failure(ValueError("x"))
    monkeypatch.setattr(failure, "getTraceback", Mute().__repr__)
    stage.log.failure("x", failure=failure)
    assert stage.row()["failure"] == "<class 'ValueError'>"


def test_fields_never_replace_what_the_line_itself_says(stage: Stage) -> None:
    fields = {"message": "other", "namespace": "x", "level": "x", "time": 3, "failure": "x"}
    stage.observer({"log_format": "hello", "log_level": LogLevel.warn, "log_time": 0.0, **fields})
    row = stage.row()
    assert (row["message"], row["level"], row["namespace"]) == ("hello", "warn", "")
    assert row["time"].startswith("1970")
    assert "failure" not in row


def cycle() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


@pytest.mark.parametrize(
    "value",
    [
        [Mute()],
        {Mute(): 1},
        cycle(),
        [{1, 2}],
        [b"\xff"],
        "\ud800",
        [float("nan")],
        {(1, 2): {"x": [[[[[Mute()]]]]]}},
    ],
)
def test_no_field_breaks_a_line(stage: Stage, value: Any) -> None:
    stage.log.info("hello", value=value)
    row = stage.row()
    assert row["message"] == "hello"
    assert "value" in row


def test_numbers_that_json_lacks_are_text(stage: Stage) -> None:
    stage.log.info("hello", value=float("inf"))
    assert stage.row()["value"] == "inf"


def test_an_event_that_cannot_be_logged_is_still_a_line(stage: Stage) -> None:
    stage.observer({"log_time": "never"})
    assert stage.row() == {"level": "error", "message": "unloggable: TypeError"}


def test_a_message_of_two_lines_is_one_line(stage: Stage) -> None:
    stage.log.info("a\nb")
    assert stage.row()["message"] == "a\nb"


@pytest.fixture
def usr1() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("logfile", [None, "", "-"])
def test_in_the_foreground_the_log_is_standard_output(
    logfile: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = open_log({"nodaemon": 1, "logfile": logfile}, JSONObserver)
    writer.write("line\n")
    writer.flush(0)
    assert capfd.readouterr().out == "line\n"


def test_with_standard_output_closed_there_is_no_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    writer = open_log({"nodaemon": 1}, JSONObserver)
    writer.write("line\n")
    writer.flush(0)


def test_a_daemon_cannot_log_to_standard_output() -> None:
    with pytest.raises(SystemExit) as caught:
        open_log({"nodaemon": 0, "logfile": "-"}, JSONObserver)
    assert caught.value.code == "realtime-relay: a daemon cannot log to standard output"


def test_a_log_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "no folder" / "relay.log"
    with pytest.raises(SystemExit) as caught:
        open_log({"nodaemon": 1, "logfile": str(path)}, JSONObserver)
    assert caught.value.code == f"realtime-relay: {path}: No such file or directory"


@pytest.mark.usefixtures("usr1")
def test_a_named_log_file_is_used_and_left_on_usr1_if_it_was_moved(tmp_path: Path) -> None:
    log = tmp_path / "relay.log"
    writer = open_log({"nodaemon": 1, "logfile": str(log)}, JSONObserver)
    writer.start()
    JSONObserver(writer)({"log_time": 0.0, "log_format": "first"})
    signal.raise_signal(signal.SIGUSR1)
    writer.flush(SECONDS)
    assert "first" in log.read_text(), "nobody moved it"
    log.rename(tmp_path / "relay.log.1")
    signal.raise_signal(signal.SIGUSR1)
    writer.flush(SECONDS)
    assert log.read_text() == ""


@pytest.mark.usefixtures("usr1")
def test_a_daemon_logs_where_twistd_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    open_log({"nodaemon": 0, "logfile": None}, JSONObserver)
    assert (tmp_path / "twistd.log").exists()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN, "somebody else's stays"


# -- as text -------------------------------------------------------------------------------


def _failure() -> Failure:
    try:
        raise ValueError("no")
    except ValueError:
        return Failure()


EVENTS: list[dict[str, Any]] = [
    {"log_format": "opened {id}", "id": "req_1", "log_namespace": "relay.x"},
    {"log_format": "two\nlines", "log_level": LogLevel.warn, "log_namespace": "relay.x"},
    {"log_format": "from of old", "log_system": "-", "log_level": LogLevel.info},
    {"log_format": "failed", "log_failure": _failure(), "log_level": LogLevel.critical},
    {"log_format": "cannot {say}", "log_level": LogLevel.info},
    {"log_format": "", "log_level": LogLevel.info},
    {"log_level": LogLevel.info},
]


@pytest.mark.parametrize("event", EVENTS)
def test_a_text_line_is_as_twistd_writes_it(event: dict[str, Any]) -> None:
    ours, theirs = io.StringIO(), io.StringIO()
    observer, model = TextObserver(ours), textFileLogObserver(theirs)
    for when in (1_700_000_000.25, 1_700_000_000.75, 1_700_000_001.0):
        observer({"log_time": when, **event})
        model({"log_time": when, **event})
    assert ours.getvalue() == theirs.getvalue()
