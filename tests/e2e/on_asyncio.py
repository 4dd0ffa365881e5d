"""
A relay on the asyncio reactor, as an embedder's: C{python on_asyncio.py}, with UPSTREAM set to
a URL. Who asks for the model C{hangs} is never answered; the others after both kinds of wait.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from twisted.internet import asyncioreactor

asyncioreactor.install()

from twisted.internet.defer import Deferred  # noqa: E402
from twisted.internet.task import deferLater, react  # noqa: E402

from relay import Grant, RelayFactory, Request, Settings, Upstream  # noqa: E402


async def main(reactor: Any) -> None:
    """Listen until the process is ended."""

    async def admit(request: Request) -> Grant:
        try:
            await asyncio.sleep(0.01)
            await deferLater(reactor, 0.01)
            if request.model == "hangs":
                print("hanging", flush=True)
                await asyncio.sleep(3600)
            return Grant(await asyncio.to_thread(str, "ann"))
        except asyncio.CancelledError:
            print("cancelled", flush=True)
            raise

    async def credential() -> str:
        async with asyncio.timeout(10):
            await asyncio.sleep(0.01)
        return "sk-of-the-callable"

    upstream = Upstream(os.environ["UPSTREAM"], credential=credential)
    settings = Settings(hold_seconds=float(os.environ.get("HOLD", "8")))
    relay = RelayFactory([upstream], admit=admit, settings=settings, reactor=reactor)
    print(reactor.listenTCP(0, relay, interface="127.0.0.1").getHost().port, flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main)
