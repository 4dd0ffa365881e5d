"""Clients as apps have them: each opens a session, speaks in it, and goes on until it gives up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from attrs import asdict, frozen
from e2e import node_scripts
from openai import AsyncOpenAI
from openai.types.websocket_reconnection import ReconnectingEvent, ReconnectingOverrides
from processes import SECONDS
from websockets.exceptions import ConnectionClosed, InvalidStatus

LIMIT = 12
"""Attempts after which a client is stopped: more than any gives itself."""


@frozen
class Target:
    """What a client opens: a model, at a relay with an C{http} and an C{https} URL."""

    plain: str
    secure: str
    model: str


Seen = dict[Target, str]
"""What a client was told by each target in the end, if it can say."""

Client = Callable[[Sequence[Target], Path], Seen]
"""Has a client at each target go on until it gives up; the path is whom it may trust."""


class _Counted:
    """An C{on_reconnecting} that stops a client which would not stop by itself."""

    def __init__(self) -> None:
        self._times = 0

    def __call__(self, event: ReconnectingEvent) -> ReconnectingOverrides | None:
        self._times += 1
        return {"abort": True} if self._times >= LIMIT else None


async def _use(target: Target, reconnects: bool) -> str:
    client = AsyncOpenAI(base_url=f"{target.plain}/v1", api_key="anything")
    options: dict[str, Any] = {}
    if reconnects:
        options = {"on_reconnecting": _Counted(), "initial_delay": 0.001, "max_delay": 0.001}
    try:
        async with client.realtime.connect(model=target.model, **options) as connection:
            async for event in connection:
                if event.type == "session.created":
                    await connection.input_audio_buffer.clear()
    except InvalidStatus as refused:
        return f"HTTP {refused.response.status_code}"
    except ConnectionClosed:
        pass
    return f"close {connection._connection.close_code}"


def openai_python(reconnects: bool, targets: Sequence[Target], _ca_file: Path) -> Seen:
    """The C{openai} package for Python, without and with C{on_reconnecting}."""

    async def use_all() -> list[str]:
        return await asyncio.gather(*(_use(target, reconnects) for target in targets))

    async def bounded() -> list[str]:
        return await asyncio.wait_for(use_all(), SECONDS)

    return dict(zip(targets, asyncio.run(bounded()), strict=True))


def _in_node(sdk: str, targets: Sequence[Target], ca_file: Path) -> Seen:
    told = json.dumps([asdict(target) for target in targets])
    node_scripts.run("attempts.mjs", sdk, told, str(LIMIT), ca_file=ca_file)
    return {}


CLIENTS: dict[str, Client] = {
    "openai-python": partial(openai_python, False),
    "with `on_reconnecting`": partial(openai_python, True),
    "openai-node": partial(_in_node, "openai"),
    "with `reconnect`": partial(_in_node, "openai-reconnect"),
    "agents-realtime": partial(_in_node, "agents"),
}
"""By the names of their columns."""
