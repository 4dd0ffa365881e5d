"""
The RealtimeModel of livekit-agents, without a LiveKit server: speak twice, with its own defaults.

    livekit_turns.py URL SAID.wav FOLDER

says the recording twice, with pauses, and puts the answers into the folder: C{0.wav} and C{1.wav}.
It prints what it was told, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import aiohttp
from livekit import rtc
from livekit.agents import llm
from livekit.plugins.openai import realtime

RATE = 24_000
FRAME = RATE // 10
"""Samples of a frame: a tenth of a second."""

SILENCE = bytes(3 * 2 * RATE)
"""Three seconds, which end a turn."""


def read(path: str) -> bytes:
    """The samples of a recording: 24,000 a second, of 16 bits each."""
    with wave.open(path) as file:
        return bytes(file.readframes(file.getnframes()))


def write(path: Path, samples: bytes) -> None:
    """Make a recording."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(samples)


def frames(samples: bytes) -> Iterator[rtc.AudioFrame]:
    """The samples as a microphone gives them."""
    for at in range(0, len(samples), 2 * FRAME):
        piece = samples[at : at + 2 * FRAME]
        yield rtc.AudioFrame(piece, RATE, 1, len(piece) // 2)


async def listen(generation: llm.GenerationCreatedEvent) -> tuple[bytes, str]:
    """An answer, and its transcript."""
    audio, text = b"", ""
    async for message in generation.message_stream:
        async for frame in message.audio_stream:
            audio += bytes(frame.data)
        async for piece in message.text_stream:
            text += str(piece)
    return audio, text


async def main(url: str, samples: bytes, folder: Path) -> None:
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
        for number in range(2):
            for frame in frames(samples):
                session.push_audio(frame)
            told = [await speech.get()]
            for frame in frames(SILENCE):
                session.push_audio(frame)
            told.append(await speech.get())
            answer, text = await listen(await generations.get())
            write(folder / f"{number}.wav", answer)
            print(json.dumps({"text": text, "told": told, "errors": errors}))
        await session.aclose()
        await model.aclose()


asyncio.run(main(sys.argv[1], read(sys.argv[2]), Path(sys.argv[3])))
