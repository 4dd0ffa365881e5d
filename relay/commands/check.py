"""Dial each upstream once, in a hold, and tell how it went."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from random import random
from urllib.parse import quote, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from relay.admission.budgets import Budgets
from relay.admission.callers import Callers
from relay.admission.client import Client
from relay.admission.ledger import LocalLedger
from relay.admission.request import Request
from relay.config.settings import Settings
from relay.dial.dialer import dialer_for
from relay.dial.opened import OpenUpstream
from relay.downstream.hang_ups import HangUps
from relay.downstream.hold import HoldContext
from relay.downstream.session_hold import SessionHold
from relay.http.head import Head
from relay.lifecycle.register import Register
from relay.peer.interfaces import PeerListener
from relay.recording.recordings import Recordings
from relay.rules.closes import Close, Side
from relay.rules.refusals import Refused
from relay.telemetry.records import HoldRecord
from relay.timing.clock import epoch
from relay.timing.turns import Turns
from relay.upstreams.balancing import Balancer
from relay.upstreams.diagnosis import Finding
from relay.upstreams.endpoints import REALTIME
from relay.upstreams.upstream import Upstream
from relay.wire.choice import Lines


def _head(model: str, subprotocols: Sequence[str]) -> Head:
    offered = ",".join(("realtime", *subprotocols))
    fields = (("host", "localhost"), ("sec-websocket-protocol", offered))
    return Head("GET", f"/v1/realtime?model={quote(model, safe='')}", 1, fields)


async def check(
    upstreams: Sequence[Upstream], settings: Settings, model: str | None, reactor: IReactorTime
) -> list[Finding]:
    """
    Dial the upstreams one after the other, each within C{hold_seconds}; return a finding for each.

    @param model: the model to ask for. An upstream that is not for it, or L{None}, is asked for its
        own first model, or for one that its provider has.
    """
    return [await _check(upstream, settings, model, reactor) for upstream in upstreams]


async def _check(
    upstream: Upstream, settings: Settings, model: str | None, reactor: IReactorTime
) -> Finding:
    lines = Lines(reactor)
    balancer = Balancer([upstream], random, reactor.seconds)
    dialer = dialer_for(balancer, settings.limits, lines, reactor, retries=0)
    callers = Callers(settings.limits, reactor.seconds)
    budgets = Budgets(LocalLedger(epoch), Turns(reactor))
    register = Register(1, ())
    recordings = Recordings(register, reactor)
    context = HoldContext(
        settings,
        None,
        dialer,
        register,
        callers,
        budgets,
        reactor,
        recordings,
        HangUps(reactor),
    )
    record = HoldRecord("check", "local")
    if model is None or not upstream.takes(REALTIME, model):
        model = next(iter(upstream.models), upstream.traits.sample)
    request = Request(record.request_id, record.peer, _head(model, upstream.subprotocols))
    refusal = None
    try:
        opened = await SessionHold(context, request, Client(record.peer), record).start()
    except Refused as refused:
        refusal = refused.refusal
    else:
        await _hang_up(opened)
    (attempt,) = record.attempts
    stage = attempt.stage if refusal else None
    error = attempt.error
    if error == VERIFY_FAILED:
        error = distrust(upstream) or error
    path = None if urlsplit(upstream.url).path == upstream.path else upstream.path
    return Finding(upstream.name, upstream.url, attempt.stages, refusal, stage, error, path)


VERIFY_FAILED = "certificate verify failed"
"""The text of OpenSSL's error for every certificate that it does not trust."""


def distrust(upstream: Upstream) -> str | None:
    """
    Why the upstream's certificate is not trusted; L{None} if that cannot be told.

    It connects again by Python's own C{ssl}, which keeps OpenSSL's reason. Blocks for a few seconds
    at most.
    """
    context = ssl.create_default_context(cafile=upstream.ca_file)
    try:
        with (
            _connected(upstream) as connection,
            context.wrap_socket(connection, server_hostname=upstream.host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, HTTPException):
        return None


def _connected(upstream: Upstream) -> socket.socket:
    """A connection by the relay's way: a proxy on it may show a certificate of its own."""
    proxy = upstream.proxy
    if proxy is None:
        return socket.create_connection((upstream.host, upstream.port), timeout=3)
    tunnel = HTTPConnection(proxy.host, proxy.port, timeout=3)
    tunnel.set_tunnel(upstream.host, upstream.port, proxy.headers)
    tunnel.connect()
    return tunnel.sock


class _Farewell(PeerListener):
    """Listens to an upstream only until it is gone."""

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()

    def lost(self, side: Side, reason: Failure) -> None:
        """The connection is gone."""
        self.gone.callback(None)


async def _hang_up(opened: OpenUpstream) -> None:
    """Close the WebSocket, because a session that is only dropped may go on costing money."""
    farewell = _Farewell()
    opened.protocol.listen(farewell)
    opened.protocol.close(Close(1000))
    await farewell.gone
