"""
The upstream, as a process: a first event, then an echo.

    python -m bench.upstream FOLDER

It listens twice on loopback, with and without TLS, writes the authority that vouches for it to
C{FOLDER/ca.pem}, and prints one JSON object with both ports.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from pathlib import Path

import trustme
import uvloop
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

PATH = b"/v1/realtime"
FIRST = b'{"type":"session.created","event_id":"event_1","session":{"id":"sess_1"}}'
DATA = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)


class Echo(WSListener):
    """Speaks first, then says what it hears."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, FIRST)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in DATA:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview(), frame.fin)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()


def _listener(request: WSUpgradeRequest) -> Echo | None:
    return Echo() if request.path.partition(b"?")[0] == PATH else None


def _certified(folder: Path) -> ssl.SSLContext:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


async def _listen(context: ssl.SSLContext | None) -> asyncio.Server:
    return await ws_create_server(_listener, "127.0.0.1", 0, ssl=context, backlog=1024)


async def _main(folder: Path) -> None:
    plain, tls = await _listen(None), await _listen(_certified(folder))
    ports = [server.sockets[0].getsockname()[1] for server in (plain, tls)]
    print(json.dumps(dict(zip(("plain", "tls"), ports, strict=True))), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_main(Path(sys.argv[1])))
