"""What looks odd and is none the less an open upstream: the session begins with it."""

from __future__ import annotations

import pytest
import pytest_twisted
from integration.answers import WebSocketClient
from integration.loopback import Loopback
from integration.upstreams import (
    CREATED,
    UpstreamPort,
    answers,
    binary,
    closes,
    ends,
    frame,
    head,
    sends,
    switches,
    text,
)
from websockets.frames import Opcode

FIRST = {
    "binary": ((switches(binary(b"\x00\xff")),), Opcode.BINARY, b"\x00\xff"),
    "empty": ((switches(text("")),), Opcode.TEXT, b""),
    "not JSON": ((switches(text("hello")),), Opcode.TEXT, b"hello"),
    "not an object": ((switches(text("[7]")),), Opcode.TEXT, b"[7]"),
    "another event": ((switches(text('{"type":"x"}')),), Opcode.TEXT, b'{"type":"x"}'),
    "a ping before": ((switches(frame(Opcode.PING, b"?"), text("hi")),), Opcode.TEXT, b"hi"),
    "103 before": ((sends(head(103)), switches(text("hi"))), Opcode.TEXT, b"hi"),
    "in a frame a byte": (
        (switches(b"\x01\x01h", b"\x00\x01e", b"\x80\x01y"),),
        Opcode.TEXT,
        b"hey",
    ),
}


@pytest.mark.parametrize("name", FIRST)
@pytest_twisted.ensureDeferred
async def test_the_first_message_of_an_odd_upstream_comes_first(
    loopback: Loopback, name: str
) -> None:
    steps, opcode, payload = FIRST[name]
    port = UpstreamPort(*steps)
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}")
    client = WebSocketClient()
    await loopback.connect(relay, client)
    (first,) = await client.hears(1)
    assert (first.opcode, bytes(first.data)) == (opcode, payload)
    assert relay.active_sessions == 1
    client.leave()
    await loopback.settled(relay, lingering=True)
    assert (len(relay.heard.openings), len(relay.heard.ends)) == (1, 1)
    assert not relay.heard.refusals


ENDS = {
    "Close": ((switches(CREATED, closes(1000, "done")),), (1000, "done")),
    "FIN": ((switches(CREATED), ends), (1011, "relay: upstream connection lost")),
}


@pytest.mark.parametrize("name", ENDS)
@pytest_twisted.ensureDeferred
async def test_an_end_right_after_the_first_message_comes_second(
    loopback: Loopback, name: str
) -> None:
    steps, (code, reason) = ENDS[name]
    port = UpstreamPort(*steps)
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}")
    client = WebSocketClient()
    await loopback.connect(relay, client)
    is_told = name == "FIN"  # the relay's own end; 1000 is upstream's normal one
    first, *told, close = await client.hears(3 if is_told else 2)
    assert first.opcode is Opcode.TEXT
    assert [b"upstream_lost" in bytes(event.data) for event in told] == [True] * is_told
    assert bytes(close.data) == code.to_bytes(2, "big") + reason.encode("ascii")
    await client.closed()
    for peer in port.peers:
        peer.transport.loseConnection()
    await loopback.settled(relay)
    assert (len(relay.heard.openings), len(relay.heard.ends)) == (1, 1)


@pytest_twisted.ensureDeferred
async def test_after_a_broken_upstream_the_next_opens(loopback: Loopback) -> None:
    broken, good = UpstreamPort(answers(500)), UpstreamPort(switches(CREATED))
    relay = loopback.relay(*(f"ws://127.0.0.1:{loopback.listen(p)}" for p in (broken, good)))
    client = WebSocketClient()
    await loopback.connect(relay, client)
    await client.hears(1)
    (record,) = relay.heard.openings
    assert [attempt.outcome for attempt in record.attempts] == ["upstream_refused", "open"]
    client.leave()
    await loopback.settled(relay, lingering=True)
