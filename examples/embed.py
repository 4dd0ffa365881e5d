"""
A relay in a larger app: python embed.py [ENDPOINT [METRICS_PORT]], with OPENAI_API_KEY set, or with
UPSTREAM set to the URL of another service.
By TLS: python embed.py ssl:8443:privateKey=key.pem:certKey=certificate.pem:interface=127.0.0.1
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter, generate_latest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react
from twisted.logger import Logger, globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource
from twisted.web.server import Site

import relay
from relay import ClosedRecord, Grant, Metrics, Refusal, Request, Upstream, refuse

LOCAL = "tcp:8080:interface=127.0.0.1"
USERS = {"let-me-in": "alice"}
CALLS = Counter("app_calls", "Calls that ended.", ["user"])
SECONDS = Counter("app_call_seconds", "Seconds of calls that ended.", ["user"])
log = Logger("app")


def admit(request: Request) -> Grant | Refusal:
    user = USERS.get(request.credential or "")
    return Grant(subject=user) if user else refuse("unauthorized")


class Usage(relay.RelayListener):
    def closed(self, record: ClosedRecord) -> None:
        user = record.hold.subject or "nobody"
        CALLS.labels(user).inc()
        SECONDS.labels(user).inc(record.seconds)
        log.info("{user} was connected for {seconds:.1f} s", user=user, seconds=record.seconds)


class Page(Resource):
    isLeaf = True

    def __init__(self, text: Callable[[], bytes]) -> None:
        super().__init__()
        self.render_GET = lambda _: text()


async def main(reactor: Any, endpoint: str = LOCAL, metrics_port: str = "9090") -> None:
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    url = os.environ.get("UPSTREAM", "wss://api.openai.com/v1/realtime")
    upstream = Upstream(url, credential=os.environ.get("OPENAI_API_KEY"))
    site, metrics = Site(Page(lambda: b"The app's own page.\n")), Metrics()
    listeners = [Usage(), metrics]
    app = relay.RelayFactory(
        [upstream], admit=admit, listeners=listeners, site=site, reactor=reactor
    )
    port = await serverFromString(reactor, endpoint).listen(app)
    private = Site(Page(lambda: generate_latest() + metrics.scrape(app)))
    beside = reactor.listenTCP(int(metrics_port), private, interface="127.0.0.1")
    print(port.getHost().port, beside.getHost().port, sep="\n", flush=True)
    reactor.addSystemEventTrigger("before", "shutdown", app.drain)
    await Deferred()  # until somebody stops the app


react(main, sys.argv[1:])
