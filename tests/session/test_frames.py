"""
The frame walk: what crosses, what is cut out, what is a fault; that chunks make no difference; and
that it reads a stream as Autobahn and wsproto do.
"""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from attrs import Factory, define
from autobahn.twisted import websocket as autobahn
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from wsproto import frame_protocol as wsproto

from relay.session.frames import FrameWalk, Piece

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = b"\xa5\x01\xfe\x37"
NO_LIMIT = 2**63 - 1
HELD = 139
"""What the walk may hold back: bytes."""


def xor(key: bytes, data: bytes) -> bytes:
    return bytes(byte ^ mask for byte, mask in zip(data, itertools.cycle(key), strict=False))


def raw(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    key: bytes | None = None,
    rsv: int = 0,
    form: int | None = None,
    size: int | None = None,
) -> bytes:
    """
    A frame, valid or not.

    @param key: the mask, if it is masked.
    @param form: bytes of the longer length: 0, 2 or 8.
    @param size: what is claimed to be the size of the payload.
    """
    size = len(payload) if size is None else size
    if form is None:
        form = 0 if size < 126 else 2 if size < 65536 else 8
    short = {0: size, 2: 126, 8: 127}[form]
    head = bytes((fin << 7 | rsv << 4 | opcode, (key is not None) << 7 | short))
    head += size.to_bytes(form, "big") if form else b""
    return head + (payload if key is None else key + xor(key, payload))


def filler(size: int) -> bytes:
    """A payload that shows where it was cut."""
    return (bytes(range(33, 126)) * (size // 93 + 1))[:size]


Portion = tuple[bytes, bool, bool]


@define
class Fed:
    """What a walk made of chunks."""

    walk: FrameWalk
    pieces: list[Piece] = Factory(list)
    pings: list[bytes] = Factory(list)
    portions: list[Portion] = Factory(list)

    def feed(self, *chunks: Piece) -> Fed:
        """As the owner does: answer the Pings after each chunk."""
        for chunk in chunks:
            self.pieces += self.walk.feed(chunk)
            self.pings += self.walk.pings
            self.walk.pings = []
        return self

    @property
    def out(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def shown(self) -> list[tuple[bytes, bool]]:
        """The text messages the tap was shown, the last one perhaps without its end."""
        messages: list[tuple[bytes, bool]] = []
        open_ = False
        for data, opening, final in self.portions:
            assert opening is not open_, "a message has one first portion"
            messages += [(data, final)] if opening else []
            if not opening:
                messages[-1] = (messages[-1][0] + data, final)
            open_ = not final
        return messages


def fed(
    *chunks: Piece,
    masked: bool = False,
    size: int = NO_LIMIT,
    fragments: int = 1_000_000,
    tap: bool = True,
) -> Fed:
    """Feed chunks to a new walk."""

    def show(data: Piece, start: int, end: int, opening: int, final: bool) -> None:
        assert 0 <= start <= end <= len(data)
        portions.append((bytes(data[start:end]), bool(opening), final))

    portions: list[Portion] = []
    walk = FrameWalk(
        masked=masked,
        message_bytes=size,
        message_fragments=fragments,
        tap=show if tap else None,
    )
    return Fed(walk, portions=portions).feed(*chunks)


def bytewise(stream: bytes) -> Iterable[bytes]:
    return (stream[at : at + 1] for at in range(len(stream)))


class TestCrossing:
    @pytest.mark.parametrize("tap", [False, True])
    @pytest.mark.parametrize("masked", [False, True])
    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
    def test_a_chunk_without_control_frames_crosses_uncopied(
        self, size: int, masked: bool, tap: bool
    ) -> None:
        one = raw(TEXT, filler(size), key=KEY if masked else None)
        for chunk in (one, one * 3, raw(BINARY, b"x", key=KEY if masked else None) + one):
            (piece,) = fed(chunk, masked=masked, tap=tap).pieces
            assert piece is chunk

    def test_a_part_of_a_payload_crosses_uncopied(self) -> None:
        chunks = [raw(TEXT, size=300) + b"a" * 100, b"b" * 100, b"c" * 100, raw(BINARY)]
        pieces = fed(*chunks).pieces
        assert all(piece is chunk for piece, chunk in zip(pieces, chunks, strict=True))

    def test_the_end_of_a_payload_and_the_next_frame_cross_uncopied(self) -> None:
        chunks = [raw(TEXT, size=300) + b"a" * 100, b"b" * 200 + raw(BINARY, b"c")]
        pieces = fed(*chunks).pieces
        assert all(piece is chunk for piece, chunk in zip(pieces, chunks, strict=True))

    def test_a_chunk_may_be_a_memoryview(self) -> None:
        chunk = memoryview(raw(TEXT, b"a") + raw(PING, b"p") + raw(TEXT, b"b", fin=False))
        assert fed(chunk).out == raw(TEXT, b"a") + raw(TEXT, b"b", fin=False)
        (piece,) = fed(chunk[:3]).pieces
        assert isinstance(piece, memoryview)
        assert fed(*(chunk[at : at + 1] for at in range(len(chunk)))).pings == [b"p"]

    def test_nothing_is_copied_around_a_control_frame(self) -> None:
        chunk = raw(TEXT, b"a") + raw(PING) + raw(TEXT, b"b") + raw(PONG)
        pieces = fed(chunk).pieces
        assert [bytes(piece) for piece in pieces] == [raw(TEXT, b"a"), raw(TEXT, b"b")]
        assert all(isinstance(piece, memoryview) and piece.obj is chunk for piece in pieces)

    def test_of_a_chunk_after_a_split_header_only_the_header_is_copied(self) -> None:
        whole = raw(TEXT, filler(300))
        held, chunk = whole[:3], whole[3:] + raw(TEXT, b"next")
        head, rest = fed(held, chunk).pieces
        assert bytes(head) == whole[:4]
        assert isinstance(rest, memoryview)
        assert rest.obj is chunk
        assert bytes(rest) == chunk[1:]

    @pytest.mark.parametrize(
        ("whole", "header"),
        [
            (raw(TEXT, b"abc"), 2),
            (raw(TEXT, filler(126)), 4),
            (raw(TEXT, filler(65536)), 10),
            (raw(TEXT, b"abc", key=KEY), 6),
            (raw(TEXT, filler(126), key=KEY), 8),
            (raw(TEXT, filler(65536), key=KEY), 14),
        ],
    )
    def test_a_payload_crosses_in_parts_and_a_header_whole(self, whole: bytes, header: int) -> None:
        masked = bool(whole[1] & 0x80)
        for at in range(1, header):
            assert fed(whole[:at], masked=masked).out == b""
        some = fed(whole[:header], masked=masked)
        assert some.out == whole[:header]
        assert (some.walk.begun, some.walk.remaining) == (header, len(whole) - header)
        some.feed(whole[header : header + 1])
        assert some.out == whole[: header + 1]
        assert (some.walk.begun, some.walk.remaining) == (header + 1, len(whole) - header - 1)

    def test_a_stream_in_single_bytes_is_walked_the_same(self) -> None:
        stream = raw(TEXT, filler(130)) + raw(PING, b"ping") + raw(BINARY) + raw(TEXT, b"x")
        some = fed(*bytewise(stream))
        assert some.out == raw(TEXT, filler(130)) + raw(BINARY) + raw(TEXT, b"x")
        assert some.pings == [b"ping"]

    def test_an_empty_chunk_changes_nothing(self) -> None:
        for chunks in ([raw(TEXT, b"abc")], [raw(TEXT, b"abc")[:4], b"c"], [b"\x81", b"\x00"]):
            some = fed(*itertools.chain.from_iterable((b"", chunk, b"") for chunk in chunks))
            assert some.out == b"".join(chunks)
            assert some.walk.messages == 1


class TestCounts:
    def test_messages_and_payload_are_counted_as_they_cross(self) -> None:
        some = fed(raw(TEXT, b"abc") + raw(BINARY) + raw(TEXT, size=200) + b"x" * 150)
        assert (some.walk.messages, some.walk.payload, some.walk.remaining) == (2, 153, 50)
        some.feed(b"x" * 49)
        assert (some.walk.messages, some.walk.payload, some.walk.remaining) == (2, 202, 1)
        some.feed(b"x")
        assert (some.walk.messages, some.walk.payload, some.walk.remaining) == (3, 203, 0)

    def test_fragments_count_as_one_message(self) -> None:
        some = fed(raw(TEXT, b"ab", fin=False))
        assert (some.walk.messages, some.walk.payload) == (0, 2)
        some.feed(raw(PING, b"p") + raw(CONT, b"cd", fin=False)[:-1])
        assert (some.walk.messages, some.walk.payload) == (0, 3)
        some.feed(b"d" + raw(CONT, b"ef")[:-1])
        assert (some.walk.messages, some.walk.payload) == (0, 5)
        some.feed(b"f")
        assert (some.walk.messages, some.walk.payload) == (1, 6)

    def test_control_frames_do_not_count(self) -> None:
        some = fed(raw(PING, b"ping") + raw(PONG, b"pong") + raw(CLOSE, b"\x03\xe8"))
        assert (some.walk.messages, some.walk.payload, some.walk.remaining) == (0, 0, 0)


class TestControl:
    def test_a_ping_is_left_for_the_owner(self) -> None:
        walk = fed().walk
        assert walk.feed(raw(PING, b"p")) == []
        assert (walk.told, walk.pings, walk.close, walk.fault) == (True, [b"p"], None, None)
        walk.told, walk.pings = False, []
        assert walk.feed(raw(TEXT))
        assert (walk.told, walk.pings) == (False, [])

    def test_all_pings_in_a_chunk_are_left_for_the_owner_in_order(self) -> None:
        chunk = raw(PING, b"1") + raw(TEXT) + raw(PING, b"2") + raw(PONG, b"3") + raw(PING)
        assert fed(chunk).pings == [b"1", b"2", b""]

    def test_an_empty_ping_and_an_empty_close_are_told(self) -> None:
        assert fed(raw(PING)).pings == [b""]
        assert fed(raw(CLOSE)).walk.close == b""

    @pytest.mark.parametrize("size", [1, 3, 4, 5, 125])
    def test_the_mask_of_a_control_frame_is_taken_off(self, size: int) -> None:
        payload = b"\x00" + filler(size - 1)
        assert fed(raw(PING, payload, key=KEY), masked=True).pings == [payload]
        close = b"\x03\xe8" + filler(min(size, 123))
        assert fed(raw(CLOSE, close, key=KEY), masked=True).walk.close == close

    def test_a_pong_is_taken_out_and_not_told(self) -> None:
        walk = fed().walk
        assert walk.feed(raw(PONG, b"p")) == []
        assert (walk.told, walk.pings, walk.close, walk.fault) == (True, [], None, None)

    def test_an_incomplete_control_frame_waits(self) -> None:
        whole = raw(PING, filler(125), key=KEY)
        walk = fed(whole[:-1], masked=True).walk
        assert (walk.told, walk.pings) == (False, [])
        assert walk.feed(whole[-1:] + raw(TEXT, key=KEY)) == [raw(TEXT, key=KEY)]
        assert walk.pings == [filler(125)]

    def test_a_ping_between_fragments_is_taken_out(self) -> None:
        some = fed(raw(TEXT, b"a", fin=False) + raw(PING, b"p") + raw(CONT, b"b"))
        assert some.out == raw(TEXT, b"a", fin=False) + raw(CONT, b"b")
        assert some.pings == [b"p"]
        assert some.walk.messages == 1

    def test_after_a_close_nothing_crosses(self) -> None:
        some = fed(raw(TEXT, b"a") + raw(CLOSE, b"\x03\xe8bye") + raw(TEXT, b"b") + raw(PING))
        assert some.out == raw(TEXT, b"a")
        assert some.walk.close == b"\x03\xe8bye"
        assert (some.walk.told, some.walk.fault, some.pings) == (True, None, [])
        some.feed(raw(TEXT, b"c"), raw(PING), raw(CLOSE), b"\xff\xff")
        assert some.out == raw(TEXT, b"a")
        assert (some.walk.close, some.walk.fault, some.pings) == (b"\x03\xe8bye", None, [])

    def test_a_close_in_two_chunks_ends_the_walk(self) -> None:
        some = fed(raw(CLOSE)[:1], raw(CLOSE)[1:] + raw(TEXT), raw(TEXT))
        assert some.walk.close == b""
        assert some.out == b""


VIOLATIONS = [
    *((raw(TEXT, b"x", rsv=rsv), "reserved bits set") for rsv in (1, 2, 4)),
    (raw(PING, rsv=4), "reserved bits set"),
    *((raw(opcode, b"x"), "reserved opcode") for opcode in (3, 4, 5, 6, 7)),
    *((raw(opcode), "reserved opcode") for opcode in (11, 12, 13, 14, 15)),
    *((raw(opcode, fin=False), "fragmented control frame") for opcode in (CLOSE, PING, PONG)),
    *((raw(op, filler(126)), "control frame too long") for op in (CLOSE, PING, PONG)),
    (raw(PING, b"x", form=2), "control frame too long"),
    (raw(PONG, size=65536), "control frame too long"),
    (raw(TEXT, filler(125), form=2), "length not in its shortest form"),
    (raw(TEXT, form=2), "length not in its shortest form"),
    (raw(BINARY, filler(65535), form=8), "length not in its shortest form"),
    (raw(BINARY, form=8), "length not in its shortest form"),
    (raw(TEXT, size=2**63, form=8), "length above 63 bits"),
    (raw(TEXT, size=2**64 - 1, form=8), "length above 63 bits"),
    (raw(TEXT, size=2**63, form=8, fin=False), "length above 63 bits"),
    (raw(CONT, b"x"), "continuation without a message"),
    (raw(CONT, b"x", fin=False), "continuation without a message"),
    (raw(CLOSE, b"\x03"), "close payload of one byte"),
    (raw(TEXT, b"x", key=KEY), "frame masked"),
    (raw(PING, b"x", key=KEY), "frame masked"),
]


class TestFaults:
    @pytest.mark.parametrize(("bad", "reason"), VIOLATIONS)
    def test_a_violation_of_the_framing_is_1002(self, bad: bytes, reason: str) -> None:
        good = raw(TEXT, b"good")
        for chunks in ([good + bad], [good, bad], [good + bad + good], bytewise(good + bad)):
            some = fed(*chunks)
            assert some.walk.fault == (1002, reason)
            assert some.walk.told
            assert some.out == good
            assert some.walk.messages == 1
            some.feed(good, raw(PING), raw(CLOSE))
            assert some.out == good
            assert (some.pings, some.walk.close) == ([], None)
            assert some.walk.fault == (1002, reason)

    @pytest.mark.parametrize("opcode", [TEXT, BINARY])
    @pytest.mark.parametrize("fin", [False, True])
    def test_a_message_inside_a_message_is_1002(self, opcode: int, fin: bool) -> None:
        good = raw(TEXT, b"a", fin=False) + raw(CONT, b"b", fin=False)
        some = fed(good + raw(opcode, b"c", fin=fin))
        assert some.walk.fault == (1002, "new message inside a message")
        assert some.out == good

    def test_a_continuation_without_a_message_is_1002(self) -> None:
        good = raw(TEXT, b"a", fin=False) + raw(CONT, b"b")
        some = fed(good + raw(CONT, b"c"))
        assert some.walk.fault == (1002, "continuation without a message")
        assert some.out == good

    @pytest.mark.parametrize("opcode", [TEXT, PING])
    def test_a_frame_of_a_client_must_be_masked(self, opcode: int) -> None:
        some = fed(raw(TEXT, key=KEY) + raw(opcode, b"x"), masked=True)
        assert some.walk.fault == (1002, "frame not masked")
        assert some.out == raw(TEXT, key=KEY)

    @pytest.mark.parametrize("size", [125, 126, 65536])
    def test_a_message_over_the_limit_is_1009(self, size: int) -> None:
        good = raw(TEXT, filler(size))
        assert fed(good, size=size).out == good
        some = fed(raw(BINARY) + good, size=size - 1)
        assert some.walk.fault == (1009, "message too large")
        assert some.out == raw(BINARY)

    def test_a_message_over_the_limit_is_known_by_its_header(self) -> None:
        some = fed(raw(BINARY, size=1001), size=1000)
        assert some.walk.fault == (1009, "message too large")
        assert some.out == b""

    def test_fragments_over_the_limit_together_are_1009(self) -> None:
        good = raw(TEXT, b"abcd", fin=False) + raw(CONT, b"efgh", fin=False) + raw(CONT, b"ij")
        assert fed(good * 2, size=10).out == good * 2
        some = fed(good * 2, size=9)
        assert some.walk.fault == (1009, "message too large")
        assert some.out == good[:-4]

    def test_more_fragments_than_the_limit_are_1009(self) -> None:
        good = raw(TEXT, fin=False) + raw(CONT, fin=False) + raw(CONT)
        assert fed(good * 2 + raw(TEXT), fragments=3).out == good * 2 + raw(TEXT)
        some = fed(good, fragments=2)
        assert some.walk.fault == (1009, "too many fragments")
        assert some.out == good[:-2]
        assert fed(raw(TEXT), fragments=1).walk.fault is None

    def test_control_frames_do_not_count_as_fragments(self) -> None:
        good = raw(TEXT, b"ab", fin=False) + raw(PING, b"ping") * 9 + raw(CONT, b"cd")
        assert fed(good, fragments=2, size=4).walk.fault is None


class TestTap:
    def test_the_tap_sees_text_in_portions(self) -> None:
        some = fed(raw(TEXT, b"abcdef")[:5], b"de", b"f" + raw(TEXT))
        assert some.portions == [
            (b"abc", True, False),
            (b"de", False, False),
            (b"f", False, True),
            (b"", True, True),
        ]

    def test_the_tap_sees_fragments_without_the_ping_between(self) -> None:
        some = fed(raw(TEXT, b"ab", fin=False) + raw(PING) + raw(CONT, fin=False) + raw(CONT))
        assert some.portions == [(b"ab", True, False), (b"", False, False), (b"", False, True)]

    def test_the_tap_sees_no_binary_message(self) -> None:
        chunks = [raw(BINARY, b"a"), raw(BINARY, b"b", fin=False), raw(CONT, b"cd")[:-1], b"d"]
        assert fed(*chunks).portions == []
        assert fed(raw(TEXT, b"a"), *chunks, raw(TEXT, b"b")).shown == [(b"a", True), (b"b", True)]

    def test_the_tap_sees_portions_masked_in_their_chunk(self) -> None:
        seen: list[tuple[Piece, int, int]] = []
        walk = FrameWalk(
            masked=True,
            message_bytes=99,
            message_fragments=9,
            tap=lambda data, start, end, _opening, _final: seen.append((data, start, end)),
        )
        chunk = raw(TEXT, b"abc", key=KEY)
        walk.feed(chunk)
        ((data, start, end),) = seen
        assert data is chunk
        assert (start, end) == (6, 9)

    def test_the_tap_sees_nothing_of_a_fault(self) -> None:
        assert fed(raw(TEXT, b"ab"), size=1).portions == []


# -- any stream ----------------------------------------------------------------------------


class Frame(NamedTuple):
    """One frame of a stream."""

    opcode: int
    payload: bytes
    fin: bool
    raw: bytes

    @property
    def is_data(self) -> bool:
        return self.opcode < CLOSE

    @property
    def header(self) -> int:
        return len(self.raw) - len(self.payload)


small_sizes = st.integers(0, 10) | st.sampled_from([125, 126, 127, 300])
sizes = small_sizes | st.sampled_from([65535, 65536, 70000])


@st.composite
def streams(draw: st.DrawFn, masked: bool, sizes: st.SearchStrategy[int] = sizes) -> list[Frame]:
    """Valid frames: messages in fragments, with control frames anywhere, perhaps a Close."""
    frames: list[Frame] = []

    def add(opcode: int, payload: bytes, fin: bool = True) -> None:
        key = draw(st.binary(min_size=4, max_size=4)) if masked else None
        frames.append(Frame(opcode, payload, fin, raw(opcode, payload, fin=fin, key=key)))

    def control() -> None:
        for opcode in draw(st.lists(st.sampled_from([PING, PONG]), max_size=2)):
            add(opcode, filler(draw(st.integers(0, 125))))

    for opcode in draw(st.lists(st.sampled_from([TEXT, BINARY]), max_size=5)):
        fragments = draw(st.integers(1, 4))
        for index in range(fragments):
            control()
            size = draw(sizes)
            add(opcode if index == 0 else CONT, filler(size), index == fragments - 1)
    control()
    if draw(st.booleans()):
        add(CLOSE, draw(st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye"])))
        control()
        add(TEXT, b"behind")
    return frames


either = st.booleans().flatmap(lambda masked: st.tuples(st.just(masked), streams(masked)))


class Expected(NamedTuple):
    """What a walk must make of the first bytes of a stream."""

    out: bytes
    shown: list[tuple[bytes, bool]]
    pings: list[tuple[int, bytes]]  # with where they end
    close: bytes | None
    fault: tuple[int, str] | None
    messages: int
    payload: int
    left: int
    begun: int
    held: int


def expect(frames: Sequence[Frame], upto: int, size: int, fragments: int) -> Expected:
    """A slow and plain walk over the frames that C{upto} bytes have of a stream."""
    out, at, messages, payload, left, begun, held = b"", 0, 0, 0, 0, 0, 0
    shown: list[tuple[bytes, bool]] = []
    pings = []
    close = fault = None
    total = count = 0
    text = False
    for one in frames:
        here = one.raw[: max(0, upto - at)]
        at += len(one.raw)
        if len(here) < (one.header if one.is_data else len(one.raw)):
            held = len(here)
            break
        if one.opcode == CLOSE:
            close = one.payload
            break
        if one.opcode == PING:
            pings.append((at, one.payload))
        if not one.is_data:
            continue
        if one.opcode != CONT:
            total = count = 0
            text = one.opcode == TEXT
            shown += [(b"", False)] if text else []
        total += len(one.payload)
        count += 1
        if total > size or count > fragments:
            fault = (1009, "message too large" if total > size else "too many fragments")
            if text and count == 1:
                shown.pop()
            break
        out += here
        left, begun = len(one.raw) - len(here), len(here)
        payload += len(one.payload) - left
        messages += one.fin and not left
        if text:
            shown[-1] = (shown[-1][0] + here[one.header :], one.fin and not left)
    return Expected(out, shown, pings, close, fault, messages, payload, left, begun, held)


@st.composite
def cuts(draw: st.DrawFn, frames: Sequence[Frame]) -> list[int]:
    """Where a stream is cut: near the begins of frames, where it matters, and anywhere."""
    ends = list(itertools.accumulate((len(one.raw) for one in frames), initial=0))
    near = st.tuples(st.sampled_from(ends), st.integers(-3, 16)).map(sum)
    points = set(draw(st.lists(near | st.integers(0, ends[-1]), max_size=12)))
    if draw(st.booleans()):  # each header bytewise
        points |= {end + offset for end in ends for offset in range(-2, 17)}
    return sorted(point for point in points if 0 < point < ends[-1])


def chunks_of(stream: bytes, points: Sequence[int]) -> list[bytes]:
    return [stream[a:b] for a, b in itertools.pairwise([0, *points, len(stream)])]


class TestAnyStream:
    @given(
        either.flatmap(lambda it: st.tuples(st.just(it[0]), st.just(it[1]), cuts(it[1]))),
        st.sampled_from([NO_LIMIT, 70_000, 126]),
        st.sampled_from([1_000, 3]),
    )
    def test_a_stream_is_walked_the_same_however_it_is_cut(
        self, stream: tuple[bool, list[Frame], list[int]], size: int, fragments: int
    ) -> None:
        masked, frames, points = stream
        data = b"".join(one.raw for one in frames)
        some = fed(masked=masked, size=size, fragments=fragments)
        upto = 0
        for chunk in chunks_of(data, points):
            some.feed(chunk)
            upto += len(chunk)
            want = expect(frames, upto, size, fragments)
            pings = [payload for _, payload in want.pings]
            walk = some.walk
            assert some.out == want.out
            assert some.shown == want.shown
            assert (some.pings, walk.close, walk.fault) == (pings, want.close, want.fault)
            assert (walk.messages, walk.payload) == (want.messages, want.payload)
            assert walk.remaining == want.left
            assert not walk.remaining or walk.begun == want.begun
            assert want.held <= HELD
            # What is neither crossed nor read is held back: nothing else is kept.
            assert len(walk._held) == (0 if want.close is not None or want.fault else want.held)

    @given(either)
    def test_the_tap_does_not_change_what_crosses(self, stream: tuple[bool, list[Frame]]) -> None:
        masked, frames = stream
        data = b"".join(one.raw for one in frames)
        assert fed(data, masked=masked, tap=False).pieces == fed(data, masked=masked).pieces


# -- other readers -------------------------------------------------------------------------


@define
class Reading:
    """
    What a reader makes of a stream.

    @ivar messages: payloads of whole messages, and whether they are binary.
    @ivar fault: the close code for what is wrong.
    """

    messages: list[tuple[bytes, bool]] = Factory(list)
    pings: list[bytes] = Factory(list)
    close: bytes | None = None
    fault: int | None = None


class Watched:
    """
    Autobahn, told only to read: what it finds is kept, the first fault or Close ends it. UTF-8 and
    close codes, which the walk does not judge, are not judged.
    """

    reading: Reading
    state: int
    failedByMe: bool
    STATE_CLOSED: int

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.reading.messages.append((payload, isBinary))

    def onPing(self, payload: bytes) -> None:
        self.reading.pings.append(payload)

    def onPong(self, payload: bytes) -> None:
        pass

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> bool:
        code_ = b"" if code is None else code.to_bytes(2, "big")
        self.reading.close = code_ + (reasonRaw or b"")
        self.state = self.STATE_CLOSED
        return True

    def _protocol_violation(self, reason: str) -> bool:
        return self._failed(1002)

    def _max_message_size_exceeded(self, size: int, limit: int, reason: str) -> None:
        self._failed(1009)

    def _failed(self, code: int) -> bool:
        self.reading.fault = code
        self.failedByMe = True
        self.state = self.STATE_CLOSED
        return True


class WatchedServer(Watched, autobahn.WebSocketServerProtocol):  # type: ignore[misc]
    """Reads masked frames."""


class WatchedClient(Watched, autobahn.WebSocketClientProtocol):  # type: ignore[misc]
    """Reads frames that are not masked."""


def autobahn_reads(stream: bytes, masked: bool, size: int = NO_LIMIT) -> Reading:
    factory: Any = (
        autobahn.WebSocketServerFactory() if masked else autobahn.WebSocketClientFactory()
    )
    factory.protocol = WatchedServer if masked else WatchedClient
    factory.setProtocolOptions(
        utf8validateIncoming=False, maxMessagePayloadSize=size, openHandshakeTimeout=0
    )
    protocol = factory.buildProtocol(None)
    protocol.reading = Reading()
    # As far as its handshake gets it.
    protocol.makeConnection(StringTransport())
    protocol.state = protocol.STATE_OPEN
    protocol.inside_message, protocol.current_frame = False, None
    protocol.websocket_version = 13
    protocol.dataReceived(stream)
    reading: Reading = protocol.reading
    return reading


class WatchedFrames(wsproto.FrameProtocol):
    """The reader inside C{wsproto.Connection}, not judging close codes."""

    def _process_close(self, frame: wsproto.Frame) -> wsproto.Frame:
        return super()._process_close(frame) if len(frame.payload) == 1 else frame


def latin1(_: str) -> Any:
    return codecs.getincrementaldecoder("latin-1")


def wsproto_reads(stream: bytes, masked: bool) -> Reading:
    """It has no limit to sizes."""
    reading = Reading()
    reader = WatchedFrames(client=not masked, extensions=[])
    reader.receive_bytes(stream)
    message = b""
    # It decodes text, which need not be UTF-8 here.
    with patch.object(wsproto, "getincrementaldecoder", latin1):
        try:
            for one in reader.received_frames():
                payload: Any = one.payload
                plain = payload.encode("latin-1") if isinstance(payload, str) else bytes(payload)
                if one.opcode is wsproto.Opcode.PING:
                    reading.pings.append(plain)
                elif one.opcode is wsproto.Opcode.CLOSE:
                    reading.close = plain
                elif one.opcode is not wsproto.Opcode.PONG:
                    message += plain
                    if one.message_finished:
                        is_binary = one.opcode is wsproto.Opcode.BINARY
                        reading.messages.append((message, is_binary))
                        message = b""
        except wsproto.ParseFailed as failed:
            reading.fault = int(failed.code)
    return reading


# Headers as an enemy writes them, and bytes of payload that may be too few or too many.
wild_frames = st.builds(
    lambda first, second, more: bytes((first, second)) + more,
    st.sampled_from([0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A]) | st.integers(0, 255),
    st.sampled_from([0, 1, 2, 125, 126, 127, 128, 129, 253, 254, 255]) | st.integers(0, 255),
    st.sampled_from([b"", b"\x00", b"\x00\x7e", b"\x00\x7d", bytes(8), b"\x7f" + b"\xff" * 7])
    | st.sampled_from([bytes(5) + b"\x01\x00\x00", bytes(6) + b"\xff\xff", b"\x80" + bytes(7)])
    | st.binary(max_size=20),
)


@st.composite
def damaged(draw: st.DrawFn, masked: bool) -> bytes:
    """A valid stream with bits of headers flipped, bytes lost, a wild frame put in, an end lost."""
    frames = draw(streams(masked, small_sizes))
    data = bytearray(b"".join(one.raw for one in frames))
    begins = list(itertools.accumulate((len(one.raw) for one in frames), initial=0))
    near = st.tuples(st.sampled_from(begins), st.integers(0, 13)).map(sum)
    for at, bits in draw(st.lists(st.tuples(near, st.integers(1, 255)), max_size=3)):
        if at < len(data):
            data[at] ^= bits
    for at, wild in draw(st.lists(st.tuples(st.sampled_from(begins), wild_frames), max_size=2)):
        data[at:at] = wild
    for at in draw(st.lists(near, max_size=1)):
        del data[at : at + 1]
    return bytes(data[: draw(st.none() | st.integers(0, len(data)))])


streams_of_any_kind = st.booleans().flatmap(
    lambda masked: st.tuples(
        st.just(masked),
        damaged(masked)
        | st.lists(wild_frames, max_size=8).map(b"".join)
        | streams(masked, small_sizes).map(lambda frames: b"".join(one.raw for one in frames)),
    )
)


def walk_reads(stream: bytes, masked: bool, size: int = NO_LIMIT) -> tuple[Reading, bytes]:
    """What the walk finds in a stream, and what crosses."""
    some = fed(*bytewise(stream), masked=masked, size=size)
    fault = some.walk.fault
    return Reading([], some.pings, some.walk.close, fault and fault[0]), some.out


class TestOtherReaders:
    @given(streams_of_any_kind, st.sampled_from([NO_LIMIT, 126, 5]))
    @example((False, raw(TEXT, size=NO_LIMIT)), NO_LIMIT)
    @example((False, raw(TEXT, size=NO_LIMIT)), 126)
    @example((True, raw(TEXT, size=2**63, form=8, key=KEY)), 126)
    def test_autobahn_reads_a_stream_as_the_walk_does(
        self, stream: tuple[bool, bytes], size: int
    ) -> None:
        """No difference is known, to the byte at which a fault shows."""
        masked, data = stream
        mine, out = walk_reads(data, masked, size)
        other = autobahn_reads(data, masked, size)
        behind = autobahn_reads(out, masked, size)
        assert (mine.pings, mine.close, mine.fault) == (other.pings, other.close, other.fault)
        assert behind == Reading(messages=other.messages)

    @given(streams_of_any_kind)
    @example((True, raw(TEXT, form=8, key=b"")))  # a length in a wrong form, no mask yet
    @example((False, raw(TEXT, form=8, key=b"")[:2]))  # a wrong mask, no length yet
    @example((False, raw(CONT, size=1)))  # out of its message, no payload yet
    def test_wsproto_reads_a_stream_as_the_walk_does(self, stream: tuple[bool, bytes]) -> None:
        """
        But not to the byte: it sees a length in a wrong form before the mask has come, a wrong mask
        only behind the longer length, and a frame out of its message only with the first byte of
        its payload. So where one of both sees a fault, there is more to read.
        """
        masked, data = stream
        if walk_reads(data, masked)[0].fault or wsproto_reads(data, masked).fault:
            data += bytes(16)
        mine, out = walk_reads(data, masked)
        other = wsproto_reads(data, masked)
        behind = wsproto_reads(out, masked)
        assert (mine.pings, mine.close, mine.fault) == (other.pings, other.close, other.fault)
        assert behind == Reading(messages=other.messages)

    @given(st.booleans().flatmap(lambda masked: st.tuples(st.just(masked), streams(masked))))
    def test_autobahn_and_wsproto_read_large_frames_as_the_walk_does(
        self, stream: tuple[bool, list[Frame]]
    ) -> None:
        masked, frames = stream
        data = b"".join(one.raw for one in frames)
        some = fed(data, masked=masked)
        readers: list[Callable[[bytes, bool], Reading]] = [autobahn_reads, wsproto_reads]
        for reads in readers:
            assert reads(some.out, masked).messages == reads(data, masked).messages
            assert len(reads(some.out, masked).messages) == some.walk.messages

    @pytest.mark.parametrize(("bad", "reason"), VIOLATIONS)
    def test_each_violation_is_one_to_autobahn_and_wsproto(self, bad: bytes, reason: str) -> None:
        assert autobahn_reads(bad, False).fault == 1002
        assert wsproto_reads(bad + bytes(16), False).fault == 1002


class TestGarbage:
    @given(
        st.booleans(),
        st.lists(st.binary(max_size=40) | wild_frames, max_size=20),
        st.sampled_from([NO_LIMIT, 100]),
    )
    def test_the_walk_never_raises_and_passes_no_more_than_came(
        self, masked: bool, chunks: list[bytes], size: int
    ) -> None:
        some = fed(masked=masked, size=size)
        came = crossed = 0
        for chunk in chunks:
            some.feed(chunk)
            came += len(chunk)
            assert crossed <= len(some.out) <= came
            crossed = len(some.out)
            assert some.walk.messages >= 0
            assert some.walk.payload >= 0
        assert b"".join(chunks).startswith(some.out) or some.walk.told
        whole = fed(b"".join(chunks), masked=masked, size=size)
        assert (whole.out, whole.shown) == (some.out, some.shown)
        assert (whole.walk.close, whole.walk.fault) == (some.walk.close, some.walk.fault)
        assert whole.pings == some.pings
