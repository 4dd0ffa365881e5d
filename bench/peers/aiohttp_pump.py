"""
A plain relay of aiohttp.

    python aiohttp_pump.py PORT UPSTREAM_ORIGIN CA_FILE
"""

from __future__ import annotations

import asyncio
import ssl
import sys

from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType, web

PORT, ORIGIN, CA_FILE = sys.argv[1:]
TLS = ssl.create_default_context(cafile=CA_FILE) if ORIGIN.startswith("wss") else True
SESSION = web.AppKey("session", ClientSession)

Side = ClientWebSocketResponse | web.WebSocketResponse


async def _pump(source: Side, sink: Side) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)
    await sink.close()


async def _relay(request: web.Request) -> web.WebSocketResponse:
    async with request.app[SESSION].ws_connect(ORIGIN + request.path_qs, ssl=TLS) as upstream:
        downstream = web.WebSocketResponse()
        await downstream.prepare(request)
        await asyncio.gather(_pump(upstream, downstream), _pump(downstream, upstream))
    return downstream


async def _main() -> None:
    app = web.Application()
    app.router.add_get("/{path:.*}", _relay)
    # By default it has 100 connections, and all others wait.
    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        app[SESSION] = session
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(PORT), backlog=1024).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
