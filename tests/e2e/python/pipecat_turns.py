"""
The OpenAI Realtime service of pipecat in a small pipeline: speak twice, with its own defaults.

    pipecat_turns.py URL SAID.wav FOLDER

says the recording twice, with pauses, and puts the answers into the folder: C{0.wav} and C{1.wav}.
It prints what it was told, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from pathlib import Path

from pipecat.frames.frames import (
    EndFrame,
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSStoppedFrame,
    TTSTextFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.workers.runner import WorkerRunner

RATE = 24_000
CHUNK = 4800
"""Bytes of a frame: a tenth of a second."""

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


class Ear(FrameProcessor):  # type: ignore[misc]
    """
    Stands where the loudspeaker would.

    @ivar speech: what was heard of the user: C{started}, and C{stopped}.
    @ivar answers: each whole answer, with its transcript.
    """

    def __init__(self) -> None:
        super().__init__()
        self.speech: asyncio.Queue[str] = asyncio.Queue()
        self.answers: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()
        self._audio, self._text = b"", ""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case InterruptionFrame():
                # The user has started to speak, and the pipeline is silent.
                self._audio, self._text = b"", ""
                self.speech.put_nowait("started")
            case UserStoppedSpeakingFrame():
                self.speech.put_nowait("stopped")
            case TTSAudioRawFrame():
                self._audio += frame.audio
            case TTSTextFrame():
                self._text += frame.text
            case TTSStoppedFrame() if self._audio:
                self.answers.put_nowait((self._audio, self._text))
        await self.push_frame(frame, direction)


def frames(samples: bytes) -> list[Frame]:
    """The samples as a microphone gives them."""
    chunks = (samples[at : at + CHUNK] for at in range(0, len(samples), CHUNK))
    return [InputAudioRawFrame(audio=chunk, sample_rate=RATE, num_channels=1) for chunk in chunks]


async def main(url: str, samples: bytes, folder: Path) -> None:
    service = OpenAIRealtimeLLMService(api_key="anything", base_url=url)
    user, assistant = LLMContextAggregatorPair(LLMContext())
    ear = Ear()
    errors: list[str] = []
    worker = PipelineWorker(
        Pipeline([user, service, ear, assistant]),
        params=PipelineParams(audio_in_sample_rate=RATE, audio_out_sample_rate=RATE),
    )

    @worker.event_handler("on_pipeline_error")
    async def _on_error(_worker: PipelineWorker, frame: ErrorFrame) -> None:
        errors.append(frame.error)

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    for number in range(2):
        await worker.queue_frames(frames(samples))
        told = [await ear.speech.get()]
        await worker.queue_frames(frames(SILENCE))
        told.append(await ear.speech.get())
        answer, text = await ear.answers.get()
        write(folder / f"{number}.wav", answer)
        print(json.dumps({"text": text, "told": told, "errors": errors}))
    await worker.queue_frame(EndFrame())
    await running


asyncio.run(main(sys.argv[1], read(sys.argv[2]), Path(sys.argv[3])))
