"""What the relay relies on of Autobahn once a connection is open."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from autobahn.exception import PayloadExceededError
from autobahn.websocket.protocol import WebSocketProtocol
from peer.reliance import shows
from peer.stock import (
    MASK,
    ClientFactory,
    Timer,
    calls,
    frame,
    open_client,
    open_server,
    server,
    switching,
    upgrade,
    xor,
)
from peer.stock import client as new_client
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from relay.peer.autobahn import INITIAL, BareWebSocket

BOTH = "WebSocketProtocol"
ADAPTER = "WebSocketAdapterProtocol"
LENGTHS = {125: b"\x82\x7d", 126: b"\x82\x7e\x00\x7e", 65536: b"\x82\x7f" + bytes(5) + b"\1\0\0"}
"""The head of an unmasked binary frame of each length."""


# A connection


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


# Parsing


@shows(BOTH, "processData", "current_frame")
def a_step_is_a_head_or_a_part_of_a_payload() -> None:
    protocol = open_server(silenced={"consumeData": None})
    assert protocol.current_frame is None
    assert not protocol.processData()
    protocol.data = frame(1, b"one") + frame(1, b"two")
    results = []
    frames = []
    for _ in range(4):
        results.append(protocol.processData())
        frames.append(protocol.current_frame is None)
    assert results == [True, True, True, False]
    assert frames == [False, True, False, True]
    assert calls(protocol, "onMessage") == [
        ("onMessage", b"one", False),
        ("onMessage", b"two", False),
    ]


@shows(BOTH, "processData", "current_frame")
def a_step_that_needs_more_says_so() -> None:
    whole = frame(1, b"hello")
    protocol = open_server(silenced={"consumeData": None})
    protocol.data = whole[:5]
    assert protocol.processData() is False
    assert protocol.data == whole[:5]
    protocol.data = whole[:6]
    assert protocol.processData() is False
    assert protocol.current_frame is not None
    protocol.data = whole[6:8]
    assert protocol.processData() is False
    protocol.data = whole[8:]
    assert protocol.processData() is False
    assert protocol.current_frame is None
    assert calls(protocol, "onMessage") == [("onMessage", b"hello", False)]


@shows(BOTH, "processData")
def an_empty_frame_takes_two_steps() -> None:
    protocol = open_server(silenced={"consumeData": None})
    protocol.data = frame(9)
    assert [protocol.processData(), protocol.processData()] == [True, False]


@shows(BOTH, "onMessageFrameBegin", "onMessageFrameData", "onMessageEnd", "onMessage")
def a_message_is_told_by_frames_and_parts_and_as_a_whole() -> None:
    protocol = open_server()
    last = frame(0, b"defg")
    for chunk in (frame(2, b"abc", fin=False), last[:8], last[8:]):
        protocol.dataReceived(chunk)
    told = ("onMessageFrameBegin", "onMessageFrameData", "onMessageEnd", "onMessage")
    assert calls(protocol, *told) == [
        ("onMessageFrameBegin", 3),
        ("onMessageFrameData", b"abc"),
        ("onMessageFrameBegin", 4),
        ("onMessageFrameData", b"de"),
        ("onMessageFrameData", b"fg"),
        ("onMessageEnd",),
        ("onMessage", b"abcdefg", True),
    ]


@shows(BOTH, "onMessageEnd", "onMessage", "message_data", "message_is_binary")
def at_its_end_a_message_is_a_list_of_its_parts() -> None:
    for opcode in (1, 2):
        protocol = open_server(silenced={"onMessageEnd": None})
        protocol.dataReceived(frame(opcode, b"abc", fin=False) + frame(0, b"de"))
        assert isinstance(protocol.message_data, list)
        assert b"".join(protocol.message_data) == b"abcde"
        assert protocol.message_is_binary is (opcode == 2)
        assert calls(protocol, "onMessage") == []


@shows(BOTH, "onMessageFrameData", "message_data")
def a_part_that_is_not_handed_up_is_not_kept() -> None:
    protocol = open_server(silenced={"onMessageFrameData": None, "onMessageEnd": None})
    protocol.dataReceived(frame(2, b"abc"))
    assert protocol.message_data == []


@shows(BOTH, "onMessageFrameBegin", "maxMessagePayloadSize", "_fail_connection")
def a_message_above_its_limit_fails_before_its_payload() -> None:
    protocol = open_server(maxMessagePayloadSize=5, silenced={"_fail_connection": None})
    protocol.dataReceived(frame(2, b"abc", fin=False))
    assert calls(protocol, "_fail_connection") == []
    protocol.dataReceived(frame(0, b"def")[:6])
    ((_, code, _),) = calls(protocol, "_fail_connection")
    assert code == 1009
    assert protocol.state == protocol.STATE_OPEN
    assert protocol.transport.value() == b""


@shows(BOTH, "maxFramePayloadSize")
def a_frame_has_a_limit_only_if_it_is_not_0() -> None:
    for limit, failures in ((0, []), (5, [1009])):
        protocol = open_server(maxFramePayloadSize=limit, silenced={"_fail_connection": None})
        protocol.dataReceived(frame(2, b"abcdef"))
        assert [call[1] for call in calls(protocol, "_fail_connection")] == failures


@shows(BOTH, "onPing", "onPong")
def controls_are_told_between_the_frames_of_a_message() -> None:
    protocol = open_server(silenced={"onPing": None, "onPong": None})
    protocol.dataReceived(frame(1, b"a", fin=False) + frame(9, b"p") + frame(10) + frame(0, b"b"))
    assert calls(protocol, "onPing", "onPong", "onMessage") == [
        ("onPing", b"p"),
        ("onPong", b""),
        ("onMessage", b"ab", False),
    ]
    assert protocol.transport.value() == b""


@shows(BOTH, "onCloseFrame")
def any_close_is_told_as_it_came() -> None:
    for payload, code, reason in (
        (b"", None, None),
        (b"\x03\xe8", 1000, None),
        (b"\x03\xe8bye", 1000, b"bye"),
        (b"\x03\xf6", 1014, None),
        (b"\x03\xf7", 1015, None),
        (b"\x00\x00", 0, None),
        (b"\xff\xff\xff\xfe", 65535, b"\xff\xfe"),
    ):
        protocol = open_server(silenced={"onCloseFrame": True})
        protocol.dataReceived(frame(8, payload))
        assert calls(protocol, "onCloseFrame") == [("onCloseFrame", code, reason)]
        assert protocol.state == protocol.STATE_OPEN
        assert protocol.transport.value() == b""


@shows(BOTH, "echoCloseCodeReason")
def a_close_is_answered_with_its_own_code() -> None:
    for echoes, answer in ((True, 1001), (False, 1000)):
        protocol = open_server(echoCloseCodeReason=echoes)
        protocol.dataReceived(frame(8, b"\x03\xe9"))
        assert protocol.transport.value()[:4] == b"\x88\x02" + answer.to_bytes(2, "big")


BREACHES = {
    "reserved bits": b"\xc1\x80mask",
    "unmasked": b"\x81\x00",
    "fragmented control": b"\x09\x80mask",
    "long control": b"\x89\xfe\x00\x7emask",
    "reserved control": b"\x8b\x80mask",
    "reserved data": b"\x83\x80mask",
    "short close": b"\x88\x81mask\x00",
    "continuation of nothing": b"\x80\x80mask",
    "length in more bytes than needed": b"\x82\xfe\x00\x05mask",
    "length above 63 bits": b"\x82\xff" + b"\xff" * 8 + b"mask",
}


@shows(BOTH, "_protocol_violation")
@shows("WebSocketServerProtocol", "requireMaskedClientFrames")
def each_breach_is_a_violation_and_ends_the_step() -> None:
    for name, data in BREACHES.items():
        protocol = open_server(silenced={"_protocol_violation": True})
        protocol.dataReceived(data + frame(1, b"x"))
        assert len(calls(protocol, "_protocol_violation")) == 1, name
        assert len(calls(protocol, "processData")) == 1, name
        assert calls(protocol, "onMessage", "_fail_connection") == [], name


@shows(BOTH, "_protocol_violation")
def a_message_within_another_is_a_violation() -> None:
    protocol = open_server(silenced={"_protocol_violation": True})
    protocol.dataReceived(frame(1, b"a", fin=False) + frame(1, b"b"))
    assert len(calls(protocol, "_protocol_violation")) == 1


@shows("WebSocketClientProtocol", "acceptMaskedServerFrames")
def a_masked_frame_of_a_server_is_a_violation() -> None:
    protocol = open_client(silenced={"_protocol_violation": True})
    protocol.dataReceived(frame(1, b"x"))
    assert len(calls(protocol, "_protocol_violation")) == 1
    assert calls(protocol, "onMessage") == []


@shows(BOTH, "_fail_connection", "_protocol_violation", "_invalid_payload", "failByDrop")
def a_fault_fails_the_connection_by_a_close() -> None:
    for fail, code in (("_protocol_violation", 1002), ("_invalid_payload", 1007)):
        protocol = open_server()
        getattr(protocol, fail)("text")
        assert calls(protocol, "_fail_connection") == [("_fail_connection", code, "text")]
        assert protocol.transport.value() == b"\x88\x06" + code.to_bytes(2, "big") + b"text"
        assert calls(protocol, "dropConnection") == []
        assert not protocol.transport.disconnecting


@shows(BOTH, "failByDrop")
def a_fault_would_drop_the_connection() -> None:
    protocol = open_server(failByDrop=True)
    protocol._protocol_violation("text")
    assert protocol.transport.value() == b""
    assert len(calls(protocol, "dropConnection")) == 1


@shows(BOTH, "utf8validateIncoming")
def no_text_is_checked() -> None:
    for checks, failures in ((False, 0), (True, 1)):
        protocol = open_server(utf8validateIncoming=checks, silenced={"_invalid_payload": True})
        protocol.dataReceived(frame(1, b"\xff"))
        assert len(calls(protocol, "_invalid_payload")) == failures


# Sending


@shows(BOTH, "sendData")
def all_that_is_written_goes_through_send_data_whole() -> None:
    protocol = server(silenced={"sendData": None})
    protocol.dataReceived(upgrade())
    protocol.sendMessage(b"x")
    protocol.sendPing(b"y")
    protocol.sendFrame(8)
    _, *rest = written = [call[1] for call in calls(protocol, "sendData")]
    assert written[0].startswith(b"HTTP/1.1 101 ")
    assert written[0].endswith(b"\r\n\r\n")
    assert rest == [b"\x81\x01x", b"\x89\x01y", b"\x88\x00"]
    assert protocol.transport.value() == b""


@shows(BOTH, "sendFrame")
@shows("WebSocketServerProtocol", "maskServerFrames")
@shows("WebSocketServerFactory", "isServer")
def a_servers_frame_is_unmasked_and_changes_no_state() -> None:
    for state in range(4):
        protocol = open_server()
        protocol.state = state
        protocol.sendFrame(opcode=8, payload=b"\x03\xe8bye")
        assert protocol.transport.value() == b"\x88\x05\x03\xe8bye"
        assert protocol.state == state
        assert not protocol.transport.disconnecting
    for length, head in LENGTHS.items():
        protocol = open_server()
        protocol.sendFrame(opcode=2, payload=bytes(length))
        assert protocol.transport.value() == head + bytes(length)


@shows(BOTH, "sendFrame", "applyMask")
@shows("WebSocketClientProtocol", "maskClientFrames")
@shows("WebSocketClientFactory", "isServer")
def a_clients_frame_is_masked() -> None:
    protocol = open_client()
    protocol.sendFrame(opcode=1, payload=b"hello")
    sent = protocol.transport.value()
    assert sent[:2] == b"\x81\x85"
    assert xor(sent[6:], sent[2:6]) == b"hello"


@shows(BOTH, "applyMask")
def a_payload_is_unmasked() -> None:
    for applies, payload in ((True, b"hello"), (False, xor(b"hello", MASK))):
        protocol = open_server(applyMask=applies)
        protocol.dataReceived(frame(2, b"hello"))
        assert calls(protocol, "onMessage") == [("onMessage", payload, True)]


@shows(BOTH, "sendMessage", "autoFragmentSize")
def a_message_is_one_frame() -> None:
    for is_binary, opcode in ((False, 1), (True, 2)):
        protocol = open_server()
        protocol.sendMessage(bytes(70000), is_binary)
        ((_, *sent),) = calls(protocol, "sendFrame")
        assert sent[:2] == [opcode, bytes(70000)]
    protocol = open_server(autoFragmentSize=35000)
    protocol.sendMessage(bytes(70000))
    assert len(calls(protocol, "sendFrame")) > 1


@shows(BOTH, "sendMessage", "maxMessagePayloadSize")
def a_message_above_its_limit_is_not_sent() -> None:
    protocol = open_server(maxMessagePayloadSize=5)
    protocol.sendMessage(b"12345")
    protocol.transport.clear()
    with pytest.raises(PayloadExceededError):
        protocol.sendMessage(b"123456")
    assert protocol.transport.value() == b""


@shows(BOTH, "sendPing", "sendPong")
def pings_and_pongs_are_sent_only_while_open() -> None:
    for state in range(4):
        protocol = open_server()
        protocol.state = state
        protocol.sendPing(b"relay")
        protocol.sendPong(b"relay")
        sent = b"\x89\x05relay\x8a\x05relay"
        assert protocol.transport.value() == (sent if state == protocol.STATE_OPEN else b"")


# Lines of a log and timers


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
