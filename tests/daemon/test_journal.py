"""Priorities for the journal, and whether it is the journal that reads."""

from __future__ import annotations

import io
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import LogLevel

from relay.daemon.journal import is_journal, priority
from relay.daemon.logs import JSONObserver, TextObserver

# sd-daemon(3): as of syslog, of which 2 is critical, 3 an error, 4 a warning, 6 information.
LEVELS = [
    (LogLevel.debug, "<7>"),
    (LogLevel.info, "<6>"),
    (LogLevel.warn, "<4>"),
    (LogLevel.error, "<3>"),
    (LogLevel.critical, "<2>"),
    (None, "<6>"),
]


@pytest.mark.parametrize(("level", "wanted"), LEVELS)
def test_each_level_is_a_priority(level: Any, wanted: str) -> None:
    assert priority({"log_level": level}) == wanted


def test_an_error_of_the_older_log_is_one() -> None:
    assert priority({"isError": 1}) == "<2>"


def test_each_line_of_an_event_has_its_priority() -> None:
    file = io.StringIO()
    event = {"log_level": LogLevel.warn, "log_format": "one\ntwo", "log_namespace": "n"}
    TextObserver(file, priority)(event)
    first, second = file.getvalue().splitlines()
    assert first.startswith("<4>1970-01-01T")
    assert second == "<4>\ttwo"


def test_a_json_line_stands_behind_its_priority() -> None:
    file = io.StringIO()
    JSONObserver(file, priority)({"log_level": LogLevel.error, "log_format": "x"})
    assert file.getvalue()[:3] == "<3>"
    assert json.loads(file.getvalue()[3:])["message"] == "x"


def test_only_the_stream_that_the_variable_names_is_the_journal(tmp_path: Path) -> None:
    journal, other = socket.socketpair()
    with journal, other:
        found = os.fstat(journal.fileno())
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(journal.fileno(), environ)
        assert not is_journal(other.fileno(), environ)
        assert not is_journal(journal.fileno(), {})
    assert not is_journal(-1, environ)
