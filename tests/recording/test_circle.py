"""A session that a relay records, and the same session when its recording is the upstream."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from recording.bridge import serve
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher

from relay import Grant, HoldRecord, RelayFactory, RelayListener, Settings, Upstream
from relay.config.policy import PolicyTable
from relay.recording.lines import Closed, Cut, Message
from relay.recording.reading import Recording, recording_at
from relay.recording.upstream import ENDS_HERE, ReplayFactory
from relay.simulator import SimulatorFactory
from relay.testing import FakeUpstream, Peer, Reactor, connect, opens

PATIENCE = 10.0
"""Seconds of the machine's that a thread may take; a test that passes waits for none of them."""


class Outcomes(RelayListener):
    """What became of the files."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def recorded(self, record: HoldRecord, outcome: str) -> None:
        self.found.append(outcome)


class Place:
    """A relay in memory, and what serves it."""

    def __init__(self, folder: Path, plane: Any = "auto", **settings: Any) -> None:
        self.folder = folder
        self.reactor = Reactor()
        self.outcomes = Outcomes()
        self.factory = RelayFactory(
            [Upstream("ws://127.0.0.1:9000/v1/realtime", credential="sk-secret-0123456789")],
            reactor=self.reactor,
            admit=lambda request: Grant(subject=request.credential),
            listeners=[self.outcomes],
            settings=Settings(plane=plane, **settings),
        )

    def client(self, subject: str = "shop") -> Peer:
        return connect(self.reactor, self.factory, headers={"Authorization": f"Bearer {subject}"})

    def written(self) -> list[Path]:
        """The files, once all is written."""
        self.factory.recordings.flush(PATIENCE)
        self.reactor.settle()
        return sorted(self.folder.glob("*.jsonl"))

    def recording(self) -> Recording:
        """The only one."""
        [path] = self.written()
        return recording_at(path)


@pytest.fixture(params=["splice", "message"])
def place(request: Any, tmp_path: Path) -> Place:
    return Place(tmp_path, request.param, record=str(tmp_path), record_payloads=True)


def say(client: Peer, kind: str, **more: object) -> None:
    client.send(json.dumps({"type": kind, **more}))


def talk(place: Place, client: Peer) -> list[Any]:
    """Type something, get the answer and leave; all that came."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    say(client, "session.update", session={"type": "realtime", "output_modalities": ["text"]})
    place.reactor.wait(0.5)
    say(client, "conversation.item.create", item=item)
    say(client, "response.create")
    place.reactor.wait(2)
    client.send_close(1000)
    place.reactor.wait(1)
    return client.received


def replayed(place: Place, tmp_path: Path) -> tuple[Place, list[str]]:
    """Another relay, whose upstream is what the first one recorded; and what the replay tells."""
    lines: list[str] = []
    there = Place(tmp_path)
    serve(there.reactor, ReplayFactory(place.recording(), lines.append, there.reactor))
    return there, lines


def test_a_client_gets_from_the_recording_what_it_got_from_the_upstream(
    place: Place, tmp_path: Path
) -> None:
    serve(place.reactor, SimulatorFactory(place.reactor))
    client = place.client()
    got = talk(place, client)
    assert "response.done" in [json.loads(each)["type"] for each in got]
    there, lines = replayed(place, tmp_path)
    assert talk(there, there.client()) == got
    assert lines == ["played to its end; waits for the client's end, since the client closed"]
    assert place.outcomes.found == ["whole"]


def test_the_file_tells_whose_session_it_was_and_all_that_crossed(place: Place) -> None:
    upstream = FakeUpstream(place.reactor, opens('{"type":"session.created"}'))
    client = place.client()
    place.reactor.wait(1)
    client.send('{"type":"ping"}')
    client.send(b"\x00\xff")
    place.reactor.wait(0.5)
    upstream.peers[0].send(b'{"type":"pong"}')
    place.reactor.settle()
    upstream.peers[0].send_close(4001)
    place.reactor.wait(1)
    found = place.recording()
    header = found.header
    assert (header.subject, header.model, header.upstream) == ("shop", "gpt-realtime", "openai")
    assert (header.path, header.payloads) == ("/v1/realtime", True)
    assert header.id.startswith("req_")
    assert list(found.messages) == [
        Message(0.0, "upstream", "session.created", 26, b'{"type":"session.created"}'),
        Message(1.0, "client", "ping", 15, b'{"type":"ping"}'),
        Message(1.0, "client", None, 2, b"\x00\xff", True),
        Message(1.5, "upstream", "pong", 15, b'{"type":"pong"}', True),
    ]
    assert isinstance(found.end, Closed)
    assert (found.end.by, found.end.code) == ("upstream", 4001)
    assert found.end.at == pytest.approx(1.5, abs=0.1)


def test_the_file_is_private(place: Place) -> None:
    FakeUpstream(place.reactor)
    place.client()
    before = os.umask(0)
    try:
        [path] = place.written()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_session_that_is_open_can_be_read_up_to_now(place: Place) -> None:
    FakeUpstream(place.reactor)
    place.client()
    found = place.recording()
    assert [each.type for each in found.messages] == ["session.created"]
    assert isinstance(found.end, Cut)


def test_who_watches_a_recorded_session_changes_nothing_in_its_file(place: Place) -> None:
    FakeUpstream(place.reactor)
    client = place.client()
    [handle] = place.factory.handles.find()
    long = json.dumps({"type": "long", "text": "x" * 50_000})
    client.send(long)
    seen: list[Any] = []
    stop = handle.watch(seen.append, payloads=True)
    client.send(long)
    place.reactor.wait(1)
    stop()
    client.send(long)
    place.reactor.settle()
    told = place.recording().messages
    assert [each.payload for each in told[1:]] == [long.encode()] * 3
    assert [each.is_cut for batch in seen for each in batch.crossed] == [True]


def test_without_payloads_nothing_that_was_said_is_kept(tmp_path: Path) -> None:
    place = Place(tmp_path, record=str(tmp_path))
    FakeUpstream(place.reactor)
    say(place.client(), "conversation.item.create", item="private")
    place.reactor.settle()
    [path] = place.written()
    assert b"private" not in path.read_bytes()
    assert [each.type for each in recording_at(path).messages] == [
        "session.created",
        "conversation.item.create",
    ]


def test_no_key_of_the_relays_gets_into_a_file(place: Place) -> None:
    upstream = FakeUpstream(place.reactor)
    place.client()
    assert upstream.peers[0].request is not None
    upstream.peers[0].send('{"type":"error","error":"wrong key sk-secret-0123456789"}')
    place.reactor.settle()
    [path] = place.written()
    assert b"sk-secret" not in path.read_bytes()
    assert [each.type for each in recording_at(path).messages] == ["session.created", "error"]


def test_the_relays_own_events_are_not_the_upstreams(place: Place) -> None:
    FakeUpstream(place.reactor)
    client = place.client()
    [handle] = place.factory.handles.find()
    handle.close("that is all")
    place.reactor.wait(5)
    assert json.loads(client.received[-1])["error"]["type"] == "relay_error"
    found = place.recording()
    assert [each.type for each in found.messages] == ["session.created"]
    assert isinstance(found.end, Closed)
    assert (found.end.by, found.end.code) == ("relay", 1008)


def test_under_a_policy_the_session_is_recorded_as_the_client_sees_it(tmp_path: Path) -> None:
    place = Place(
        tmp_path,
        record=str(tmp_path),
        record_payloads=True,
        policy=PolicyTable(force={"instructions": "a secret of the house"}),
    )
    serve(place.reactor, SimulatorFactory(place.reactor))
    say(place.client(), "session.update", session={"type": "realtime", "instructions": "mine"})
    place.reactor.wait(1)
    [path] = place.written()
    assert b"secret of the house" not in path.read_bytes()
    assert "session.update" in [each.type for each in recording_at(path).messages]


def test_only_chosen_subjects_are_recorded(tmp_path: Path) -> None:
    place = Place(tmp_path, record=str(tmp_path), record_subjects=("shop",))
    FakeUpstream(place.reactor)
    place.client("other")
    assert place.written() == []
    place.client("shop")
    assert place.recording().header.subject == "shop"


def test_without_the_setting_there_is_neither_file_nor_thread(tmp_path: Path) -> None:
    place = Place(tmp_path)
    FakeUpstream(place.reactor)
    place.client()
    assert place.written() == []
    assert place.factory.recordings._worker._thread is None


def test_new_settings_are_for_new_sessions(tmp_path: Path) -> None:
    place = Place(tmp_path)
    FakeUpstream(place.reactor)
    place.client()
    upstreams = [Upstream("ws://127.0.0.1:9000/v1/realtime")]
    place.factory.configure(upstreams, settings=Settings(record=str(tmp_path)))
    client = place.client()
    place.factory.configure(upstreams, settings=Settings())
    place.client()
    say(client, "more")
    place.reactor.settle()
    assert [each.type for each in place.recording().messages] == ["session.created", "more"]


def test_a_file_ends_at_its_bound_and_the_session_goes_on(tmp_path: Path) -> None:
    place = Place(tmp_path, record=str(tmp_path), record_payloads=True, record_bytes=2**16)
    upstream = FakeUpstream(place.reactor)
    client = place.client()
    for _ in range(10):
        say(client, "x", text="y" * 10_000)
        place.reactor.settle()
        place.factory.recordings.flush(PATIENCE)
    [path] = place.written()
    assert path.stat().st_size <= 2**16
    found = recording_at(path)
    assert (len(found.messages), found.end) == (7, Cut(0.0, "record_bytes is reached"))
    assert len(upstream.peers[0].received) == 10
    assert place.outcomes.found == ["cut"]


def full(folder: Path) -> None:
    for number in range(3):
        (folder / f"{number}.jsonl").touch()


def no_folder(folder: Path) -> None:
    folder.rmdir()


@pytest.fixture
def warned() -> Iterator[Callable[[], list[str]]]:
    """What is logged of recordings."""
    events: list[LogEvent] = []
    observer = cast(ILogObserver, events.append)
    globalLogPublisher.addObserver(observer)
    yield lambda: [
        formatEvent(event)
        for event in events
        if event.get("log_namespace") == "relay.recording.recordings"
    ]
    globalLogPublisher.removeObserver(observer)


@pytest.mark.parametrize(
    ("spoil", "why"), [(full, "holds 3 recordings"), (no_folder, "No such file or directory")]
)
def test_a_file_that_cannot_be_is_told_once_and_no_session_suffers(
    tmp_path: Path,
    spoil: Callable[[Path], None],
    why: str,
    warned: Callable[[], list[str]],
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    place = Place(folder, record=str(folder), record_files=3)
    spoil(folder)
    FakeUpstream(place.reactor)
    for _ in range(3):
        client = place.client()
        say(client, "x")
        place.written()
    assert place.outcomes.found == ["failed"] * 3
    [line] = warned()
    assert why in line
    assert place.factory.active_sessions == 3


def test_a_full_disk_ends_the_file_and_not_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warned: Callable[[], list[str]]
) -> None:
    place = Place(tmp_path, record=str(tmp_path))
    upstream = FakeUpstream(place.reactor)
    client = place.client()
    place.written()

    def no_space(descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("relay.recording.session_file.write", no_space)
    say(client, "x")
    place.written()
    say(client, "y")
    place.written()
    assert place.outcomes.found == ["failed"]
    assert "No space left on device" in warned()[0]
    assert len(upstream.peers[0].received) == 2


def test_a_disk_that_is_too_slow_cuts_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.recording.worker.WAITING", 10_000)
    place = Place(tmp_path, record=str(tmp_path), record_payloads=True)
    upstream = FakeUpstream(place.reactor)
    client = place.client()
    say(client, "x", text="y" * 10_000)
    say(client, "z")
    place.reactor.settle()
    found = place.recording()
    assert [each.type for each in found.messages] == ["session.created"]
    assert found.end == Cut(0.0, "the disk was too slow")
    assert len(upstream.peers[0].received) == 2


# -- the replay as an upstream ---------------------------------------------------------------


def test_a_recorded_close_is_closed_so_again(place: Place, tmp_path: Path) -> None:
    upstream = FakeUpstream(place.reactor)
    place.client()
    place.reactor.wait(2)
    upstream.peers[0].send_close(4001)
    place.reactor.wait(1)
    there, lines = replayed(place, tmp_path)
    client = there.client()
    there.reactor.wait(1.9)
    assert client.close is None
    there.reactor.wait(0.2)
    assert client.close is not None
    assert client.close[0] == 4001
    assert lines == ["played to its end; closes with 4001, as the upstream did"]


def test_a_cut_recording_says_where_it_ends(place: Place, tmp_path: Path) -> None:
    FakeUpstream(place.reactor)
    place.client()
    there, _ = replayed(place, tmp_path)
    client = there.client()
    there.reactor.wait(1)
    assert client.close == (1011, ENDS_HERE.decode())


def test_the_replay_says_what_it_waits_for_and_where_a_client_left(
    place: Place, tmp_path: Path
) -> None:
    FakeUpstream(place.reactor)
    first = place.client()
    place.reactor.wait(1)
    say(first, "response.create")
    place.reactor.settle()
    there, lines = replayed(place, tmp_path)
    client = there.client()
    say(client, "something.else")
    there.reactor.wait(4.5)
    assert lines == []
    there.reactor.wait(1)
    assert lines == ["waits for the client's response.create, at 1.000 s, line 3"]
    client.send_close(1000)
    there.reactor.wait(1)
    assert lines[1:] == ["the client left before line 3"]


def test_without_payloads_each_message_has_its_type_and_size(tmp_path: Path) -> None:
    place = Place(tmp_path, record=str(tmp_path))
    upstream = FakeUpstream(place.reactor, opens('{"type":"session.created","session":{"a":1}}'))
    place.client()
    upstream.peers[0].send(b"\x01\x02\x03")
    upstream.peers[0].send('{"no":"type, but as long as padding needs"}')
    upstream.peers[0].send("")
    place.reactor.settle()
    there, _ = replayed(place, tmp_path)
    client = there.client()
    there.reactor.wait(1)
    created, binary, untyped, short, *_ = client.received
    assert json.loads(created)["type"] == "session.created"
    assert [len(created), binary, len(untyped)] == [44, bytes(3), 43]
    assert json.loads(short) == {"padding": ""}


def test_each_client_gets_the_recording_from_its_start(place: Place, tmp_path: Path) -> None:
    FakeUpstream(place.reactor)
    place.client()
    there, _ = replayed(place, tmp_path)
    assert there.client().received[0] == there.client().received[0]
