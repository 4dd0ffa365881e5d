"""The unmodified C{openai} package for Python through C{twistd realtime-relay} in a process."""

from __future__ import annotations

import asyncio
import base64
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError
from processes import address_of, closed_port, relay_command, running
from websockets.exceptions import InvalidStatus

CHIRP = Path(__file__).parent.parent / "data" / "chirp.wav"
CHUNK = 4800
"""Bytes of audio in an append: a tenth of a second."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo relay."""
    with running(relay_command("--demo"), tmp_path_factory.mktemp("demo")) as process:
        yield address_of(process)


def client(address: str) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{address}/v1", api_key="anything")


async def parrot(address: str, samples: bytes) -> tuple[bytes, Any]:
    """Say it, and return what came back."""
    async with client(address).realtime.connect(model="gpt-realtime") as connection:
        assert (await connection.recv()).type == "session.created"
        await connection.session.update(session={"type": "realtime", "instructions": "repeat"})
        for at in range(0, len(samples), CHUNK):
            audio = base64.b64encode(samples[at : at + CHUNK]).decode()
            await connection.input_audio_buffer.append(audio=audio)
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        heard = b""
        async for event in connection:
            if event.type == "response.output_audio.delta":
                heard += base64.b64decode(event.delta)
            elif event.type == "response.done":
                return heard, event.response
    raise AssertionError("closed before response.done")


def test_the_samples_of_a_wav_file_come_back(demo: str) -> None:
    with wave.open(str(CHIRP)) as file:
        samples = file.readframes(file.getnframes())
    heard, response = asyncio.run(parrot(demo, samples))
    assert heard == samples
    assert response.status == "completed"
    assert response.usage.total_tokens > 0


async def refused(address: str, model: str) -> tuple[int, dict[str, Any]]:
    """The status and error that the SDK shows."""
    with pytest.raises(InvalidStatus) as caught:
        async with client(address).realtime.connect(model=model):
            pass
    response = caught.value.response
    error: dict[str, Any] = json.loads(bytes(response.body))["error"]
    assert response.headers["X-Request-Id"] == error["request_id"]
    assert response.headers["X-Should-Retry"] == ("true" if error["retryable"] else "false")
    return response.status_code, error


@pytest.mark.parametrize(
    ("model", "status", "code", "stage", "upstream_status"),
    [
        ("fault-http-401", 502, "upstream_unauthorized", "upgrade", 401),
        ("fault-http-403", 502, "upstream_unauthorized", "upgrade", 403),
        ("fault-http-429", 503, "upstream_rate_limited", "upgrade", 429),
        ("fault-http-500", 502, "upstream_refused", "upgrade", 500),
        ("fault-http-503", 502, "upstream_refused", "upgrade", 503),
        ("fault-quota", 502, "upstream_quota_exhausted", "upgrade", 429),
        ("fault-error-3000", 502, "upstream_unauthorized", "first_event", None),
        ("fault-error-4000", 400, "upstream_rejected_request", "first_event", None),
        ("fault-reset", 502, "upstream_connect_failed", "upgrade", None),
    ],
)
def test_the_sdk_is_told_of_an_upstreams_fault(
    demo: str, model: str, status: int, code: str, stage: str, upstream_status: int | None
) -> None:
    got, error = asyncio.run(refused(demo, model))
    assert (got, error["code"]) == (status, code)
    assert error["upstream"]["stage"] == stage
    assert error["upstream"]["status"] == upstream_status


def test_the_sdk_is_told_of_a_silent_upstream_before_it_gives_up(demo: str) -> None:
    """Both at once, for each lasts as long as a hold may."""

    async def both() -> list[tuple[int, dict[str, Any]]]:
        models = ("fault-hang", "fault-silent")
        return list(await asyncio.gather(*(refused(demo, model) for model in models)))

    for (status, error), stage in zip(asyncio.run(both()), ("upgrade", "first_event"), strict=True):
        assert (status, error["code"]) == (504, "upstream_timeout")
        assert error["upstream"]["stage"] == stage


def test_the_sdk_is_told_of_a_dead_upstream(tmp_path: Path) -> None:
    dead = f"ws://127.0.0.1:{closed_port()}/v1/realtime"
    with running(relay_command("--upstream", dead), tmp_path) as process:
        address = address_of(process)
        got, error = asyncio.run(refused(address, "gpt-realtime"))
    assert (got, error["code"]) == (502, "upstream_connect_failed")
    assert error["upstream"]["stage"] == "tcp"


async def closed_by(address: str, model: str) -> tuple[int, str]:
    async with client(address).realtime.connect(model=model, max_retries=0) as connection:
        await connection.recv()
        await connection.input_audio_buffer.clear()
        websocket = connection._connection
        await websocket.wait_closed()
        return websocket.close_code or 0, websocket.close_reason or ""


@pytest.mark.parametrize(
    ("model", "code"), [("fault-close-4321", 4321), ("fault-close-1008", 1008)]
)
def test_a_close_of_upstream_reaches_the_sdk(demo: str, model: str, code: int) -> None:
    assert asyncio.run(closed_by(demo, model)) == (code, "simulated")


def test_the_sdk_waits_for_a_slow_upstream(demo: str) -> None:
    async def first() -> str:
        async with client(demo).realtime.connect(model="fault-slow") as connection:
            return (await connection.recv()).type

    assert asyncio.run(first()) == "session.created"


def test_the_sdk_sets_up_a_call_and_hangs_up(demo: str) -> None:
    async def call() -> None:
        offer = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
        calls = client(demo).realtime.calls
        session: Any = {"type": "realtime", "model": "gpt-realtime"}
        made = await calls.create(sdp=offer, session=session)
        assert made.text.startswith("v=0\r\n")
        call_id = made.response.headers["location"].rpartition("/")[2]
        await calls.accept(call_id, type="realtime", model="gpt-realtime")
        await calls.hangup(call_id)
        with pytest.raises(NotFoundError, match="no such call"):
            await calls.hangup(call_id)
        live = await client(demo).live.create(
            session={"model": "gpt-live-1"}, transport={"type": "webrtc", "sdp": offer}
        )
        assert live.transport.sdp.startswith("v=0\r\n")
        await client(demo).live.sessions.hangup(live.session.id)

    asyncio.run(call())
