"""
The RealtimeModel of livekit-agents, without a LiveKit server: speak twice, with its own defaults.

Told the relay's URL and a file of samples; prints what each turn brought, as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import llm
from livekit.plugins.openai import realtime

RATE = 24_000
FRAME = RATE // 10
"""Samples of a frame: a tenth of a second."""

SILENCE = bytes(3 * 2 * RATE)
"""Three seconds, which end a turn."""


def frames(samples: bytes) -> Iterator[rtc.AudioFrame]:
    """The samples as a microphone gives them."""
    for at in range(0, len(samples), 2 * FRAME):
        piece = samples[at : at + 2 * FRAME]
        yield rtc.AudioFrame(piece, RATE, 1, len(piece) // 2)


async def listen(generation: llm.GenerationCreatedEvent) -> dict[str, Any]:
    """Everything that one answer says."""
    audio, text = b"", ""
    async for message in generation.message_stream:
        async for frame in message.audio_stream:
            audio += bytes(frame.data)
        async for piece in message.text_stream:
            text += str(piece)
    return {"audio": base64.b64encode(audio).decode(), "text": text}


async def main(url: str, samples: bytes) -> None:
    async with aiohttp.ClientSession() as http:
        model = realtime.RealtimeModel(base_url=url, api_key="anything", http_session=http)
        session = model.session()
        speech: asyncio.Queue[str] = asyncio.Queue()
        generations: asyncio.Queue[llm.GenerationCreatedEvent] = asyncio.Queue()
        errors: list[str] = []
        session.on("input_speech_started", lambda _: speech.put_nowait("started"))
        session.on("input_speech_stopped", lambda _: speech.put_nowait("stopped"))
        session.on("generation_created", generations.put_nowait)
        session.on("error", lambda error: errors.append(str(error.error)))
        turns = []
        for _ in range(2):
            for frame in frames(samples):
                session.push_audio(frame)
            told = [await speech.get()]
            for frame in frames(SILENCE):
                session.push_audio(frame)
            told.append(await speech.get())
            turns.append({**await listen(await generations.get()), "told": told})
        await session.aclose()
        await model.aclose()
    print(json.dumps({"turns": turns, "errors": errors}))


asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
