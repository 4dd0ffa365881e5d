"""The log's file and its thread: whoever logs never waits, and no line is lost in silence."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from processes import SECONDS
from twisted.logger import ILogObserver, LogEvent, Logger
from zope.interface import implementer

from relay.daemon import logfile as module
from relay.daemon.logfile import WAITING, LogWriter, WatchedFile
from relay.daemon.logs import JSONObserver, TextObserver

BLOCK = "x" * 1023 + "\n"
TOO_MANY = 3 * WAITING // len(BLOCK)


class Pipe:
    """Two open descriptors."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def descriptor(self) -> int:
        return self.writer

    def read(self, is_all: Callable[[bytearray], bool]) -> str:
        """What comes until it is all."""
        data = bytearray()
        while not is_all(data):
            data += os.read(self.reader, 65536)
        return data.decode()

    def close(self) -> None:
        for fd in (self.reader, self.writer):
            with suppress(OSError):  # a test closed it
                os.close(fd)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def writer_to(descriptor: Callable[[], int]) -> LogWriter:
    writer = LogWriter(descriptor, TextObserver)
    writer.start()
    return writer


# The thread


def test_lines_come_out_in_order_and_once(pipe: Pipe) -> None:
    writer = writer_to(pipe.descriptor)
    lines = [f"{number}\n" for number in range(5000)]
    for line in lines:
        writer.write(line)
    assert pipe.read(lambda data: data.endswith(b"4999\n")) == "".join(lines)


def overflown(pipe: Pipe, observer: Callable[[Any], ILogObserver] = TextObserver) -> list[str]:
    """The lines of a log that got too many while its first write went on."""
    begun, go_on = threading.Event(), threading.Event()

    def descriptor() -> int:
        begun.set()
        assert go_on.wait(SECONDS)
        return pipe.writer

    writer = LogWriter(descriptor, observer)
    writer.start()
    writer.write(BLOCK)
    assert begun.wait(SECONDS)
    for _ in range(TOO_MANY - 1):
        writer.write(BLOCK)
    go_on.set()
    lines = pipe.read(was_told).splitlines()
    writer.write("next\n")
    assert pipe.read(lambda data: data.endswith(b"\n")) == "next\n"
    return lines


def was_told(data: bytearray) -> bool:
    return b"log lines were dropped" in data[-300:] and data.endswith(b"\n")


def test_writing_does_not_wait_for_a_reader_and_dropped_lines_are_counted(pipe: Pipe) -> None:
    *blocks, told = overflown(pipe)
    assert len(blocks) * len(BLOCK) == WAITING + len(BLOCK), "that is all it keeps"
    namespace = re.escape(module.__name__)
    line = rf"\S+ \[{namespace}#warn\] (\d+) log lines were dropped because nobody read the log"
    found = re.fullmatch(line, told)
    assert found
    assert len(blocks) + int(found[1]) == TOO_MANY


def test_the_dropped_are_told_in_the_logs_own_format(pipe: Pipe) -> None:
    *blocks, told = overflown(pipe, JSONObserver)
    row = json.loads(told)
    assert (row["level"], row["namespace"]) == ("warn", "relay.daemon.logfile")
    assert row["message"] == f"{row['count']} log lines were dropped because nobody read the log"
    assert len(blocks) + row["count"] == TOO_MANY


def test_nothing_is_written_before_the_start(pipe: Pipe) -> None:
    writer = LogWriter(pipe.descriptor, TextObserver)
    writer.write("first\n")
    os.write(pipe.writer, b"forked\n")
    writer.start()
    writer.start()
    assert pipe.read(lambda data: b"first" in data) == "forked\nfirst\n"


def test_an_end_before_the_start_writes_all_lines(pipe: Pipe) -> None:
    writer = LogWriter(pipe.descriptor, TextObserver)
    writer.write("why it ends\n")
    writer.flush(0)
    os.close(pipe.writer)
    assert os.read(pipe.reader, 100) == b"why it ends\n"


def test_the_end_waits_for_the_last_line(tmp_path: Path) -> None:
    writer = writer_to(WatchedFile(str(tmp_path / "log")).descriptor)
    for number in range(1000):
        writer.write(f"{number}\n")
    writer.flush(SECONDS)
    assert (tmp_path / "log").read_text().endswith("\n999\n")


def test_the_end_does_not_wait_for_ever_for_a_reader(pipe: Pipe) -> None:
    writer = writer_to(pipe.descriptor)
    for _ in range(1000):
        writer.write(BLOCK)
    writer.flush(0.01)
    assert pipe.read(lambda data: data.count(b"x\n") == 1000)


def test_a_write_that_fails_is_tried_again_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, file = os.open("/dev/full", os.O_WRONLY), WatchedFile(str(tmp_path / "log"))
    pauses: list[float] = []
    monkeypatch.setattr(module, "sleep", pauses.append)
    writer = writer_to(lambda: full if len(pauses) < 4 else file.descriptor())
    writer.write("first\n")
    writer.flush(SECONDS)
    writer.write("second\n")
    writer.flush(SECONDS)
    assert (tmp_path / "log").read_text() == "first\nsecond\n"
    assert [each for each in pauses if each != module.GATHER_SECONDS] == [module.RETRY_SECONDS] * 3
    os.close(full)


def test_what_was_dropped_while_writes_failed_is_told_with_the_reason(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    failed, mended = threading.Event(), threading.Event()

    def pause(seconds: float) -> None:
        if seconds == module.GATHER_SECONDS:
            return
        failed.set()
        mended.wait(SECONDS)

    monkeypatch.setattr(module, "sleep", pause)
    writer = writer_to(lambda: pipe.writer if mended.is_set() else full)
    writer.write(BLOCK)
    assert failed.wait(SECONDS)
    for _ in range(TOO_MANY - 1):
        writer.write(BLOCK)
    mended.set()
    text = pipe.read(was_told)
    assert text.endswith(" dropped because the log could not be written: No space left on device\n")
    os.close(full)


def test_a_reader_that_left_does_not_end_the_log(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    failed = threading.Event()

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        failed.set()
        threading.Event().wait(0.01)

    monkeypatch.setattr(module, "sleep", pause)
    another = Pipe()
    writer = writer_to(lambda: another.writer if len(pauses) > 2 else pipe.writer)
    os.close(pipe.reader)
    writer.write("first\n")
    assert failed.wait(SECONDS)
    assert another.read(lambda data: data.endswith(b"\n")) == "first\n"
    another.close()


def test_a_write_that_is_taken_in_part_goes_on_where_it_was(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.set_blocking(pipe.writer, False)
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.001)
    writer = writer_to(pipe.descriptor)
    lines = [f"{number}\n" for number in range(100_000)]
    writer.write("".join(lines))
    assert pipe.read(lambda data: data.endswith(b"\n99999\n")) == "".join(lines)


class Finalized(str):
    """A text whose length is asked while the writer has its lock: so may a finalizer log."""

    writer: LogWriter

    def __len__(self) -> int:
        self.writer.write("from within\n")
        return super().__len__()


def test_a_finalizer_may_log_while_a_line_is_taken(pipe: Pipe) -> None:
    writer = writer_to(pipe.descriptor)
    text = Finalized("line\n")
    text.writer = writer
    thread = threading.Thread(target=writer.write, args=(text,), daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive(), "it waits for itself"
    written = pipe.read(lambda data: data.count(b"\n") == 2)
    assert sorted(written.splitlines()) == ["from within", "line"]


def test_text_that_is_not_utf_8_is_a_line(pipe: Pipe) -> None:
    writer_to(pipe.descriptor).write("\ud800\n")
    assert pipe.read(lambda data: data.endswith(b"\n")) == "\\ud800\n"


# The file


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[LogEvent]:
    """What a file logs of itself."""
    found: list[LogEvent] = []

    @implementer(ILogObserver)
    def observer(event: LogEvent) -> None:
        found.append(event)

    monkeypatch.setattr(module, "_log", Logger("relay.daemon.logfile", observer=observer))
    return found


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "relay.log"


@pytest.fixture
def file(log: Path) -> Iterator[WatchedFile]:
    file = WatchedFile(str(log))
    yield file
    file.close()


def write(file: WatchedFile, text: str) -> None:
    os.write(file.descriptor(), text.encode())


def test_a_renamed_log_file_is_left_for_a_new_one(log: Path, file: WatchedFile) -> None:
    write(file, "old\n")
    moved = log.rename(log.with_suffix(".1"))
    write(file, "new\n")
    assert (moved.read_text(), log.read_text()) == ("old\n", "new\n")


def test_a_new_file_in_the_place_of_a_renamed_one_is_used_as_it_is(
    log: Path, file: WatchedFile
) -> None:
    write(file, "old\n")
    moved = log.rename(log.with_suffix(".1"))
    log.touch(0o640)
    write(file, "new\n")
    assert (moved.read_text(), log.read_text()) == ("old\n", "new\n")
    assert log.stat().st_mode & 0o777 == 0o640


def test_a_copied_and_truncated_log_file_has_no_hole(log: Path, file: WatchedFile) -> None:
    write(file, "old\n")
    os.truncate(log, 0)
    write(file, "new\n")
    assert log.read_bytes() == b"new\n"


def test_an_existing_log_file_is_appended_to(log: Path) -> None:
    log.write_text("before\n")
    file = WatchedFile(str(log))
    write(file, "after\n")
    file.close()
    assert log.read_text() == "before\nafter\n"


def test_a_relative_path_stays_that_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = WatchedFile("relay.log")
    monkeypatch.chdir("/")
    (tmp_path / "relay.log").rename(tmp_path / "relay.log.1")
    write(file, "new\n")
    file.close()
    assert (tmp_path / "relay.log").read_text() == "new\n"


def test_a_new_file_has_the_rights_of_the_old_one_whatever_a_daemons_umask_is(
    log: Path, file: WatchedFile
) -> None:
    log.chmod(0o644)
    log.rename(log.with_suffix(".1"))
    before = os.umask(0o077)
    try:
        write(file, "new\n")
    finally:
        os.umask(before)
    assert log.stat().st_mode & 0o777 == 0o644


def test_while_no_new_file_opens_the_old_one_takes_the_lines_and_says_so(
    log: Path, file: WatchedFile, errors: list[Any]
) -> None:
    moved = log.rename(log.with_suffix(".1"))
    log.mkdir()
    write(file, "one\n")
    write(file, "two\n")
    assert moved.read_text() == "one\ntwo\n"
    assert [error["reason"] for error in errors] == ["Is a directory"]
    log.rmdir()
    write(file, "three\n")
    assert log.read_text() == "three\n"
    log.rename(log.with_suffix(".2"))
    log.mkdir()
    write(file, "four\n")
    assert len(errors) == 2, "it is another time"


def test_a_log_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WatchedFile(str(tmp_path / "no folder" / "relay.log"))


def test_a_moved_file_is_left_on_request_though_nothing_is_logged(
    log: Path, file: WatchedFile
) -> None:
    writer = LogWriter(file.descriptor, TextObserver)
    log.rename(log.with_suffix(".1"))
    writer.look()
    writer.start()
    writer.flush(SECONDS)
    assert log.exists()
