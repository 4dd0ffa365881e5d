"""JSON that can be read in one way only."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.policy.strict import DEEPEST, NotStrict, parse_strict, serialised

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3),
)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b"{}{}",
        b"{} x",
        b'{"a":1,}',
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":01}',
        b'{"a":"\n"}',
        b'{"a":"\\ud800"}',
        b'{"\\udfff":1}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":1,"a":1}',
        b'{"type":1,"\\u0074ype":2}',
        b'{"type":1,"TYPE":2}',
        '{"session":1,"\u017fe\u017f\u017fion":2}'.encode(),
        b'{"x":{"a":1,"a":2}}',
        b'{"x":[{"a":1,"a":2}]}',
        b'{"a":' * DEEPEST + b"{}" + b"}" * DEEPEST,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' + b"[" * 100_000,
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(payload: bytes) -> None:
    with pytest.raises(NotStrict):
        parse_strict(payload)


def test_what_is_nested_as_deep_as_allowed_is_read() -> None:
    deep = b'{"a":' * (DEEPEST - 1) + b"{}" + b"}" * (DEEPEST - 1)
    assert serialised(parse_strict(deep)) == deep


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_all_else_is_read_as_it_was_written(event: dict[str, object]) -> None:
    written = json.dumps(event).encode()
    if len({key.casefold() for key in event}) < len(event):
        with pytest.raises(NotStrict):
            parse_strict(written)
    else:
        assert parse_strict(written) == event
        assert json.loads(serialised(event)) == event
