"""The lines of one session's file, and their bound."""

from __future__ import annotations

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from recording.recorded import HEADER

from relay.recording.lines import Closed, Cut, Message
from relay.recording.reading import recording_of
from relay.recording.recorder import FULL, RESERVE, Recorder

KEY = "sk-secret-0123456789"


def type_of(beginning: bytes, size: int) -> str | None:
    return f"type of {size}"


def recorder(most: int = 2**16, payloads: bool = True) -> Recorder:
    return Recorder(evolve(HEADER, payloads=payloads), most, {KEY}, type_of)


def crossing(payload: bytes, at: float = 1.0, size: int | None = None) -> Message:
    return Message(at, "client", None, len(payload) if size is None else size, payload)


def test_it_has_all_of_a_session() -> None:
    made = recorder()
    data = made.begin() + made.crossed(crossing(b"one")) + made.crossed(crossing(b"two", 2.0))
    data += made.end(Closed(3.0, "upstream", 1000))
    found = recording_of(data)
    assert [each.payload for each in found.messages] == [b"one", b"two"]
    assert [each.type for each in found.messages] == ["type of 3", "type of 3"]
    assert found.end == Closed(3.0, "upstream", 1000)
    assert made.is_over
    assert made.is_whole


def test_without_payloads_nothing_that_was_said_is_in_it() -> None:
    made = recorder(payloads=False)
    data = made.begin() + made.crossed(crossing(b"private", size=10**9))
    assert b"private" not in data
    [message] = recording_of(data).messages
    assert (message.size, message.type, message.payload) == (10**9, f"type of {10**9}", None)
    assert not recording_of(data).header.payloads


def test_a_message_that_shows_a_secret_goes_without_its_payload() -> None:
    made = recorder()
    said = b'{"error":"wrong key: %s"}' % KEY.encode()
    data = made.begin() + made.crossed(crossing(said)) + made.crossed(crossing(b"fine"))
    assert KEY[:8].encode() not in data
    assert [each.payload for each in recording_of(data).messages] == [None, b"fine"]


@given(st.lists(st.binary(max_size=300)), st.integers(2000, 4000))
def test_it_is_never_larger_than_its_bound(payloads: list[bytes], most: int) -> None:
    made = recorder(most)
    data = made.begin()
    for payload in payloads:
        data += made.crossed(crossing(payload))
    data += made.end(Closed(1e7, "upstream", 65535))
    assert len(data) <= most
    found = recording_of(data)
    assert [each.payload for each in found.messages] == payloads[: len(found.messages)]
    assert made.is_whole == (len(found.messages) == len(payloads))
    if not made.is_whole:
        assert found.end == Cut(1.0, FULL)


def test_a_line_that_is_longer_than_its_message_is_measured_too() -> None:
    made = recorder(2**16)
    data = made.begin() + made.crossed(crossing(b"\xff" * 2**14))
    assert recording_of(data).end == Cut(1.0, FULL)
    assert len(data) < 2**16


def test_the_last_line_fits_into_its_reserve() -> None:
    ends: list[Closed | Cut] = [Closed(1e7, "upstream", 65535), Cut(1e7, FULL)]
    assert all(len(recorder().end(end)) < RESERVE for end in ends)


def test_a_message_of_which_only_the_beginning_is_there_goes_without_it() -> None:
    made = recorder()
    data = made.begin() + made.crossed(crossing(b"beginning", size=2**30))
    [message] = recording_of(data).messages
    assert (message.size, message.payload) == (2**30, None)


def test_a_message_over_the_bound_ends_it_and_nothing_follows() -> None:
    made = recorder()
    data = made.begin() + made.crossed(crossing(b"x" * 2**16))
    assert recording_of(data).end == Cut(1.0, FULL)
    assert made.is_over
    assert not made.is_whole
    assert made.crossed(crossing(b"more")) == made.end(Closed(2.0, "client", None)) == b""
