"""The pair, in memory: what crosses, what pushes back, how it ends."""

from __future__ import annotations

import json
import math
from typing import Literal

import pytest
from memory import World, last_words
from websockets.frames import Frame, Opcode

from relay import Limits, Settings
from relay.peer.control import MOST_WAITING
from relay.peer.delivery import Written
from relay.peer.pacing import STEPS_A_TURN
from relay.peer.stall import SLOWEST
from relay.rules.closes import LOST, STALLED, STUCK, Close
from relay.testing.peers import Peer
from relay.wire import sockets

Plane = Literal["splice", "message"]

message_plane = pytest.mark.parametrize("plane", ["message"], indirect=True)
splice_plane = pytest.mark.parametrize("plane", ["splice"], indirect=True)


@pytest.fixture(params=["splice", "message"], autouse=True)
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Plane:
    """Everything here holds in either plane: by sockets, and by transports as Twisted made them."""
    name: Plane = request.param
    monkeypatch.setattr(World, "plane", name)
    return name


@pytest.fixture
def world(plane: Plane) -> World:
    return World()


def test_the_first_event_is_downstreams_first_message(world: World) -> None:
    first = '{"type": "session.created",  "session": {"id": "sess_9"} }'
    downstream, _ = world.open(first)
    assert downstream.received == [first]


@pytest.mark.parametrize("message", ["text", "", b"binary", b"", "é" * 70000, b"x" * 70000])
def test_messages_cross_both_ways_with_their_type(world: World, message: str | bytes) -> None:
    downstream, upstream = world.open()
    downstream.send(message)
    upstream.read()
    upstream.send(message)
    downstream.read()
    assert upstream.received == [message]
    assert downstream.received[1:] == [message]


def test_order_is_kept_across_types(world: World) -> None:
    downstream, upstream = world.open()
    messages: list[str | bytes] = ["a", b"b", "", b"", "c"] * 20
    for message in messages:
        downstream.send(message)
    upstream.read()
    assert upstream.received == messages


def test_frames_behind_the_first_event_in_its_chunk_cross_in_order(world: World) -> None:
    downstream = world.downstream()
    upstream = world.answering()
    upstream.sans.send_text(b'{"type":"session.created"}')
    upstream.sans.send_text(b"second")
    upstream.sans.send_binary(b"third")
    upstream.line.deliver(b"".join(upstream.sans.data_to_send()))
    downstream.read()
    assert downstream.received == ['{"type":"session.created"}', "second", b"third"]


def test_a_generic_upstream_opens_without_a_word() -> None:
    from relay import Upstream

    world = World(upstream=Upstream("ws://127.0.0.1:9000/", provider="generic"))
    downstream, upstream = world.open(first=None)
    downstream.send("setup")
    upstream.read()
    assert upstream.received == ["setup"]


def test_fragments_cross_as_one_message(world: World) -> None:
    downstream, upstream = world.open()
    downstream.send_frame(Frame(Opcode.TEXT, b"one ", fin=False))
    downstream.send_frame(Frame(Opcode.CONT, b"", fin=False))
    downstream.send_frame(Frame(Opcode.CONT, b"two"))
    upstream.read()
    assert upstream.received == ["one two"]


def test_pings_are_answered_and_do_not_cross(world: World) -> None:
    downstream, upstream = world.open()
    downstream.send_frame(Frame(Opcode.PING, b"hello"))
    downstream.read()
    upstream.read()
    assert downstream.pongs == [b"hello"]
    assert upstream.pings == []


@pytest.fixture
def _whole_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first read of a line takes as much as any."""
    monkeypatch.setattr(sockets, "FIRST_READ", sockets.READ)


@pytest.mark.usefixtures("_whole_chunks")
@pytest.mark.parametrize("from_upstream", [True, False])
def test_each_ping_in_a_chunk_is_answered_in_order(world: World, from_upstream: bool) -> None:
    downstream, upstream = world.open()
    sender, receiver = (upstream, downstream) if from_upstream else (downstream, upstream)
    payloads = [b"", *(b"%d" % number for number in range(1000)), b"x" * 125]
    frames = [Frame(Opcode.PING, payload) for payload in payloads]
    frames.insert(500, Frame(Opcode.BINARY, b"between"))
    sender.line.deliver(b"".join(frame.serialize(mask=not from_upstream) for frame in frames))
    world.reactor.settle()
    world.settle(sender, receiver)
    assert sender.pongs == payloads
    assert receiver.received[-1] == b"between"


# -- closing -------------------------------------------------------------------------------

CROSSING = [
    (1000, 1000),
    (1001, 1001),
    (1003, 1003),
    (1007, 1007),
    (1008, 1008),
    (1009, 1009),
    (1011, 1011),
    (1012, 1012),
    (1013, 1013),
    (3000, 3000),
    (4999, 4999),
    (None, None),
    (1002, 1011),
    (1010, 1011),
    (1014, 1011),
    (1015, 1011),
    (1004, 1011),
    (1005, 1011),
    (1006, 1011),
    (1016, 1011),
    (2999, 1011),
    (5000, 1011),
]


@pytest.mark.parametrize("from_upstream", [True, False])
@pytest.mark.parametrize(("sent", "crosses_as"), CROSSING)
def test_a_close_crosses_by_the_table(
    world: World, sent: int | None, crosses_as: int | None, from_upstream: bool
) -> None:
    downstream, upstream = world.open()
    sender, receiver = (upstream, downstream) if from_upstream else (downstream, upstream)
    sender.send_close(sent, "why" if sent else "")
    receiver.read()
    assert receiver.close is not None
    assert receiver.close[0] == crosses_as
    if sent == crosses_as and sent:
        assert receiver.close[1] == "why"
    world.settle(sender, receiver)
    assert sender.close is not None
    legal = sent in (None, 1002, 1010, 1014) or sent == crosses_as
    assert sender.close[0] == (sent if legal else 1002)
    if not from_upstream:
        upstream.line.fin()
    world.advance(10)
    assert world.is_clean()


def test_messages_before_a_close_are_delivered_before_it(world: World) -> None:
    downstream, upstream = world.open()
    for _ in range(80):
        upstream.send(b"x" * 65536)
        if downstream.line.sent:
            break
    upstream.send("last words")
    upstream.send_close(4000, "bye")
    for _ in range(200):
        downstream.read()
    assert last_words(downstream)["code"] == "upstream_closed"
    assert downstream.received[-1] == "last words"
    assert downstream.close == (4000, "bye")


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_lost_upstream_is_1011_downstream(world: World, how: str) -> None:
    downstream, upstream = world.open()
    upstream.send("last")
    getattr(upstream.line, how)()
    world.settle(downstream)
    assert last_words(downstream)["code"] == "upstream_lost"
    assert downstream.received[-1] == "last"
    assert downstream.close == (1011, LOST["upstream"].reason)
    assert world.is_clean()
    (record,) = world.listener.ends
    assert (record.close_code, record.closed_by) == (1011, "upstream")


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_lost_downstream_is_1001_upstream(world: World, how: str) -> None:
    downstream, upstream = world.open()
    getattr(downstream.line, how)()
    upstream.read()
    assert upstream.close == (1001, LOST["downstream"].reason)
    upstream.line.fin()
    assert world.is_clean()
    (record,) = world.listener.ends
    assert (record.close_code, record.closed_by) == (1001, "downstream")


def test_a_peer_that_does_not_answer_a_close_is_cut(world: World) -> None:
    downstream, upstream = world.open()
    upstream.line.reset()
    downstream.answers_close = False
    downstream.read()
    world.advance(world.settings.limits.linger_seconds - 0.1)
    assert downstream.line.lost is None
    world.advance(0.2)
    assert downstream.line.lost is not None
    assert world.is_clean()


def test_closes_that_cross_on_the_wire_end_both_sides(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send_close(1000)
    downstream.send_close(1001)
    world.settle(downstream, upstream)
    upstream.line.fin()
    world.advance(10)
    assert world.is_clean()


def test_after_a_close_nothing_more_crosses(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send_close(1000)
    upstream.line.deliver(Frame(Opcode.TEXT, b"too late").serialize(mask=False))
    downstream.line.deliver(Frame(Opcode.TEXT, b"too late").serialize(mask=True))
    world.settle(downstream, upstream)
    assert "too late" not in downstream.received
    assert upstream.received == []


def test_a_reason_that_quotes_the_key_is_redacted() -> None:
    from relay import Upstream

    key = "sk-canary-0123456789"
    world = World(upstream=Upstream("ws://127.0.0.1:9000/v1/realtime", credential=key))
    downstream, upstream = world.open()
    upstream.send_close(4001, f"key {key} expired")
    downstream.read()
    assert downstream.close == (4001, "key [redacted] expired")


# -- faults --------------------------------------------------------------------------------

FAULTS = [
    (Frame(Opcode.CONT, b"x"), 1002),
    (Frame(Opcode.CLOSE, b"\x03\xe8\xff\xfe"), 1007),
]


@pytest.mark.parametrize("from_upstream", [True, False])
@pytest.mark.parametrize(("frame", "code"), FAULTS)
def test_a_fault_is_told_to_its_maker_and_is_1011_to_the_other(
    world: World, frame: Frame, code: int, from_upstream: bool
) -> None:
    downstream, upstream = world.open()
    sender, receiver = (upstream, downstream) if from_upstream else (downstream, upstream)
    sender.send_frame(frame)
    sender.read()
    receiver.read()
    assert sender.close is not None
    assert sender.close[0] == code
    assert sender.close[1].startswith("relay: ")
    assert receiver.close is not None
    assert receiver.close[0] == 1011
    world.advance(10)
    assert world.is_clean()
    (record,) = world.listener.ends
    assert (record.close_code, record.closed_by) == (code, "relay")


@pytest.mark.parametrize(("frame", "code"), FAULTS)
def test_after_a_fault_the_client_reads_the_close_and_the_end_and_then_ends_too(
    world: World, frame: Frame, code: int
) -> None:
    downstream, upstream = world.open()
    downstream.answers_close = False
    downstream.send_frame(frame)
    world.settle(downstream, upstream)
    assert downstream.close is not None
    assert downstream.close[0] == code
    assert downstream.line.ended
    downstream.line.deliver(b"what was under way" * 10_000)
    assert downstream.line.lost is None, "it would be reset"
    downstream.line.fin()
    assert downstream.line.lost is not None
    upstream.line.fin()
    assert world.is_clean(), "no time has passed"


@pytest.mark.parametrize(("frame", "code"), FAULTS)
def test_after_a_fault_the_server_is_left_to_end_the_connection(
    world: World, frame: Frame, code: int
) -> None:
    downstream, upstream = world.open()
    upstream.send_frame(frame)
    world.settle(downstream, upstream)
    assert upstream.close is not None
    assert upstream.close[0] == code
    assert not upstream.line.ended
    assert downstream.line.lost is not None
    upstream.line.fin()
    assert world.is_clean(), "no time has passed"


def test_after_a_fault_a_client_that_does_not_end_is_cut_by_the_linger(world: World) -> None:
    downstream, _ = world.open()
    downstream.answers_close = False
    downstream.send_frame(FAULTS[0][0])
    linger = world.settings.limits.linger_seconds
    for _ in range(int(linger) * 4 - 1):
        downstream.line.deliver(b"on and on" * 1000)
        world.advance(0.25)
    assert downstream.line.lost is None
    assert not downstream.line.socket.inbound, "all of it is read"
    world.advance(0.25)
    assert downstream.line.lost is not None


def test_the_half_close_after_a_fault_waits_for_a_slow_reader(world: World) -> None:
    downstream, upstream = world.open()
    upstream.send(b"x" * (3 * 65536))
    downstream.answers_close = False
    downstream.send_frame(FAULTS[0][0])
    assert not downstream.line.ended
    downstream.read()
    assert last_words(downstream)["code"] == "protocol_error"
    assert downstream.received[1:] == [b"x" * (3 * 65536)]
    assert downstream.close is not None
    assert downstream.line.ended
    downstream.line.fin()
    assert downstream.line.lost is not None


@message_plane
@pytest.mark.parametrize("from_upstream", [True, False])
def test_text_that_is_not_utf8_is_a_fault(world: World, from_upstream: bool) -> None:
    downstream, upstream = world.open()
    sender, receiver = (upstream, downstream) if from_upstream else (downstream, upstream)
    sender.send_frame(Frame(Opcode.TEXT, b"\xff", fin=False))
    sender.read()
    assert sender.close is None, "it is checked when it is whole"
    sender.send_frame(Frame(Opcode.CONT, b"\xfe"))
    world.settle(downstream, upstream)
    assert sender.close == (1007, "relay: text is not UTF-8")
    assert receiver.close is not None
    assert receiver.close[0] == 1011


@splice_plane
@pytest.mark.parametrize("from_upstream", [True, False])
def test_spliced_text_crosses_unchecked_and_its_receivers_1007_crosses_back(
    world: World, from_upstream: bool
) -> None:
    downstream, upstream = world.open()
    sender, receiver = (upstream, downstream) if from_upstream else (downstream, upstream)
    frame = Frame(Opcode.TEXT, b"\xff\xfe").serialize(mask=not from_upstream)
    sender.line.deliver(frame)
    assert receiver.line.sent == frame
    receiver.send_close(1007, "not UTF-8")
    sender.read()
    assert sender.close == (1007, "not UTF-8")


def test_an_upstream_whose_first_event_is_not_utf8_opens_nothing(world: World) -> None:
    downstream = world.downstream()
    upstream = world.answering()
    upstream.send_frame(Frame(Opcode.TEXT, b"\xff\xfe"))
    world.settle(downstream)
    assert (downstream.status, downstream.error["code"]) == (502, "upstream_refused")


def test_messages_up_to_the_cap_cross_and_larger_ones_are_1009() -> None:
    world = World(settings=Settings(limits=Limits(message_bytes=1024)))
    downstream, upstream = world.open()
    downstream.send(b"x" * 1023)
    downstream.send(b"x" * 1024)
    upstream.read()
    assert [len(message) for message in upstream.received] == [1023, 1024]
    downstream.send(b"x" * 1025)
    downstream.read()
    upstream.read()
    assert downstream.close is not None
    assert downstream.close[0] == 1009
    assert upstream.close is not None
    assert upstream.close[0] == 1011


def test_a_message_may_have_so_many_fragments_and_no_more() -> None:
    world = World(settings=Settings(limits=Limits(message_fragments=3)))
    downstream, upstream = world.open()
    for _ in range(2):
        downstream.send_frame(Frame(Opcode.BINARY, b"a", fin=False))
        downstream.send_frame(Frame(Opcode.CONT, b"", fin=False))
        downstream.send_frame(Frame(Opcode.CONT, b"b"))
    upstream.read()
    assert upstream.received == [b"ab", b"ab"]
    downstream.send_frame(Frame(Opcode.BINARY, b"a", fin=False))
    for _ in range(3):
        downstream.send_frame(Frame(Opcode.CONT, b"", fin=False))
    downstream.read()
    assert downstream.close is not None
    assert downstream.close[0] == 1009


def test_an_exception_inside_is_1011_to_both(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    downstream, upstream = world.open()

    def broken(payload: bytes, is_binary: bool) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(upstream.line.protocol, "relay", broken)
    monkeypatch.setattr("relay.session.splice.FrameWalk.feed", broken)
    downstream.send("boom")
    downstream.read()
    upstream.read()
    assert downstream.close == (1011, "relay: internal error")
    assert upstream.close is not None
    assert upstream.close[0] == 1011


# -- pressure ------------------------------------------------------------------------------


def flood(sender: Peer, receiver: Peer, size: int = 65536, most: int = 1600) -> int:
    """Send until the relay stops reading; return how many messages it took in."""
    for count in range(most):
        if sender.line.paused:
            return count
        sender.send(b"x" * size)
    return most


@pytest.mark.parametrize("from_upstream", [True, False])
def test_reading_stops_while_the_other_side_is_behind(world: World, from_upstream: bool) -> None:
    downstream, upstream = world.open()
    sender, receiver = (upstream, downstream) if from_upstream else (downstream, upstream)
    sent = flood(sender, receiver)
    assert sent <= 3
    sender.send("later")
    before = len(receiver.received)
    receiver.read()
    assert not sender.line.paused
    receiver.read()
    assert len(receiver.received) - before == sent + 1
    assert receiver.received[-1] == "later"


@pytest.mark.parametrize("from_upstream", [True, False])
def test_a_reader_that_stalls_is_cut_at_the_deadline(world: World, from_upstream: bool) -> None:
    downstream, upstream = world.open()
    sender, receiver = (upstream, downstream) if from_upstream else (downstream, upstream)
    flood(sender, receiver)
    world.advance(world.settings.limits.stall_seconds - 0.1)
    assert receiver.line.lost is None
    world.advance(0.2)
    assert receiver.line.lost is not None
    sender.read()
    expected = STUCK["downstream" if from_upstream else "upstream"]
    assert sender.close == (expected.code, expected.reason)
    world.advance(10)
    assert world.is_clean()
    (record,) = world.listener.ends
    assert (record.close_code, record.closed_by) == (STALLED, "relay")


def test_a_reader_that_closes_but_does_not_read_is_cut(world: World) -> None:
    downstream, upstream = world.open()
    flood(upstream, downstream)
    downstream.send_close(1000)
    upstream.read()
    upstream.line.fin()
    assert downstream.line.lost is None
    world.advance(world.settings.limits.stall_seconds + 0.1)
    assert downstream.line.lost is not None
    assert world.is_clean()


def test_a_reader_that_closes_and_reads_gets_it_all(world: World) -> None:
    downstream, upstream = world.open()
    sent = flood(upstream, downstream)
    downstream.answers_close = False
    downstream.send_close(1000)
    upstream.read()
    upstream.line.fin()
    downstream.read()
    assert sum(len(m) for m in downstream.received[1:]) == sent * 65536
    downstream.read()
    assert downstream.line.lost is not None
    assert world.is_clean()


def test_pings_of_a_non_reader_are_answered_when_it_reads_and_of_very_many_the_last(
    world: World,
) -> None:
    downstream, upstream = world.open()
    flood(upstream, downstream)
    before = len(downstream.line.sent)
    for number in range(1000):
        downstream.send_frame(Frame(Opcode.PING, b"%d" % number))
        world.advance(1 / 64)
    assert len(downstream.line.sent) == before
    upstream_sent = len(downstream.received)
    world.settle(downstream)
    assert len(downstream.received) > upstream_sent
    assert downstream.pongs == [b"%d" % number for number in range(1000 - MOST_WAITING, 1000)]


def test_an_upstreams_loss_is_told_after_the_data_that_waits_for_downstream(
    world: World,
) -> None:
    downstream, upstream = world.open()
    flood(upstream, downstream)
    upstream.line.protocol.abort()
    world.settle(downstream)
    assert last_words(downstream)["code"] == "upstream_lost"
    assert isinstance(downstream.received[-1], bytes)
    assert downstream.close == (1011, LOST["upstream"].reason)
    assert world.is_clean()


# -- keepalive -----------------------------------------------------------------------------


@pytest.mark.parametrize("from_upstream", [True, False])
def test_a_silent_peer_is_pinged_and_then_given_up(world: World, from_upstream: bool) -> None:
    downstream, upstream = world.open()
    silent, other = (upstream, downstream) if from_upstream else (downstream, upstream)
    silent.send("last words")
    for _ in range(6):
        world.advance(9.99)
        other.read()
        other.send("alive")
    assert silent.line.lost is None
    world.advance(0.1)
    assert silent.line.lost is not None
    other.read()
    code = 1011 if from_upstream else 1001
    assert other.close is not None
    assert other.close[0] == code
    assert "does not answer" in other.close[1]


def test_peers_that_answer_pings_stay(world: World) -> None:
    downstream, upstream = world.open()
    for _ in range(100):
        world.advance(10)
        world.settle(downstream, upstream)
    assert downstream.line.lost is None
    assert upstream.line.lost is None
    assert downstream.pings
    assert upstream.pings


@pytest.mark.parametrize("from_upstream", [False, True])
def test_bytes_that_come_are_life_though_they_are_no_whole_tls_record(
    world: World, monkeypatch: pytest.MonkeyPatch, from_upstream: bool
) -> None:
    downstream, upstream = world.open()
    silent, other = (upstream, downstream) if from_upstream else (downstream, upstream)
    came = 0
    monkeypatch.setattr("relay.peer.protocol.arrived", lambda line: came)
    for _ in range(10):
        other.read()
        world.advance(20)
        came += 1
    assert silent.line.lost is None
    for _ in range(4):
        other.read()
        world.advance(20)
    assert silent.line.lost is not None
    assert other.close is not None


def test_a_peer_that_is_not_read_is_not_called_silent(world: World) -> None:
    settings = Settings(limits=Limits(stall_seconds=300))
    world = World(settings=settings)
    downstream, upstream = world.open()
    flood(upstream, downstream)
    for _ in range(20):
        world.advance(10)
        downstream.send("alive")
        upstream.read()
    assert upstream.line.lost is None
    world.settle(downstream, upstream)
    world.advance(1)
    assert upstream.line.lost is None


# -- the relay ends it ---------------------------------------------------------------------


def test_drain_closes_every_session_with_1012() -> None:
    world = World(settings=Settings(drain_seconds=0))
    pairs = [world.open() for _ in range(3)]
    drained: list[None] = []
    world.factory.drain().addCallback(drained.append)
    world.advance(0.1)
    for downstream, upstream in pairs:
        world.settle(downstream, upstream)
        upstream.line.fin()
        assert downstream.close == (1012, "relay: shutting down")
        assert upstream.close == (1012, "relay: shutting down")
    assert drained == [None]
    assert world.is_clean()
    assert {record.stalled for record in world.listener.ends} == {None}
    assert {record.closed_by for record in world.listener.ends} == {"relay"}


def test_a_session_may_end_by_itself_while_the_relay_drains(world: World) -> None:
    downstream, upstream = world.open()
    drained: list[None] = []
    world.factory.drain().addCallback(drained.append)
    world.advance(15)
    upstream.send("goodbye")
    upstream.send_close(1000)
    world.settle(downstream, upstream)
    upstream.line.fin()
    assert downstream.received[-1] == "goodbye"
    assert downstream.close == (1000, "")
    assert drained == [None]
    assert world.is_clean()


def test_a_drain_closes_sessions_within_a_response_last(world: World) -> None:
    pairs = [world.open() for _ in range(4)]
    for _, upstream in pairs[:3]:
        upstream.send('{"type":"response.created","response":{}}')
    for _, upstream in pairs[1:3]:
        upstream.send('{"type":"response.done","response":{}}')
    pairs[2][1].send('{"type":"response.created","response":{}}')
    world.factory.drain()
    world.advance(20 + 2.6)  # two of the four
    for downstream, _ in pairs:
        downstream.read()
    assert [downstream.close is not None for downstream, _ in pairs] == [False, True, False, True]
    assert [event["type"] for event in world.listener.events] == ["response.done"] * 2


def test_a_drain_waits_for_every_response_of_a_session(world: World) -> None:
    pairs = [world.open() for _ in range(2)]
    (_, busy), (other, _) = pairs
    for kind in ("created", "created", "done"):
        busy.send(f'{{"type":"response.{kind}","response":{{}}}}')
    world.factory.drain()
    world.advance(20.1)
    other.read()
    assert other.close is not None


def test_the_end_of_an_unseen_response_hides_no_later_one(world: World) -> None:
    (busy, upstream), (other, _) = world.open(), world.open()
    for kind in ("done", "done", "created"):
        upstream.send(f'{{"type":"response.{kind}","response":{{}}}}')
    world.factory.drain()
    world.advance(20.1)
    other.read()
    busy.read()
    assert other.close is not None
    assert busy.close is None


def test_without_a_listener_a_drain_still_knows_of_responses(plane: Plane) -> None:
    world = World(options={"listeners": []})
    (busy, upstream), (other, _) = world.open(), world.open()
    upstream.send('{"type":"response.created","response":{}}')
    world.factory.drain()
    world.advance(20.1)
    other.read()
    busy.read()
    assert other.close == (1012, "relay: shutting down")
    assert busy.close is None


def test_at_a_drains_deadline_a_stuck_session_is_cut(plane: Plane) -> None:
    """However long a closing connection may take otherwise, or what it has not read."""
    limits = Limits(linger_seconds=60, stall_seconds=3600)
    world = World(settings=Settings(drain_seconds=12, limits=limits))
    pairs = [world.open() for _ in range(2)]
    for downstream, upstream in pairs:
        downstream.answers_close = upstream.answers_close = False
    for _ in range(20):
        pairs[0][1].send(b"x" * 65536)
    drained: list[float] = []
    world.factory.drain().addCallback(lambda _: drained.append(world.reactor.seconds()))
    world.advance(12)
    assert [line.lost for pair in pairs for line in (pair[0].line, pair[1].line)] == [None] * 4
    world.advance(1)
    assert all(peer.line.lost for pair in pairs for peer in pair)
    assert len(drained) == 1
    assert world.is_clean()
    assert {(r.close_code, r.closed_by) for r in world.listener.ends} == {(1012, "relay")}


def test_an_aborted_relay_drops_everything_at_once(world: World) -> None:
    pairs = [world.open() for _ in range(2)]
    held = world.downstream()
    drained: list[None] = []
    world.factory.drain().addCallback(drained.append)
    world.factory.abort()
    world.advance(0.1)
    assert all(peer.line.lost for pair in pairs for peer in pair)
    assert held.line.lost is not None
    assert drained == [None]
    assert world.is_clean()
    assert len(world.listener.ends) == 2
    assert world.listener.holds[-1].outcome == "left"


def test_the_record_counts_what_crossed(world: World) -> None:
    downstream, upstream = world.open('{"type":"session.created","session":{"id":"sess_1"}}')
    downstream.send("four")
    downstream.send(b"12345")
    upstream.read()
    upstream.send_close(1000)
    world.settle(downstream, upstream)
    upstream.line.fin()
    (record,) = world.listener.ends
    assert record.session_id == "sess_1"
    assert (record.sent["downstream"].messages, record.sent["downstream"].bytes) == (2, 9)
    assert record.sent["upstream"].messages == 1


# -- slow readers, and who goes on talking -------------------------------------------------


def test_a_second_close_does_not_start_the_linger_anew(world: World) -> None:
    _, upstream = world.open()
    upstream.send_close(1000)
    for _ in range(3):
        world.advance(2)
        upstream.send_close(1000)
    assert upstream.line.lost is not None


def reading(world: World, monkeypatch: pytest.MonkeyPatch, rate: float, seconds: float) -> None:
    """What the kernel says: the other end takes so many bytes a second, for so long from now."""
    began = world.reactor.seconds()

    def written(line: object) -> Written:
        passed = min(world.reactor.seconds() - began, seconds)
        return Written(waiting=1, acknowledged=math.ceil(passed * rate))

    monkeypatch.setattr("relay.peer.stall.written", written)


@pytest.mark.parametrize("lingers", [1, 3, 100])
def test_a_slow_reader_gets_what_waits_in_the_kernel_at_a_close(
    world: World, monkeypatch: pytest.MonkeyPatch, lingers: int
) -> None:
    downstream, upstream = world.open()
    downstream.answers_close = False
    linger = world.settings.limits.linger_seconds
    reading(world, monkeypatch, SLOWEST, lingers * linger)
    upstream.line.reset()
    downstream.read()
    world.advance((lingers + 1) * linger - 0.1)
    assert downstream.line.lost is None
    world.advance(0.2)
    assert downstream.line.lost is not None
    assert world.is_clean()


def test_a_reader_below_the_slowest_pace_is_cut_at_a_close(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    downstream, upstream = world.open()
    downstream.answers_close = False
    reading(world, monkeypatch, SLOWEST - 10, 1000)
    upstream.line.reset()
    downstream.read()
    world.advance(world.settings.limits.linger_seconds + 0.1)
    assert downstream.line.lost is not None
    assert world.is_clean()


@pytest.mark.parametrize("by", ["downstream", "relay"])
def test_at_a_sessions_end_a_slow_reader_has_all_of_stall_seconds_again(
    world: World, by: str
) -> None:
    downstream, upstream = world.open()
    downstream.answers_close = False
    flood(upstream, downstream)
    stall = world.settings.limits.stall_seconds
    world.advance(stall - 0.1)
    if by == "relay":
        (session,) = world.factory._register.sessions
        session.close(Close(1012))
    else:
        downstream.send_close(1000)
    world.advance(stall - 0.1)
    assert downstream.line.lost is None
    world.advance(0.2)
    assert downstream.line.lost is not None


@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize("stalls", [1, 4])
def test_a_slow_reader_of_a_large_message_is_not_stalled(
    world: World, monkeypatch: pytest.MonkeyPatch, stalls: int, closing: bool
) -> None:
    downstream, upstream = world.open()
    stall = world.settings.limits.stall_seconds
    reading(world, monkeypatch, SLOWEST, stalls * stall)
    flood(upstream, downstream)
    if closing:
        downstream.send_close(1000)
    for _ in range(stalls + 1):
        assert downstream.line.lost is None
        for _ in range(3):
            world.advance(stall / 3)
            upstream.send_frame(Frame(Opcode.PONG, b""))
    world.advance(0.1)
    assert downstream.line.lost is not None


def test_a_reader_below_the_slowest_pace_is_stalled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    downstream, upstream = world.open()
    reading(world, monkeypatch, SLOWEST - 10, 1000)
    flood(upstream, downstream)
    world.advance(world.settings.limits.stall_seconds + 0.1)
    assert downstream.line.lost is not None


# -- many tiny frames ----------------------------------------------------------------------


def tiny(count: int, mask: bool = False) -> bytes:
    """So many messages of one character each; masked, if they are downstream's."""
    return b"".join(Frame(Opcode.TEXT, b"%d" % (n % 10)).serialize(mask=mask) for n in range(count))


def in_turns(world: World, reader: Peer) -> None:
    """Let the relay do what it puts off, and read what comes of it."""
    for _ in range(5000 // STEPS_A_TURN * 2 + 4):
        world.reactor.advance(0)
        reader.read()


@message_plane
@pytest.mark.parametrize("side", ["downstream", "upstream"])
def test_the_unparsed_rest_of_a_lost_peer_is_parsed_in_turns(
    world: World, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    downstream, upstream = world.open()
    lost, other = (upstream, downstream) if side == "upstream" else (downstream, upstream)
    lost.line.deliver(tiny(5000, mask=side == "downstream"))
    lost.line.lose()
    before = len(other.received)
    other.read()
    assert len(other.received) - before < STEPS_A_TURN
    assert world.factory.active_sessions == 1
    if side == "upstream":
        (session,) = world.factory._register.sessions
        # Once it is lost, a connection by TLS raises for whatever it is asked.
        transport = session._peers[side].transport  # type: ignore[attr-defined]
        monkeypatch.setattr(transport, "abortConnection", lambda: 1 / 0)
        session.abort()
        world.reactor.advance(0)
        assert world.is_clean(), "aborted meanwhile, nothing more is parsed"
        return
    in_turns(world, other)
    assert other.close == (1001, LOST["downstream"].reason)


@message_plane
def test_a_chunk_of_tiny_frames_takes_several_turns_and_keeps_its_order(world: World) -> None:
    downstream, upstream = world.open()
    upstream.line.deliver(tiny(5000))
    downstream.read()
    assert len(downstream.received) < STEPS_A_TURN
    assert upstream.line.paused, "nothing more is read meanwhile"
    upstream.line.deliver(tiny(1))
    for _ in range(5000):
        world.reactor.advance(0)
        downstream.read()
    assert not upstream.line.paused
    expected = [str(n % 10) for n in range(5000)] + ["0"]
    assert downstream.received[1:] == expected


def test_tiny_frames_of_upstream_before_its_end_are_delivered_before_it(world: World) -> None:
    downstream, upstream = world.open()
    upstream.line.deliver(tiny(5000))
    upstream.line.lose()
    in_turns(world, downstream)
    assert last_words(downstream)["code"] == "upstream_lost"
    assert len(downstream.received) == 5001
    assert downstream.close == (1011, LOST["upstream"].reason)
    assert world.is_clean()


@pytest.mark.usefixtures("_whole_chunks")
def test_tiny_frames_of_downstream_before_its_end_are_delivered(world: World) -> None:
    downstream, upstream = world.open()
    frames = (Frame(Opcode.TEXT, b"x").serialize(mask=True) for _ in range(5000))
    downstream.line.deliver(b"".join(frames))
    downstream.line.lose()
    in_turns(world, upstream)
    assert len(upstream.received) == 5000
    assert upstream.close == (1001, LOST["downstream"].reason)


@message_plane
def test_an_exception_in_a_later_turn_is_1011_to_both(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    downstream, upstream = world.open()
    upstream.line.deliver(tiny(5000))

    def broken(self: object, payload: bytes, is_binary: bool) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("relay.peer.protocol.PeerProtocol.relay", broken)
    world.reactor.advance(0)
    world.settle(downstream, upstream)
    assert upstream.close == (1011, "relay: internal error")
    assert downstream.close is not None
    assert downstream.close[0] == 1011
    world.advance(10)
    assert world.is_clean()


def test_a_slow_receiver_pauses_the_parsing_of_the_other_side(world: World) -> None:
    downstream, upstream = world.open()
    upstream.line.deliver(tiny(40_000))
    for _ in range(200):
        world.reactor.advance(0)
    assert upstream.line.paused
    for _ in range(200):
        world.reactor.advance(0)
        downstream.read()
    assert len(downstream.received) == 40_001


# -- what upstream tells -------------------------------------------------------------------


def done(tokens: int) -> str:
    usage = {"input_tokens": tokens, "input_token_details": {"audio_tokens": 3}}
    return json.dumps({"type": "response.done", "response": {"usage": usage}})


def test_listeners_are_told_of_usage_and_errors_and_the_record_adds_up(world: World) -> None:
    downstream, upstream = world.open()
    transcribed = "conversation.item.input_audio_transcription.completed"
    told = [
        done(10),
        '{"type":"error","error":{"code":"x"}}',
        json.dumps({"type": transcribed, "usage": {"output_tokens": 4}}),
        done(5),
    ]
    for message in ("before", *told, '{"type":"response.created"}'):
        upstream.send(message)
    downstream.read()
    assert downstream.received[2:6] == told
    assert world.listener.events == [json.loads(message) for message in told]
    upstream.line.fin()
    world.settle(downstream)
    (record,) = world.listener.ends
    assert record.tokens == {"input": 15, "input_audio": 6, "transcription_output": 4}


def test_a_message_that_only_looks_like_an_event_is_not_told(world: World) -> None:
    downstream, upstream = world.open()
    broken = '{"type":"error",'
    upstream.send(broken)
    upstream.send('["type","error",{"type":"error"}]')
    upstream.send(done(1).encode())
    downstream.send(done(1))
    world.settle(downstream, upstream)
    assert downstream.received[1] == broken
    assert world.listener.events == []
