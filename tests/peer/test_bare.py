"""A bare WebSocket is Autobahn's without its options, timers, lines of a log, and leftovers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock, patch

import pytest
from autobahn.nvx import Utf8Validator
from autobahn.twisted import websocket as adapters
from autobahn.twisted.websocket import WebSocketClientProtocol, WebSocketServerProtocol
from autobahn.util import ObservableMixin
from autobahn.wamp.types import TransportDetails
from autobahn.websocket.protocol import TrafficStats, WebSocketProtocol
from peer.bare import OF_ONE_SIDE, client, live, opened, server
from peer.stock import Log, Transport, frame, upgrade
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from relay.dial.protocol import UpstreamProtocol
from relay.downstream.protocol import DownstreamProtocol
from relay.peer.autobahn import INITIAL, BareWebSocket, _NoFuture
from relay.peer.quiet import QuietLogger

COMMON = WebSocketProtocol.CONFIG_ATTRS_COMMON


@pytest.fixture(params=[server, client])
def bare(request: pytest.FixtureRequest) -> Any:
    """Of either side, before the handshake."""
    return request.param()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What any logger of Autobahn's own classes is given."""
    log = Log()
    with (
        patch.object(adapters.WebSocketAdapterProtocol, "log", log),
        patch.object(WebSocketServerProtocol, "log", log),
        patch.object(WebSocketClientProtocol, "log", log),
        patch.object(WebSocketProtocol, "log", log, create=True),
    ):
        yield log.lines


# What a new connection has


def test_a_new_connection_has_nothing_of_autobahns_on_it() -> None:
    assert vars(type("Bare", (BareWebSocket, WebSocketServerProtocol), {})()) == {}
    of_twisted = {"factory", "transport", "connected"}
    assert vars(server()).keys() - of_twisted == {"told", "opens", "maxMessagePayloadSize"}


@pytest.mark.parametrize("cls", [DownstreamProtocol, UpstreamProtocol])
def test_the_relays_protocols_share_the_initial_state(cls: type) -> None:
    protocol: Any = cls(*[Mock()] * (5 if cls is DownstreamProtocol else 4))
    assert vars(protocol).keys() & INITIAL.keys() == set()
    for name, value in INITIAL.items():
        assert getattr(protocol, name) is value


def test_only_unused_parts_of_the_initial_state_can_change() -> None:
    kinds = {name: type(value) for name, value in INITIAL.items()}
    constant = (type(None), bool, int, bytes)
    assert {name: kind for name, kind in kinds.items() if kind not in constant} == {
        "is_open": _NoFuture,
        "is_closed": _NoFuture,
        "_transport_details": TransportDetails,
        "trafficStats": TrafficStats,
        "send_queue": deque,
        "utf8validator": Utf8Validator,
    }


def test_a_whole_connection_leaves_the_initial_state_as_it_was(
    bare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_transport_details", "utf8validator"):
        monkeypatch.setattr(type(bare), name, None)  # so that a use of it fails
    live(bare)
    assert bare.told == [b"in", (bare.wasClean, 1000 if bare.wasClean else 1006)]
    assert not INITIAL["send_queue"]
    assert {name: getattr(BareWebSocket, name) for name in INITIAL} == INITIAL
    assert server().state == WebSocketProtocol.STATE_CONNECTING


def test_no_details_of_the_transport_are_collected() -> None:
    with patch("autobahn.twisted.websocket.create_transport_details", side_effect=AssertionError):
        assert server().transport.no_delay is True
    local: Any = type("Bare", (BareWebSocket, WebSocketServerProtocol), OF_ONE_SIDE)()
    local.makeConnection(Transport())
    assert local.transport.no_delay is None


def test_no_option_is_asked_of_the_factory_even_by_autobahns_own_beginning(bare: Any) -> None:
    before = dict(vars(bare))
    with patch("autobahn.websocket.protocol.pformat") as printed:
        WebSocketProtocol._connectionMade(bare)
    printed.assert_called_once_with([])
    assert vars(bare).keys() - before.keys() <= INITIAL.keys()
    assert set(COMMON) & vars(bare).keys() == {"maxMessagePayloadSize"}


def test_no_timer_of_autobahns_is_set_even_by_its_own_beginning_and_end(bare: Any) -> None:
    timer = bare.factory._batched_timer
    with patch("txaio.call_later", timer.call_later):
        WebSocketProtocol._connectionMade(bare)
        live(bare)
        bare.autoPingSize = 12
        bare._sendAutoPing()
    assert timer.seconds == []


def test_connections_are_not_counted() -> None:
    protocol = server()
    live(protocol)
    assert protocol.factory.countConnections == 0


# What it logs


def test_nothing_is_logged_of_a_whole_connection(bare: Any, lines: list[str]) -> None:
    live(bare)
    assert lines == []


def test_nothing_is_logged_of_a_bad_request(lines: list[str]) -> None:
    with capturedLogs() as events:
        server()._dataReceived(upgrade(Sec_WebSocket_Protocol="canary, canary", Upgrade="h2c"))
        server()._dataReceived(upgrade(Authorization="Bearer canary"))
    assert lines == []
    assert not events


def test_neither_chunks_nor_frames_are_formatted(bare: Any) -> None:
    for name in ("logRxOctets", "logTxOctets", "logRxFrame", "logTxFrame"):
        setattr(bare, name, Mock(side_effect=AssertionError))
    live(bare)
    assert bare.trackedTimings is None


def test_the_quiet_logger_says_nothing_below_error() -> None:
    with capturedLogs() as events:
        for say in (QuietLogger.debug, QuietLogger.info, QuietLogger.warn):
            say(QuietLogger(), "{text}", text="x")
        assert not events
        QuietLogger().error("failed: {fail}", fail="{braces}")
    assert [(each["log_namespace"], each["text"]) for each in events] == [
        ("relay.autobahn", "failed: {braces}")
    ]


# Messages


def test_a_message_is_handed_on_and_not_kept(bare: Any) -> None:
    masked = opened(bare).factory.isServer
    parts = frame(1, b"\xc3", fin=False, masked=masked) + frame(0, b"\xa9", masked=masked)
    bare._dataReceived(parts + frame(2, b"\xff", masked=masked))
    assert bare.told == ["é".encode(), b"\xff"]
    assert bare.message_data == []


def test_no_signal_is_fired_for_a_message(bare: Any) -> None:
    with patch.object(ObservableMixin, "fire", side_effect=AssertionError):
        opened(bare)._dataReceived(frame(1, b"x", masked=bare.factory.isServer))
    assert bare.told == [b"x"]


def test_text_that_is_not_utf8_is_answered_with_1007_at_its_end(bare: Any) -> None:
    masked = opened(bare).factory.isServer
    bare.sendFrame = Mock()
    bare._dataReceived(frame(1, b"\xff", fin=False, masked=masked))
    bare.sendFrame.assert_not_called()
    bare._dataReceived(frame(0, b"x", masked=masked))
    ((_, close),) = bare.sendFrame.call_args_list
    assert close["payload"][:2] == (1007).to_bytes(2, "big")
    assert bare.told == []


def test_autobahns_own_check_of_utf8_is_off(bare: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(bare), "utf8validator", Mock(side_effect=AssertionError))
    opened(bare)._dataReceived(frame(1, b"x", masked=bare.factory.isServer))
    assert bare.utf8validator.mock_calls == []
    assert bare.told == [b"x"]


def test_after_a_close_nothing_is_kept_or_handed_on(bare: Any) -> None:
    masked = opened(bare).factory.isServer
    bare.sendClose(1000)
    whole = frame(1, b"abc", masked=masked)
    bare._dataReceived(whole + whole[:-1])
    assert bare.current_frame is not None
    assert bare.frame_data == bare.message_data == []
    bare._dataReceived(whole[-1:])
    assert bare.told == []


# The end


def test_a_fault_is_answered_with_a_close_and_no_reset(bare: Any) -> None:
    opened(bare)._dataReceived(frame(3, masked=bare.factory.isServer))
    sent = bare.transport.value()
    assert sent[0] == 0x88
    assert bare.state == bare.STATE_CLOSING
    assert not bare.transport.disconnected
    assert not bare.transport.disconnecting


def test_a_close_is_answered_with_its_own_code() -> None:
    protocol = opened(server())
    protocol._dataReceived(frame(8, b"\x03\xe9"))
    assert protocol.transport.value() == b"\x88\x02\x03\xe9"


def test_a_loss_is_told_once_and_fires_no_deferred(bare: Any) -> None:
    opened(bare)
    with patch.object(_NoFuture, "callback", side_effect=AssertionError):
        bare._connectionLost(Failure(ConnectionDone()))
    assert bare.told == [(False, 1006)]
    assert bare.state == bare.STATE_CLOSED


# Sizes and masks


def test_a_large_message_is_one_frame_each_way_and_masked_as_it_must_be(bare: Any) -> None:
    is_server = opened(bare).factory.isServer
    bare.sendMessage(bytes(70000), True)
    sent = bare.transport.value()
    assert sent[:2] == (b"\x82\x7f" if is_server else b"\x82\xff")
    assert len(sent) == 70000 + (10 if is_server else 14)
    mask = sent[10:14]
    if not is_server:
        assert sent[14:] == mask * 17500
    incoming = b"\x82\x7f" if not is_server else b"\x82\xff"
    incoming += (70000).to_bytes(8, "big") + (b"mask" if is_server else b"")
    bare._dataReceived(incoming + (b"mask" * 17500 if is_server else bytes(70000)))
    assert bare.told == [bytes(70000)]
