"""
The front of each connection. It reads one request head, then hands the connection over to the
WebSocket or to a site, or refuses the request.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.admission.client import Client, client_of, proxies
from relay.admission.request import Request
from relay.downstream.connection import Connection
from relay.downstream.gate import PROBES, FrontContext, address_of, barred, is_told_in_band
from relay.downstream.handshake import fault_of_handshake
from relay.downstream.plain import Asked
from relay.downstream.protocol import DownstreamProtocol
from relay.downstream.session_hold import SessionHold
from relay.http.cors import cors_headers, is_preflight
from relay.http.head import Head, HeadReader
from relay.http.upgrade import upgrade_refusal
from relay.rules.refusal_forms import http_response
from relay.rules.refusals import Refusal, Refused, refuse
from relay.telemetry.records import HoldRecord, new_request_id, shown
from relay.timing.bulkhead import bulkhead
from relay.timing.deadline import Deadline
from relay.timing.turns import Inflow, drop
from relay.upstreams.endpoints import Route

_log = Logger()


class Front(Connection):
    """
    One connection, from accept until its request is whole.

    Then an inner protocol is made over the same transport, and this one only passes on to it the
    bytes and the loss of the connection.
    """

    def __init__(self, latest: Callable[[], FrontContext], addr: IAddress) -> None:
        context = latest()
        limits = context.holds.settings.limits
        self._record = HoldRecord(new_request_id(), address_of(addr), listener=context.listener)
        super().__init__(self._record.request_id, context.holds.clock, limits.linger_seconds)
        self._latest = latest
        self._context = context
        self._addr = addr
        self._limits = limits
        self._reader = HeadReader(limits.head_bytes, limits.head_fields)
        self._deadline = Deadline(context.holds.clock)
        self._client = Client(self._record.peer)
        self._why = ""
        self._inner: IProtocol | None = None
        self._body_left = 0
        self._inflow = Inflow(context.heads, self._read_head)
        self._cors: tuple[tuple[str, str], ...] = ()
        self._take: Callable[[bytes], None] = self._wait_for_turn

    def connectionMade(self) -> None:
        """Start the deadline for the head, which neither Autobahn nor HTTPChannel has."""
        self._context.holds.register.silent.add(self)
        self._deadline.set(self._limits.head_seconds, self._time_is_up)

    @bulkhead
    def dataReceived(self, data: bytes) -> None:
        """Read the head, then pass the bytes on to the inner protocol."""
        self._take(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass the loss on to the inner protocol."""
        if not self._reader.started:
            self._look_at_handshake(reason)
        self._deadline.clear()
        self._end.clear()
        self._take = drop
        self._inflow.end()
        inner, self._inner = self._inner, None
        try:
            if inner is not None:
                inner.connectionLost(reason)
        finally:
            self._context.holds.register.gone(self)

    def _look_at_handshake(self, reason: Failure) -> None:
        """Tell of a client that did not come through TLS: no request of its can."""
        fault = fault_of_handshake(reason)
        if fault is not None:
            self._record_refusal(refuse("bad_request", fault))

    # -- the head --------------------------------------------------------------------------

    def _wait_for_turn(self, data: bytes) -> None:
        self._inflow.received(self.transport, data)

    @bulkhead
    def _read_head(self, data: bytes) -> None:
        if not self._reader.started:
            # Not before: behind the PROXY protocol the transport knows it by now.
            self._record.peer = address_of(self.transport.getPeer())
        try:
            head = self._reader.feed(data)
        except Refused as refused:
            self._refuse(refused.refusal)
            return
        if head is not None:
            self._deadline.clear()
            try:
                self._route(head)
            except Exception:
                _log.failure("request {id} failed", id=self.name)
                self._refuse(refuse("internal_error"))

    def _time_is_up(self) -> None:
        """What waits for its turn came in time, perhaps while the whole process was stopped."""
        self._context.heads.do(self._look_for_head)

    def _look_for_head(self) -> None:
        if self._take == self._wait_for_turn:
            self._too_slow()

    @bulkhead
    def _too_slow(self) -> None:
        if self._reader.started:
            self._refuse(refuse("request_timeout"))
        else:
            # A balancer's probe sends nothing: close without a record.
            self.transport.abortConnection()

    def _route(self, head: Head) -> None:
        self._context = self._latest()  # the connection may have waited through a change
        self._context.holds.register.asked(self)
        self._believe(head)
        route = self._route_of(head)
        request = self._describe(head, route)
        is_websocket = route is not None
        site = None if is_websocket or self._is_probe(head) else self._context.site
        refusal = self._barred(head) if site is None else None
        if refusal is not None:
            self._refuse(refusal)
        elif is_websocket and not is_preflight(head):
            self._take_upgrade(request)
        elif not head.wants_upgrade:
            self._take_plain(request, site)
        elif site is None:
            self._refuse(refuse("not_found", self._context.served.nothing_at(head.path)))
        else:
            self._pass_upgrade(head, site)

    def _route_of(self, head: Head) -> Route | None:
        if self._context.websocket is None:
            return None
        return self._context.served.route(head.path, head.method)

    def _is_probe(self, head: Head) -> bool:
        base = self._context.holds.settings.base_path
        asked = head.path[len(base) :] if head.path.startswith(base) else ""
        return self._context.probes and asked in PROBES

    def _believe(self, head: Head) -> None:
        """Take a trusted proxy's word for who the client is."""
        trusted = proxies(self._context.holds.settings.trusted_proxies)
        client = self._client = client_of(head, self._record.peer, trusted)
        self._record.peer, self._record.detail = client.address, client.ignored
        if client.id is not None:
            self.name = self._record.request_id = client.id

    def _describe(self, head: Head, route: Route | None) -> Request:
        request = Request(self._record.request_id, self._record.peer, head, route)
        self._record.origin = request.origin
        self._record.model = request.model
        self._record.trace_id = head.trace_id
        self._record.method, self._record.path = shown(head.method), shown(head.path)
        return request

    def _barred(self, head: Head) -> Refusal | None:
        here = address_of(self.transport.getHost())
        found = barred(self._context, head, here, self._client_is_secure())
        if found is None:
            # No page may read what an admin listener answers.
            self._cors = () if self._context.administers else cors_headers(head)
            return None
        refusal, self._why = found
        return refusal

    def _client_is_secure(self) -> bool:
        """Whether the client came by TLS, to the relay or to a trusted proxy."""
        told = self._client.secure
        return self.is_secure if told is None else told

    # -- the WebSocket ---------------------------------------------------------------------

    def _take_upgrade(self, request: Request) -> None:
        head = request.head
        refusal = upgrade_refusal(head) or _ambiguity(request)
        if refusal is None and self._reader.rest:
            refusal = refuse("bad_request", "Send nothing before the 101.")
        if refusal is not None:
            self._refuse(refusal)
            return
        hold = SessionHold(self._context.holds, request, self._client, self._record)
        protocol = DownstreamProtocol(
            hold,
            is_told_in_band(self._context, head),
            self._answer,
            self._context.holds.clock,
            self._limits,
        )
        protocol.factory = self._context.websocket
        self._hand_over(protocol, head.for_autobahn())

    def _hand_over(self, protocol: IProtocol, head: bytes) -> None:
        self._inner = protocol
        self._take = protocol.dataReceived
        protocol.makeConnection(self.transport)
        protocol.dataReceived(head)

    # -- plain requests --------------------------------------------------------------------

    def _take_plain(self, request: Request, site: IProtocolFactory | None) -> None:
        length = request.head.body_length
        if length is None:
            self._refuse(refuse("bad_request", "Send a body with one Content-Length."))
        elif length > self._limits.body_bytes:
            self._refuse(refuse("body_too_large"))
        else:
            self._body_left = length
            self._deadline.set(self._limits.head_seconds, self._too_slow)
            self._give_to_site(request, site)

    def _give_to_site(self, request: Request, site: IProtocolFactory | None) -> None:
        channel = self._own_page(request) if site is None else site.buildProtocol(self._addr)
        assert channel is not None, "a site always builds one"
        self._hand_over(channel, request.head.for_site())
        self._take = self._read_body
        self._read_body(self._reader.rest)

    def _own_page(self, request: Request) -> IProtocol:
        headers = (("X-Request-Id", request.id), *self._cors)
        asks_first = is_preflight(request.head) and bool(self._cors)
        tell = self._context.holds.register.answered
        secure, listener = self._client_is_secure(), self._context.listener
        asked = Asked(request, headers, asks_first, secure, tell, listener)
        return self._context.own.serve(self._addr, asked)

    def _read_body(self, data: bytes) -> None:
        """Pass on the body, and nothing behind it, because a connection has one request."""
        body = data[: self._body_left]
        self._body_left -= len(body)
        if body and self._inner is not None:
            self._inner.dataReceived(body)
        if not self._body_left:
            self._take = drop
            self._deadline.clear()
            self.look_for_end()

    def _pass_upgrade(self, head: Head, site: IProtocolFactory) -> None:
        """
        The connection is the host's from here on, without a deadline or limit of the relay: a
        WebSocket may last. So the relay does not count it, and its end neither waits for it nor
        cuts it.
        """
        channel = site.buildProtocol(self._addr)
        assert channel is not None, "a site always builds one"
        self._context.holds.register.gone(self)
        self._hand_over(channel, head.as_sent() + self._reader.rest)

    # -- refusals --------------------------------------------------------------------------

    def _refuse(self, refusal: Refusal) -> None:
        """Refuse before there is a hold."""
        self._record_refusal(refusal)
        self._answer(refusal)

    def _record_refusal(self, refusal: Refusal) -> None:
        self._record.outcome = refusal.code
        details = self._why or refusal.message, self._client.ignored
        self._record.detail = "; ".join(filter(None, details))
        self._context.holds.register.refused(self._record, refusal)

    def _answer(self, refusal: Refusal) -> None:
        """Write the whole answer and end the connection."""
        self._context.holds.register.asked(self)
        self._take = drop
        bodiless = self._reader.bodiless
        answer = http_response(refusal, self.name, bodiless=bodiless, more=self._cors)
        self.finish(b"" if self._reader.is_tls else answer)


def _ambiguity(request: Request) -> Refusal | None:
    """The refusal of a query of which one reader takes this value, and another that one."""
    assert request.route is not None, "what is served has a route"
    name = request.route.twice(request.head.query)
    return refuse("bad_request", f"Ask for one {name}.") if name else None
