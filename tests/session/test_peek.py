"""Spotting the wanted server events: what is one, what is near one, and that portions are alike."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.session.peek import Peek

WANTED = [
    "response.done",
    "response.created",
    "error",
    "session.closed",
    "session.usage.updated",
    "input_audio_buffer.speech_stopped",
    "conversation.item.input_audio_transcription.completed",
]


def portions(peek: Peek, payload: bytes, points: Sequence[int] = ()) -> None:
    """Show a message cut at these points, each portion amid other bytes."""
    ends = [0, *points, len(payload)]
    for index, (start, end) in enumerate(itertools.pairwise(ends)):
        # Around a portion stand bytes that would make a match.
        data = b'{"t' + payload[start:end] + b'"}'
        opening, final = index == 0, index == len(ends) - 2
        peek(memoryview(data) if index % 2 else data, 3, 3 + end - start, opening, final)


def seen(payload: bytes, points: Sequence[int] = (), cap: int = 262_144) -> list[bytes]:
    found: list[bytes] = []
    portions(Peek(found.append, cap), payload, points)
    return found


class TestWanted:
    @pytest.mark.parametrize("kind", WANTED)
    def test_each_wanted_kind_of_event_is_seen(self, kind: str) -> None:
        payload = json.dumps({"event_id": "e", "type": kind, "more": "x" * 1000}).encode()
        assert seen(payload) == [payload]

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"type":"error"}',
            b'{ "type" : "error" }',
            b'{\r\n\t"type"\r\n\t:\r\n\t"error"\r\n}',
            b'{"a":1,"type":"error"}',
            b'{"error":{"type":"error"}}',
            b'{"a":"\\"","type":"error"}',
            b'{"a":"\\\\","type":"error"}',
            b'{"b":{"type":"no"},"type":"error"}',
            b'{"type" :"no","type":"error"}',
        ],
    )
    def test_a_wanted_event_is_seen_wherever_its_type_stands(self, payload: bytes) -> None:
        assert seen(payload) == [payload]

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"error":"text"}',
            b'{"code":"a","status": 500, "error":"text \\" and more"}',
            b'{"error":{"message":"m","type":"invalid_request_error"}}',
            b' {\n "code" : "a" ,\n "error" : "text"\n}',
        ],
    )
    def test_an_error_without_a_type_is_seen_however_it_is_cut(self, payload: bytes) -> None:
        assert seen(payload) == [payload]
        for point in range(1, len(payload)):
            assert seen(payload, [point]) == [payload]

    @pytest.mark.parametrize(
        "payload",
        [
            b'{"error":null}',
            b'{"error":null,"other":{"error":"text"}}',
            b'{"other":{"error":"text"}}',
            b'{"error":"text","type":"response.output_text.delta"}',
        ],
    )
    def test_no_other_error_without_a_type_is_seen(self, payload: bytes) -> None:
        assert seen(payload) == []

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"{}",
            b'{"type":"response.output_audio.delta"}',
            b'{"type":"response.done.not"}',
            b'{"type":"errors"}',
            b'{"type":"an error"}',
            b'{"type":"error',
            b'{"type":"responseXdone"}',
            b'{"type":"Error"}',
            b'{"Type":"error"}',
            b'{"types":"error"}',
            b'{"a_type":"error"}',
            b'{"type":error}',
            b'{"type"::"error"}',
            b'{"type","error"}',
            b'{"type":["error"]}',
            b'{"type":\x0b"error"}',
            b'{"type":\\"error\\"}',
            b'{"a":"\\"type\\":\\"error\\""}',
            b'{"a":"{\\"type\\":\\"error\\"}"}',
            b'{"\\"type":"error"}',
            b'{"type\\"":"error"}',
            b'{"type":"\\"error"}',
            b'{"type":"error\\""}',
            b'{"a":"type","b":"error"}',
        ],
    )
    def test_a_message_that_nearly_names_a_wanted_type_is_not_seen(self, payload: bytes) -> None:
        for points in ([], [1], [5], range(1, len(payload))):
            assert seen(payload, [point for point in points if point < len(payload)]) == []

    def test_a_wanted_type_between_binary_bytes_is_seen(self) -> None:
        assert seen(b'\x00\xff{"type":"error"}\xff') == [b'\x00\xff{"type":"error"}\xff']

    @pytest.mark.parametrize("kind", WANTED)
    @pytest.mark.parametrize("more", [b"}", b" }\n", b',"more":1}', b',"b":"' + b"y" * 400 + b'"}'])
    @pytest.mark.parametrize("before", [b'"a":"%s"', b'"a":{"type":"message","b":"%s"}'])
    def test_a_wanted_type_is_seen_before_between_and_behind_anything(
        self, kind: str, more: bytes, before: bytes
    ) -> None:
        own = b'"type":"' + kind.encode() + b'"'
        for size in (1, 200, 255, 256, 257, 5000):
            payload = b"{" + before % (b"x" * size) + b"," + own + more
            for points in ([], [1], [255], [256], [257], [10, 256, 260]):
                inside = [point for point in points if point < len(payload)]
                assert seen(payload, inside) == [payload]

    def test_an_event_with_a_plain_type_ahead_is_dismissed_whatever_it_holds(self) -> None:
        for start in (b'{"type":"no"', b'{ "event_id": "e", "n": -1.5e3, "type": "no"'):
            payload = start + b',"b":{"type":"error"},"type":"error"}'
            assert seen(payload) == []
            assert seen(payload + b" " * 300, [len(start) + 1]) == []

    def test_bytes_outside_the_portion_do_not_count(self) -> None:
        found: list[bytes] = []
        data = b'{"type":"error"}'
        Peek(found.append)(data, 2, len(data), True, True)
        Peek(found.append)(data, 0, len(data) - 2, True, True)
        assert found == []

    def test_several_messages_are_judged_one_after_another(self) -> None:
        found: list[bytes] = []
        peek = Peek(found.append)
        for payload in (b'{"type":"error"}', b'{"type":"x"}', b'{"type":"response.done"}'):
            portions(peek, payload, [3])
            peek.message(payload)
            assert peek._kept is None
        assert all(type(payload) is bytes for payload in found)
        assert found == [b'{"type":"error"}'] * 2 + [b'{"type":"response.done"}'] * 2


class TestCap:
    def test_a_wanted_event_over_the_cap_is_dropped(self) -> None:
        payload = b'{"type":"error"}'
        size = len(payload)
        for points in ([], [4], [0, 4, 8]):
            assert seen(payload, points, cap=size) == [payload]
            assert seen(payload, points, cap=size - 1) == []

    def test_a_wanted_event_over_the_cap_is_forgotten_at_once(self) -> None:
        found: list[bytes] = []
        peek = Peek(found.append, cap=300)
        head = b'{"type":"error"}' + b" " * 280
        peek(head, 0, len(head), True, False)
        assert bytes(peek._kept or b"") == head
        peek(head, 0, 5, False, False)
        assert peek._kept is None
        peek(head, 0, 1, False, False)
        peek(head, 0, 1, False, True)
        assert found == []
        peek.message(b'{"type":"error"}')
        assert found == [b'{"type":"error"}']

    def test_of_an_unwanted_message_nothing_is_kept(self) -> None:
        peek = Peek(lambda _: None)
        data = b'{"type":"response.output_audio.delta","delta":"' + b"x" * 1000
        peek(data, 0, 256, True, False)
        assert peek._kept is None

    def test_of_an_undecided_message_its_start_alone_is_kept(self) -> None:
        peek = Peek(lambda _: None)
        data = b'{"type":"no","more":"' + b"x" * 300
        peek(data, 0, 5, True, False)
        assert bytes(peek._kept or b"") == data[:5]
        peek(data, 5, 300, False, False)
        assert peek._kept is None

    def test_of_a_message_without_a_type_ahead_the_cap_is_kept_at_most(self) -> None:
        peek = Peek(lambda _: None, cap=300)
        data = b"x" * 255
        peek(data, 0, 0, True, False)
        peek(data, 0, 255, False, False)
        assert peek._kept is not None
        assert len(peek._kept) == 255
        peek(data, 0, 45, False, False)
        assert peek._kept is not None
        peek(data, 0, 1, False, False)
        assert peek._kept is None

    def test_a_message_that_never_ended_is_forgotten(self) -> None:
        found: list[bytes] = []
        peek = Peek(found.append)
        head = b'{"type":"error"}'
        peek(head, 0, 8, True, False)
        peek(head, 8, 16, True, True)
        assert found == []
        large = head + b" " * 300
        peek(large, 0, len(large), True, False)
        peek(b"{}", 0, 2, True, True)
        peek(b"}", 0, 1, False, True)
        assert found == []

    def test_an_exception_of_the_owners_comes_out(self) -> None:
        found: list[bytes] = []

        def wanted(payload: bytes) -> None:
            found.append(payload)
            raise LookupError

        peek = Peek(wanted)
        for _ in range(2):
            with pytest.raises(LookupError):
                portions(peek, b'{"type":"error"}', [3])
        assert len(found) == 2


def heard(payload: bytes, points: Sequence[int] = (), awaited: Sequence[str] = ("r",)) -> list[str]:
    found: list[str] = []
    portions(Peek(lambda _: None, audio=found.append, awaited=awaited), payload, points)
    return found


class TestAudio:
    @pytest.mark.parametrize("name", ["response.output_audio.delta", "response.audio.delta"])
    @pytest.mark.parametrize("points", [[], [20], [60], [300], [100, 400], range(1, 500)])
    def test_a_delta_is_heard_while_audio_is_awaited(
        self, name: str, points: Sequence[int]
    ) -> None:
        kind = b'"type":"' + name.encode() + b'"'
        rest = b'"response_id":"resp_1","delta":"' + b"x" * 1000 + b'"'
        for payload in (b"{%s,%s}" % (kind, rest), b"{%s,%s}" % (rest, kind)):
            assert heard(payload, points) == ["resp_1"]
            assert heard(payload, points, awaited=()) == []

    def test_a_delta_of_no_known_response_is_heard_all_the_same(self) -> None:
        assert heard(b'{"type":"response.output_audio.delta","delta":"x"}') == [""]

    @pytest.mark.parametrize(
        "name", ["response.output_audio.done", "response.output_audio_transcript.delta", "error"]
    )
    def test_what_is_no_delta_of_audio_is_not_heard(self, name: str) -> None:
        kind, rest = b'"type":"' + name.encode() + b'"', b'"delta":"' + b"x" * 1000 + b'"'
        for payload in (b"{%s,%s}" % (kind, rest), b"{%s,%s}" % (rest, kind)):
            assert heard(payload) == []


# Text around the places that matter, and whole events.
parts = st.sampled_from(
    [b'"type"', b"type", b'"', b":", b"{", b",", b" ", b"\n", b"\\", b"error", b'"error"']
) | st.sampled_from([b'"response.done"', b'"type":"error"', b'{"type":"error"}', b"x" * 240])
payloads = st.lists(parts | st.binary(max_size=4), max_size=14).map(b"".join)
objects = st.dictionaries(
    st.sampled_from(["type", "a", '"type', "error", "type\\"]),
    st.sampled_from([*WANTED, "x", '"error"', '\\"type": "error"', "y" * 100]) | st.integers(),
).map(lambda value: json.dumps(value).encode())


class TestAny:
    @given(payloads | objects, st.lists(st.integers(0, 400), max_size=8), st.integers(0, 400))
    @example(b'{"type":"error"}', [1, 2, 8], 100)
    @example(b'{"type":"error"}' + b" " * 300, [1, 2, 8, 16, 256, 270], 400)
    def test_a_message_in_portions_is_seen_like_the_whole(
        self, payload: bytes, points: list[int], cap: int
    ) -> None:
        inside = sorted(min(point, len(payload)) for point in points)
        whole: list[bytes] = []
        Peek(whole.append, cap).message(payload)
        assert whole in ([], [payload])
        assert len(payload) <= cap or not whole
        assert seen(payload, inside, cap) == whole
        assert seen(payload, range(1, len(payload)), cap) == whole

    @given(objects)
    def test_in_json_only_a_key_type_with_a_wanted_value_is_seen(self, payload: bytes) -> None:
        event = json.loads(payload)
        if event.get("type") in WANTED:
            assert seen(payload) == [payload]
        elif "error" not in event:  # else the parser has the last word
            assert seen(payload) == []

    @given(
        st.lists(
            st.tuples(
                st.binary(max_size=300), st.integers(0, 300), st.integers(0, 300), st.booleans()
            ),
            max_size=6,
        ),
        st.lists(st.booleans(), min_size=6, max_size=6),
    )
    def test_no_bytes_make_the_peek_raise(
        self, calls: list[tuple[bytes, int, int, bool]], finals: list[bool]
    ) -> None:
        peek = Peek(lambda _: None, cap=100)
        for (data, one, other, opening), final in zip(calls, finals, strict=False):
            start, end = sorted((min(one, len(data)), min(other, len(data))))
            peek(data, start, end, opening, final)
            assert len(peek._kept or b"") <= 256
