"""
The realtime agents of openai-agents: speak twice, with the SDK's own defaults.

Told the relay's URL and a file of samples; prints what each turn brought, as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from pathlib import Path
from typing import Any

from agents.realtime import RealtimeAgent, RealtimeRunner, RealtimeSession

CHUNK = 4800
"""Bytes of a message: a tenth of a second."""

SILENCE = bytes(30 * CHUNK)
"""Three seconds, which end a turn."""


async def speak(session: RealtimeSession, samples: bytes) -> None:
    """Send the samples as a microphone gives them."""
    for at in range(0, len(samples), CHUNK):
        await session.send_audio(samples[at : at + CHUNK])


def speech(event: dict[str, Any]) -> str | None:
    """C{started} or C{stopped}, if that is what the server heard."""
    prefix = "input_audio_buffer.speech_"
    kind = str(event["type"])
    return kind.removeprefix(prefix) if kind.startswith(prefix) else None


async def turn(session: RealtimeSession, samples: bytes) -> dict[str, Any]:
    """Speak, and pause once that is heard; everything up to the end of the agent's turn."""
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
    said = base64.b64encode(audio).decode()
    return {"audio": said, "text": text, "told": told, "errors": errors}


async def main(url: str, samples: bytes) -> None:
    runner = RealtimeRunner(RealtimeAgent(name="parrot", instructions="Repeat what you hear."))
    async with await runner.run(model_config={"url": url, "api_key": "anything"}) as session:
        turns = [await turn(session, samples) for _ in range(2)]
    errors = [error for each in turns for error in each["errors"]]
    print(json.dumps({"turns": turns, "errors": errors}))


asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes()))
