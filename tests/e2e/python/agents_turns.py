"""
The realtime agents of openai-agents: speak twice, with the SDK's own defaults.

    agents_turns.py URL SAID.wav FOLDER

says the recording twice, with pauses, and puts the answers into the folder: C{0.wav} and C{1.wav}.
It prints what it was told, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from pathlib import Path
from typing import Any

from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

CHUNK = 4800
"""Bytes of a message: a tenth of a second."""

SILENCE = bytes(30 * CHUNK)
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


async def speak(session: RealtimeSession, samples: bytes) -> None:
    """Send the samples as a microphone gives them."""
    for at in range(0, len(samples), CHUNK):
        await session.send_audio(samples[at : at + CHUNK])


def speech(event: dict[str, Any]) -> str | None:
    """C{started} or C{stopped}, if that is what the server heard."""
    prefix = "input_audio_buffer.speech_"
    kind = str(event["type"])
    return kind.removeprefix(prefix) if kind.startswith(prefix) else None


async def turn(session: RealtimeSession, samples: bytes) -> tuple[bytes, dict[str, Any]]:
    """Speak, and pause once that is heard; the answer, and what was told up to its end."""
    audio, text = b"", ""
    told: list[str] = []
    errors: list[str] = []
    await speak(session, samples)
    async for event in session:
        if event.type == "raw_model_event":
            if event.data.type == "transcript_delta":
                text += event.data.delta
            elif event.data.type == "raw_server_event" and (heard := speech(event.data.data)):
                told.append(heard)
                if heard == "started":
                    await speak(session, SILENCE)
        elif event.type == "audio":
            audio += event.audio.data
        elif event.type == "error":
            errors.append(str(event.error))
        elif event.type == "agent_end":
            break
    return audio, {"text": text, "told": told, "errors": errors}


async def main(url: str, samples: bytes, folder: Path) -> None:
    runner = RealtimeRunner(RealtimeAgent(name="parrot", instructions="Repeat what you hear."))
    async with await runner.run(model_config={"url": url, "api_key": "anything"}) as session:
        for number in range(2):
            answer, told = await turn(session, samples)
            write(folder / f"{number}.wav", answer)
            print(json.dumps(told))


asyncio.run(main(sys.argv[1], read(sys.argv[2]), Path(sys.argv[3])))
