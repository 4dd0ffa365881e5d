"""What is read of server events, and that nothing an upstream sends breaks the reading."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.events import MAX_ID, ServerEvent, parse_event
from relay.rules.said import NOTHING, Said

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "error", "session", "id", "code", "message"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def test_a_session_is_read() -> None:
    payload = b'{"type":"session.created","event_id":"e","session":{"id":"sess_1","model":"m"}}'
    assert parse_event(payload) == ServerEvent("session.created", session_id="sess_1")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"type": "error", "error": {"code": "c", "message": "m"}}, Said(("c",), "m")),
        ({"type": "error", "error": "No."}, Said((), "No.")),
        ({"type": "error", "code": "c", "message": "m"}, Said(("c",), "m")),
        ({"type": "error", "error": 7}, NOTHING),
        ({"type": "error"}, NOTHING),
        ({"type": "session.error", "message": "m"}, Said(("session.error",), "m")),
        ({"code": "c", "error": "No."}, Said(("c",), "No.")),
    ],
)
def test_an_error_is_read(event: dict[str, object], said: Said) -> None:
    assert parse_event(json.dumps(event).encode()).error == said


def test_an_event_that_is_no_error_says_none() -> None:
    payload = b'{"type":"response.done","error":{"code":"c","message":"m"}}'
    assert parse_event(payload) == ServerEvent("response.done")


@pytest.mark.parametrize(
    ("session", "session_id"),
    [
        ({"id": "s"}, "s"),
        ({"id": "s" * 1000}, "s" * MAX_ID),
        ({"id": ""}, None),
        ({"id": 1}, None),
        ({}, None),
        (["id"], None),
    ],
)
def test_the_session_id_is_text_or_none(session: object, session_id: str | None) -> None:
    payload = json.dumps({"type": "session.created", "session": session}).encode()
    assert parse_event(payload).session_id == session_id


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"nonsense",
        b"\xff\xfe\xfd",
        b"null",
        b"[]",
        b'"error"',
        b'{"type":1}',
        b"[" * 100_000,
        b'{"a":' * 40_000,
        b"1" * 5000,
    ],
    ids=repr,
)
def test_a_message_that_is_no_event_has_no_type(payload: bytes) -> None:
    assert parse_event(payload) == ServerEvent()


@given(st.binary(max_size=100) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_give_an_event(payload: bytes) -> None:
    event = parse_event(payload)
    assert isinstance(event.type, str)
    assert event.session_id is None or event.session_id
