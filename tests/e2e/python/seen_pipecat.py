"""
What a developer is told by pipecat's OpenAI Realtime service:

    seen_pipecat.py SDK TARGETS LIMIT

TARGETS: a JSON list of {case, plain, secure, model}. Prints, by case, all that was told and how it
ended, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from loguru import logger
from pipecat.frames.frames import DataFrame, Frame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

NOTE: ContextVar[Callable[[str], None]] = ContextVar("NOTE")
"""Takes what is logged in the case that the running task is of."""


class StillHere(DataFrame):  # type: ignore[misc]
    """A frame that no processor knows, and each passes on."""


class Listener(FrameProcessor):  # type: ignore[misc]
    """Stands at the end of the pipeline."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, StillHere):
            self.heard.set()
        await self.push_frame(frame, direction)


async def see(target: dict[str, str]) -> dict[str, Any]:
    told: list[str] = []
    failed = asyncio.Event()

    def note(line: str) -> None:
        told.append(line)
        failed.set()

    NOTE.set(note)
    service = OpenAIRealtimeLLMService(
        api_key="anything",
        base_url=f"{target['plain'].replace('http', 'ws')}/v1/realtime",
        settings=OpenAIRealtimeLLMService.Settings(model=target["model"]),
    )
    user, assistant = LLMContextAggregatorPair(LLMContext())
    listener = Listener()
    task = PipelineTask(
        Pipeline([user, service, assistant, listener]),
        params=PipelineParams(audio_in_sample_rate=24_000, audio_out_sample_rate=24_000),
    )
    running = asyncio.create_task(PipelineRunner(handle_sigint=False).run(task))
    await failed.wait()
    # Whether it goes on as if nothing were: a frame still gets from one end to the other.
    await task.queue_frame(StillHere())
    heard = asyncio.create_task(listener.heard.wait())
    await asyncio.wait([running, heard], return_when=asyncio.FIRST_COMPLETED)
    end = "the pipeline ends" if running.done() else "the pipeline goes on"
    heard.cancel()
    await task.cancel()
    await running
    return {"told": told, "end": end}


async def main(targets: list[dict[str, str]]) -> None:
    logger.remove()
    logger.add(lambda line: NOTE.get()(line.record["message"]), level="ERROR", diagnose=False)
    seen = await asyncio.gather(*(see(target) for target in targets))
    print(json.dumps({target["case"]: each for target, each in zip(targets, seen, strict=True)}))


asyncio.run(main(json.loads(sys.argv[2])))
