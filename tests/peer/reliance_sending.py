"""What the relay relies on of Autobahn when frames go out."""

from __future__ import annotations

import pytest
from autobahn.exception import PayloadExceededError
from peer.reliance import shows
from peer.stock import (
    MASK,
    calls,
    frame,
    open_client,
    open_server,
    server,
    upgrade,
    xor,
)

BOTH = "WebSocketProtocol"
LENGTHS = {125: b"\x82\x7d", 126: b"\x82\x7e\x00\x7e", 65536: b"\x82\x7f" + bytes(5) + b"\1\0\0"}
"""The head of an unmasked binary frame of each length."""


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


@shows(BOTH, "sendPing")
def pings_are_sent_only_while_open() -> None:
    for state in range(4):
        protocol = open_server()
        protocol.state = state
        protocol.sendPing(b"relay")
        sent = b"\x89\x05relay"
        assert protocol.transport.value() == (sent if state == protocol.STATE_OPEN else b"")
