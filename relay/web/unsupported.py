"""
What SDKs ask for by HTTP and the relay does not have: one table.

Source: the packages C{openai} for Python and Node (C{resources/realtime}, C{resources/live}),
C{google-genai} (C{tokens}), and Azure's pages on Realtime by WebRTC.
"""

from __future__ import annotations

import re

from attrs import frozen

_CALL = "(?:accept|content|hangup|refer|reject)"

NO_WEBRTC = "Use the WebSocket transport, at {base}/v1/realtime; no upstream here has WebRTC."
NO_CALLS = (
    "Ask the upstream itself about its calls; a call is joined here by a WebSocket, at"
    " {base}/v1/realtime?call_id=…"
)
NO_KEYS = (
    "Mint an ephemeral secret with POST {base}/v1/realtime/client_secrets, or open the WebSocket"
    " with a credential that this relay accepts."
)
NO_LIVE_CALLS = (
    "Use the WebSocket transport, at {base}/v1/live/sessions, and a Close to end a session; what"
    " else is done to a session by HTTP, ask of the upstream itself."
)


@frozen
class Unsupported:
    """
    One row.

    @ivar path: matches the path below the base path.
    @ivar instead: what to use instead, in one sentence.
    @ivar method: the method, if others ask for something that may be served.
    """

    path: re.Pattern[str]
    instead: str
    method: str | None = None


def _row(path: str, instead: str, method: str | None = None) -> Unsupported:
    return Unsupported(re.compile(path), instead, method)


_V1 = "(?:/openai)?/v1"

TABLE = (
    _row(rf"{_V1}/realtime/(?:translations/)?calls", NO_WEBRTC),
    _row(rf"{_V1}/realtimertc", NO_WEBRTC),
    _row(rf"{_V1}/realtime/calls/[^/]+/{_CALL}", NO_CALLS),
    _row(rf"{_V1}/realtime/transcriptions/client_secrets", NO_KEYS),
    _row(rf"{_V1}/realtime/(?:transcription_)?sessions", NO_KEYS),
    _row(r"/openai/realtimeapi/sessions", NO_KEYS),
    _row(r"/v1(?:alpha|beta)/auth_tokens", NO_KEYS),
    _row(rf"{_V1}/live/client_secrets", NO_KEYS),
    _row(rf"{_V1}/live/sessions(?:/[^/]+/fork)?", NO_LIVE_CALLS, "POST"),
    _row(rf"{_V1}/live/sessions/[^/]+/{_CALL}", NO_LIVE_CALLS),
)


def instead_of(path: str, method: str, base: str) -> str | None:
    """
    What to use instead of what is asked for; L{None} if no SDK is known to ask for it.

    @param path: the path below the base path, without doubled slashes.
    @param base: the base path.
    """
    for row in TABLE:
        if row.method in (None, method) and row.path.fullmatch(path):
            return row.instead.format(base=base)
    return None
