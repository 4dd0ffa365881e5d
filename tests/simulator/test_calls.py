"""The simulator's calls, in memory: an SDP offer in, an answer out, and what is done to a call."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator.wire import Wire

from relay.simulator.posted import MAX_BODY, Unreadable, posted_in
from relay.simulator.sdp import NoOffer, answer_to

OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE a v d",
        "m=audio 9 UDP/TLS/RTP/SAVPF 63 111",
        "a=mid:a",
        "a=rtpmap:63 red/48000/2",
        "a=rtpmap:111 opus/48000/2",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=mid:v",
        "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "a=mid:d",
        "",
    ]
)
CALLS = "/v1/realtime/calls"
LIVE = "/v1/live/sessions"


def form(**fields: str) -> bytes:
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return ("".join(parts) + "--b--\r\n").encode()


class Plain(Wire):
    """One plain request after another, each on a connection of its own."""

    def post(
        self, path: str, body: bytes = b"", kind: str = "application/json", cut: int = 0
    ) -> tuple[int, dict[str, str], str]:
        wire = Wire(neighbour=self)
        head = f"POST {path} HTTP/1.1\r\nHost: s\r\nContent-Type: {kind}\r\n"
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        for part in (data[:cut], data[cut:]):
            wire.protocol.dataReceived(part)
        wire.received = wire.transport.getOutBuffer() or b""
        wire.lose()
        self.ended = wire.transport.aborted
        if not wire.received:
            return 0, {}, ""
        answer, _, rest = wire.received.decode().partition("\r\n\r\n")
        line, *rows = answer.split("\r\n")
        headers = dict(row.lower().split(": ", 1) for row in rows)
        assert int(headers["content-length"]) == len(rest.encode())
        return int(line.split()[1]), headers, rest

    def call(self, **session: Any) -> tuple[int, dict[str, str], str]:
        body = form(sdp=OFFER, session=json.dumps(session))
        return self.post(CALLS, body, "multipart/form-data; boundary=b")


@pytest.fixture
def plain() -> Any:
    """A simulator; nothing is left on its clock."""
    made = Plain()
    made.lose()
    yield made
    assert made.clock.getDelayedCalls() == []


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 30, 200])
def test_an_offer_is_answered_with_sdp_and_the_place_of_the_call(plain: Plain, cut: int) -> None:
    status, headers, answer = plain.post(CALLS, OFFER.encode(), "application/sdp", cut)
    assert (status, headers["content-type"]) == (201, "application/sdp")
    (call_id,) = plain.factory.calls.open
    assert headers["location"] == f"{CALLS}/{call_id}"
    assert headers["location"].split("/")[-1].startswith("rtc_")
    assert "x-request-id" in headers
    assert answer.startswith("v=0\r\n")


def test_a_form_says_the_session_too(plain: Plain) -> None:
    assert plain.call(type="realtime", model="m")[0] == 201
    assert [*plain.factory.calls.open.values()] == [{"type": "realtime", "model": "m"}]


def test_the_answer_takes_audio_and_data_and_declines_the_rest() -> None:
    sections = answer_to(OFFER, 1).split("\r\nm=")
    assert "a=group:BUNDLE a d" in sections[0]
    assert sections[1].startswith("audio 9 UDP/TLS/RTP/SAVPF 111\r\n")
    assert sections[2].startswith("video 0 ")
    assert sections[3].startswith("application 9 UDP/DTLS/SCTP webrtc-datachannel")
    assert all(f"a=mid:{mid}" in each for mid, each in zip("avd", sections[1:], strict=True))
    assert answer_to(OFFER, 1).endswith("\r\n")


@given(st.text(alphabet="v=0\nmau di9\r:a", max_size=80))
def test_any_text_is_an_offer_or_none(text: str) -> None:
    with suppress(NoOffer):
        assert answer_to(f"v=0\n{text}", 1).startswith("v=0\r\n")


@pytest.mark.parametrize("body", [b"", b"hello", b"v=0\r\n", b"v=0\r\nm=audio\r\n"])
def test_what_is_no_offer_is_400(plain: Plain, body: bytes) -> None:
    status, _, told = plain.post(CALLS, body, "application/sdp")
    assert (status, json.loads(told)["error"]["code"]) == (400, "invalid_offer")


@pytest.mark.parametrize(("verb", "ends"), [("hangup", True), ("accept", False), ("refer", True)])
def test_a_call_can_be_hung_up(plain: Plain, verb: str, ends: bool) -> None:
    plain.call()
    (call_id,) = plain.factory.calls.open
    assert plain.post(f"{CALLS}/{call_id}/{verb}")[0] == 200
    assert plain.factory.calls.told == [(verb, call_id)]
    assert (call_id not in plain.factory.calls.open) is ends
    assert plain.post(f"{CALLS}/rtc_other/{verb}")[0] == 404


def test_a_live_call_is_json_both_ways(plain: Plain) -> None:
    offer = {"session": {"model": "m"}, "transport": {"type": "webrtc", "sdp": OFFER}}
    status, headers, told = plain.post(LIVE, json.dumps(offer).encode())
    assert (status, headers["content-type"]) == (201, "application/json")
    answer = json.loads(told)
    assert answer["transport"]["sdp"].startswith("v=0\r\n")
    assert plain.post(f"{LIVE}/{answer['session']['id']}/hangup")[0] == 200
    assert plain.post(LIVE, b"[]")[0] == 400


@pytest.mark.parametrize(
    ("model", "status"),
    [("fault-http-429", 429), ("fault-quota", 429), ("fault-error-3000", 400), ("fault-hang", 0)],
)
def test_a_model_asks_for_a_fault(plain: Plain, model: str, status: int) -> None:
    assert plain.call(model=model)[0] == status
    assert plain.post(f"{CALLS}?model={model}", OFFER.encode(), "application/sdp")[0] == status
    assert plain.factory.calls.open == {}


def test_a_fault_may_be_a_reset(plain: Plain) -> None:
    plain.call(model="fault-reset")
    assert plain.ended


def test_nothing_else_is_posted(plain: Plain) -> None:
    assert plain.post("/v1/realtime")[0] == 405


def test_a_request_that_is_no_post_is_autobahns(plain: Plain) -> None:
    wire = Wire(neighbour=plain)
    for part in (b"P", b"UT / HTTP/1.1\r\nHost: s\r\n\r\n"):
        wire.protocol.dataReceived(part)
    assert (wire.transport.getOutBuffer() or b"").startswith(b"HTTP/1.1 405 ")
    wire.lose()


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /\r\n\r\n",
        f"POST / HTTP/1.1\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n".encode(),
    ],
)
def test_what_cannot_be_read_is_400(plain: Plain, data: bytes) -> None:
    with pytest.raises(Unreadable):
        posted_in(data)
    wire = Wire(neighbour=plain)
    wire.protocol.dataReceived(data)
    assert (wire.transport.getOutBuffer() or b"").startswith(b"HTTP/1.1 400 ")
    wire.lose()
