"""One watches by the parent a session that a worker has, in memory."""

from __future__ import annotations

from typing import Any

from memory import World
from twisted.internet.defer import Deferred
from workers.crews import House, house

from relay.daemon.workers.channel import Channel
from relay.daemon.workers.watched import LOST, Shown
from relay.web.overview import OwnSessions

BATCH = {"crossed": [{"number": 1}], "missed": 0, "closed": None}
CLOSED = {"crossed": [], "missed": 2, "closed": {"code": 1000, "by": "client", "seconds": 1.0}}


def watched(home: House, told: list[Any]) -> Deferred[Any]:
    """The second worker has the session."""
    first, second = home.processes
    first.answers = {"show": None}
    second.answers = {"show": {"id": "req_1"}, "look": True}
    return home.crew().directory.watch("req_1", told.append, True)


def crossed(home: House) -> None:
    for _ in range(3):
        for process in home.processes:
            process.cross()


def was_asked(home: House) -> None:
    """All have said whether they have it, and what the second is asked then is on its way."""
    home.processes[1].cross()
    home.processes[0].cross()


def result(deferred: Deferred[Any]) -> Any:
    found: list[Any] = []
    deferred.addBoth(found.append)
    return found[0]


def test_the_worker_that_has_it_is_asked_and_its_batches_come_to_the_end() -> None:
    with house(2) as home:
        told: list[Any] = []
        begun = watched(home, told)
        crossed(home)
        first, second = home.processes
        assert [name for name, _ in first.told] == ["show"]
        assert second.told[-1] == ("look", ("req_1", 1, True))
        second.channel.tell("crossed", 1, BATCH)
        second.channel.tell("crossed", 2, BATCH)
        second.channel.tell("crossed", 1, CLOSED)
        second.channel.tell("crossed", 1, BATCH)
        crossed(home)
        assert told == [BATCH, CLOSED]
        result(begun)()
        crossed(home)
        assert second.told[-1][0] == "look", "it is over, so nobody has to look away"


def test_who_leaves_has_the_worker_look_away_and_is_told_no_more() -> None:
    with house(2) as home:
        told: list[Any] = []
        begun = watched(home, told)
        crossed(home)
        stop = result(begun)
        stop()
        stop()
        second = home.processes[1]
        second.channel.tell("crossed", 1, BATCH)
        crossed(home)
        assert told == []
        assert [each for each in second.told if each[0] == "look_away"] == [("look_away", (1,))]


def test_who_does_not_wait_has_the_worker_look_away_too() -> None:
    with house(2) as home:
        begun = watched(home, [])
        was_asked(home)
        begun.cancel()
        assert result(begun) is not None
        crossed(home)
        assert home.processes[1].told[-1] == ("look_away", (1,))


def test_a_session_that_no_worker_has_is_not_watched() -> None:
    with house(2) as home:
        begun = watched(home, [])
        home.processes[1].answers["look"] = False  # it has ended just now
        crossed(home)
        assert result(begun) is None
        begun = watched(home, [])
        home.processes[1].answers["show"] = None
        crossed(home)
        assert result(begun) is None


def test_when_the_worker_ends_so_does_the_session() -> None:
    with house(2) as home:
        told: list[Any] = []
        watched(home, told)
        crossed(home)
        home.processes[1].dies()
        assert told == [LOST]


def test_a_worker_that_ends_before_it_answers_has_no_session() -> None:
    with house(2) as home:
        told: list[Any] = []
        begun = watched(home, told)
        was_asked(home)
        home.processes[1].dies()
        assert result(begun) is None
        assert told == []


# -- the worker's end ----------------------------------------------------------------------


class Parent(Channel):
    """What a worker tells its parent, which may not read."""

    def __init__(self) -> None:
        super().__init__({}, None, lambda: None)  # type: ignore[arg-type]  # nothing is asked
        self.told: list[Any] = []

    def tell(self, name: str, *values: object) -> None:
        self.told.append((name, *values))


def test_a_worker_tells_what_crosses_until_it_looks_away() -> None:
    world, parent = World(), Parent()
    downstream, _ = world.open()
    (handle,) = world.factory.handles.find()
    shown, sessions = Shown(parent), OwnSessions(world.factory.handles)
    assert shown.look(sessions, "req_none", 1, False) is False
    assert shown.look(sessions, handle.hold.request_id, 2, False) is True
    downstream.send('{"type":"a"}')
    world.advance(0.2)
    ((name, number, batch),) = parent.told
    assert (name, number) == ("crossed", 2)
    assert batch["crossed"][0]["type"] == "a"
    shown.look_away(2)
    shown.look_away(2)
    downstream.send('{"type":"b"}')
    world.advance(0.2)
    assert len(parent.told) == 1


def test_what_the_parent_has_no_time_to_read_is_missed() -> None:
    world, parent = World(), Parent()
    downstream, _ = world.open()
    (handle,) = world.factory.handles.find()
    shown = Shown(parent)
    shown.look(OwnSessions(world.factory.handles), handle.hold.request_id, 1, False)
    parent.is_full = True
    for _ in range(2):
        downstream.send('{"type":"a"}')
        world.advance(0.2)
    assert parent.told == []
    parent.is_full = False
    downstream.send('{"type":"b"}')
    world.advance(0.2)
    ((_, _, batch),) = parent.told
    assert (batch["missed"], batch["crossed"][0]["number"]) == (2, 3)
    shown.look_away_from_all()
    downstream.send('{"type":"c"}')
    world.advance(0.2)
    assert len(parent.told) == 1
