"""
Open a session at each target by openai-python, speak in it, and go on until the SDK gives up:

    attempts.py RECONNECTS TARGETS LIMIT

RECONNECTS: whether C{on_reconnecting} is given. TARGETS: a JSON list of {plain, secure, model}.
LIMIT: after so many attempts a client is stopped. Prints what each was told in the end, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from openai import AsyncOpenAI
from openai.types.websocket_reconnection import ReconnectingEvent, ReconnectingOverrides
from websockets.exceptions import ConnectionClosed, InvalidStatus


class Counted:
    """An C{on_reconnecting} that stops a client which would not stop by itself."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def __call__(self, event: ReconnectingEvent) -> ReconnectingOverrides | None:
        self._left -= 1
        return None if self._left > 0 else {"abort": True}


async def use(target: dict[str, str], options: dict[str, Any]) -> str:
    client = AsyncOpenAI(base_url=f"{target['plain']}/v1", api_key="anything")
    try:
        async with client.realtime.connect(model=target["model"], **options) as connection:
            async for event in connection:
                if event.type == "session.created":
                    await connection.input_audio_buffer.clear()
    except InvalidStatus as refused:
        return f"HTTP {refused.response.status_code}"
    except ConnectionClosed:
        pass
    return f"close {connection._connection.close_code}"


async def main(reconnects: bool, targets: list[dict[str, str]], limit: int) -> None:
    def options() -> dict[str, Any]:
        quick = {"initial_delay": 0.001, "max_delay": 0.001}
        return {"on_reconnecting": Counted(limit), **quick} if reconnects else {}

    print(json.dumps(await asyncio.gather(*(use(target, options()) for target in targets))))


asyncio.run(main(sys.argv[1] == "True", json.loads(sys.argv[2]), int(sys.argv[3])))
