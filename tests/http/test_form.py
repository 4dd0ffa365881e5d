"""Forms of several parts: what is written is read, and what is none is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.http.form import NoForm, fields_in, form_of


@given(st.dictionaries(st.sampled_from(["sdp", "session", "x"]), st.binary(max_size=200)))
def test_what_is_written_is_read(fields: dict[str, bytes]) -> None:
    kind, body = form_of([(name, "application/json", value) for name, value in fields.items()])
    if fields:
        found = fields_in(kind, body)
        assert found.keys() == fields.keys()
        for name, value in fields.items():
            assert found[name].rstrip(b"\r\n") == value.rstrip(b"\r\n")
            if not {*value} & {*b"\r\n"}:
                assert found[name] == value


@given(st.text(max_size=40), st.binary(max_size=200))
def test_anything_is_a_form_or_none(boundary: str, body: bytes) -> None:
    with suppress(NoForm):
        fields_in(f"multipart/form-data; boundary={boundary}", body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b\r\n",
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx',
        b"--b\r\n\r\nx\r\n--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n' * 2 + b"--b--\r\n",
    ],
)
def test_what_is_no_whole_form_with_names_of_their_own_is_none(body: bytes) -> None:
    with pytest.raises(NoForm):
        fields_in("multipart/form-data; boundary=b", body)


def test_a_type_with_a_line_end_adds_no_header() -> None:
    with pytest.raises(NoForm):
        fields_in("multipart/form-data; boundary=b\r\nX: y", b"--b--\r\n")
