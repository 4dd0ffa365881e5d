"""What the relay relies on of Autobahn when frames come in."""

from __future__ import annotations

from peer.reliance import shows
from peer.stock import (
    calls,
    frame,
    open_client,
    open_server,
)

BOTH = "WebSocketProtocol"


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
