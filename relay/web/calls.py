"""
Calls: WebRTC and SIP. A call is set up by a plain request, and its media go past the relay.

Source: OpenAI's API reference, "Calls" and "Live"; the package C{openai} 3.57 for Python.
"""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve

from relay.admission.client import Client
from relay.dial.posting import Replied
from relay.downstream.call import Order, call_id_in, order_in
from relay.downstream.call_hold import CallHold
from relay.downstream.hold import HoldContext
from relay.rules.refusals import Refused, refuse
from relay.telemetry.records import HoldRecord, shown
from relay.upstreams.call_ids import marked
from relay.upstreams.endpoints import Route, Served
from relay.upstreams.posts import LIVE_CALLS, post_at
from relay.web.page import Later, PlainRequest, refused

PLACE = "/v1/realtime/calls/"
"""Where a client finds a call, behind the base path."""


def call_at(context: HoldContext, served: Served, path: str) -> Later | None:
    """
    The page of calls at a path; L{None} if there is none.

    @param path: the path below the base path.
    """
    route = post_at(path)
    is_served = route is not None and served.has(route.endpoint)
    return call_page(context, route) if route is not None and is_served else None


def call_page(context: HoldContext, route: Route) -> Later:
    """The page that sets up a call, or does something to one, as C{route} says."""

    async def answer(request: PlainRequest) -> bytes:
        if request.method != b"POST":
            body = refused(request, refuse("method_not_allowed", "Ask for this with POST."))
            request.setHeader("Allow", "POST")
            return body
        try:
            content: Any = request.content
            kind = request.asked.request.head.one("content-type") or ""
            order = order_in(route, kind, content.read())
            replied = await _held(context, route, request, order)
            return _told(context, route, request, replied)
        except Refused as failed:
            return refused(request, failed.refusal)

    return Later(answer)


async def _held(context: HoldContext, route: Route, request: PlainRequest, order: Order) -> Replied:
    """@raise Refused: if the hold is refused."""
    plain = request.asked.request
    asks = evolve(
        plain,
        route=route,
        body_model=order.model if order.session is not None else None,
        body_kinds=order.kinds,
    )
    head = asks.head
    record = HoldRecord(asks.id, asks.peer, head.trace_id, asks.origin, model=asks.model)
    record.listener = request.asked.listener
    record.method, record.path = shown(head.method), shown(head.path)
    hold = CallHold(context, asks, Client(asks.peer), record, order)
    try:
        return await hold.start()
    finally:
        request.subject = record.subject


def _told(context: HoldContext, route: Route, request: PlainRequest, replied: Replied) -> bytes:
    """Write the head of the upstream's answer, with the relay's own names; return its body."""
    answer, upstream = replied.answer, replied.upstream.name
    is_choice = context.dialer.is_choice(route.endpoint)

    def own(call_id: str) -> str:
        return marked(call_id, upstream) if is_choice else call_id

    request.setResponseCode(answer.status)
    request.setHeader("Cache-Control", "no-store")
    if kind := answer.headers.get("content-type"):
        request.setHeader("Content-Type", kind)
    else:
        request.responseHeaders.removeHeader(b"Content-Type")
    call_id = call_id_in(route, answer)
    if call_id and "location" in answer.headers:
        request.setHeader("Location", context.settings.base_path + PLACE + own(call_id))
    if route.endpoint != LIVE_CALLS:
        return answer.body
    return _with_id(answer.body, own)


def _with_id(body: bytes, own: Any) -> bytes:
    """The answer of the Live API, with the relay's own id of the session."""
    try:
        said = json.loads(body)
        said["session"]["id"] = own(said["session"]["id"])
    except (ValueError, TypeError, KeyError):
        message = "The upstream's answer names no session."
        raise Refused(refuse("upstream_refused", message)) from None
    return json.dumps(said).encode("ascii")
