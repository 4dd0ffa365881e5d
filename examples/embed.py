"""A relay in a larger app: python embed.py PORT ECHO_PORT, with UPSTREAM set to a URL."""

import os
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import react
from twisted.protocols.wire import Echo
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from relay import Grant, Refusal, RelayFactory, Request, Upstream, refuse

USERS = {"let-me-in": "alice"}


def admit(request: Request) -> Grant | Refusal:
    user = USERS.get(request.credential or "")
    return Grant(subject=user) if user else refuse("unauthorized")


async def main(reactor: Any, port: str = "8080", echo_port: str = "8007") -> None:
    upstream = Upstream(os.environ["UPSTREAM"], credential=os.environ.get("OPENAI_API_KEY"))
    pages = Resource()
    pages.putChild(b"", Data(b"The app's own page.\n", "text/plain"))
    relay = RelayFactory([upstream], admit=admit, site=Site(pages), reactor=reactor)
    for number, factory in ((port, relay), (echo_port, Factory.forProtocol(Echo))):
        listening = reactor.listenTCP(int(number), factory, interface="127.0.0.1")
        print(listening.getHost().port, flush=True)
    reactor.addSystemEventTrigger("before", "shutdown", relay.drain)
    await Deferred()  # until somebody stops the app


react(main, sys.argv[1:])
