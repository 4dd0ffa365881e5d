"""
An echo as a process, to be killed.

    python upstream.py PORT

It prints the port that it listens on; 0 for any.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from chaos.peers import echo
from picows import ws_create_server


async def main(port: int) -> None:
    """Listen until killed."""
    server = await ws_create_server(echo, "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
