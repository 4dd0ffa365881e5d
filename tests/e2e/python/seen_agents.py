"""
What a developer is told by the realtime agents of openai-agents:

    seen_agents.py SDK TARGETS LIMIT

TARGETS: a JSON list of {case, plain, secure, model}. Prints, by case, all that was told and how it
ended, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from agents.realtime import RealtimeAgent, RealtimeRunner


async def use(target: dict[str, str], told: list[str]) -> None:
    url = f"{target['plain'].replace('http', 'ws')}/v1/realtime?model={target['model']}"
    runner = RealtimeRunner(RealtimeAgent(name="parrot", instructions="Repeat what you hear."))
    async with await runner.run(model_config={"url": url, "api_key": "anything"}) as session:
        async for event in session:
            if event.type == "error":
                told.append(str(event.error))


async def see(target: dict[str, str]) -> dict[str, Any]:
    told: list[str] = []
    try:
        await use(target, told)
    except Exception as error:
        told.append(f"{type(error).__name__}: {error}")
        return {"told": told, "end": "raises"}
    return {"told": told, "end": "the loop ends"}


async def main(targets: list[dict[str, str]]) -> None:
    print(json.dumps({target["case"]: await see(target) for target in targets}))


asyncio.run(main(json.loads(sys.argv[2])))
