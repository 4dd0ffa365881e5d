"""The head reader: what it refuses, what it hands on, and that chunks make no difference."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from autobahn.websocket.protocol import parseHttpHeader
from hypothesis import example, given
from hypothesis import strategies as st

from relay.http.foreign import is_undecided
from relay.http.head import Head, HeadReader, parse_head
from relay.http.upgrade import upgrade_refusal
from relay.rules.refusals import Refused
from relay.upstreams.providers import PROVIDERS

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MAX_BYTES = 16384
MAX_FIELDS = 100

UPGRADE = (
    ("Host", "relay.test"),
    ("Upgrade", "websocket"),
    ("Connection", "keep-alive, Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)

Fields = Sequence[tuple[str, str]]


def raw_head(fields: Fields, line: str = "GET /v1/realtime?model=m HTTP/1.1") -> bytes:
    lines = [line, *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def read(raw: bytes, max_bytes: int = MAX_BYTES, max_fields: int = MAX_FIELDS) -> Head | None:
    return HeadReader(max_bytes, max_fields).feed(raw)


def refused(raw: bytes, max_bytes: int = MAX_BYTES, max_fields: int = MAX_FIELDS) -> str:
    with pytest.raises(Refused) as caught:
        read(raw, max_bytes, max_fields)
    return caught.value.refusal.code


def whole(raw: bytes) -> Head:
    head = read(raw)
    assert head is not None
    return head


def upgrade(*more: tuple[str, str], without: str = "", line: str | None = None) -> Head:
    """A good upgrade with something added, or the fields of one name taken away."""
    fields = [field for field in UPGRADE if field[0] != without]
    return whole(raw_head([*fields, *more], *([line] if line else [])))


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
def test_a_target_in_absolute_form_names_the_host(scheme: str) -> None:
    line = f"GET {scheme}://relay.other:81/v1/realtime?model=m HTTP/1.1"
    head = upgrade(line=line)
    assert (head.target, head.path) == ("/v1/realtime?model=m", "/v1/realtime")
    assert head.all("host") == ["relay.other:81"]
    assert b"host: relay.other:81" in head.for_autobahn()


@pytest.mark.parametrize("host", ["", "a@b", "a b", "a:b:c", "[::1", "a,b"])
def test_a_target_in_absolute_form_needs_a_good_host(host: str) -> None:
    assert refused(raw_head(UPGRADE, f"GET http://{host}/v1/realtime HTTP/1.1")) == "bad_request"


def test_a_target_in_absolute_form_does_not_spare_the_host() -> None:
    fields = [field for field in UPGRADE if field[0] != "Host"]
    assert refused(raw_head(fields, "GET http://a/v1/realtime HTTP/1.1")) == "bad_request"


class TestReading:
    def test_a_head_is_read_with_its_fields_in_order(self) -> None:
        head = whole(
            b"GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-One:\t 1 \r\nx-one:X2X\r\nEmpty:\r\n\r\n"
        )
        assert (head.method, head.target, head.version) == ("GET", "/a?b=c", 1)
        assert head.fields == (("host", "h"), ("x-one", "1"), ("x-one", "X2X"), ("empty", ""))

    def test_what_follows_the_head_is_kept(self) -> None:
        reader = HeadReader(MAX_BYTES, MAX_FIELDS)
        assert reader.feed(raw_head(UPGRADE) + b"more") is not None
        assert reader.rest == b"more"

    def test_bytes_after_the_head_do_not_count_towards_the_cap(self) -> None:
        raw = raw_head(UPGRADE)
        assert read(raw + bytes(MAX_BYTES), max_bytes=len(raw)) is not None

    def test_the_reader_knows_whether_a_byte_has_come(self) -> None:
        reader = HeadReader(MAX_BYTES, MAX_FIELDS)
        assert not reader.started
        assert reader.feed(b"G") is None
        assert reader.started

    def test_one_empty_line_before_the_head_is_skipped(self) -> None:
        raw = raw_head(UPGRADE)
        assert read(b"\r\n" + raw, max_bytes=len(raw)) == whole(raw)
        assert refused(b"\r\n\r\n" + raw) == "bad_request"

    def test_a_head_request_behind_an_empty_line_is_known_for_one(self) -> None:
        reader = HeadReader(MAX_BYTES, MAX_FIELDS)
        assert reader.feed(b"\r\nHEAD / HTTP/1.1\r\n") is None
        assert reader.bodiless

    @pytest.mark.parametrize("version", [0, 1])
    def test_http_1_0_and_1_1_are_read(self, version: int) -> None:
        assert whole(raw_head([("Host", "h")], f"GET / HTTP/1.{version}")).version == version


class TestCaps:
    @pytest.mark.parametrize("missing", [1, 0])
    def test_a_head_up_to_the_cap_is_read(self, missing: int) -> None:
        raw = raw_head(UPGRADE)
        assert read(raw, max_bytes=len(raw) + missing) is not None

    def test_a_head_one_byte_over_the_cap_is_too_large(self) -> None:
        raw = raw_head(UPGRADE)
        assert refused(raw, max_bytes=len(raw) - 1) == "head_too_large"

    @pytest.mark.parametrize(("size", "expected"), [(99, None), (100, None), (101, 431)])
    def test_a_head_that_does_not_end_is_capped_too(self, size: int, expected: int | None) -> None:
        reader = HeadReader(100, MAX_FIELDS)
        status = None
        try:
            for _ in range(size):
                assert reader.feed(b"x") is None
        except Refused as caught:
            status = caught.refusal.status
        assert status == expected

    @pytest.mark.parametrize("count", [MAX_FIELDS - 1, MAX_FIELDS])
    def test_fields_up_to_the_cap_are_read(self, count: int) -> None:
        fields = [("Host", "h"), *[("X", "y")] * (count - 1)]
        assert len(whole(raw_head(fields)).fields) == count

    def test_one_field_over_the_cap_is_too_large(self) -> None:
        raw = raw_head([("Host", "h"), *[("X", "y")] * MAX_FIELDS])
        assert refused(raw) == "head_too_large"


class TestMalformed:
    @pytest.mark.parametrize("byte", [*set(range(0x20)) - {0x09, 0x0D}, 0x7F])
    def test_control_bytes_are_refused_in_a_value(self, byte: int) -> None:
        raw = b"GET / HTTP/1.1\r\nHost: h\r\nX: a" + bytes([byte]) + b"Origin: evil\r\n\r\n"
        assert refused(raw) == "bad_request"

    @pytest.mark.parametrize("value", ["\x80", "a\x85b", "caf\xc3\xa9", "\xff"])
    @pytest.mark.parametrize(
        "name",
        [
            "Authorization",
            "Connection",
            "Content-Length",
            "Host",
            "Origin",
            "Sec-Fetch-Site",
            "Sec-WebSocket-Extensions",
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Protocol",
            "Sec-WebSocket-Version",
            "Transfer-Encoding",
            "UPGRADE",
            *sorted({name for each in PROVIDERS.values() for name in each.headers}),
        ],
    )
    def test_a_field_that_decides_or_goes_upstream_must_be_ascii(
        self, name: str, value: str
    ) -> None:
        fields = [] if name == "Host" else [("Host", "h")]
        assert refused(raw_head([*fields, (name, value)])) == "bad_request"

    def test_the_request_line_must_be_ascii(self) -> None:
        for byte in range(0x80, 0x100):
            assert refused(raw_head([("Host", "h")], f"GET /{chr(byte)} HTTP/1.1")) == "bad_request"

    @pytest.mark.parametrize(
        "raw",
        [
            b"GET /\x0b HTTP/1.1\r\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\rX: y\r\n\r\n",
            b"GET / HTTP/1.1\nHost: h\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
        ],
        ids=["in the target", "bare CR", "bare LF", "bare LF between fields"],
    )
    def test_other_line_ends_are_refused(self, raw: bytes) -> None:
        assert refused(raw) == "bad_request"

    def test_lines_that_end_in_lf_alone_never_make_a_head(self) -> None:
        assert read(b"GET / HTTP/1.1\nHost: h\n\n") is None

    @pytest.mark.parametrize(
        "line",
        ["Host : h", " Host: h", "\tfolded", "Host", ": h", "Ho st: h", "H\xf6st: h", "Host\t: h"],
    )
    def test_malformed_fields_are_refused(self, line: str) -> None:
        raw = f"GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n".encode("latin-1")
        assert refused(raw) == "bad_request"

    @pytest.mark.parametrize(
        "line",
        [
            "",
            "GET",
            "GET /",
            "GET / HTTP/2.0",
            "GET / HTTP/1.2",
            "GET / http/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            " GET / HTTP/1.1",
            "G(T / HTTP/1.1",
            "GET * HTTP/1.1",
            "CONNECT relay.test:80 HTTP/1.1",
            "GET relative HTTP/1.1",
            "GET /\xe9 HTTP/1.1",
            "GET /a b HTTP/1.1",
        ],
    )
    def test_other_request_lines_are_refused(self, line: str) -> None:
        assert refused(raw_head([("Host", "h")], line)) == "bad_request"

    @pytest.mark.parametrize(
        "hosts",
        [
            [],
            ["a", "a"],
            ["a", "b"],
            [""],
            ["a b"],
            ["user@a"],
            ["a/b"],
            ["a:"],
            ["a:123456"],
            ["::1"],
            ["[::1"],
            ["[zone%1]"],
            ["a,b"],
            ["h\xf6st"],
        ],
    )
    def test_anything_but_one_valid_host_is_refused(self, hosts: list[str]) -> None:
        assert refused(raw_head([("Host", host) for host in hosts])) == "bad_request"

    def test_http_1_0_needs_no_host_but_no_wrong_one(self) -> None:
        line = "GET /readyz HTTP/1.0"
        assert whole(raw_head([], line)).one("host") is None
        assert refused(raw_head([("Host", "a b")], line)) == "bad_request"
        assert refused(raw_head([("Host", "a"), ("Host", "a")], line)) == "bad_request"

    @pytest.mark.parametrize("host", ["a", "A.b-c_d.:80", "127.0.0.1:8080", "[::1]", "[::1]:65535"])
    def test_valid_hosts_are_read(self, host: str) -> None:
        assert whole(raw_head([("Host", host)])).one("host") == host


PIECES = st.sampled_from(
    [b"GET / HTTP/1.1", b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"Host: h", b": ", b"\x85", b"X", b" "]
)
FUZZ = st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=12).map(b"".join))


@st.composite
def fuzzed_heads(draw: st.DrawFn) -> bytes:
    """A good head in which a few bytes were replaced."""
    raw = bytearray(raw_head(UPGRADE) + b"rest")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at : at + draw(st.integers(0, 3))] = draw(FUZZ)
    return bytes(raw)


Outcome = tuple[Head | str | None, bytes]


def fed(chunks: Sequence[bytes], max_bytes: int) -> Outcome:
    """What a reader makes of chunks: a head, a refusal or nothing, and the bytes behind it."""
    reader = HeadReader(max_bytes, 8)
    for number, chunk in enumerate(chunks):
        try:
            head = reader.feed(chunk)
        except Refused as caught:
            return f"{caught.refusal.code}: {caught.refusal.message}", b""
        if head is not None:
            return head, reader.rest + b"".join(chunks[number + 1 :])
    return None, b""


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    at = sorted(place % (len(data) + 1) for place in places)
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


class TestAnyBytes:
    @given(
        st.one_of(fuzzed_heads(), FUZZ),
        st.lists(st.integers(0, 300), max_size=6),
        st.integers(0, 300),
    )
    @example(raw_head(UPGRADE), [], len(raw_head(UPGRADE)))
    @example(b"\r\n\r\n\x00\r\nQUIT\n", [], 300)
    @example(b"\r\n\r\n", [], 300)
    @example(b"\r", [0], 0)
    @example(b"\r\n" + raw_head(UPGRADE), [], len(raw_head(UPGRADE)))
    @example(b"PRI * HTTP/2.0\r\n\r\n", [], 5)
    def test_a_head_is_read_the_same_however_it_is_cut(
        self, data: bytes, places: list[int], cap: int
    ) -> None:
        expected = fed([data], cap)
        assert fed(cut(data, places), cap) == expected
        assert fed([data[i : i + 1] for i in range(len(data))], cap) == expected

    @given(st.one_of(fuzzed_heads(), FUZZ))
    def test_any_bytes_give_a_head_or_a_refusal(self, data: bytes) -> None:
        head, _ = fed([data], MAX_BYTES)
        if head is None:
            assert b"\r\n\r\n" not in data or is_undecided(data)
        elif isinstance(head, str):
            assert head.startswith(("bad_request: ", "head_too_large: "))
        else:
            assert isinstance(head.query, list)
            if upgrade_refusal(head) is None:
                assert parseHttpHeader(head.for_autobahn())[0] == "GET / HTTP/1.1"

    @given(fuzzed_heads())
    def test_a_head_reaches_a_site_as_it_was_read(self, data: bytes) -> None:
        head, _ = fed([data], MAX_BYTES)
        if isinstance(head, Head):
            again = parse_head(head.for_site(), MAX_FIELDS + 1)
            kept = tuple(field for field in head.fields if field[0] != "connection")
            assert again.fields == (("connection", "close"), *kept)
            assert (again.method, again.target, again.version) == (
                head.method,
                head.target,
                head.version,
            )


class TestHead:
    def test_path_and_query_are_taken_apart(self) -> None:
        head = whole(raw_head([("Host", "h")], "GET /a%2Fb?m=x%20y+z&e=&m=2&%ff=?? HTTP/1.1"))
        assert head.path == "/a%2Fb"
        assert head.query == [
            ("m", "x y z"),
            ("e", ""),
            ("m", "2"),
            ("\N{REPLACEMENT CHARACTER}", "??"),
        ]

    def test_a_path_without_a_query_has_an_empty_one(self) -> None:
        assert whole(raw_head([("Host", "h")], "GET / HTTP/1.1")).query == []

    def test_a_field_that_comes_twice_has_no_single_value(self) -> None:
        head = Head("GET", "/", 1, (("a", "1"), ("b", "2"), ("b", "3")))
        assert (head.one("a"), head.one("b"), head.one("c")) == ("1", None, None)
        assert head.all("b") == ["2", "3"]

    def test_elements_of_repeated_fields_are_one_list(self) -> None:
        head = Head("GET", "/", 1, (("a", "1, ,2"), ("b", "x"), ("a", ",\t3 ")))
        assert head.elements("a") == ["1", "2", "3"]

    @pytest.mark.parametrize(
        ("value", "wants"),
        [("websocket", True), ("h2c, WebSocket", True), ("websocket/13", False), ("h2c", False)],
    )
    def test_only_an_upgrade_to_websocket_counts_as_one(self, value: str, wants: bool) -> None:
        assert Head("GET", "/", 1, (("upgrade", value),)).wants_upgrade is wants

    @pytest.mark.parametrize(
        ("value", "trace_id"),
        [
            (f"00-{'a1' * 16}-{'b2' * 8}-01", "a1" * 16),
            (f"cc-{'a1' * 16}-{'b2' * 8}-01-more", "a1" * 16),
            (f"00-{'A1' * 16}-{'b2' * 8}-01", None),
            (f"00-{'a1' * 15}-{'b2' * 8}-01", None),
            ("", None),
        ],
    )
    def test_the_trace_id_is_read(self, value: str, trace_id: str | None) -> None:
        assert upgrade(("traceparent", value)).trace_id == trace_id

    def test_a_missing_or_repeated_traceparent_gives_no_trace_id(self) -> None:
        trace = ("traceparent", f"00-{'a1' * 16}-{'b2' * 8}-01")
        assert upgrade().trace_id is None
        assert upgrade(trace, trace).trace_id is None


TEXT = st.characters(codec="latin-1", exclude_categories=["Cc"]) | st.just("\x85")
"""What a header that nobody here reads may hold."""


class TestForAutobahn:
    def test_autobahn_reads_the_same_request(self) -> None:
        head = upgrade(("Sec-WebSocket-Protocol", "realtime"), ("Sec-WebSocket-Protocol", "x, y"))
        line, fields, counts = parseHttpHeader(head.for_autobahn())
        assert line == "GET / HTTP/1.1"
        assert fields == {
            "host": "relay.test",
            "upgrade": "websocket",
            "connection": "upgrade",
            "sec-websocket-version": "13",
            "sec-websocket-key": KEY,
            "sec-websocket-protocol": "realtime,x,y",
        }
        assert set(counts.values()) == {1}

    def test_without_a_subprotocol_autobahn_gets_no_such_field(self) -> None:
        assert b"protocol" not in upgrade(("Sec-WebSocket-Protocol", " , ")).for_autobahn()

    @given(st.text(TEXT, max_size=30))
    def test_no_field_that_autobahn_does_not_need_reaches_it(self, text: str) -> None:
        marked = f"canary{text}"
        names = "Cookie Proxy-Authorization X-Forwarded-For Forwarded User-Agent Traceparent"
        deciding = "Origin Authorization Sec-WebSocket-Extensions Sec-WebSocket-Key1"
        head = upgrade(
            *((name, marked) for name in names.split()),
            *((name, "canary") for name in deciding.split()),
            line="GET /canary?token=canary HTTP/1.1",
        )
        assert b"canary" not in head.for_autobahn().lower()
        assert b"\x85" not in head.for_autobahn()


class TestForSite:
    def test_a_sites_connection_ends_with_its_answer(self) -> None:
        head = whole(
            b"POST /a?b#c HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nX: \xe9\r\n"
            b"connection: upgrade\r\nContent-Length: 3\r\n\r\n"
        )
        assert head.for_site() == (
            b"POST /a?b#c HTTP/1.0\r\nconnection: close\r\nhost: h\r\nx: \xe9\r\n"
            b"content-length: 3\r\n\r\n"
        )

    @given(st.text(TEXT, min_size=1).map(str.strip))
    def test_a_site_gets_other_headers_byte_by_byte(self, text: str) -> None:
        cookie = f"a={text}=".encode("latin-1")
        head = whole(b"GET / HTTP/1.1\r\nHost: h\r\nCookie: " + cookie + b"\r\n\r\n")
        assert b"\r\ncookie: " + cookie + b"\r\n" in head.for_site()


def test_only_spaces_and_tabs_are_trimmed_from_elements() -> None:
    assert not Head("GET", "/", 1, (("upgrade", "\xa0websocket"),)).wants_upgrade


@pytest.mark.parametrize(
    "value",
    [
        "ff-" + "a" * 32 + "-" + "b" * 16 + "-01",
        "00-" + "0" * 32 + "-" + "b" * 16 + "-01",
        "00-" + "a" * 32 + "-" + "0" * 16 + "-01",
        "00-" + "a" * 32 + "-" + "b" * 16 + "-01x",
    ],
)
def test_an_invalid_traceparent_gives_no_trace_id(value: str) -> None:
    assert Head("GET", "/", 1, (("traceparent", value),)).trace_id is None


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ((), 0),
        ((("content-length", "0"),), 0),
        ((("content-length", "000012"),), 12),
        ((("content-length", "0" * 5000 + "7"),), 7),
        ((("content-length", "9" * 5000),), 10**18 - 1),
        ((("content-length", "+1"),), None),
        ((("content-length", ""),), None),
        ((("content-length", "1"), ("content-length", "1")), None),
        ((("transfer-encoding", "chunked"),), None),
        ((("content-length", "1"), ("transfer-encoding", "chunked")), None),
    ],
)
def test_the_length_of_a_body_is_known_only_if_it_is_stated_once_and_valid(
    fields: tuple[tuple[str, str], ...], length: int | None
) -> None:
    assert Head("POST", "/", 1, fields).body_length == length
