"""Of its handshake, an open connection keeps none of Autobahn's copies."""

from __future__ import annotations

import gc
from collections import deque
from typing import Any

from memory import World
from peer.bare import client, server
from peer.stock import asked, switching, upgrade
from websockets.client import ClientProtocol
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from relay.dial.protocol import UpgradeRequest, UpstreamProtocol
from relay.downstream.protocol import DownstreamProtocol
from relay.http.head import Head
from relay.peer.autobahn import BareWebSocket
from relay.testing.peers import Peer, no_limits

CANARY = "canary"


def _has_canary(value: object) -> bool:
    """Whether a text, or one within containers, has it."""
    if isinstance(value, dict):
        return any(map(_has_canary, [*value, *value.values()]))
    if isinstance(value, list | tuple | set | deque):
        return any(map(_has_canary, value))
    return isinstance(value, str | bytes) and CANARY in str(value)


def kept(protocol: object) -> set[str]:
    """The attributes that have a part of the handshake."""
    return {name for name, value in vars(protocol).items() if _has_canary(value)}


def _selects(_: ServerProtocol, offered: Any) -> Any:
    return offered[0] if offered else None


def a_session_of_canaries() -> tuple[Peer, Peer]:
    """A session all of whose headers, path and query have the canary."""
    world = World()
    target = parse_uri("ws://localhost:8080/v1/realtime?model=m&canary=canary")
    offered: Any = ["canary-one", "realtime"]
    downstream = Peer(world.accept(), no_limits(ClientProtocol(target, subprotocols=offered)))
    request = downstream.sans.connect()
    for name in ("X-Canary", "Authorization", "User-Agent", "Cookie", "Sec-WebSocket-Extensions"):
        request.headers[name] = CANARY
    downstream.sans.send_request(request)
    downstream.flush()
    sans = no_limits(ServerProtocol(select_subprotocol=_selects))
    upstream = Peer(world.connected(), sans)
    sans.receive_data(upstream.line.take())
    (asked_of_it,) = sans.events_received()
    answer = sans.accept(asked_of_it)
    answer.headers["X-Canary"] = CANARY
    sans.send_response(answer)
    upstream.flush()
    upstream.send('{"type":"session.created"}')
    world.settle(downstream, upstream)
    assert downstream.received
    return downstream, upstream


def protocols_now() -> list[Any]:
    """Every protocol of the relay that is open."""
    found = (each for each in gc.get_objects() if issubclass(type(each), BareWebSocket))
    return [each for each in found if each.state == each.STATE_OPEN]


def test_an_open_connection_keeps_no_header_of_its_handshake() -> None:
    before = {id(each) for each in protocols_now()}
    ends = a_session_of_canaries()
    pair = [each for each in protocols_now() if id(each) not in before]
    assert {type(each) for each in pair} == {DownstreamProtocol, UpstreamProtocol}, ends
    assert {name for each in pair for name in kept(each)} <= {"websocket_protocol_in_use"}
    assert [name for each in pair for name in vars(each) if name.startswith("http_")] == []


def test_an_open_session_keeps_neither_the_head_nor_the_request_with_the_key() -> None:
    def heads() -> set[int]:
        gc.collect()
        return {id(each) for each in gc.get_objects() if type(each) in (Head, UpgradeRequest)}

    before = heads()
    ends = a_session_of_canaries()
    assert heads() - before == set(), ends


def test_a_bare_connection_keeps_its_handshake_until_it_is_told_to_forget() -> None:
    side, other = server(), client()
    names = ("Authorization", "Sec_WebSocket_Protocol", "Sec_WebSocket_Extensions")
    side._dataReceived(upgrade(**dict.fromkeys(names, CANARY), Origin="http://canary", Host=CANARY))
    other._actuallyStartHandshake(asked(Authorization=CANARY))
    other._dataReceived(switching(other, X_Canary=CANARY))
    for protocol in (side, other):
        assert kept(protocol)
        protocol.forget_handshake()
        assert kept(protocol) == set()
        assert not {"websocket_key", "_wskey"} & vars(protocol).keys()
        protocol.forget_handshake()
