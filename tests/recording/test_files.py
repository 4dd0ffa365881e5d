"""The files in the folder: none is written that was there before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from relay.recording.files import NoRoom, create, name_of, write


def test_a_file_is_named_by_its_date_and_id() -> None:
    assert name_of("2026-02-03T04:05:06Z", "req_1") == "20260203T040506Z-req_1.jsonl"
    assert name_of("2026-02-03T04:05:06Z", "../a/b") == "20260203T040506Z-___a_b.jsonl"


def test_what_is_there_is_never_written(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("before")
    (tmp_path / "a.jsonl").symlink_to(there)
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "none")
    (tmp_path / "c.jsonl").write_text("before")
    for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
        with pytest.raises(FileExistsError):
            create(tmp_path, name, 10)
    assert there.read_text() == (tmp_path / "c.jsonl").read_text() == "before"
    assert not (tmp_path / "none").exists()


def test_other_files_in_the_folder_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    os.close(create(tmp_path, "a.jsonl", 1))
    with pytest.raises(NoRoom):
        create(tmp_path, "b.jsonl", 1)


def test_all_is_written_however_much_is_taken_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:3]))
    descriptor = create(tmp_path, "a.jsonl", 1)
    write(descriptor, b"0123456789")
    os.close(descriptor)
    assert (tmp_path / "a.jsonl").read_bytes() == b"0123456789"
