"""
The simulator on the wire: in memory, against the client side of C{websockets}; and once for real.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from typing import cast

import pytest
import pytest_twisted
from openai import AsyncOpenAI
from simulator.talk import silence, tone
from simulator.wire import DELTA_SECONDS, SLOW_SECONDS, Wire, opened
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from websockets.frames import Close, Frame, Opcode

from relay.simulator import SimulatorFactory
from relay.simulator.connection import HEAD_BYTES, HEAD_SECONDS, LINGER_SECONDS, STALL_SECONDS
from relay.simulator.server import random_id


class TestHandshake:
    def test_a_connection_opens_with_session_created(self) -> None:
        wire = opened()
        (event,) = wire.events
        assert event["type"] == "session.created"
        assert event["session"]["model"] == "gpt-realtime"
        assert event["session"]["expires_at"] == 1_700_003_600
        # Compact, the type first: readers go by the first bytes.
        assert b'{"type":"session.created","event_id":"event_' in wire.received

    def test_the_handshake_selects_the_subprotocol_realtime(self) -> None:
        wire = opened(subprotocols=("openai-insecure-api-key.K", "realtime"))
        assert wire.client.subprotocol == "realtime"
        assert b"api-key" not in wire.received

    def test_the_handshake_selects_no_other_subprotocol(self) -> None:
        wire = opened(subprotocols=("other",))
        assert wire.client.subprotocol is None

    def test_the_101_has_a_request_id(self) -> None:
        response = Wire().shake()
        assert response is not None
        assert response.headers["x-request-id"].startswith("req_")
        assert "Server" not in response.headers

    @pytest.mark.parametrize(
        ("query", "kind", "model"),
        [
            ("?intent=transcription", "transcription", None),
            ("?call_id=rtc_1", "realtime", "gpt-realtime"),
            ("?intent=transcription&model=m", "realtime", "m"),
        ],
    )
    def test_the_query_decides_the_kind_of_session(
        self, query: str, kind: str, model: str | None
    ) -> None:
        wire = Wire(query)
        wire.shake()
        session = wire.events[0]["session"]
        assert (session["type"], session.get("model")) == (kind, model)

    def test_another_path_is_404(self) -> None:
        response = Wire(path="/v1/other").shake()
        assert response is not None
        assert response.status_code == 404

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\n\r\n", b"426 Upgrade Required"),
            (b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"405 Method Not Allowed"),
            (b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", b"505 HTTP Version Not Supported"),
            (b"nonsense\r\n\r\n", b"400 Bad Request"),
            (
                b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                b"400 Bad Request",
            ),
        ],
    )
    def test_a_wrong_handshake_is_refused_with_its_status(self, head: bytes, status: bytes) -> None:
        wire = Wire()
        wire.protocol.dataReceived(head)
        answer = wire.transport.getOutBuffer()
        assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"]
        assert wire.transport.disconnecting
        assert not wire.transport.aborted

    def test_a_head_that_does_not_end_is_cut_off(self) -> None:
        wire = Wire()
        wire.protocol.dataReceived(b"x" * HEAD_BYTES)
        assert not wire.transport.aborted
        wire.protocol.dataReceived(b"x")
        assert wire.transport.aborted

    def test_a_head_that_does_not_come_in_time_is_cut_off(self) -> None:
        wire = Wire()
        wire.clock.advance(HEAD_SECONDS - 0.1)
        assert not wire.transport.aborted
        wire.clock.advance(0.1)
        assert wire.transport.aborted

    def test_an_open_session_may_be_silent(self) -> None:
        wire = opened()
        wire.advance(HEAD_SECONDS * 100)
        assert not wire.lost

    def test_events_sent_with_the_head_are_answered(self) -> None:
        wire = Wire()
        wire.client.send_request(wire.client.connect())
        head = b"".join(wire.client.data_to_send())
        frame = Frame(Opcode.TEXT, b'{"type":"input_audio_buffer.clear"}').serialize(mask=True)
        wire.protocol.dataReceived(head + frame)
        wire.pump()
        assert wire.types() == ["session.created", "input_audio_buffer.cleared"]


class TestSession:
    def test_answers_are_paced(self) -> None:
        wire = opened()
        wire.types()
        wire.append(bytes(12_288 * 2))
        wire.say("input_audio_buffer.commit")
        wire.say("response.create")
        assert wire.types()[-1] == "response.content_part.added"
        wire.advance(DELTA_SECONDS / 2)
        assert wire.types() == []
        wire.advance(DELTA_SECONDS / 2)
        assert wire.types() == ["response.output_audio.delta"]
        wire.advance(DELTA_SECONDS)
        assert wire.types() == ["response.output_audio.delta"]
        wire.advance(DELTA_SECONDS)
        assert wire.types()[-2:] == ["response.done", "rate_limits.updated"]
        assert wire.clock.getDelayedCalls() == []

    def test_a_turn_is_answered_at_the_same_pace(self) -> None:
        wire = opened()
        wire.types()
        wire.append(tone(200) + silence(500))
        assert wire.types()[0] == "input_audio_buffer.speech_started"
        wire.advance(DELTA_SECONDS)
        assert wire.types() == ["response.output_audio.delta"]
        # Whoever speaks again is heard at once.
        wire.append(tone(200))
        assert wire.types()[-2:] == ["response.done", "rate_limits.updated"]
        wire.advance(DELTA_SECONDS)
        assert wire.types() == []
        assert wire.clock.getDelayedCalls() == []

    def test_other_events_neither_hurry_nor_delay_an_answer(self) -> None:
        wire = opened()
        wire.speaking()
        for _ in range(5):
            wire.advance(DELTA_SECONDS / 8)
            wire.say("input_audio_buffer.clear")
        assert set(wire.types()) == {"input_audio_buffer.cleared"}
        wire.advance(DELTA_SECONDS * 3 / 8)
        assert wire.types() == ["response.output_audio.delta"]
        assert len(wire.clock.getDelayedCalls()) == 1

    def test_a_cancel_stops_the_answer_on_the_wire(self) -> None:
        wire = opened()
        wire.speaking()
        wire.advance(DELTA_SECONDS)
        wire.say("response.cancel")
        assert wire.types()[-2:] == ["response.done", "rate_limits.updated"]
        wire.advance(DELTA_SECONDS)
        assert wire.types() == []
        assert wire.clock.getDelayedCalls() == []

    def test_mistakes_leave_the_session_open(self) -> None:
        wire = opened()
        wire.send(b"no")
        wire.client.send_binary(b"{}")
        wire.pump()
        wire.say("response.dance")
        wire.say("input_audio_buffer.clear")
        assert wire.types() == ["session.created", *["error"] * 3, "input_audio_buffer.cleared"]

    def test_an_append_of_15_mib_is_taken(self) -> None:
        wire = opened()
        samples = bytes(range(256)) * 4 * 1024 * 15
        wire.append(samples)
        wire.say("input_audio_buffer.commit")
        item_id = wire.events[-1]["item"]["id"]
        wire.say("conversation.item.retrieve", item_id=item_id)
        assert b64decode(wire.events[-1]["item"]["content"][0]["audio"]) == samples

    def test_a_message_that_is_too_large_is_1009(self) -> None:
        wire = opened()
        payload = b'{"type":"input_audio_buffer.clear"}'
        wire.send(payload.ljust(24 * 1024 * 1024))
        assert wire.types() == ["session.created", "input_audio_buffer.cleared"]
        wire.send(payload.ljust(24 * 1024 * 1024 + 1))
        assert wire.close()[0] == 1009

    def test_a_ping_is_answered(self) -> None:
        wire = opened()
        wire.client.send_ping(b"x")
        wire.pump()
        assert [frame.data for frame in wire.frames if frame.opcode is Opcode.PONG] == [b"x"]

    def test_a_session_logs_nothing(self) -> None:
        seen: list[LogEvent] = []
        observer = cast(ILogObserver, seen.append)
        globalLogPublisher.addObserver(observer)
        try:
            wire = opened(subprotocols=("openai-insecure-api-key.K",))
            wire.speaking()
            wire.advance(DELTA_SECONDS)
            wire.client.send_close(1000)
            wire.pump()
        finally:
            globalLogPublisher.removeObserver(observer)
        assert seen == []


class TestFaults:
    @pytest.mark.parametrize(
        ("model", "status", "retry_after"),
        [
            ("fault-http-401", 401, None),
            ("fault-http-429", 429, "2"),
            ("fault-http-503", 503, "5"),
            ("fault-quota", 429, None),
        ],
    )
    def test_an_http_fault_refuses_the_upgrade(
        self, model: str, status: int, retry_after: str | None
    ) -> None:
        wire = Wire(f"?model={model}")
        response = wire.shake()
        assert response is not None
        assert response.status_code == status
        assert response.headers.get("Retry-After") == retry_after
        assert response.headers["x-request-id"].startswith("req_")
        assert json.loads(response.body or b"")["error"]["code"]
        assert wire.lost
        assert not wire.transport.aborted

    @pytest.mark.parametrize(
        ("query", "close", "code"),
        [
            ("?model=fault-error-3000", 3000, "invalid_api_key"),
            ("?model=fault-error-4000", 4000, "invalid_model"),
            ("", 4000, "missing_model"),
            ("?intent=dance", 4000, "invalid_intent"),
        ],
    )
    def test_an_event_fault_opens_tells_its_error_and_closes(
        self, query: str, close: int, code: str
    ) -> None:
        wire = Wire(query)
        wire.shake()
        (event,) = wire.events
        assert event["type"] == "error"
        assert event["event_id"]
        assert event["error"]["code"] == code
        assert wire.close() == (close, f"invalid_request_error.{code}")
        # The client has answered the Close by itself.
        wire.pump()
        assert wire.lost
        assert not wire.transport.aborted

    def test_fault_silent_opens_and_sends_no_event(self) -> None:
        wire = opened("fault-silent")
        wire.say("input_audio_buffer.clear")
        wire.advance(1_000)
        assert wire.types() == []
        assert not wire.lost

    def test_fault_hang_answers_nothing(self) -> None:
        wire = Wire("?model=fault-hang")
        assert wire.shake() is None
        # Autobahn would take this for a second request.
        wire.protocol.dataReceived(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.advance(1_000)
        assert wire.received == b""
        assert not wire.lost
        wire.lose()
        assert wire.protocol._unanswered is not None
        assert wire.protocol._unanswered.called

    def test_fault_reset_resets_before_an_answer(self) -> None:
        wire = Wire("?model=fault-reset")
        assert wire.shake() is None
        assert wire.received == b""
        assert wire.transport.aborted

    def test_fault_reset_after_n_resets_at_that_message(self) -> None:
        wire = opened("fault-reset-after-2")
        wire.say("input_audio_buffer.clear")
        assert wire.types() == ["session.created", "input_audio_buffer.cleared"]
        assert not wire.transport.aborted
        wire.say("input_audio_buffer.clear")
        assert wire.transport.aborted
        assert wire.types() == []
        assert wire.lost

    def test_fault_reset_after_n_resets_though_messages_wait(self) -> None:
        wire = opened("fault-reset-after-1")
        wire.types()
        wire.protocol.pauseProducing()
        wire.say("input_audio_buffer.clear")
        wire.say("input_audio_buffer.clear")
        wire.protocol.resumeProducing()
        wire.pump()
        assert wire.transport.aborted
        assert wire.types() == []

    @pytest.mark.parametrize("code", [0, 1000, 1005, 1011, 4999, 65535])
    def test_fault_close_closes_with_its_code(self, code: int) -> None:
        wire = opened(f"fault-close-{code}")
        assert wire.types() == ["session.created"]
        frame = Frame(Opcode.TEXT, b"{}").serialize(mask=True)
        wire.protocol.dataReceived(frame)
        sent = wire.transport.getOutBuffer()
        payload = code.to_bytes(2, "big") + b"simulated"
        assert sent == bytes([0x88, len(payload)]) + payload

    def test_the_close_of_fault_close_is_answered(self) -> None:
        wire = opened("fault-close-4321")
        wire.say("input_audio_buffer.clear")
        wire.pump()
        assert wire.close() == (4321, "simulated")
        assert wire.lost
        assert wire.client.close_rcvd == Close(4321, "simulated")

    def test_fault_slow_sends_session_created_late(self) -> None:
        wire = opened("fault-slow")
        wire.say("input_audio_buffer.clear")
        assert not wire.transport.reading
        wire.advance(SLOW_SECONDS - 0.1)
        assert wire.types() == []
        wire.advance(0.1)
        assert wire.types() == ["session.created", "input_audio_buffer.cleared"]
        assert wire.transport.reading

    def test_fault_slow_sees_the_client_leave(self) -> None:
        wire = opened("fault-slow")
        assert wire.transport.reading
        wire.client.send_close(1000)
        wire.pump()
        assert wire.lost
        assert wire.clock.getDelayedCalls() == []


class TestUnread:
    """The client does not read."""

    def test_an_unread_answer_waits(self) -> None:
        wire = opened()
        wire.speaking()
        wire.advance(DELTA_SECONDS)
        wire.transport.producer.pauseProducing()
        wire.types()
        wire.advance(STALL_SECONDS - 1)
        assert wire.types() == []
        wire.transport.producer.resumeProducing()
        wire.advance(DELTA_SECONDS)
        assert wire.types() == ["response.output_audio.delta"]
        wire.advance(DELTA_SECONDS)
        wire.advance(DELTA_SECONDS)
        assert wire.types()[-1] == "rate_limits.updated"
        wire.advance(STALL_SECONDS * 2)
        assert not wire.lost

    def test_nothing_more_is_read_from_a_client_that_does_not_read(self) -> None:
        wire = opened()
        wire.types()
        assert wire.transport.streamingProducer
        wire.transport.producer.pauseProducing()
        assert not wire.transport.reading
        # These were already read when the pause began.
        wire.say("input_audio_buffer.clear")
        wire.say("response.cancel")
        assert wire.types() == []
        wire.transport.producer.resumeProducing()
        wire.pump()
        assert wire.types() == ["input_audio_buffer.cleared", "error"]
        assert wire.transport.reading

    def test_a_full_send_buffer_stops_the_reading_of_events(self) -> None:
        wire = opened("fault-slow")
        for _ in range(3):
            wire.say("input_audio_buffer.clear")
        # As with a retrieved item of many MiB.
        wire.transport.full = True
        wire.advance(SLOW_SECONDS)
        assert wire.types() == ["session.created"]
        wire.protocol.resumeProducing()
        wire.pump()
        assert wire.types() == ["input_audio_buffer.cleared"]
        assert not wire.transport.reading

    def test_no_answer_starts_for_a_client_that_does_not_read(self) -> None:
        wire = opened()
        wire.transport.full = True
        wire.say("response.create")
        (call,) = wire.clock.getDelayedCalls()
        assert call.getTime() == STALL_SECONDS
        assert not wire.transport.reading

    def test_a_client_that_does_not_read_for_too_long_is_cut(self) -> None:
        wire = opened()
        wire.transport.producer.pauseProducing()
        wire.advance(STALL_SECONDS - 0.1)
        assert not wire.transport.aborted
        wire.advance(0.1)
        assert wire.transport.aborted

    def test_a_client_that_does_not_read_while_closing_is_cut(self) -> None:
        wire = opened("fault-close-1000")
        wire.protocol.dataReceived(Frame(Opcode.TEXT, b"{}").serialize(mask=True))
        producer = wire.transport.producer
        wire.clock.advance(LINGER_SECONDS - 1)
        producer.pauseProducing()
        producer.resumeProducing()
        producer.pauseProducing()
        assert wire.transport.reading
        wire.clock.advance(1)
        assert wire.transport.aborted


class TestEnd:
    def test_a_close_of_the_client_is_answered_and_ends_the_connection(self) -> None:
        wire = opened()
        wire.speaking()
        wire.client.send_close(1000, "bye")
        wire.pump()
        assert wire.close()[0] == 1000
        assert wire.lost
        assert not wire.transport.aborted
        assert wire.clock.getDelayedCalls() == []

    def test_closes_that_cross_end_the_connection(self) -> None:
        wire = opened("fault-close-4321")
        ours = Frame(Opcode.CLOSE, Close(1000, "").serialize()).serialize(mask=True)
        wire.protocol.dataReceived(Frame(Opcode.TEXT, b"{}").serialize(mask=True) + ours)
        # An abort would drop our Close unsent.
        assert wire.transport.disconnecting
        assert not wire.transport.aborted

    def test_a_close_that_is_not_answered_is_followed_by_a_cut(self) -> None:
        wire = opened("fault-close-4321")
        wire.protocol.dataReceived(Frame(Opcode.TEXT, b"{}").serialize(mask=True))
        wire.clock.advance(LINGER_SECONDS - 0.1)
        assert not wire.transport.aborted
        wire.clock.advance(0.1)
        assert wire.transport.aborted

    def test_an_http_answer_that_is_not_read_is_followed_by_a_cut(self) -> None:
        wire = Wire()
        wire.protocol.dataReceived(b"nonsense\r\n\r\n")
        wire.clock.advance(LINGER_SECONDS)
        assert wire.transport.aborted

    def test_a_client_that_is_being_closed_is_read_on(self) -> None:
        wire = opened("fault-close-4321")
        wire.protocol._choked = True
        text = Frame(Opcode.TEXT, b"{}").serialize(mask=True)
        wire.protocol.dataReceived(text + text)
        assert not wire.transport.reading
        wire.protocol.resumeProducing()
        assert wire.transport.reading
        wire.protocol.dataReceived(text)
        assert not wire.protocol._inbox

    def test_messages_after_the_end_are_dropped(self) -> None:
        wire = opened("fault-reset-after-1")
        text = Frame(Opcode.TEXT, b'{"type":"input_audio_buffer.clear"}').serialize(mask=True)
        wire.protocol.dataReceived(text * 3)
        wire.pump()
        assert wire.types() == ["session.created"]

    def test_a_violation_is_1002_and_ends_the_answer(self) -> None:
        wire = opened()
        wire.speaking()
        wire.protocol.dataReceived(Frame(Opcode.TEXT, b"{}").serialize(mask=False))
        wire.clock.advance(DELTA_SECONDS)
        sent = wire.transport.getOutBuffer()
        # A Close with 1002, and nothing behind it.
        assert sent[0] == 0x88
        assert sent[2:4] == (1002).to_bytes(2, "big")
        assert len(sent) == 2 + sent[1]

    @pytest.mark.parametrize(
        "model",
        [
            "gpt-realtime",
            "fault-http-429",
            "fault-error-3000",
            "fault-silent",
            "fault-hang",
            "fault-reset",
            "fault-reset-after-1",
            "fault-close-1011",
            "fault-slow",
        ],
    )
    def test_nothing_of_a_lost_connection_survives(self, model: str) -> None:
        wire = Wire(f"?model={model}")
        assert wire.factory.countConnections == 1
        wire.client.send_request(wire.client.connect())
        wire.protocol.dataReceived(b"".join(wire.client.data_to_send()))
        for kind in ("response.create", "response.create"):
            payload = json.dumps({"type": kind}).encode()
            wire.protocol.dataReceived(Frame(Opcode.TEXT, payload).serialize(mask=True))
        wire.transport.getOutBuffer()
        wire.lose()
        assert wire.clock.getDelayedCalls() == []
        assert wire.factory.countConnections == 0
        wire.protocol.stopProducing()
        assert not wire.transport.getOutBuffer()

    def test_nothing_of_a_connection_without_a_head_survives(self) -> None:
        wire = Wire()
        wire.lose()
        assert wire.clock.getDelayedCalls() == []


def test_ids_are_random_and_name_their_kind() -> None:
    first, second = random_id("item"), random_id("item")
    assert first != second
    assert first.startswith("item_")


async def sdk_round_trip(port: int, samples: bytes) -> tuple[list[str], bytes]:
    """Speak by the unmodified SDK; the types of what comes back, and the audio in it."""
    client = AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="x")
    types: list[str] = []
    heard = b""
    async with client, client.realtime.connect(model="gpt-realtime") as connection:
        for start in range(0, len(samples), 4_000):
            audio = b64encode(samples[start : start + 4_000]).decode()
            await connection.input_audio_buffer.append(audio=audio)
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        async for event in connection:
            types.append(event.type)
            if event.type == "response.output_audio.delta":
                heard += b64decode(event.delta)
            if event.type == "rate_limits.updated":
                break
    return types, heard


@pytest_twisted.ensureDeferred
async def test_the_openai_sdk_talks_with_the_simulator_over_a_socket() -> None:
    from twisted.internet import reactor

    factory = SimulatorFactory(reactor, delta_seconds=0.0)
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port = await endpoint.listen(factory)
    try:
        samples = bytes(range(256)) * 400
        number = port.getHost().port
        types, heard = await deferToThread(asyncio.run, sdk_round_trip(number, samples))
    finally:
        await port.stopListening()
    assert types[0] == "session.created"
    assert types[-2:] == ["response.done", "rate_limits.updated"]
    assert heard == samples
