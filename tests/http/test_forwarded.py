"""What a proxy tells of its client, in the forms that proxies write and in some that none does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.http.forwarded import (
    Hop,
    Malformed,
    forwarded,
    forwarded_for,
    forwarded_id,
    forwarded_proto,
)
from relay.http.head import Head


def head(name: str, *values: str) -> Head:
    return Head("GET", "/", 1, tuple((name, value) for value in values))


STANDARD = [
    ("for=192.0.2.43", [Hop("192.0.2.43")]),
    ('For="[2001:DB8:0:0::17]:4711"', [Hop("2001:db8::17")]),
    ('for="192.0.2.43:47011";proto=https', [Hop("192.0.2.43", True)]),
    ('for="192.0.2.43:_port"', [Hop("192.0.2.43")]),
    ("for=192.0.2.43;proto=http;by=203.0.113.43", [Hop("192.0.2.43", False)]),
    ("for=192.0.2.43, for=198.51.100.17", [Hop("198.51.100.17"), Hop("192.0.2.43")]),
    ("for=192.0.2.43 ; proto=WSS ,for=unknown", [Hop(None), Hop("192.0.2.43", True)]),
    ("for=_gazonk", [Hop(None)]),
    ('for="_SEVKISEK:80"', [Hop(None)]),
    ('for="\\_a"', [Hop(None)]),
    ("proto=https", [Hop(None, True)]),
    (",for=192.0.2.1,,", [Hop("192.0.2.1")]),
    ('for="[::ffff:192.0.2.1]"', [Hop("192.0.2.1")]),
    ('host="a,b;c";for=192.0.2.1', [Hop("192.0.2.1")]),
    ("", []),
]


@pytest.mark.parametrize(("value", "hops"), STANDARD)
def test_the_standard_header_is_read_with_the_nearest_hop_first(
    value: str, hops: list[Hop]
) -> None:
    assert forwarded(head("forwarded", value)) == hops


def test_several_fields_are_one_list() -> None:
    assert forwarded(head("forwarded", "for=192.0.2.1", "for=192.0.2.2"))[0] == Hop("192.0.2.2")
    found = list(forwarded_for(head("x-forwarded-for", "192.0.2.1", "192.0.2.2, 192.0.2.3")))
    assert found == [Hop("192.0.2.3"), Hop("192.0.2.2"), Hop("192.0.2.1")]


@pytest.mark.parametrize(
    "value",
    [
        "for",
        "for=",
        "192.0.2.1",
        "for=192.0.2.1:80",
        "for=[2001:db8::1]",
        'for="192.0.2.1',
        'for="x" y',
        "for=300.1.1.1",
        'for="[::g]"',
        'for="2001:db8::1"',
        'for="192.0.2.1:123456"',
        "for=192.0.2.1;for=192.0.2.2",
        "for=192.0.2.1;proto=gopher",
        "for=localhost",
        'for="[fe80::1%25eth0]"',
    ],
)
def test_a_malformed_standard_header_is_told_as_a_whole(value: str) -> None:
    with pytest.raises(Malformed, match=r"^Forwarded$"):
        forwarded(head("forwarded", f"for=192.0.2.9, {value}, for=192.0.2.10"))


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:1234", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("unknown", None),
        ("Unknown", None),
        ("_hidden", None),
    ],
)
def test_the_usual_header_has_addresses_in_many_forms(value: str, address: str | None) -> None:
    assert list(forwarded_for(head("x-forwarded-for", value))) == [Hop(address)]


def test_what_the_client_invented_to_the_left_is_not_looked_at() -> None:
    hops = forwarded_for(head("x-forwarded-for", 'nonsense "[;, 192.0.2.1'))
    assert next(hops) == Hop("192.0.2.1")
    with pytest.raises(Malformed, match=r"^X-Forwarded-For$"):
        next(hops)


@pytest.mark.parametrize(
    ("value", "secure"), [("https", True), ("WSS", True), ("http", False), ("http, https", True)]
)
def test_the_scheme_is_the_nearest_proxys(value: str, secure: bool) -> None:
    assert forwarded_proto(head("x-forwarded-proto", value)) is secure


def test_no_header_says_nothing() -> None:
    nothing = head("host", "a")
    assert forwarded_proto(nothing) is None
    assert forwarded_id(nothing) is None
    with pytest.raises(Malformed, match=r"^X-Forwarded-Proto$"):
        forwarded_proto(head("x-forwarded-proto", "h2"))


@pytest.mark.parametrize("told", ["req_1", "0af7-651916cd:43/x+y=", "a" * 128])
def test_an_id_is_taken_as_it_is(told: str) -> None:
    assert forwarded_id(head("x-request-id", told)) == told


@pytest.mark.parametrize("told", [("",), ("a b",), ("a" * 129,), ("a", "b"), ("é",), ('"',)])
def test_an_id_that_would_spoil_a_log_line_is_malformed(told: tuple[str, ...]) -> None:
    with pytest.raises(Malformed, match=r"^X-Request-Id$"):
        forwarded_id(head("x-request-id", *told))


@given(st.text(st.characters(codec="latin-1"), max_size=60))
def test_whatever_comes_is_read_or_malformed(value: str) -> None:
    for read in (forwarded, forwarded_for, forwarded_proto, forwarded_id):
        for name in ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-request-id"):
            try:
                result = read(head(name, value))
                assert result is None or not hasattr(result, "__iter__") or list(result) is not None
            except Malformed:
                pass
