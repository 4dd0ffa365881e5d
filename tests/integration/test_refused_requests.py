"""Every wrong request gets one whole answer, and nothing of it goes upstream."""

from __future__ import annotations

from functools import partial

import pytest
import pytest_twisted
from integration.answers import Answer, assert_complete, parse_answer
from integration.loopback import LINGER, Loopback, RawClient, Relay, until
from integration.refused_requests import MALFORMED, NEVER_IN_BAND, NOT_SERVED, Wrong
from integration.requests import request, upgrade
from integration.upstreams import CREATED, UpstreamPort, switches
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from relay import Limits, Settings

NOWHERE = "ws://127.0.0.1:1"


async def _refused(loopback: Loopback, relay: Relay, data: bytes) -> Answer:
    client = await loopback.connect(relay)
    client.send(data)
    answer = parse_answer(await client.closed())
    assert_complete(answer)
    await loopback.settled(relay)
    assert loopback.clock.connecting == 0
    return answer


@pytest.mark.parametrize("case", [*MALFORMED, *NOT_SERVED, *NEVER_IN_BAND], ids=str)
@pytest_twisted.ensureDeferred
async def test_a_wrong_request_gets_one_whole_refusal(loopback: Loopback, case: Wrong) -> None:
    relay = loopback.relay(NOWHERE)
    answer = await _refused(loopback, relay, case.data)
    assert (answer.status, answer.error["code"]) == (case.status, case.code)
    assert not answer.error["retryable"]
    assert (answer.error["upstream"], answer.error["attempts"]) == (None, 0)
    assert set(case.headers) <= set(answer.headers.items())
    if case.recorded:
        assert relay.heard.one_refusal().request_id == answer.error["request_id"]
    else:
        assert not relay.heard.refusals


@pytest_twisted.ensureDeferred
async def test_a_head_request_gets_only_the_headers_of_its_refusal(loopback: Loopback) -> None:
    relay = loopback.relay(NOWHERE)
    client = await loopback.connect(relay)
    client.send(request("HEAD /v1/realtime HTTP/1.1", "Host: localhost"))
    head, blank, body = (await client.closed()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 405 ")
    assert blank
    assert body == b""
    await loopback.settled(relay)


def _has_arrived(relay: Relay, client: RawClient, count: int) -> bool:
    return relay.arrived >= count or client.lost is not None


@pytest.mark.parametrize("case", MALFORMED[:40:8], ids=str)
@pytest_twisted.ensureDeferred
async def test_a_wrong_request_in_single_bytes_gets_the_same_refusal(
    loopback: Loopback, case: Wrong
) -> None:
    relay = loopback.relay(NOWHERE)
    client = await loopback.connect(relay)
    for sent in range(1, len(case.data) + 1):
        client.send(case.data[sent - 1 : sent])
        await until(partial(_has_arrived, relay, client, sent), "the byte's arrival")
    assert parse_answer(await client.closed()).error["code"] == case.code
    await loopback.settled(relay)


@pytest.mark.parametrize(
    ("fields", "setting"),
    [
        ({"Origin": "http://evil.example"}, "to allow it, add 'http://evil.example' to origins"),
        (
            {"Origin": "null"},
            "to allow it, add 'null' to origins; but any page can have it, in a frame",
        ),
        ({"Host": "evil.example"}, "to allow it, add 'evil.example' to hosts"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_record_names_the_setting(
    loopback: Loopback, fields: dict[str, str], setting: str
) -> None:
    relay = loopback.relay(NOWHERE)
    await _refused(loopback, relay, upgrade(**fields))
    assert relay.heard.one_refusal().detail == setting


# -- limits --------------------------------------------------------------------------------

SMALL = Settings(limits=Limits(head_bytes=1024, head_fields=10, head_seconds=0.05))


def _of_size(size: int) -> bytes:
    return upgrade("X-Fill: " + "x" * (size - len(upgrade("X-Fill: "))))


def _of_fields(count: int) -> bytes:
    return upgrade(*("X: y" for _ in range(count - 5)))


TOO_LARGE = [_of_size(1025), b"x" * 1025, _of_size(100_000), _of_fields(11)]
JUST_RIGHT = [_of_size(1024), _of_size(1023), _of_fields(10)]


@pytest.mark.parametrize("data", TOO_LARGE, ids=len)
@pytest_twisted.ensureDeferred
async def test_a_head_that_is_too_large_is_431(loopback: Loopback, data: bytes) -> None:
    relay = loopback.relay(NOWHERE, settings=SMALL)
    answer = await _refused(loopback, relay, data)
    assert (answer.status, answer.error["code"]) == (431, "head_too_large")
    assert relay.heard.one_refusal().outcome == "head_too_large"


@pytest.mark.parametrize("data", JUST_RIGHT, ids=len)
@pytest_twisted.ensureDeferred
async def test_a_head_as_large_as_the_limit_opens_a_session(
    loopback: Loopback, data: bytes
) -> None:
    port = UpstreamPort(switches(CREATED))
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}", settings=SMALL)
    client = await loopback.connect(relay)
    client.send(data)
    await until(lambda: b"session.created" in client.received, "the first event")
    client.die()
    await loopback.settled(relay, lingering=True)


SLOW = [
    b"G",
    upgrade()[:-2],
    request("POST / HTTP/1.1", "Host: localhost", "Content-Length: 5") + b"1234",
]


@pytest.mark.parametrize("data", SLOW, ids=len)
@pytest_twisted.ensureDeferred
async def test_a_head_that_is_too_slow_is_408(loopback: Loopback, data: bytes) -> None:
    relay = loopback.relay(NOWHERE, settings=SMALL)
    client = await loopback.connect(relay)
    client.send(data)
    await until(lambda: relay.arrived == len(data), "the bytes' arrival")
    loopback.clock.advance(0.05)
    answer = parse_answer(await client.closed())
    assert_complete(answer)
    assert (answer.status, answer.error["code"]) == (408, "request_timeout")
    assert relay.heard.one_refusal().outcome == "request_timeout"
    await loopback.settled(relay)


@pytest_twisted.ensureDeferred
async def test_a_client_that_never_sends_a_byte_is_cut_without_a_record(loopback: Loopback) -> None:
    relay = loopback.relay(NOWHERE, settings=SMALL)
    client = await loopback.connect(relay)
    await loopback.time_out(0.05)
    await until(lambda: client.lost, "the end")
    assert client.received == b""
    assert not relay.heard.refusals
    await loopback.settled(relay)


class Deaf(RawClient):
    """Reads nothing, so that no FIN of its own follows the relay's."""

    def connectionMade(self) -> None:
        """Stop reading."""
        self.transport.pauseProducing()


@pytest_twisted.ensureDeferred
async def test_a_client_that_does_not_read_the_answer_is_cut(loopback: Loopback) -> None:
    relay = loopback.relay(NOWHERE)
    client = await loopback.connect(relay, Deaf())
    client.send(b"hello\r\n\r\n")
    await until(lambda: relay.heard.refusals, "the refusal")
    await loopback.time_out(LINGER)
    client.transport.resumeProducing()
    await until(lambda: client.lost, "the end")
    await loopback.settled(relay)


# -- what is right -------------------------------------------------------------------------

RIGHT = [
    {"Origin": "http://localhost:3000"},
    {"Origin": "https://127.0.0.1"},
    {"Origin": "http://[::1]:8080"},
    {"Host": "LOCALHOST.:80"},
    {"Host": "[::1]"},
    {"Host": "app.example:8080", "Origin": "http://app.example:8080"},
    {"Host": "app.example", "Origin": "https://page.example"},
]
RAW = [
    "Cookie: name=J\xc3\xbcrgen; place=\xe2\x82\xac",
    "Cookie: a=\x85Origin: http://evil.example",
    "X-A: b\x85Sec-WebSocket-Protocol: other",
    "X-Any: " + "".join(map(chr, range(0x80, 0x100))),
]
NAMED = Settings(hosts=("app.example",), origins=("https://page.example",))


@pytest.mark.parametrize("fields", RIGHT, ids=str)
@pytest_twisted.ensureDeferred
async def test_an_allowed_host_and_origin_open_a_session(
    loopback: Loopback, fields: dict[str, str]
) -> None:
    port = UpstreamPort(switches(CREATED))
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}", settings=NAMED)
    client = await loopback.connect(relay)
    client.send(upgrade(**fields))
    await until(lambda: b"session.created" in client.received, "the first event")
    client.die()
    await loopback.settled(relay, lingering=True)


@pytest.mark.parametrize("field", RAW)
@pytest_twisted.ensureDeferred
async def test_raw_utf_8_in_a_header_that_decides_nothing_is_accepted(
    loopback: Loopback, field: str
) -> None:
    port = UpstreamPort(switches(CREATED))
    relay = loopback.relay(f"ws://127.0.0.1:{loopback.listen(port)}")
    client = await loopback.connect(relay)
    client.send(upgrade(field))
    await until(lambda: b"session.created" in client.received, "the first event")
    (peer,) = port.peers
    assert peer.received.isascii()
    client.die()
    await loopback.settled(relay, lingering=True)


class Echo(Resource):
    """An embedder's page that reads a cookie."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """What it was sent."""
        return b"".join(request.requestHeaders.getRawHeaders(b"cookie", []))


@pytest_twisted.ensureDeferred
async def test_an_embedders_site_gets_its_cookies_as_they_were_sent(loopback: Loopback) -> None:
    relay = loopback.relay(NOWHERE, site=Site(Echo(), reactor=loopback.clock))
    client = await loopback.connect(relay)
    client.send(request("GET / HTTP/1.1", "Host: localhost", RAW[0], "X-A: \x85Cookie: forged"))
    assert (await client.closed()).endswith(b"\r\n\r\n" + RAW[0].encode("latin-1")[8:])
    await loopback.settled(relay)
