"""What SDKs ask for by HTTP and the relay does not have is refused with what to use instead."""

from __future__ import annotations

import json

import pytest
from memory import World

from relay import Settings, Upstream
from relay.web.unsupported import instead_of

CALLS = [
    "/v1/realtime/calls",
    "/v1/realtime/translations/calls",
    "/v1/realtimertc",
]
KEYS = [
    "/v1/realtime/sessions",
    "/v1/realtime/transcription_sessions",
    "/v1/live/client_secrets",
]
ON_CALLS = [f"/v1/realtime/calls/rtc_1/{verb}" for verb in ("accept", "reject", "refer", "hangup")]
LIVE = ["/v1/live/sessions", "/v1/live/sessions/s_1/fork"] + [
    f"/v1/live/sessions/s_1/{verb}" for verb in ("accept", "reject", "refer", "hangup", "content")
]
OTHERS = ["/openai/realtimeapi/sessions", "/v1alpha/auth_tokens", "/v1beta/auth_tokens"]

INSTEAD = {
    **dict.fromkeys(CALLS, "WebSocket transport, at /base/v1/realtime;"),
    **dict.fromkeys(KEYS, "credential that this relay accepts"),
    **dict.fromkeys(OTHERS, "credential that this relay accepts"),
    **dict.fromkeys(ON_CALLS, "/base/v1/realtime?call_id="),
    **dict.fromkeys(LIVE, "/base/v1/live/sessions"),
}


@pytest.mark.parametrize("path", [*INSTEAD, *(f"/openai{p}" for p in INSTEAD if p not in OTHERS)])
def test_what_sdks_ask_for_by_http_is_501_with_what_to_use_instead(path: str) -> None:
    upstream = Upstream("ws://127.0.0.1:9000/v1", provider="generic")
    world = World(Settings(base_path="/base"), upstream)
    line = world.accept()
    line.deliver(f"POST /base{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = line.take().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 501 ")
    error = json.loads(body)["error"]
    assert (error["code"], error["retryable"]) == ("not_supported", False)
    assert INSTEAD[path.removeprefix("/openai") if path not in OTHERS else path] in error["message"]
    (record,) = world.listener.answers
    assert (record.path, record.status) == (f"/base{path}", 501)


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/realtime",
        "/v1/realtime/callsign",
        "/v1/realtime/calls/rtc_1",
        "/v1/realtime/calls/rtc_1/other",
        "/v1/realtime/calls/rtc_1/accept/x",
        "/v1/live",
        "/v1/live/sessions/s_1/attach",
        "/v1/audio/speech",
        "/v2/realtime/calls",
        "/azure/v1/realtime/calls",
        "/v1/auth_tokens",
    ],
)
def test_no_other_path_is_known_as_an_sdks(path: str) -> None:
    assert instead_of(path, "POST", "") is None


@pytest.mark.parametrize("path", ["/v1/live/sessions", "/v1/live/sessions/s_1/fork"])
def test_a_path_of_a_websocket_is_unsupported_only_for_post(path: str) -> None:
    assert instead_of(path, "POST", "") is not None
    assert instead_of(path, "GET", "") is None
