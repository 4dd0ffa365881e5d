"""Upstream's answer: as much of it as explains a refusal, whatever it is and however it comes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.http.answer import MAX_BODY, MAX_HEAD, Answer, AnswerReader, MalformedAnswer

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"
CHUNKED = b"HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: Chunked\r\n\r\n"


def read(*chunks: bytes) -> tuple[bool, AnswerReader]:
    """Feed chunks until the answer is complete."""
    reader = AnswerReader()
    return any(reader.feed(chunk) for chunk in chunks), reader


def answered(*chunks: bytes) -> tuple[bool, int, bytes]:
    complete, reader = read(*chunks)
    answer = reader.answer()
    assert answer is not None
    return complete, answer.status, answer.body


def head(status: str = "503 Busy", *fields: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode("latin-1")


class TestSwitching:
    def test_the_bytes_of_a_101_and_what_follows_are_kept(self) -> None:
        complete, reader = read(SWITCHING + b"\x81\x02hi")
        assert complete
        assert reader.switching == SWITCHING + b"\x81\x02hi"

    def test_informational_answers_before_a_101_are_dropped(self) -> None:
        complete, reader = read(head("100 Continue") + head("103 Hints", "Link: x") + SWITCHING)
        assert complete
        assert reader.switching == SWITCHING

    def test_no_answer_but_a_101_is_switching(self) -> None:
        _, reader = read(head("200 OK", "Content-Length: 0"))
        assert reader.switching is None

    @pytest.mark.parametrize("note", [b"\xff\xfe", b"caf\xe9", b"\x85"])
    def test_a_101_that_autobahn_cannot_decode_is_malformed(self, note: bytes) -> None:
        with pytest.raises(MalformedAnswer, match=r"^a 101 that is not UTF-8$"):
            read(SWITCHING[:-2] + b"X-Note: " + note + b"\r\n\r\n")

    def test_a_101_with_utf_8_is_read(self) -> None:
        _, reader = read(SWITCHING[:-2] + "X-Note: café\r\n\r\n".encode())
        assert reader.switching is not None


class TestRest:
    def test_all_bytes_after_the_head_are_kept(self) -> None:
        _, reader = read(head("200 OK", "Content-Length: 9") + b"\x16\x03", b"more")
        assert reader.rest == b"\x16\x03more"

    def test_the_head_and_what_was_before_it_are_not_kept(self) -> None:
        _, reader = read(head("102 Wait"), head("200 OK"))
        assert reader.rest == b""


class TestHead:
    def test_names_are_lowered_and_the_first_of_several_fields_counts(self) -> None:
        _, reader = read(head("429 Slow", "Retry-After:  7 ", "RETRY-AFTER: 8", "odd", "x:\xe9"))
        assert reader.answer() == Answer(429, {"retry-after": "7", "odd": "", "x": "é"})

    def test_there_is_no_answer_before_the_head_is_whole(self) -> None:
        complete, reader = read(head()[:-1])
        assert not complete
        assert reader.answer() is None

    @pytest.mark.parametrize(
        "line", ["HTTP/1.1 503 ", "HTTP/1.0 503 Busy", "HTTP/1.1 503", "HTTP/1.1 503 B\xfcsy"]
    )
    def test_a_status_line_is_read_with_any_or_no_reason(self, line: str) -> None:
        assert answered(f"{line}\r\n\r\n".encode("latin-1"))[1] == 503

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "garbage",
            "HTTP/1.1",
            "HTTP/1.1 ",
            "HTTP/1.1 50",
            "HTTP/1.1 5033",
            "HTTP/1.1 600 No",
            "HTTP/1.1 099 No",
            "HTTP/2 503 Busy",
            "HTTP/1.1 503Busy",
            "HTTP/1.1 503 Busy\nX: y",
            " HTTP/1.1 503 Busy",
            "\x16\x03\x01",
        ],
    )
    def test_a_malformed_status_line_is_no_answer(self, line: str) -> None:
        with pytest.raises(MalformedAnswer):
            read(f"{line}\r\n\r\n".encode())

    @pytest.mark.parametrize("size", [MAX_HEAD - 1, MAX_HEAD])
    def test_a_head_up_to_the_cap_is_read(self, size: int) -> None:
        start = b"HTTP/1.1 200 OK\r\nX: "
        raw = start + b"x" * (size - len(start) - 4)
        assert answered(raw, b"\r\n\r\n")[1] == 200

    def test_a_head_one_byte_over_the_cap_is_malformed(self) -> None:
        start = b"HTTP/1.1 200 OK\r\nX: "
        raw = start + b"x" * (MAX_HEAD + 1 - len(start))
        for chunks in ([raw], [raw[:-4] + b"\r\n\r\n"]):
            with pytest.raises(MalformedAnswer):
                read(*chunks)

    def test_the_cap_of_a_head_does_not_count_informational_answers(self) -> None:
        hint = head("103 Hints", "Link: " + "x" * 20_000)
        assert answered(*[hint] * 10, head("200 OK", "Content-Length: 0")) == (True, 200, b"")


class TestBody:
    @pytest.mark.parametrize(
        ("body", "complete"), [(b"", False), (b"four", False), (b"fives", True)]
    )
    def test_a_body_with_its_length_ends_there(self, body: bytes, complete: bool) -> None:
        raw = head("503 Busy", "Content-Length: 5")
        assert answered(raw, body) == (complete, 503, body)

    @pytest.mark.parametrize("fields", [[], ["Content-Length: five"], ["Content-Length: -1"]])
    def test_a_body_without_its_length_lasts_until_the_close(self, fields: list[str]) -> None:
        assert answered(head("503 Busy", *fields) + b"text") == (False, 503, b"text")

    @pytest.mark.parametrize("length", [str(MAX_BODY + 1), "9" * 5000, "1" + "0" * 12])
    def test_a_body_longer_than_the_cap_is_read_up_to_it(self, length: str) -> None:
        raw = head("503 Busy", f"Content-Length: {length}")
        assert not answered(raw, b"x" * (MAX_BODY - 1))[0]
        assert answered(raw, b"x" * MAX_BODY) == (True, 503, b"x" * MAX_BODY)
        assert answered(raw + b"x" * (MAX_BODY + 1)) == (True, 503, b"x" * MAX_BODY)

    @pytest.mark.parametrize(
        ("body", "complete", "payload"),
        [
            (b"", False, b""),
            (b"0\r\n\r\n", True, b""),
            (b"3\r\nabc\r\nA;ext=1\r\n0123456789\r\n0\r\n\r\n", True, b"abc0123456789"),
            (b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", True, b"abc"),
            (b"3\r\nabc\r\n", False, b"abc"),
            (b"3\r\nab", False, b"ab"),
            (b"3", False, b""),
            (b"ffffffff\r\nab", False, b"ab"),
            (b"nonsense\r\n", False, b""),
            (b"-1\r\n", False, b""),
            (b"3\r\nabc\r\nzz\r\n", False, b"abc"),
        ],
    )
    def test_a_chunked_body_is_put_together(
        self, body: bytes, complete: bool, payload: bytes
    ) -> None:
        assert answered(CHUNKED + body) == (complete, 403, payload)

    def test_a_chunked_body_is_read_up_to_the_cap(self) -> None:
        chunk = b"400\r\n" + b"x" * 1024 + b"\r\n"
        complete, _, body = answered(CHUNKED, *[chunk] * 100)
        assert complete
        assert MAX_BODY - 1024 <= len(body) <= MAX_BODY


PIECES = st.sampled_from(
    [
        b"HTTP/1.1 ",
        b"101 Switching\r\n",
        b"100 Continue\r\n\r\n",
        b"HTTP/1.1 503 Busy\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"abcde",
        b"\xff\x85",
    ]
)
FUZZ = st.one_of(st.binary(max_size=100), st.lists(PIECES, max_size=12).map(b"".join))

Outcome = tuple[bool, bytes | None, Answer | None] | None


def outcome(chunks: Sequence[bytes]) -> Outcome:
    """What a reader makes of the chunks; all are fed, as far as it wants them."""
    try:
        complete, reader = read(*chunks)
    except MalformedAnswer:
        return None
    return complete, reader.switching, reader.answer()


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    at = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


@st.composite
def whole_answers(draw: st.DrawFn) -> bytes:
    """An answer that is complete with its last byte."""
    before = draw(st.lists(st.sampled_from([head("100 Continue"), head("103 H", "A: b")])))
    body = draw(st.binary(max_size=40))
    chunks = [body[:7], body[7:]] if body[7:] else [body] if body else []
    proper = draw(
        st.sampled_from(
            [
                SWITCHING,
                head("500 Oops", f"Content-Length: {len(body)}") + body,
                head("500 Oops") + body,
                CHUNKED
                + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
                + b"0\r\n",
            ]
        )
    )
    return b"".join(before) + proper


class TestAnyBytes:
    @given(whole_answers(), st.lists(st.integers(0, 300), max_size=6))
    def test_an_answer_is_read_the_same_however_it_is_cut(
        self, data: bytes, places: list[int]
    ) -> None:
        expected = outcome([data])
        assert expected is not None
        assert outcome(cut(data, places)) == expected
        assert outcome([data[i : i + 1] for i in range(len(data))]) == expected

    @given(st.lists(FUZZ, max_size=5))
    def test_any_bytes_give_an_answer_or_none_or_are_malformed(self, chunks: list[bytes]) -> None:
        found = outcome(chunks)
        if found is None:
            return
        complete, switching, answer = found
        assert answer is None or 101 <= answer.status <= 599
        assert not complete or answer is not None
        assert (switching is not None) == (answer is not None and answer.status == 101)


def test_a_head_as_large_as_the_cap_is_read_wherever_it_is_cut() -> None:
    head = b"HTTP/1.1 200 OK\r\nX: ".ljust(MAX_HEAD - 4, b"x")
    reader = AnswerReader()
    reader.feed(head + b"\r\n\r")
    reader.feed(b"\n")
    assert reader.answer() is not None


def test_bytes_after_the_length_are_not_part_of_the_body() -> None:
    reader = AnswerReader()
    assert reader.feed(b"HTTP/1.1 400 No\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK")
    answer = reader.answer()
    assert answer is not None
    assert answer.body == b"{}"
