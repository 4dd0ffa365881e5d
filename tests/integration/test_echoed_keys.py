"""
Upstreams that quote the relay's key, wherever they can put text.

That it shows neither downstream nor in a log is checked behind every test here, not only these:
see C{Loopback.close} and C{Logged.check}.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import pytest_twisted
from integration.answers import WebSocketClient, parse_answer
from integration.canary import CANARY, FORMS, traces_in
from integration.logged import Logged
from integration.loopback import Loopback
from integration.requests import upgrade
from integration.upstreams import (
    CREATED,
    Step,
    UpstreamPort,
    answers,
    closes,
    error,
    error_event,
    switches,
    text,
)

ECHOES: dict[str, Callable[[str], Step]] = {
    "message": lambda key: answers(400, body=error("odd", f"your key {key} is odd")),
    "message of a known code": lambda key: answers(400, body=error("invalid_model", f"({key})")),
    "code": lambda key: answers(500, body=error(f"bad_key_{key}")),
    "type": lambda key: answers(500, body=error(None, type=key)),
    "detail": lambda key: answers(422, body=json.dumps({"detail": [{"msg": f"k {key}"}]}).encode()),
    "type of a problem": lambda key: answers(500, body=json.dumps({"type": f"x:/{key}"}).encode()),
    "a line of text": lambda key: answers(500, body=f"no key {key}".encode()),
    "a word": lambda key: answers(500, body=f"a.{key}".encode()),
    "a 403": lambda key: answers(403, body=error(None, f"not for {key}")),
    "a relay's refusal": lambda key: answers(
        502, body=error("relay_full", key, type="relay_error", upstream={"name": key})
    ),
    "event's text": lambda key: switches(
        text(json.dumps({"type": "error", "error": f"{key}: no"})), closes(4000)
    ),
    "body of a 401": lambda key: answers(401, body=error("invalid_api_key", f"wrong: {key}")),
    "request id": lambda key: answers(500, f"x-request-id: req-{key}"),
    "Azure's request id": lambda key: answers(500, f"apim-request-id: {key}"),
    "Retry-After": lambda key: answers(429, f"Retry-After: {key}"),
    "no HTTP": lambda key: lambda peer: peer.transport.write(f"{key}\r\n\r\n".encode()),
    "Accept": lambda key: switches(sec_websocket_accept=key),
    "subprotocol": lambda key: switches(sec_websocket_protocol=key),
    "extension": lambda key: switches(sec_websocket_extensions=key),
    "a head that is not UTF-8": lambda key: switches(x_note=f"{key} \xff"),
    "event": lambda key: switches(error_event("odd", f"Bearer {key}"), closes(4000)),
    "event's code": lambda key: switches(error_event(key), closes(4000)),
    "event's 3000": lambda key: switches(error_event("invalid_api_key", key), closes(3000, key)),
    "reason": lambda key: switches(closes(4000, f"bad key: {key}")),
    "reason with a dot": lambda key: switches(closes(1008, f"invalid_request_error.{key}")),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ECHOES)
@pytest_twisted.ensureDeferred
async def test_a_refusal_never_quotes_the_key(loopback: Loopback, where: str, form: str) -> None:
    port = UpstreamPort(ECHOES[where](FORMS[form]))
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}")
    client = await loopback.connect(relay)
    client.send(upgrade())
    error = parse_answer(await client.closed()).error
    assert not traces_in(repr(error).encode())
    assert not traces_in(repr(relay.heard.one_refusal()).encode())
    await loopback.settled(relay)


@pytest.mark.parametrize("shown", [*FORMS.values(), f"{CANARY[:3]}***{CANARY[-6:]}"])
@pytest.mark.parametrize(
    "refuses",
    [
        lambda text: answers(401, body=error("incorrect_hostname", text)),
        lambda text: answers(403, body=error("incorrect_hostname", text)),
        lambda text: switches(error_event("incorrect_hostname", text), closes(3000)),
        lambda text: switches(closes(3000, f"incorrect_hostname: {text}"[:120])),
    ],
    ids=["401", "403", "event", "Close"],
)
@pytest_twisted.ensureDeferred
async def test_the_operator_reads_why_a_key_was_refused_but_not_the_key(
    loopback: Loopback, refuses: Callable[[str], Step], shown: str
) -> None:
    port = UpstreamPort(refuses(f"For {shown} use us.api.openai.com"))
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}")
    client = await loopback.connect(relay)
    client.send(upgrade())
    refused = parse_answer(await client.closed()).error
    assert refused["code"] == "upstream_unauthorized"
    assert "us.api" not in refused["message"]
    (attempt,) = relay.heard.one_refusal().attempts
    assert attempt.said == "incorrect_hostname: For [redacted] use us.api.openai.com"


@pytest.mark.parametrize("form", FORMS)
@pytest_twisted.ensureDeferred
async def test_a_close_never_quotes_the_key(loopback: Loopback, form: str) -> None:
    port = UpstreamPort(switches(CREATED, closes(4000, f"key {FORMS[form]} expired")))
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}")
    client = WebSocketClient()
    await loopback.connect(relay, client)
    *_, close = await client.hears(3)
    assert bytes(close.data)[2:] == b"key [redacted] expired"


@pytest_twisted.ensureDeferred
async def test_a_callback_that_fails_does_not_log_the_key(
    loopback: Loopback, logged: Logged
) -> None:
    logged.expected.add("credential callback of openai failed")
    relay = loopback.relay("ws://127.0.0.1:1", credential=lambda: f"{CANARY}\n")
    client = await loopback.connect(relay)
    client.send(upgrade())
    assert parse_answer(await client.closed()).error["code"] == "authorizer_unavailable"


def test_the_search_finds_traces_of_a_key() -> None:
    """The other tests look with this."""
    for form in FORMS.values():
        assert traces_in(f"x{form}y".encode())
    assert not traces_in(b"sk-another-key-of-any-form")
