"""
What clients ask of an upstream by plain C{POST}: to set up a call, whose media go past the relay,
and what is done to one.

Source: the packages C{openai} 3.57 for Python (C{resources/realtime/calls}, C{resources/live}) and
C{@openai/agents-realtime} 0.20 (C{openaiRealtimeWebRtc}).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from relay.rules.session_kinds import SessionKind
from relay.upstreams.endpoints import (
    AZURE,
    ENDPOINTS,
    REALTIME,
    Endpoint,
    EndpointPath,
    Route,
    normal,
    pattern,
)

VERBS = ("accept", "reject", "refer", "hangup")
"""What can be done to a call."""


def _endpoint(
    name: str, kind: SessionKind, path: str, also: frozenset[SessionKind] = frozenset()
) -> Endpoint:
    templates = [
        EndpointPath("/v1" + path),
        EndpointPath("/openai/v1" + path, {}, parameters=AZURE),
    ]
    return Endpoint(name=name, kind=kind, also=also, paths=tuple(templates), upstream=path)


CALLS = _endpoint("calls", "realtime", "/realtime/calls", frozenset({"transcription"}))
TRANSLATION_CALLS = _endpoint("translation-calls", "translation", "/realtime/translations/calls")
LIVE_CALLS = _endpoint("live-calls", "live", "/live/sessions")
ON_CALL = _endpoint("on-call", "sideband", "/realtime/calls/{id}/{verb}")
ON_LIVE_CALL = _endpoint("on-live-call", "sideband", "/live/sessions/{id}/{verb}")

_ALL = (CALLS, TRANSLATION_CALLS, LIVE_CALLS, ON_CALL, ON_LIVE_CALL)

POSTS: Mapping[str, Endpoint] = {endpoint.name: endpoint for endpoint in _ALL}
"""The table, by name."""

_ROWS = [(pattern(p.template), endpoint, p) for endpoint in _ALL for p in endpoint.paths]


def hang_up_of(route: Route, call_id: str) -> Route:
    """
    The route by which a call is ended.

    @param route: the one by which it was set up.
    """
    endpoint = ON_LIVE_CALL if route.endpoint in (LIVE_CALLS, ON_LIVE_CALL) else ON_CALL
    return Route(endpoint, endpoint.paths[0], {"id": call_id, "verb": "hangup"})


def sideband_of(route: Route, call_id: str) -> tuple[Route, str] | None:
    """
    The WebSocket by which a call is heard, and the target of a request for it; L{None} if there is
    none for such calls.

    @param route: the one by which it was set up.
    """
    if route.endpoint in (CALLS, ON_CALL):
        path = REALTIME.paths[0]
        return Route(REALTIME, path), f"{path.template}?{urlencode({'call_id': call_id})}"
    if route.endpoint in (LIVE_CALLS, ON_LIVE_CALL):
        attach = ENDPOINTS["live-attach"]
        path = attach.paths[0]
        return Route(attach, path, {"id": call_id}), path.template
    return None


def post_at(path: str) -> Route | None:
    """The route of a path below the base path; L{None} if nothing is posted there."""
    path = normal(path)
    for matching, endpoint, row in _ROWS:
        found = matching.fullmatch(path)
        if found and found.groupdict().get("verb", VERBS[0]) in VERBS:
            return Route(endpoint, row, found.groupdict())
    return None
