"""The unmodified C{openai} package translates through a relay, and speaks the Live API."""

from __future__ import annotations

import asyncio
import wave
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from processes import SECONDS, address_of, relay_command, running
from websockets.exceptions import InvalidStatus

CHIRP = Path(__file__).parent.parent / "data" / "chirp.wav"

CHUNK = 9600
"""Bytes of audio in an append: a fifth of a second, which is a frame of a translation."""

PAUSE = bytes(5 * CHUNK)
"""A second of silence."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of a demo relay."""
    with running(relay_command("--demo"), tmp_path_factory.mktemp("demo")) as process:
        yield AsyncOpenAI(base_url=f"{address_of(process)}/v1", api_key="anything")


@pytest.fixture(scope="module")
def samples() -> bytes:
    """What is said: a second of it."""
    with wave.open(str(CHIRP)) as file:
        return bytes(file.readframes(file.getnframes()))


def appends(samples: bytes) -> list[str]:
    pieces = (samples[at : at + CHUNK] for at in range(0, len(samples), CHUNK))
    return [b64encode(piece).decode() for piece in pieces]


def run(conversation: Any) -> Any:
    return asyncio.run(asyncio.wait_for(conversation, SECONDS))


def heard(events: list[Any]) -> bytes:
    sounds = (e.delta for e in events if e.type == "session.output_audio.delta")
    return b"".join(map(b64decode, sounds))


async def until(connection: Any, kind: str) -> list[Any]:
    """All events up to the first of this type."""
    events = [await connection.recv()]
    while events[-1].type != kind:
        assert events[-1].type != "error", events[-1]
        events.append(await connection.recv())
    return events


async def ended(connection: Any) -> tuple[list[Any], int]:
    """All events up to the end of the connection, and the code of its Close."""
    events = [event async for event in connection]
    return events, connection._connection.close_code


def test_a_translation_is_heard_and_read(client: Any, samples: bytes) -> None:
    async def translate() -> tuple[Any, list[Any], int]:
        async with client.realtime.translations.connect(model="m") as connection:
            created = await connection.recv()
            await connection.session.update(session={"audio": {"output": {"language": "es"}}})
            for audio in appends(samples):
                await connection.session.input_audio_buffer.append(audio=audio)
            await connection.session.close()
            return created, *(await ended(connection))

    created, events, code = run(translate())
    assert (created.type, created.session.type) == ("session.created", "translation")
    assert events[0].session.audio.output.language == "es"
    assert heard(events) == samples
    assert any(event.type == "session.output_transcript.delta" for event in events)
    assert (events[-1].type, code) == ("session.closed", 1000)


def test_a_live_session_answers_and_tells_its_usage(client: Any, samples: bytes) -> None:
    async def speak() -> tuple[Any, list[list[Any]], list[Any], int]:
        async with client.live.connect() as connection:
            await connection.session.start(session={"model": "gpt-live-1"}, event_id="mine")
            started = await connection.recv()
            turns = []
            for _ in range(2):
                for audio in appends(samples + PAUSE):
                    await connection.session.input_audio.append(audio=audio)
                turns.append(await until(connection, "session.usage.updated"))
            await connection.session.close()
            return started, turns, *(await ended(connection))

    started, turns, events, code = run(speak())
    assert (started.type, started.client_event_id) == ("session.started", "mine")
    assert started.session.model == "gpt-live-1"
    for turn in turns:
        assert samples in heard(turn)
        assert turn[0].type == "session.input_transcript.delta"
        assert turn[-1].usage.seconds >= 0
    assert (events[-1].type, events[-1].reason, code) == ("session.closed", "close_requested", 1000)
    assert events[-1].usage.seconds >= turns[-1][-1].usage.seconds


def test_a_sideband_controls_a_live_session(client: Any) -> None:
    async def control() -> tuple[list[Any], list[Any], int]:
        async with client.live.connect() as primary:
            await primary.session.start(session={"model": "gpt-live-1"})
            session_id = (await primary.recv()).session.id
            async with client.live.sideband.connect(session_id=session_id) as sideband:
                await sideband.session.commentary.append(content="hello", delegation_id=None)
                told = await until(primary, "session.usage.updated")
                await sideband.session.close()
                await ended(primary)
                return told, *(await ended(sideband))

    told, events, code = run(control())
    assert told[0].type == "session.commentary.appended"
    assert any(heard(told))
    assert heard(events) == heard(told)
    assert events[-1].reason == "close_requested"
    assert code == 1000


def test_a_stored_live_session_is_forked(client: Any) -> None:
    async def fork() -> tuple[Any, Any]:
        async with client.live.connect() as primary:
            await primary.session.start(session={"model": "gpt-live-1", "store": True})
            source = (await primary.recv()).session
            async with client.live.forks.connect(session_id=source.id) as connection:
                await connection.session.start(session={})
                return source, (await connection.recv()).session

    source, session = run(fork())
    assert session.id != source.id
    assert session.model == source.model


@pytest.mark.parametrize("kind", ["sideband", "forks"])
def test_a_session_that_does_not_exist_is_refused(client: Any, kind: str) -> None:
    async def attach() -> None:
        async with getattr(client.live, kind).connect(session_id="sess_none"):
            pass

    with pytest.raises(InvalidStatus):
        run(attach())


def test_the_client_is_told_why_a_live_session_does_not_start(client: Any) -> None:
    async def start() -> tuple[Any, int]:
        async with client.live.connect() as connection:
            await connection.session.start(session={"model": "fault-error-3000"})
            event = await connection.recv()
            await connection._connection.wait_closed()
            return event, connection._connection.close_code

    event, code = run(start())
    assert event.error.code == "invalid_api_key"
    assert code == 3000
