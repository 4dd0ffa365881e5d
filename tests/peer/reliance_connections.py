"""What the relay relies on of Autobahn about a connection as such: its states, data, and timers."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from autobahn.websocket.protocol import WebSocketProtocol
from peer.reliance import shows
from peer.stock import (
    ClientFactory,
    Timer,
    calls,
    frame,
    open_client,
    open_server,
    server,
    switching,
    upgrade,
)
from peer.stock import client as new_client
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from relay.peer.autobahn import INITIAL, BareWebSocket

BOTH = "WebSocketProtocol"
ADAPTER = "WebSocketAdapterProtocol"


@shows(BOTH, "__init__", "_connectionMade")
def a_new_connection_has_nothing_of_its_own() -> None:
    for protocol in (server(), new_client()):
        theirs = set(vars(protocol)) - {
            "calls",
            "factory",
            "transport",
            "connected",
            "websocket_key",
        }
        ours = {*INITIAL, *dir(BareWebSocket), "http_request_data"}
        assert theirs <= ours


@shows(ADAPTER, "connectionMade")
@shows(BOTH, "tcpNoDelay")
def a_connection_is_made_by_connection_made_alone() -> None:
    protocol = server(silenced={"_connectionMade": None})
    assert protocol.calls == [("_connectionMade",)]
    assert protocol.transport.no_delay is True
    assert set(vars(protocol)) >= {"peer", "_transport_details"}


@shows(ADAPTER, "connectionLost")
def a_loss_goes_to_connection_lost() -> None:
    protocol = open_server(silenced={"_connectionLost": None})
    reason = Failure(ConnectionDone())
    protocol.connectionLost(reason)
    assert protocol.calls == [("_connectionLost", reason)]


@shows(BOTH, "_connectionLost")
def a_loss_is_told_once_and_touches_no_deferred_when_closed() -> None:
    for protocol in (open_server(), open_client()):
        protocol.is_closed = None
        protocol.state = protocol.STATE_CLOSED
        WebSocketProtocol._connectionLost(protocol, Failure(ConnectionDone()))  # type: ignore[arg-type]
        assert [call[:3] for call in protocol.calls] == [("onClose", False, 1006)]


@shows(ADAPTER, "dataReceived")
@shows(BOTH, "_dataReceived", "data")
def a_chunk_is_appended_and_consumed() -> None:
    protocol = open_server(silenced={"consumeData": None})
    protocol.dataReceived(b"\x81")
    protocol.dataReceived(b"\x82")
    assert protocol.data == b"\x81\x82"
    each = [("_dataReceived", b"\x81"), ("consumeData",), ("_dataReceived", b"\x82")]
    assert protocol.calls == [*each, ("consumeData",)]


@shows(BOTH, "state", "STATE_CLOSED", "STATE_CONNECTING", "STATE_CLOSING", "STATE_OPEN")
def the_state_alone_decides_what_is_parsed_and_sent() -> None:
    assert server().state == WebSocketProtocol.STATE_CONNECTING
    for state, parses, sends in (
        (WebSocketProtocol.STATE_CLOSED, [], False),
        (WebSocketProtocol.STATE_CONNECTING, [], False),
        (WebSocketProtocol.STATE_CLOSING, [("onMessage", b"x", False)], False),
        (WebSocketProtocol.STATE_OPEN, [("onMessage", b"x", False)], True),
    ):
        protocol = open_server()
        protocol.state = state
        protocol.dataReceived(frame(1, b"x"))
        assert calls(protocol, "onMessage") == parses
        try:
            protocol.sendMessage(b"x")
        except Exception:
            assert not sends
        assert bool(protocol.transport.value()) == sends
        assert protocol.state == state


@shows(BOTH, "consumeData")
def what_is_buffered_is_consumed_by_state() -> None:
    steps = ("processHandshake", "processData")
    for state, step in (
        (WebSocketProtocol.STATE_CONNECTING, ["processHandshake"]),
        (WebSocketProtocol.STATE_OPEN, ["processData", "processData"]),
        (WebSocketProtocol.STATE_CLOSING, ["processData", "processData"]),
        (WebSocketProtocol.STATE_CLOSED, []),
    ):
        protocol = open_server()
        protocol.state = state
        protocol.dataReceived(frame(1, b"x"))
        assert [call[0] for call in calls(protocol, *steps)] == step


@shows(BOTH, "consumeData", "data")
@shows("WebSocketServerProtocol", "succeedHandshake")
def what_follows_the_head_is_there_in_on_open_and_consumed_after_it() -> None:
    found: list[bytes] = []
    keep: Any = {"onOpen": lambda protocol: found.append(protocol.data)}
    side = server(**keep)
    side.dataReceived(upgrade() + frame(1, b"x"))
    other = new_client(**keep)
    other.dataReceived(switching(other) + frame(1, b"y", masked=False))
    assert found == [frame(1, b"x"), frame(1, b"y", masked=False)]
    assert calls(side, "onMessage") == [("onMessage", b"x", False)]
    assert calls(other, "onMessage") == [("onMessage", b"y", False)]


@shows(BOTH, "onOpen")
@shows(ADAPTER, "_onOpen")
def opening_is_told_once_when_the_state_is_open() -> None:
    states: list[int] = []
    keep: Any = {"onOpen": lambda protocol: states.append(protocol.state)}
    for protocol in (open_server(**keep), open_client(**keep)):
        protocol._onOpen()
    assert states == [WebSocketProtocol.STATE_OPEN] * 4


@shows(BOTH, "logOctets", "logFrames", "trackTimings")
def neither_chunks_nor_frames_nor_times_are_kept() -> None:
    told: list[str] = []
    for wanted in (False, True):
        protocol = open_server(
            logOctets=wanted,
            logFrames=wanted,
            trackTimings=wanted,
            logRxOctets=lambda self, data: told.append("octets in"),
            logTxOctets=lambda self, data, sync: told.append("octets out"),
            logRxFrame=lambda self, *frame: told.append("frame in"),
            logTxFrame=lambda self, *frame: told.append("frame out"),
        )
        assert protocol.trackedTimings is None
        protocol.dataReceived(frame(1, b"x"))
        protocol.sendMessage(b"x")
        assert set(told) == (
            {"octets in", "octets out", "frame in", "frame out"} if wanted else set()
        )


class TimedClientFactory(ClientFactory):
    """One that has a timer, to see whether it is asked."""

    def __init__(self) -> None:
        self._batched_timer = Timer()


def timers_of(protocol: Any) -> list[float]:
    """What a connection asks of Autobahn's timer from its start to the exchange of Closes."""
    is_server = protocol.factory.isServer
    timer: Timer = protocol.factory._batched_timer
    with patch("txaio.call_later", timer.call_later):
        protocol.dataReceived(upgrade() if is_server else switching(protocol))
        protocol.sendClose(1000)
        protocol.dataReceived(frame(8, b"\x03\xe8", masked=is_server))
    return timer.seconds


@shows(BOTH, "openHandshakeTimeout", "closeHandshakeTimeout", "autoPingInterval")
@shows(BOTH, "autoPingTimeout", "autoPingRestartOnAnyTraffic")
@shows("WebSocketClientProtocol", "serverConnectionDropTimeout")
def with_0_no_timer_is_set() -> None:
    assert timers_of(server()) == timers_of(new_client(TimedClientFactory)) == []
    timed = {"openHandshakeTimeout": 5, "closeHandshakeTimeout": 6, "autoPingInterval": 7}
    assert timers_of(server(**timed)) == [5, 7, 6]
    timed["serverConnectionDropTimeout"] = 8
    assert timers_of(new_client(TimedClientFactory, **timed)) == [5, 7, 6, 8]
