"""The beginning of each message of a stream, however it is framed and cut; and what it tells."""

from __future__ import annotations

import json
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session.test_frames import BINARY, CONT, KEY, NO_LIMIT, PING, TEXT, filler, raw

from relay.rules.closes import Side
from relay.session.frames import FrameWalk
from relay.session.glance import BEGINNING, LONGEST_TYPE, Glance, text_of, type_of

SMALL = 20
"""Bytes of each message that are shown."""

Told = tuple[str, bytes, int, bool]


class Seen(list[Told]):
    """What is shown."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most

    def __call__(self, sender: str, beginning: bytes, size: int, is_binary: bool, /) -> None:
        self.append((sender, beginning, size, is_binary))


def walked(
    side: Side, stream: bytes, cuts: list[int], begins: int = 0, most: int = BEGINNING
) -> Seen:
    """What is seen of a stream that comes in chunks, from the chunk on that C{begins} counts."""
    seen = Seen(most)
    walk = FrameWalk(
        masked=side == "downstream", message_bytes=NO_LIMIT, message_fragments=1_000_000
    )
    places = [0, *sorted(cuts), len(stream)]
    chunks = [stream[start:end] for start, end in pairwise(places)]
    for chunk in chunks[:begins]:
        walk.feed(chunk)
    twin = walk.twin(Glance(side, seen))
    for chunk in chunks[begins:]:
        walk.feed(chunk)
        twin.feed(chunk)
    alone = FrameWalk(
        masked=side == "downstream", message_bytes=NO_LIMIT, message_fragments=1_000_000
    )
    alone.feed(stream)
    assert walk.pings == alone.pings, "the twin leaves the walk alone"
    assert (twin.messages, twin.payload, twin.goes_on) == (
        walk.messages,
        walk.payload,
        walk.goes_on,
    )
    return seen


messages = st.lists(
    st.tuples(
        st.sampled_from([TEXT, BINARY]),
        st.lists(st.integers(0, 70) | st.just(300), min_size=1, max_size=3),
    ),
    max_size=5,
)


@given(
    messages,
    st.sampled_from(["downstream", "upstream"]),
    st.lists(st.integers(0, 400), max_size=6),
    st.integers(0, 3),
)
def test_each_message_that_begins_while_one_watches_is_seen_once(
    sent: list[tuple[int, list[int]]], side: Side, cuts: list[int], begins: int
) -> None:
    key = KEY if side == "downstream" else None
    stream, told_of_all, heads = b"", [], []
    for opcode, sizes in sent:
        payload = filler(sum(sizes))
        for number, (start, end) in enumerate(pairwise([0, *accumulate(sizes)])):
            frame = raw(
                CONT if number else opcode,
                payload[start:end],
                fin=number == len(sizes) - 1,
                key=key,
            )
            if not number:
                heads.append(len(stream) + len(frame) - (end - start))
            stream += frame + raw(PING, b"ping", key=key)
        sender = "client" if side == "downstream" else "upstream"
        told_of_all.append((sender, payload[:SMALL], len(payload), opcode == BINARY))
    cuts = [min(cut, len(stream)) for cut in cuts]
    begun = [0, *sorted(cuts), len(stream)][min(begins, len(cuts) + 1)]
    seen = walked(side, stream, cuts, begins, SMALL)
    # A header that is not whole is held back, so its message has not begun.
    expected = [told for told, head in zip(told_of_all, heads, strict=True) if head > begun]
    assert seen == expected


def test_a_large_message_is_seen_once_with_its_whole_size() -> None:
    payload = b'{"type":"a","audio":"' + b"A" * 3_000_000 + b'"}'
    stream = raw(TEXT, payload, key=KEY)
    cuts = [*range(1000, len(stream), 65536)]
    assert walked("downstream", stream, cuts) == [
        ("client", payload[:BEGINNING], len(payload), False)
    ]


# -- the type ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"type":"session.update","session":{}}', "session.update"),
        (' {\n "event_id" : "e1" , "n": -1.5e3,\t"type"\n:\n"x"', "x"),
        ('{"session":{"type":"realtime"},"type":"session.created"}', "session.created"),
        ('{"session":{"type":"realtime"}}', None),
        ('{"type":null}', None),
        ('{"type":7}', None),
        ('{"type":""}', None),
        ('{"typ\\u0065":"a\\tb"}', "a\tb"),
        ('["type","x"]', None),
        ("type", None),
        ("", None),
        ('{"serverContent":{}}', None),
        ('{"type":"' + "x" * 500 + '"}', "x" * LONGEST_TYPE),
        ('{"a\\"":{"b":1},"type":"' + "x" * 500 + '"}', "x" * LONGEST_TYPE),
    ],
)
def test_the_type_of_a_whole_message(payload: str, expected: str | None) -> None:
    assert type_of(payload.encode(), len(payload)) == expected


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        ('{"event_id":"e","type":"a.b","audio":"AAAA', "a.b"),
        ('{"session":{"type":"realtime"},"type":"session.created","x":"', None),
        ('{"type":"cut in the midd', None),
    ],
)
def test_the_type_of_a_message_that_goes_on(beginning: str, expected: str | None) -> None:
    assert type_of(beginning.encode(), BEGINNING + 1) == expected


@given(st.binary(max_size=200), st.integers(0, 1))
def test_nothing_that_is_sent_is_an_error(payload: bytes, more: int) -> None:
    type_of(b'{"type":"' + payload, 9 + len(payload) + more)
    type_of(payload, len(payload))
    text_of(payload, ["a secret key"])


# -- the text ------------------------------------------------------------------------------


def test_words_are_told_as_they_are() -> None:
    text = json.dumps({"type": "x", "text": "hé 你好 " * 300}, ensure_ascii=False)
    assert text_of(text.encode(), []) == text


def test_audio_is_shortened() -> None:
    for slash in ("/", "\\/"):
        audio = f"AA+{slash}" * 500
        told = text_of(b'{"audio":"' + audio.encode() + b'==","type":"x"}', [])
        assert told is not None
        rest = len(audio) + 2 - 32
        assert told == f'{{"audio":"{audio[:32]}…[{rest} more characters]","type":"x"}}'


def test_what_is_cut_within_a_character_is_text_and_what_is_none_is_not() -> None:
    assert text_of("né".encode()[:-1], []) == "n"
    assert text_of(b"\xff\xfe\x00", []) is None


def test_no_secret_is_told() -> None:
    told = text_of(b'{"message": "Incorrect API key: sk-canary-12345"}', ["sk-canary-12345"])
    assert told == '{"message": "Incorrect API key: [redacted]'
