"""Requests that are refused before an upstream is thought of."""

from __future__ import annotations

from dataclasses import dataclass

from integration.requests import LINE, request, upgrade


@dataclass(frozen=True)
class Wrong:
    """
    One wrong request.

    @ivar data: all that the client sends.
    @ivar code: the refusal's code.
    @ivar status: the answer's status.
    @ivar headers: what the answer must have besides what all have, names in lower case.
    @ivar recorded: whether it is a hold's record that tells of it; plain requests have none.
    """

    name: str
    data: bytes
    code: str
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    recorded: bool = True

    def __str__(self) -> str:
        return self.name


_MALFORMED: dict[str, bytes] = {
    # -- the request line ------------------------------------------------------------------
    "no HTTP": b"hello\r\n\r\n",
    "only blank": b"\r\n" * 3,
    "HTTP/0.9": b"GET /v1/realtime\r\n\r\n",
    "HTTP/1.2": upgrade(line="GET /v1/realtime HTTP/1.2"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a target with a user": upgrade(line="GET http://a@127.0.0.1/v1/realtime HTTP/1.1"),
    "a target without a host": upgrade(line="GET http:///v1/realtime HTTP/1.1"),
    "a target of another scheme": upgrade(line="GET ws://127.0.0.1/v1/realtime HTTP/1.1"),
    "target without a slash": upgrade(line="GET v1/realtime HTTP/1.1"),
    "asterisk": upgrade(line="GET * HTTP/1.1"),
    "a space in the target": upgrade(line="GET /v1/realtime?model=a b HTTP/1.1"),
    "two spaces": upgrade(line="GET  /v1/realtime HTTP/1.1"),
    "a tab": upgrade(line="GET\t/v1/realtime HTTP/1.1"),
    "no method": upgrade(line=" /v1/realtime HTTP/1.1"),
    "a method that is no token": upgrade(line="G@T /v1/realtime HTTP/1.1"),
    "8-bit target": upgrade(line="GET /v1/r\xe9altime HTTP/1.1"),
    "fragment": upgrade(line="GET /v1/realtime?model=m#x HTTP/1.1"),
    # -- header lines ----------------------------------------------------------------------
    "NUL": upgrade("X-A: \x00"),
    "bare LF": upgrade("X-A: b\nHost: evil"),
    "bare CR": upgrade("X-A: b\rHost: evil"),
    "0x0B": upgrade("X-A: b\x0bOrigin: http://evil"),
    "0x1C": upgrade("X-A: b\x1cOrigin: http://evil"),
    "0x85 in the Origin": upgrade(Origin="http://localhost\x85"),
    "UTF-8 in the Authorization": upgrade(Authorization="Bearer caf\xc3\xa9"),
    "DEL": upgrade("X-A: \x7f"),
    "folded": upgrade("X-A: b", " c"),
    "no colon": upgrade("X-A"),
    "no name": upgrade(": b"),
    "space before the colon": upgrade("X-A : b"),
    "space before the name": request(LINE, " Host: 127.0.0.1"),
    # -- Host ------------------------------------------------------------------------------
    "no Host": upgrade(without="Host"),
    "two Hosts": upgrade("Host: 127.0.0.1"),
    "empty Host": upgrade(Host=""),
    "Host with a path": upgrade(Host="127.0.0.1/x"),
    "Host with a user": upgrade(Host="me@127.0.0.1"),
    "Host with two names": upgrade(Host="127.0.0.1, evil"),
    "Host with a bad port": upgrade(Host="127.0.0.1:http"),
    # -- the upgrade -----------------------------------------------------------------------
    "HTTP/1.0": upgrade(line="GET /v1/realtime HTTP/1.0"),
    "no Connection": upgrade(without="Connection"),
    "Connection: close": upgrade(Connection="close"),
    "no key": upgrade(without="Sec-WebSocket-Key"),
    "two keys": upgrade("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "a key of 15 bytes": upgrade(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25j"),
    "a key that is no base64": upgrade(Sec_WebSocket_Key="!!!!"),
    "a body": upgrade("Content-Length: 2") + b"{}",
    "a chunked body": upgrade("Transfer-Encoding: chunked"),
    "two Origins": upgrade("Origin: http://localhost", "Origin: http://localhost"),
    "two Authorizations": upgrade("Authorization: Bearer a", "Authorization: Bearer a"),
    "two Authorizations and a credential as a subprotocol": upgrade(
        "Authorization: Bearer a",
        "Authorization: Basic b",
        Sec_WebSocket_Protocol="openai-insecure-api-key.token",
    ),
    "a subprotocol twice": upgrade(Sec_WebSocket_Protocol="realtime, realtime"),
    "a subprotocol that is no token": upgrade(Sec_WebSocket_Protocol="real time"),
    # -- early bytes -----------------------------------------------------------------------
    "a frame in the same segment": upgrade() + b"\x81\x80\x00\x00\x00\x00",
    "a second upgrade in the same segment": upgrade() * 2,
    # -- plain requests --------------------------------------------------------------------
    "plain, chunked": request("POST / HTTP/1.1", "Host: localhost", "Transfer-Encoding: chunked"),
    "plain, two lengths": request(
        "POST / HTTP/1.1", "Host: localhost", "Content-Length: 0", "Content-Length: 9"
    ),
    "plain, a signed length": request("POST / HTTP/1.1", "Host: localhost", "Content-Length: +1"),
}

MALFORMED = [Wrong(name, data, "bad_request", 400) for name, data in _MALFORMED.items()]

_UPGRADE = (
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("connection", "close, upgrade"),
)
_ALLOW = (("allow", "GET"),)


def _plain(line: str, *fields: str) -> bytes:
    return request(line, "Host: localhost:8080", *fields)


def _upgrade_required(name: str, data: bytes) -> Wrong:
    return Wrong(name, data, "upgrade_required", 426, _UPGRADE)


def _bad_origin(origin: str) -> Wrong:
    return Wrong(f"Origin {origin}", upgrade(Origin=origin), "origin_not_allowed", 403)


def _bad_host(host: str) -> Wrong:
    return Wrong(f"Host {host}", upgrade(Host=host), "host_not_allowed", 403)


NOT_SERVED = [
    Wrong("POST", upgrade(line="POST /v1/realtime HTTP/1.1"), "method_not_allowed", 405, _ALLOW),
    Wrong("get", upgrade(line="get /v1/realtime HTTP/1.1"), "method_not_allowed", 405, _ALLOW),
    _upgrade_required("no Upgrade", upgrade(without="Upgrade")),
    _upgrade_required("another Upgrade", upgrade(Upgrade="h2c")),
    _upgrade_required("a plain GET", _plain("GET /v1/realtime HTTP/1.1")),
    _upgrade_required("version 8", upgrade(Sec_WebSocket_Version="8")),
    _upgrade_required("no version", upgrade(without="Sec-WebSocket-Version")),
    _upgrade_required("two versions", upgrade("Sec-WebSocket-Version: 13")),
    Wrong("another path", upgrade(line="GET /v2 HTTP/1.1"), "not_found", 404),
    Wrong("a longer path", upgrade(line="GET /v1/realtime/x HTTP/1.1"), "not_found", 404),
    Wrong(
        "sessions", _plain("POST /v1/realtime/sessions HTTP/1.1"), "not_supported", 501, (), False
    ),
    Wrong("nothing there", _plain("GET /v2 HTTP/1.1"), "not_found", 404, (), False),
    Wrong(
        "sessions, pipelined",
        _plain("POST /v1/realtime/sessions HTTP/1.1") * 2,
        "not_supported",
        501,
        (),
        False,
    ),
    Wrong(
        "a body over the cap",
        _plain("POST / HTTP/1.1", "Content-Length: 262145"),
        "body_too_large",
        413,
    ),
    Wrong(
        "a body of 10 ** 5000",
        _plain("POST / HTTP/1.1", "Content-Length: 1" + "0" * 5000),
        "body_too_large",
        413,
    ),
    *(_bad_host(host) for host in ("evil.example", "127.0.0.1.evil.example", "10.0.0.1")),
    *(_bad_host(host) for host in ("localhost.evil.example:8080", "[2001:db8::1]", "0.0.0.0")),
    *(_bad_origin(origin) for origin in ("http://evil.example", "null", "file://")),
    *(_bad_origin(origin) for origin in ("http://localhost.evil.example", "http://127.0.0.1/x")),
    *(_bad_origin(origin) for origin in ("http://127.0.0.1@evil.example", "chrome://127.0.0.1")),
    Wrong(
        "a plain request of a bad Origin",
        _plain("GET / HTTP/1.1", "Origin: http://evil.example"),
        "origin_not_allowed",
        403,
    ),
    Wrong(
        "a plain request of a bad Host",
        request("GET / HTTP/1.1", "Host: evil.example"),
        "host_not_allowed",
        403,
    ),
]

_BROWSER = "User-Agent: Mozilla/5.0"
_ASKS = "Sec-WebSocket-Protocol: relay.refusals.event"

NEVER_IN_BAND = [
    Wrong(
        "a browser of a bad Origin",
        upgrade(_BROWSER, _ASKS, Origin="http://evil.example"),
        "origin_not_allowed",
        403,
    ),
    Wrong("malformed", upgrade(_ASKS, without="Sec-WebSocket-Key"), "bad_request", 400),
    Wrong("early bytes", upgrade(_ASKS) + b"x", "bad_request", 400),
]
"""What is told by status also to who would read it in band."""
