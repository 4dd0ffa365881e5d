"""
A plain relay of websockets, on asyncio's own loop.

    python websockets_pump.py PORT UPSTREAM_ORIGIN CA_FILE
"""

from __future__ import annotations

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

PORT, ORIGIN, CA_FILE = sys.argv[1:]
TLS = ssl.create_default_context(cafile=CA_FILE) if ORIGIN.startswith("wss") else None


async def _pump(source: Connection, sink: Connection) -> None:
    try:
        async for message in source:
            await sink.send(message)
    except ConnectionClosed:
        pass
    await sink.close()


async def _relay(downstream: ServerConnection) -> None:
    assert downstream.request is not None
    url = ORIGIN + downstream.request.path
    async with connect(url, ssl=TLS, compression=None, proxy=None) as upstream:
        await asyncio.gather(_pump(upstream, downstream), _pump(downstream, upstream))


async def _main() -> None:
    async with serve(_relay, "127.0.0.1", int(PORT), compression=None, backlog=1024):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
