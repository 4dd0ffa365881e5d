"""A session's file is done once, and nothing is written behind that."""

from __future__ import annotations

from pathlib import Path

from recording.recorded import HEADER, said

from relay.recording.lines import Closed
from relay.recording.reading import recording_at
from relay.recording.recorder import Recorder
from relay.recording.session_file import Place, SessionFile


def made(folder: Path, done: list[tuple[str, str]]) -> SessionFile:
    recorder = Recorder(HEADER, 2**16, (), lambda beginning, size: None)
    return SessionFile(Place(folder, "a.jsonl", 1), recorder, lambda *what: done.append(what))


def test_a_file_that_never_was_takes_nothing(tmp_path: Path) -> None:
    done: list[tuple[str, str]] = []
    file = made(tmp_path / "none", done)
    file.begin()
    file.crossed(said(1, "client", "x"))
    file.end(Closed(2, "client", 1000))
    assert done == [("failed", f"{tmp_path / 'none'}: No such file or directory")]
    assert file.is_over


def test_what_comes_behind_the_end_is_dropped(tmp_path: Path) -> None:
    done: list[tuple[str, str]] = []
    file = made(tmp_path, done)
    file.begin()
    file.end(Closed(2, "client", 1000))
    file.crossed(said(3, "client", "x"))
    file.end(Closed(4, "relay", 1001))
    assert done == [("whole", "")]
    assert recording_at(tmp_path / "a.jsonl").end == Closed(2, "client", 1000)
