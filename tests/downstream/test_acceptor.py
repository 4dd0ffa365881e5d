"""
A head that has to wait, since this turn has had so many already; an answer of upstream's that has
to; and answers to HEAD.
"""

from __future__ import annotations

import pytest
from memory import World

from relay import Limits, Settings
from relay.testing.peers import Peer, server
from relay.timing.turns import Turns

HEAD = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


STEP = 1 / 64


@pytest.fixture
def world() -> World:
    """With something that waits before."""
    made = World()
    made.factory.context().heads.later(lambda: None)
    return made


def test_a_head_over_the_turns_share_is_read_in_a_later_turn(world: World) -> None:
    line = world.accept()
    line.deliver(HEAD)
    assert world.factory.active_holds == 0
    assert line.paused, "or much could come meanwhile"
    world.advance(STEP)
    assert world.factory.active_holds == 1
    assert not line.paused


def test_a_client_that_leaves_before_its_turn_leaves_nothing(world: World) -> None:
    line = world.accept()
    line.deliver(HEAD)
    line.lose()
    world.advance(STEP)
    assert world.listener.holds == []
    assert world.is_clean()


def test_bytes_that_come_before_the_heads_turn_are_too_early(world: World) -> None:
    line = world.accept()
    line.deliver(HEAD)
    # The transport is paused, but TLS on top of it may have decrypted more.
    line.protocol.dataReceived(b"early")
    world.advance(STEP)
    assert line.take().startswith(b"HTTP/1.1 400 ")
    (record,) = world.listener.holds
    assert record.outcome == "bad_request"


def take_all_the_time(world: World, turns: Turns) -> None:
    """Work waits that goes on beyond every deadline."""

    def work() -> None:
        world.reactor.rightNow += 11

    for _ in range(3):
        turns.later(work)


def test_a_head_that_came_in_time_may_wait_for_its_turn_beyond_it(world: World) -> None:
    line = world.accept()
    take_all_the_time(world, world.factory.context().heads)
    line.deliver(HEAD)
    for _ in range(8):
        world.advance(STEP)
    assert world.factory.active_holds == 1
    assert line.take() == b""


def test_a_head_that_did_not_come_in_time_is_not_waited_for(world: World) -> None:
    line = world.accept()
    line.deliver(HEAD[:-2])
    take_all_the_time(world, world.factory.context().heads)
    for _ in range(8):
        world.advance(STEP)
    assert line.take().startswith(b"HTTP/1.1 408 ")


def test_the_body_of_a_plain_request_may_come_before_its_turn(world: World) -> None:
    line = world.accept()
    line.deliver(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbo")
    line.deliver(b"dy")
    world.advance(STEP)
    assert line.take().startswith(b"HTTP/1.1 404 ")


def answers(world: World) -> Turns:
    """Those that upstreams' answers have."""
    websocket = world.factory.context().websocket
    assert websocket is not None
    return websocket.lines.answers


def answers_wait(world: World) -> None:
    """Something waits before the next answer."""
    answers(world).later(lambda: None)


def test_an_answer_of_upstreams_may_wait_for_its_turn(world: World) -> None:
    downstream = world.downstream()
    world.advance(STEP)
    upstream = world.connected()
    answers_wait(world)
    world.answering(upstream)
    assert upstream.paused
    world.advance(STEP)
    assert not upstream.paused
    assert downstream.line.sent == b""


@pytest.mark.parametrize("ending", ["by downstream", "by upstream"])
def test_a_hold_may_end_while_the_answer_waits_for_its_turn(world: World, ending: str) -> None:
    downstream = world.downstream()
    world.advance(STEP)
    upstream = world.connected()
    answers_wait(world)
    upstream.deliver(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
    (downstream.line if ending == "by downstream" else upstream).lose()
    world.advance(STEP)
    (record,) = world.listener.holds
    # What had come before the end counts.
    assert record.outcome == ("left" if ending == "by downstream" else "upstream_unauthorized")
    assert upstream.lost is not None


def test_an_answer_that_came_in_time_may_wait_for_its_turn_beyond_it(world: World) -> None:
    downstream = world.downstream()
    world.advance(STEP)
    upstream = world.connected()
    take_all_the_time(world, answers(world))
    peer = Peer(upstream, server())
    peer.sans.receive_data(upstream.take())
    (request,) = peer.sans.events_received()
    peer.sans.send_response(peer.sans.accept(request))
    peer.sans.send_text(b'{"type":"session.created"}')
    upstream.deliver(b"".join(peer.sans.data_to_send()))
    for _ in range(8):
        world.advance(STEP)
    assert downstream.line.take().startswith(b"HTTP/1.1 101 ")


# -- lists and proxies ---------------------------------------------------------------------

LISTS = [
    b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Extensions: x\r\n",
    b"Sec-WebSocket-Protocol: realtime\r\nSec-WebSocket-Protocol: x\r\n",
    b"Connection: keep-alive\r\n",
    b"Upgrade: h2c\r\n",
]


@pytest.mark.parametrize("fields", LISTS)
def test_a_list_in_several_fields_is_taken_as_one(fields: bytes) -> None:
    world = World()
    world.accept().deliver(HEAD[:-2] + fields + b"\r\n")
    assert world.factory.active_holds == 1


def test_the_record_tells_the_operator_of_the_proxy_on_the_way() -> None:
    world = World()
    line = world.accept()
    line.deliver(HEAD.replace(b"Upgrade: websocket", b"Via: 1.1 nginx"))
    assert line.take().startswith(b"HTTP/1.1 426 ")
    (record,) = world.listener.holds
    assert record.detail is not None
    assert record.detail.startswith("A proxy on the way (Via: 1.1 nginx) removed the Upgrade")


# -- HEAD ----------------------------------------------------------------------------------


def answered(method: str, rest: str) -> tuple[list[bytes], bytes]:
    """Header lines but for those of the moment, and the body."""
    world = World(settings=Settings(limits=Limits(head_bytes=1024)))
    line = world.accept()
    line.deliver(f"{method} {rest}".encode())
    world.advance(11)  # the deadline of what never becomes a whole head
    head, _, body = line.take().partition(b"\r\n\r\n")
    return [each for each in head.split(b"\r\n") if not each.startswith(ID)], body


ID = b"X-Request-Id: "
LOCAL = "HTTP/1.1\r\nHost: localhost\r\n"
REFUSED = [
    f"/v1/realtime {LOCAL}\r\n",
    f"/elsewhere {LOCAL}Upgrade: websocket\r\n\r\n",
    "/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    f"/ {LOCAL}Origin: http://evil.example\r\n\r\n",
    f"/ {LOCAL}Transfer-Encoding: chunked\r\n\r\n",
    f"/ {LOCAL}Content-Length: 999999\r\n\r\n",
    "/ HTTP/1.1\r\n\r\n",
    "malformed\r\n\r\n",
    "/never-whole HTTP/1.1\r\n",
    "/" + "x" * 2000,
]


@pytest.mark.parametrize("rest", REFUSED)
def test_a_refusal_of_a_head_request_has_the_headers_and_no_body(rest: str) -> None:
    lines, body = answered("HEAD", rest)
    assert body == b""
    # No method of this name is served either, so what is refused is the same.
    same, whole = answered("HAED", rest)
    assert lines == same
    assert f"Content-Length: {len(whole)}".encode() in lines


@pytest.mark.parametrize("path", ["/", "/healthz", "/nowhere", "/v1/realtime/calls"])
def test_a_pages_answer_to_head_has_the_length_of_the_body_of_get_and_no_body(path: str) -> None:
    lines, body = answered("HEAD", f"{path} {LOCAL}\r\n")
    _, whole = answered("GET", f"{path} {LOCAL}\r\n")
    assert body == b""
    assert f"Content-Length: {len(whole)}".encode() in lines
