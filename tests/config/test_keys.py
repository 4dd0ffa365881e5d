"""Where secrets come from, and that no message shows one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import attrs
import pytest
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from relay.config import keys
from relay.config.keys import LARGEST_FILE, KeyFault, KeyFile, upstream_key
from relay.config.upstream_table import UpstreamTable

KEY = "sk-hunter2"
ENV = {"OPENAI_API_KEY": "sk-of-the-environment"}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    return path


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    (tmp_path / "openai.key").write_text("sk-of-systemd")
    return tmp_path


def fault_of(table: UpstreamTable, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(KeyFault) as caught:
        upstream_key(table, environ or {})
    assert "hunter2" not in caught.value.line
    assert caught.value.line.isprintable()
    return caught.value.line


def test_a_key_file_goes_before_every_other_place(key_file: Path, credentials: Path) -> None:
    environ = {**ENV, "MINE": "sk-mine", "CREDENTIALS_DIRECTORY": str(credentials)}
    table = UpstreamTable(key_file=str(key_file), key_env="MINE")
    key = upstream_key(table, environ)
    assert isinstance(key, KeyFile)
    assert key() == KEY


def test_a_named_variable_goes_before_the_systemd_credential(credentials: Path) -> None:
    environ = {**ENV, "MINE": "sk-mine", "CREDENTIALS_DIRECTORY": str(credentials)}
    assert upstream_key(UpstreamTable(key_env="MINE"), environ) == "sk-mine"


def test_the_systemd_credential_goes_before_the_usual_variable(credentials: Path) -> None:
    environ = {**ENV, "CREDENTIALS_DIRECTORY": str(credentials)}
    key = upstream_key(UpstreamTable(), environ)
    assert isinstance(key, KeyFile)
    assert key() == "sk-of-systemd"
    other = UpstreamTable(name="other")
    assert upstream_key(other, environ) == ENV["OPENAI_API_KEY"], "a credential has one owner"


def test_the_usual_variable_is_used_for_openai_only() -> None:
    assert upstream_key(UpstreamTable(), ENV) == ENV["OPENAI_API_KEY"]
    assert upstream_key(UpstreamTable(provider="generic", url="wss://h/"), ENV) is None


def test_without_any_of_the_places_there_is_no_key() -> None:
    assert upstream_key(UpstreamTable(), {}) is None
    assert upstream_key(UpstreamTable(), {"OPENAI_API_KEY": ""}) is None


def test_a_named_variable_that_is_not_set_never_means_another_key() -> None:
    line = "upstream openai: key_env: the environment variable MINE is not set or empty"
    assert fault_of(UpstreamTable(key_env="MINE"), ENV) == line
    assert fault_of(UpstreamTable(key_env="MINE"), {**ENV, "MINE": ""}) == line


def test_a_named_file_that_is_missing_never_means_another_key(tmp_path: Path) -> None:
    table = UpstreamTable(key_file=str(tmp_path / KEY), key_env="MINE")
    assert fault_of(table, {**ENV, "MINE": "sk-mine"}) == (
        f"upstream openai: key_file: cannot be read: No such file or directory (below {tmp_path})"
    )


QUOTED = "is in quotes, which would be sent too; take them off"


@pytest.mark.parametrize("value", ['"hunter2"', "'hunter2'", "`hunter2`"])
def test_a_key_in_quotes_is_told(value: str) -> None:
    line = fault_of(UpstreamTable(), {"OPENAI_API_KEY": value})
    assert line == f"upstream openai: OPENAI_API_KEY: {QUOTED}"


def test_a_quote_within_a_key_is_a_part_of_it() -> None:
    assert upstream_key(UpstreamTable(), {"OPENAI_API_KEY": '"k'}) == '"k'
    assert upstream_key(UpstreamTable(), {"OPENAI_API_KEY": "k'"}) == "k'"


def test_a_byte_order_mark_before_a_key_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-mine", "utf-8-sig")
    key = upstream_key(UpstreamTable(key_file=str(tmp_path / "key")), {})
    assert isinstance(key, KeyFile)
    assert key() == "sk-mine"


def test_a_file_that_is_there_and_cannot_be_read_is_told_whole(tmp_path: Path) -> None:
    line = fault_of(UpstreamTable(key_file=str(tmp_path)))
    assert line == f"upstream openai: key_file: cannot be read: Is a directory ({tmp_path})"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "the file is empty"),
        (b"\n\r\n", "the file is empty"),
        (b"sk-hunter2\nsk-hunter2\n", "more than one line"),
        (b"sk hunter2", "line 1: holds a space, a control character or one that is not ASCII"),
        (b"\nhunter2\x7f", "line 2: holds a space, a control character or one that is not ASCII"),
        (b"hunter2\xff", "line 1: holds a space, a control character or one that is not ASCII"),
        (b"k\xef\xbb\xbf", "line 1: holds a space, a control character or one that is not ASCII"),
        (b"'hunter2'", f"line 1: {QUOTED}"),
        (b'\xef\xbb\xbf"hunter2"\r\n', f"line 1: {QUOTED}"),
        (b"k" * (LARGEST_FILE + 1), f"larger than {LARGEST_FILE} bytes"),
    ],
)
def test_a_file_without_a_key_is_a_fault(tmp_path: Path, data: bytes, fault: str) -> None:
    path = tmp_path / "key"
    path.write_bytes(data)
    table = UpstreamTable(key_file=str(path))
    assert fault_of(table) == f"upstream openai: key_file: {fault}"


def test_a_broken_systemd_credential_is_named(tmp_path: Path) -> None:
    (tmp_path / "openai.key").write_text("two words")
    line = fault_of(UpstreamTable(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert line.startswith("upstream openai: systemd credential openai.key: line 1: holds a space")


def test_a_systemd_credential_that_may_not_be_looked_at_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exists(path: Path) -> bool:
        raise PermissionError(path)

    monkeypatch.setattr(Path, "exists", exists)
    line = fault_of(UpstreamTable(), {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert line.startswith("upstream openai: systemd credential openai.key: cannot be read: ")


@pytest.mark.parametrize("value", ["hunter2 hunter2", "hunter2\n", "hünter2", "hunter2\udcff"])
def test_a_variable_without_a_key_is_a_fault(value: str) -> None:
    line = fault_of(UpstreamTable(), {"OPENAI_API_KEY": value})
    assert line.startswith("upstream openai: OPENAI_API_KEY: holds a space")


def test_a_key_never_crosses_a_network_in_clear() -> None:
    table = UpstreamTable(url="ws://models.example/v1/realtime")
    line = "upstream openai: a key is not sent over ws:// to models.example; use wss://"
    assert fault_of(table, {"OPENAI_API_KEY": KEY}) == line
    assert upstream_key(table, {}) is None


@pytest.mark.parametrize("host", ["127.0.0.1:9000", "[::1]:9000", "localhost"])
def test_a_key_may_go_to_loopback_in_clear(host: str) -> None:
    table = UpstreamTable(url=f"ws://{host}/v1/realtime")
    assert upstream_key(table, {"OPENAI_API_KEY": KEY}) == KEY


def test_a_key_never_goes_in_clear_to_loopback_by_a_proxy() -> None:
    table = UpstreamTable(url="ws://127.0.0.1:9000/", proxy="http://proxy.example")
    line = "upstream openai: a key is not sent over ws:// to 127.0.0.1; use wss://"
    assert fault_of(table, {"OPENAI_API_KEY": KEY}) == line
    directly = attrs.evolve(table, proxy="none")
    assert upstream_key(directly, {"OPENAI_API_KEY": KEY}) == KEY


# A key file that changes while the relay runs

NEW = "sk-hunter2-the-second"


@dataclass
class Watched:
    """
    A key file and what is logged of it.

    @ivar reads: how often it was opened.
    """

    path: Path
    lines: list[str] = field(default_factory=list)
    reads: int = 0

    def __post_init__(self) -> None:
        self.path.write_text(KEY)
        self.key = KeyFile(self.path, "upstream openai: key_file")
        self.reads = 0

    def replace(self, text: str) -> None:
        """As careful programs do it: by a rename."""
        beside = self.path.with_name("beside")
        beside.write_text(text)
        beside.replace(self.path)

    def log(self, event: LogEvent) -> None:
        """Keep it."""
        level = event["log_level"].name
        self.lines.append(f"{level}: {formatEvent(event)}")


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Whose log never shows a key."""
    watched = Watched(tmp_path / "watched")
    read = keys.read_file

    def count(path: Path, what: str) -> bytes:
        watched.reads += 1
        return read(path, what)

    monkeypatch.setattr(keys, "read_file", count)
    observer: Any = watched.log
    globalLogPublisher.addObserver(observer)
    yield watched
    globalLogPublisher.removeObserver(observer)
    assert not any("hunter2" in line for line in watched.lines)


ANEW = "info: upstream openai: key_file: read anew"
GONE = (
    "error: upstream openai: key_file: cannot be read: No such file or directory"
    " (below {0}); the last good one stays in use"
)
EMPTY = "error: upstream openai: key_file: the file is empty; the last good one stays in use"


def test_an_unchanged_key_file_is_read_once(watched: Watched) -> None:
    assert [watched.key() for _ in range(3)] == [KEY] * 3
    assert (watched.reads, watched.lines) == (0, [])


def test_a_replaced_key_file_is_read_anew(watched: Watched) -> None:
    watched.replace(NEW)
    assert [watched.key() for _ in range(3)] == [NEW] * 3
    assert (watched.reads, watched.lines) == (1, [ANEW])


def test_a_replaced_key_file_of_the_same_size_and_time_is_read_anew(watched: Watched) -> None:
    found = watched.path.stat()
    watched.replace(KEY[::-1].replace("2retnuh", "hunter2"))
    os.utime(watched.path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert watched.key() == "hunter2-ks"


def test_a_key_file_that_is_written_in_place_is_read_anew(watched: Watched) -> None:
    watched.path.write_text(KEY.upper())
    os.utime(watched.path, ns=(0, 10**18))
    assert watched.key() == KEY.upper()


def test_a_key_file_whose_link_points_elsewhere_is_read_anew(
    watched: Watched, tmp_path: Path
) -> None:
    """As Kubernetes changes its secrets."""
    watched.path.rename(tmp_path / "first")
    (tmp_path / "second").write_text(NEW)
    watched.path.symlink_to("second")
    assert watched.key() == NEW


def test_a_key_file_that_is_gone_is_one_line_each_time(watched: Watched) -> None:
    for _ in range(2):
        watched.path.unlink()
        assert [watched.key() for _ in range(3)] == [KEY] * 3
        watched.replace(KEY)
        assert watched.key() == KEY
    assert watched.lines == [GONE.format(watched.path.parent), ANEW] * 2


def test_a_bad_key_file_is_one_line_for_each_change(watched: Watched) -> None:
    watched.replace("")
    assert [watched.key() for _ in range(3)] == [KEY] * 3
    watched.replace("hunter2 hunter2")
    assert watched.key() == KEY
    watched.replace(NEW)
    assert watched.key() == NEW
    bad = "error: upstream openai: key_file: line 1: holds a space"
    assert [line[: len(bad)] for line in watched.lines[1:2]] == [bad]
    assert [watched.lines[0], *watched.lines[2:]] == [EMPTY, ANEW]


def test_after_a_shortage_a_changed_key_file_is_read(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Out of descriptors when the file changes: it is read as soon as there are some again."""
    watched.replace(NEW)
    with monkeypatch.context() as patch:
        patch.setattr(keys, "read_file", _fails)
        assert [watched.key(), watched.key()] == [KEY, KEY]
    assert watched.key() == NEW
    assert len(watched.lines) == 2


def _fails(path: Path, what: str) -> NoReturn:
    raise KeyFault(f"{what}: cannot be read: Too many open files")


def test_a_key_from_a_pipe_is_read_once(tmp_path: Path) -> None:
    """Opening it again would block the reactor."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(KEY))
    writer.start()
    key = KeyFile(pipe, "key_file")
    writer.join()
    assert key() == KEY
