"""
What a developer is told by the RealtimeModel of livekit-agents:

    seen_livekit.py SDK TARGETS LIMIT

TARGETS: a JSON list of {case, plain, secure, model}. LIMIT: after so many lost connections a
session is closed. Prints, by case, all that was told and how it ended, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from contextvars import ContextVar
from typing import Any

import aiohttp
from livekit.agents import APIConnectOptions
from livekit.plugins.openai import realtime

QUICK = APIConnectOptions(retry_interval=0.01)
"""As many attempts as by default, without the two seconds between them."""


TOLD: ContextVar[list[str]] = ContextVar("TOLD")
"""What was told in the case that the running task is of."""


class Lines(logging.Handler):
    """Keeps what is logged from C{WARNING} up, which Python shows by default."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info and record.exc_info[1]
        TOLD.get().append(f"{record.getMessage()} {error or ''}".strip())


async def see(target: dict[str, str], limit: int) -> dict[str, Any]:
    told: list[str] = []
    TOLD.set(told)
    over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    lost = 0

    def note(event: Any) -> None:
        nonlocal lost
        told.append(f"{type(event.error).__name__}: {event.error}")
        lost += "connection" in str(event.error)
        ends = None if event.recoverable else "a last error event"
        ends = ends or ("stopped" if lost >= limit else None)
        if ends and not over.done():
            over.set_result(ends)

    async with aiohttp.ClientSession() as http:
        model = realtime.RealtimeModel(
            base_url=f"{target['plain']}/v1",
            model=target["model"],
            api_key="anything",
            http_session=http,
            conn_options=QUICK,
        )
        session = model.session()
        session.on("error", note)
        end = await over
        # It raises here what it gave up for.
        await asyncio.gather(session.aclose(), return_exceptions=True)
        await model.aclose()
    return {"told": told, "end": end}


async def main(targets: list[dict[str, str]], limit: int) -> None:
    logging.getLogger().addHandler(Lines(logging.WARNING))
    seen = await asyncio.gather(*(see(target, limit) for target in targets))
    print(json.dumps({target["case"]: each for target, each in zip(targets, seen, strict=True)}))


asyncio.run(main(json.loads(sys.argv[2]), int(sys.argv[3])))
