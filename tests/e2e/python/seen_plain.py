"""
What a developer is told by a library that speaks WebSocket and no more, or by C{openai}:

    seen_plain.py SDK TARGETS LIMIT

SDK: websockets, aiohttp or openai. TARGETS: a JSON list of {case, plain, secure, model}. Prints, by
case, all that was told and how it ended, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import aiohttp
import openai
from websockets.asyncio.client import connect

SPOKEN = '{"type":"input_audio_buffer.clear"}'


def url(target: dict[str, str]) -> str:
    return f"{target['plain'].replace('http', 'ws')}/v1/realtime?model={target['model']}"


async def by_websockets(target: dict[str, str], told: list[str]) -> None:
    async with connect(url(target)) as websocket:
        async for message in websocket:
            told.append(str(message))
            if "session.created" in told[-1]:
                await websocket.send(SPOKEN)


async def by_aiohttp(target: dict[str, str], told: list[str]) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(url(target)) as websocket:
        async for message in websocket:
            told.append(str(message.data))
            if "session.created" in told[-1]:
                await websocket.send_str(SPOKEN)
        told.append(f"close_code: {websocket.close_code}")


async def by_openai(target: dict[str, str], told: list[str]) -> None:
    client = openai.AsyncOpenAI(base_url=f"{target['plain']}/v1", api_key="anything")
    async with client.realtime.connect(model=target["model"]) as connection:
        async for event in connection:
            told.append(str(event))
            if event.type == "session.created":
                await connection.input_audio_buffer.clear()


SDKS = {"websockets": by_websockets, "aiohttp": by_aiohttp, "openai": by_openai}


async def see(sdk: str, target: dict[str, str]) -> dict[str, Any]:
    told: list[str] = []
    try:
        await SDKS[sdk](target, told)
    except Exception as error:
        told.append(f"{type(error).__name__}: {error}")
        return {"told": told, "end": "raises"}
    return {"told": told, "end": "the loop ends"}


async def main(sdk: str, targets: list[dict[str, str]]) -> None:
    seen = await asyncio.gather(*(see(sdk, target) for target in targets))
    print(json.dumps({target["case"]: each for target, each in zip(targets, seen, strict=True)}))


asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
