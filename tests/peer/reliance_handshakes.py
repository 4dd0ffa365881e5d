"""What the relay relies on of Autobahn until a connection is open."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.util import wildcards2patterns
from autobahn.websocket.protocol import WebSocketProtocol
from autobahn.websocket.types import ConnectionDeny
from peer.reliance import shows
from peer.stock import (
    ClientFactory,
    asked,
    calls,
    client,
    frame,
    open_server,
    server,
    switching,
    upgrade,
)
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from relay.peer.autobahn import HANDSHAKE

ADAPTER = "WebSocketAdapterProtocol"
SERVER = "WebSocketServerProtocol"
CLIENT = "WebSocketClientProtocol"
CANARY = "canary"


def written(protocol: Any) -> str:
    """All that is on the wire."""
    sent: bytes = protocol.transport.value()
    return sent.decode("latin-1")


# Both


@shows(ADAPTER, "log")
def all_is_logged_by_log() -> None:
    for protocol in (server(), client()):
        count = len(protocol.log.lines)
        protocol.dataReceived(b"x")
        assert len(protocol.log.lines) > count


@shows(SERVER, "CONFIG_ATTRS")
@shows(CLIENT, "CONFIG_ATTRS")
def options_are_copied_from_the_factory_by_their_names_alone() -> None:
    class Factory(WebSocketServerFactory):
        """Refuses to hand on an option."""

        def __getattribute__(self, name: str) -> Any:
            assert name not in options
            return super().__getattribute__(name)

    common = WebSocketProtocol.CONFIG_ATTRS_COMMON
    options = {*common, *WebSocketProtocol.CONFIG_ATTRS_SERVER}
    protocol = server()
    factory = WebSocketServerFactory(reactor=Clock())
    factory.__class__ = Factory
    protocol.factory = factory
    WebSocketProtocol._connectionMade(protocol)
    del type(protocol).applyMask
    protocol.CONFIG_ATTRS = ["applyMask"]
    protocol.factory = WebSocketServerFactory(reactor=Clock())
    WebSocketProtocol._connectionMade(protocol)
    assert vars(protocol)["applyMask"] is True


def keeping(protocol: Any) -> set[str]:
    """The attributes that have the canary in them."""
    found = {name for name, value in vars(protocol).items() if CANARY in repr(value)}
    return found - {"calls", "log"}


@shows(SERVER, *(name for name in HANDSHAKE if name != "websocket_key"))
@shows(CLIENT, "websocket_key")
def what_is_kept_of_the_handshake_is_known_and_not_read_again() -> None:
    side = server(onConnect=lambda self, request: (None, {"X-Canary": CANARY}))
    names = ("Authorization", "Sec_WebSocket_Protocol", "Sec_WebSocket_Extensions")
    side.dataReceived(
        upgrade(**dict.fromkeys(names, CANARY), Host=CANARY, Origin=f"http://{CANARY}")
    )
    other = client()
    other._actuallyStartHandshake(asked(Authorization=CANARY))
    other.dataReceived(switching(other, X_Canary=CANARY))
    for protocol in (side, other):
        assert protocol.state == protocol.STATE_OPEN
        assert keeping(protocol)
        for name in HANDSHAKE:
            vars(protocol).pop(name, None)
        assert keeping(protocol) == set()
        is_server = protocol.factory.isServer
        for opcode, payload in ((1, b"x"), (9, b"y"), (10, b"z"), (8, b"\x03\xe8")):
            protocol.dataReceived(frame(opcode, payload, masked=is_server))
        protocol.connectionLost(Failure(ConnectionLost()))
        told = ("onMessage", "onPing", "onPong", "onCloseFrame", "onClose")
        assert [call[0] for call in calls(protocol, *told)] == list(told)


# The server


@shows(SERVER, "onConnect", "succeedHandshake")
def the_answer_waits_for_on_connect() -> None:
    answer: Deferred[Any] = Deferred()
    protocol = server(onConnect=lambda self, request: answer)
    protocol.dataReceived(upgrade(Sec_WebSocket_Protocol="realtime, other"))
    assert calls(protocol, "succeedHandshake", "failHandshake", "sendData") == []
    assert protocol.state == protocol.STATE_CONNECTING
    accepted = ("realtime", {"X-Request-Id": "7"})
    answer.callback(accepted)
    assert calls(protocol, "succeedHandshake") == [("succeedHandshake", accepted)]
    assert protocol.state == protocol.STATE_OPEN
    head = written(protocol)
    assert head.startswith("HTTP/1.1 101 ")
    assert "\r\nX-Request-Id: 7\r\n" in head
    assert "\r\nSec-WebSocket-Protocol: realtime\r\n" in head


@shows(SERVER, "succeedHandshake")
def the_answer_is_written_before_it_is_open() -> None:
    states: list[int] = []
    protocol = server(sendData=lambda self, data: states.append(self.state))
    protocol.dataReceived(upgrade())
    assert states == [WebSocketProtocol.STATE_CONNECTING]
    assert protocol.state == protocol.STATE_OPEN


@shows(SERVER, "succeedHandshake")
def a_connection_that_is_gone_succeeds_all_the_same() -> None:
    answer: Deferred[Any] = Deferred()
    protocol = server(onConnect=lambda self, request: answer, silenced={"succeedHandshake": None})
    protocol.dataReceived(upgrade())
    protocol.connectionLost(Failure(ConnectionLost()))
    answer.callback(None)
    assert calls(protocol, "succeedHandshake") == [("succeedHandshake", None)]


@shows(SERVER, "onConnect", "failHandshake")
@shows("autobahn.websocket.types", "ConnectionDeny")
def a_denial_fails_the_handshake_with_its_code_and_reason() -> None:
    answer: Deferred[Any] = Deferred()
    answer.addCallback(_deny)
    protocol = server(onConnect=lambda self, request: answer, silenced={"failHandshake": None})
    protocol.dataReceived(upgrade())
    answer.callback(None)
    assert calls(protocol, "failHandshake") == [("failHandshake", "over", 503)]
    assert written(protocol) == ""
    assert not protocol.transport.disconnecting


def _deny(_: object) -> None:
    raise ConnectionDeny(503, "over")


BAD = {
    "no upgrade": {"Upgrade": ""},
    "another upgrade": {"Upgrade": "h2c"},
    "no connection": {"Connection": ""},
    "no key": {"Sec_WebSocket_Key": ""},
    "a short key": {"Sec_WebSocket_Key": "c2hvcnQ="},
    "no host": {"Host": ""},
    "no version": {"Sec_WebSocket_Version": ""},
    "version 8": {"Sec_WebSocket_Version": "8"},
    "version 14": {"Sec_WebSocket_Version": "14"},
}


@shows(SERVER, "failHandshake", "versions", "webStatus")
def a_bad_request_fails_the_handshake_and_nothing_else() -> None:
    for name, headers in BAD.items():
        protocol = server(silenced={"failHandshake": None})
        protocol.dataReceived(upgrade(**headers))
        assert len(calls(protocol, "failHandshake")) == 1, name
        assert written(protocol) == "", name
        assert calls(protocol, "_onOpen") == [], name


@shows(SERVER, "versions")
def version_8_would_be_accepted() -> None:
    protocol = server(versions=(8, 13))
    protocol.dataReceived(upgrade(Sec_WebSocket_Version="8"))
    assert protocol.state == protocol.STATE_OPEN


@shows(SERVER, "webStatus")
def a_page_would_be_sent() -> None:
    protocol = server(webStatus=True)
    protocol.dataReceived(upgrade(Upgrade=""))
    assert "text/html" in written(protocol)


@shows(SERVER, "serveFlashSocketPolicy")
def no_policy_file_is_served() -> None:
    for serves in (False, True):
        protocol = server(serveFlashSocketPolicy=serves, flashSocketPolicy="policy")
        protocol.dataReceived(b"<policy-file-request/>\0")
        assert bool(written(protocol)) == serves


@shows(SERVER, "allowedOriginsPatterns")
@shows("autobahn.util", "wildcards2patterns")
def any_origin_passes() -> None:
    for origin in ("https://elsewhere.example", "http://example.com:1", "null", ""):
        protocol = server()
        protocol.dataReceived(upgrade(Origin=origin))
        assert protocol.state == protocol.STATE_OPEN, origin
    protocol = server(allowedOriginsPatterns=wildcards2patterns(["https://own.example"]))
    protocol.dataReceived(upgrade(Origin="https://elsewhere.example"))
    assert len(calls(protocol, "failHandshake")) == 1


@shows(SERVER, "maxConnections")
def connections_are_not_counted() -> None:
    for most, state in ((0, "STATE_OPEN"), (1, "STATE_CLOSED")):
        protocol = server(maxConnections=most)
        protocol.factory.countConnections = 2
        protocol.dataReceived(upgrade())
        assert protocol.state == getattr(protocol, state)


@shows(SERVER, "trustXForwardedFor")
def no_forwarded_address_is_read() -> None:
    for hops, peer in ((0, "tcp4:192.168.1.1:54321"), (1, "10.0.0.1")):
        protocol = server(trustXForwardedFor=hops)
        protocol.dataReceived(upgrade(X_Forwarded_For="10.0.0.1"))
        assert protocol.peer == peer


@shows(SERVER, "perMessageCompressionAccept")
def no_offered_extension_is_selected() -> None:
    protocol = server()
    protocol.dataReceived(upgrade(Sec_WebSocket_Extensions="permessage-deflate, other"))
    assert protocol.state == protocol.STATE_OPEN
    assert "extensions" not in written(protocol).lower()
    assert protocol._perMessageCompress is None


@shows("WebSocketServerFactory", "__init__")
def a_factory_needs_nothing_and_names_no_server() -> None:
    clock = Clock()
    factory = WebSocketServerFactory(reactor=clock, server="")
    assert clock.getDelayedCalls() == []
    assert factory.isServer is True
    protocol = server()
    protocol.dataReceived(upgrade())
    assert "server:" not in written(protocol).lower()
    assert protocol.factory._batched_timer.seconds == []


# The client


@shows(CLIENT, "_actuallyStartHandshake", "version", "perMessageCompressionOffers")
@shows("autobahn.websocket.types", "ConnectingRequest")
@shows("WebSocketClientFactory", "proxy")
def the_request_is_written_at_once_from_what_was_asked() -> None:
    protocol = client()
    protocol.transport.clear()
    protocol.calls.clear()
    protocol._actuallyStartHandshake(asked(Authorization="Bearer key"))
    assert len(calls(protocol, "sendData")) == 1
    request, *fields = written(protocol).split("\r\n")
    assert request == "GET /path?q=1 HTTP/1.1"
    assert fields[-2:] == ["", ""]
    assert {field.partition(": ")[0]: field.partition(": ")[2] for field in fields[:-2]} == {
        "Host": "example.com:443",
        "User-Agent": "agent",
        "Upgrade": "WebSocket",
        "Connection": "Upgrade",
        "Pragma": "no-cache",
        "Cache-Control": "no-cache",
        "Authorization": "Bearer key",
        "Sec-WebSocket-Key": protocol.websocket_key.decode(),
        "Sec-WebSocket-Protocol": "realtime",
        "Sec-WebSocket-Version": "13",
    }


@shows("WebSocketClientFactory", "proxy")
def a_client_without_a_proxy_is_connecting() -> None:
    class Proxied(ClientFactory):
        proxy: Any = {"host": "proxy.example", "port": 1}  # noqa: RUF012

    assert client().state == WebSocketProtocol.STATE_CONNECTING
    protocol = client(Proxied, startProxyConnect=lambda self: None)
    assert protocol.state == WebSocketProtocol.STATE_PROXY_CONNECTING


WRONG = {
    "another key": {"Sec_WebSocket_Accept": "AAAA"},
    "another upgrade": {"Upgrade": "h2c"},
    "another connection": {"Connection": "close"},
    "an extension": {"Sec_WebSocket_Extensions": "other"},
    "compression": {"Sec_WebSocket_Extensions": "permessage-deflate"},
    "a subprotocol that was not offered": {"Sec_WebSocket_Protocol": "other"},
}


@shows(CLIENT, "failHandshake", "perMessageCompressionAccept")
@shows("WebSocketClientFactory", "protocols")
def an_answer_to_something_else_fails_the_handshake_and_nothing_else() -> None:
    for name, headers in WRONG.items():
        protocol = client(silenced={"failHandshake": None})
        protocol.calls.clear()
        protocol.dataReceived(switching(protocol, **headers))
        assert len(calls(protocol, "failHandshake")) == 1, name
        assert protocol.state == protocol.STATE_CONNECTING, name
        assert calls(protocol, "_onOpen", "sendData", "dropConnection") == [], name


@shows(CLIENT, "websocket_protocol_in_use")
@shows("WebSocketClientFactory", "protocols")
def the_selected_subprotocol_is_kept() -> None:
    for headers, selected in (({"Sec_WebSocket_Protocol": "realtime"}, "realtime"), ({}, None)):
        protocol = client()
        protocol.dataReceived(switching(protocol, **headers))
        assert protocol.state == protocol.STATE_OPEN
        assert protocol.websocket_protocol_in_use == selected


@shows(SERVER, "requireMaskedClientFrames")
def an_unmasked_frame_would_pass() -> None:
    protocol = open_server(requireMaskedClientFrames=False)
    protocol.dataReceived(frame(1, b"x", masked=False))
    assert calls(protocol, "onMessage") == [("onMessage", b"x", False)]
