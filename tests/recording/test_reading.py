"""What was written is read; of what anybody else may have written, one line says what is wrong."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from recording.recorded import HEADER, file_of, said

from relay.config.settings import MOST_RECORDED
from relay.recording.lines import LATEST, Closed, Cut, Message
from relay.recording.reading import UNFINISHED, RecordingFault, recording_at, recording_of

TIMES = st.integers(0, 10_000_000).map(lambda ms: ms / 1000)
MESSAGES = st.builds(
    lambda sender, kind, payload, is_binary: Message(
        0.0, sender, kind, len(payload), payload, is_binary
    ),
    st.sampled_from(["client", "upstream"]),
    st.none() | st.text(min_size=1),
    st.binary(),
    st.booleans(),
)
ENDS = st.builds(
    Closed,
    st.just(LATEST),
    st.sampled_from(["client", "upstream", "relay"]),
    st.none() | st.integers(0, 65535),
) | st.builds(Cut, st.just(LATEST), st.text())

FIRST = json.loads(file_of([], None))
GOOD: dict[str, Any] = {"at": 1, "from": "client", "type": "x", "bytes": 3, "payload": "abc"}


def lines(*tables: object) -> bytes:
    return b"".join(json.dumps(table).encode() + b"\n" for table in tables)


@given(st.lists(st.tuples(TIMES, MESSAGES)), ENDS)
def test_what_was_written_is_read(pairs: list[tuple[float, Message]], end: Closed | Cut) -> None:
    times = sorted(at for at, _ in pairs)
    messages = [evolve(each, at=at) for at, (_, each) in zip(times, pairs, strict=True)]
    found = recording_of(file_of(messages, end))
    assert found.header == HEADER
    assert list(found.messages) == messages
    assert found.end == end


def test_without_payloads_there_are_types_and_sizes() -> None:
    message = Message(0.5, "upstream", "response.done", 400)
    [found] = recording_of(file_of([message], None)).messages
    assert found == message


def test_a_file_is_ascii_and_a_line_a_message() -> None:
    data = file_of([Message(0.0, "client", None, 3, "ä\n".encode())], Closed(1.0, "client", None))
    assert data.isascii()
    assert data.count(b"\n") == 3


@given(st.binary() | st.binary().map(lambda data: file_of([], None) + data))
def test_nothing_but_a_fault_comes_of_any_bytes(data: bytes) -> None:
    read_or_not(data)


def read_or_not(data: bytes) -> None:
    """Whether it can be read or not, there is no other exception than the fault."""
    with suppress(RecordingFault):
        recording_of(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "binary", "cut", "closed_by", "code"]), JSON))
def test_nor_of_any_values(table: dict[str, Any]) -> None:
    for each in (lines(FIRST, table), lines(FIRST, {**GOOD, **table}), lines({**FIRST, **table})):
        read_or_not(each)


@given(st.integers(1))
def test_a_file_that_ends_anywhere_is_read_up_to_there(length: int) -> None:
    whole = file_of([said(n, "client", "x") for n in range(3)], Closed(9.0, "client", 1000))
    part = whole[: max(whole.index(b"\n") + 1, length % len(whole))]
    found = recording_of(part)
    assert len(found.messages) == min(3, part.count(b"\n") - 1)
    assert found.end == Cut(float(max(0, len(found.messages) - 1)), UNFINISHED)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "not a recording: it has no whole line"),
        (b'{"recording":1}', "not a recording: it has no whole line"),
        (b"\x80PNG\n", "line 1: not JSON"),
        (b"[" * 100_000 + b"\n", "line 1: not JSON"),
        (b"1" * 10_000 + b"\n", "line 1: not JSON"),
        (b"[]\n", "line 1: not a JSON object"),
        (b'{"a":1}\n', 'not a recording: its first line has no "recording"'),
        (lines({**FIRST, "recording": 2}), "a recording of another format than 1"),
        (lines({**FIRST, "recording": True}), "a recording of another format than 1"),
        (lines(FIRST, GOOD, {**GOOD, "at": 0.5}), 'line 3: "at" is before that of the line above'),
        (lines(FIRST, {**GOOD, "at": -1}), 'line 2: "at" must be seconds, from 0 to 1e+07'),
        (lines(FIRST, {**GOOD, "at": 1e300}), 'line 2: "at" must be seconds, from 0 to 1e+07'),
        (lines(FIRST, {**GOOD, "at": float("nan")}), 'line 2: "at" must be seconds, from 0 to'),
        (lines(FIRST, {**GOOD, "at": True}), 'line 2: "at" must be seconds, from 0 to 1e+07'),
        (lines(FIRST, {**GOOD, "from": "me"}), 'line 2: "from" must be "client" or "upstream"'),
        (lines(FIRST, {**GOOD, "bytes": 2**40}), 'line 2: "bytes" must be a whole number, from 0'),
        (lines(FIRST, {**GOOD, "bytes": None}), 'line 2: "bytes" must be a whole number, from 0'),
        (lines(FIRST, {**GOOD, "payload": 1}), 'line 2: "payload" must be a string'),
        (lines(FIRST, {**GOOD, "payload": "\ud800"}), 'line 2: "payload" must be a string'),
        (
            lines(FIRST, {**GOOD, "binary": True, "payload": "a!"}),
            'line 2: "payload" must be a string of base64',
        ),
        (lines(FIRST, {"at": 1}), 'line 2: neither a message ("from") nor an end ("closed_by"'),
        (lines(FIRST, {"at": 1, "closed_by": "relay", "code": 65536}), 'line 2: "code" must be'),
        (lines(FIRST, {"at": 1, "closed_by": "relay", "code": "1"}), 'line 2: "code" must be'),
    ],
)
def test_each_fault_is_one_line(data: bytes, what: str) -> None:
    with pytest.raises(RecordingFault) as raised:
        recording_of(data)
    assert str(raised.value).startswith(what)


def test_what_a_later_version_adds_is_passed_over() -> None:
    found = recording_of(lines({**FIRST, "more": 1}, {**GOOD, "more": 2}))
    assert [each.payload for each in found.messages] == [b"abc"]


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(RecordingFault) as raised:
            recording_at(path)
        assert str(raised.value).startswith(f"{path}: {why}")


def test_a_fault_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n")
    with pytest.raises(RecordingFault, match=r"^/.*a\.jsonl: line 1: not JSON$"):
        recording_at(path)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(MOST_RECORDED + 1)  # a hole, which takes no room
    with pytest.raises(RecordingFault, match="larger than 67108864 bytes, which no relay writes"):
        recording_at(path)
