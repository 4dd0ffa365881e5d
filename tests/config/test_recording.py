"""The folder of the recordings is looked at before anything is written into it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from relay.config.plan import Flags, Plan, plan
from relay.config.recording import faults_of_recording
from relay.config.settings import MOST_RECORDED, Settings


def open_to_all(folder: Path) -> Path:
    folder.chmod(0o777)
    return folder


def no_folder(folder: Path) -> Path:
    return folder / "none"


def a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file"


def own(folder: Path) -> Path:
    folder.chmod(0o770)
    return folder


@pytest.mark.parametrize(
    ("make", "faults"),
    [
        (own, []),
        (no_folder, ["No such file or directory"]),
        (a_file, ["not a folder"]),
        (
            open_to_all,
            ["all users of this machine can write into it; take that from them: chmod o-w"],
        ),
    ],
)
def test_a_folder_that_will_not_do_is_one_line(
    make: Callable[[Path], Path], faults: list[str], tmp_path: Path
) -> None:
    path = make(tmp_path)
    found = list(faults_of_recording(Settings(record=str(path))))
    assert found == [f"record: {path}: {fault}" for fault in faults]


def test_a_folder_that_the_relay_cannot_write_into_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    (line,) = faults_of_recording(Settings(record=str(tmp_path)))
    assert line == f"record: {tmp_path}: the relay cannot write into it"


def test_without_the_setting_no_folder_is_looked_at() -> None:
    assert list(faults_of_recording(Settings())) == []


def test_a_plan_has_the_fault_and_the_folder_beside_the_file(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text('record = "recordings"\n', "utf-8")
    folder = tmp_path / "recordings"
    assert plan(str(config), Flags(demo=True), {}) == (
        f"record: {folder}: No such file or directory",
    )
    folder.mkdir()
    found = plan(str(config), Flags(demo=True), {})
    assert isinstance(found, Plan)
    assert found.settings.record == str(folder)


def test_a_recording_is_never_larger_than_what_is_read() -> None:
    with pytest.raises(ValueError, match="record_bytes: must be at most 67108864"):
        Settings(record_bytes=MOST_RECORDED + 1)
