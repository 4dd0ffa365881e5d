"""
A relay that refuses who asks for the model C{refuse-CODE} with that code, as an embedder's would:
C{python refusing.py CERTIFICATE KEY}. It logs as the daemon does.
"""

from __future__ import annotations

import sys
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.logger import Logger, globalLogBeginner

from relay import Grant, Refusal, RefusalCode, RelayFactory, Request, Upstream, refuse
from relay.config.certificates import server_options
from relay.daemon.logs import JSONObserver
from relay.telemetry.lines import LogRecords

NOBODY = Upstream("ws://127.0.0.1:1/", name="nobody")
"""An upstream that is never dialled: every request is refused before."""

_log = Logger()


def admit(request: Request) -> Grant | Refusal:
    """Refuse."""
    return refuse(cast(RefusalCode, (request.model or "").removeprefix("refuse-")))


async def main(reactor: Any, certificate: str, key: str) -> None:
    """Listen until the process is ended."""
    globalLogBeginner.beginLoggingTo([JSONObserver(sys.stdout)], redirectStandardIO=False)
    relay = RelayFactory([NOBODY], admit=admit, listeners=[LogRecords()], reactor=reactor)
    plain = reactor.listenTCP(0, relay, interface="127.0.0.1")
    _log.info("listening on http://127.0.0.1:{port}", port=plain.getHost().port)
    options = server_options(certificate, key)
    secure = reactor.listenSSL(0, relay, options, interface="127.0.0.1")
    _log.info("listening on https://127.0.0.1:{port}", port=secure.getHost().port)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
