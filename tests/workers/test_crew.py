"""All workers as one relay: what is told of them together, and who is asked."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from workers.crews import House, house

from relay.daemon.workers.channel import SECONDS
from relay.daemon.workers.slot import KEPT
from relay.telemetry.snapshot import Snapshot
from relay.web.overview import PAGE


def counted(sessions: int, retries: int) -> dict[str, Any]:
    values: dict[str, dict[tuple[str, ...], float]] = {
        "relay_sessions_active": {(): float(sessions)},
        "relay_retries_total": {("openai",): float(retries)},
    }
    return Snapshot(values, {}, {}).as_json()


def of(home: House, deferred: Deferred[Any]) -> Any:
    """What a Deferred fires with, once the workers have answered."""
    found: list[Any] = []
    deferred.addBoth(found.append)
    for _ in home.processes:
        for process in home.processes:
            process.cross()
    return found[0]


def test_all_counts_add_up_and_those_of_a_worker_that_ended_stay() -> None:
    with house(2) as home:
        crew = home.crew(Snapshot({"relay_worker_ends_total": {(): 1.0}}, {}, {}))
        home.processes[0].report(counted=counted(3, 5))
        home.processes[1].report(counted=counted(4, 6))
        assert crew.snapshot().one("relay_sessions_active") == 7
        home.processes[0].dies()
        crew.departed(home.ended[0][0])
        assert crew.snapshot().one("relay_sessions_active") == 4
        assert crew.snapshot().counted("relay_retries_total") == {("openai",): 11}
        assert crew.snapshot().one("relay_worker_ends_total") == 1


def test_it_is_ready_while_one_worker_is() -> None:
    with house(2) as home:
        crew = home.crew()
        seen: list[str] = [crew.state]
        home.processes[1].report()
        seen.append(crew.state)
        home.processes[1].dies()
        seen.append(crew.state)
        crew.is_ending = True
        assert [*seen, crew.state] == ["starting", "ready", "starting", "draining"]


def test_an_upstream_is_told_as_the_worker_that_sees_it_worst() -> None:
    with house(2) as home:
        fine = {"name": "a", "breaker": "closed", "sessions": 2}
        bad = {"name": "a", "breaker": "open", "sessions": 1, "failure": {"code": "x"}}
        other = {"name": "b", "breaker": None, "sessions": 1}
        home.processes[0].report(upstreams=[fine, other])
        home.processes[1].report(upstreams=[bad, other])
        assert home.crew().upstreams() == [{**bad, "sessions": 3}, {**other, "sessions": 2}]


def test_of_the_fleet_that_is_told_which_a_worker_sees_worst() -> None:
    with house(2) as home:
        up, down = {"state": "up", "relays": 2}, {"state": "down", "why": "away"}
        assert home.crew().fleet() is None, "it has none"
        home.processes[0].report(fleet=[up])
        home.processes[1].report(fleet=[up])
        assert home.crew().fleet() == up
        home.processes[1].report(fleet=[down])
        assert home.crew().fleet() == down


def test_lists_are_told_when_somebody_looks_and_stay_for_a_moment() -> None:
    with house(2) as home:
        crew = home.crew()
        assert crew.oldest() == []
        for number, process in enumerate(home.processes):
            process.cross()
            assert process.told == [("watch", ())]
            refusal = {"number": 1, "seconds_ago": 2.0 - number}
            process.report(oldest=[{"id": number, "seconds": number}], refusals=[refusal])
            process.report()
        assert [each["id"] for each in crew.oldest()] == [1, 0]
        assert [each["number"] for each in crew.refusals()] == [3, 2], "each has its own"
        for _ in range(KEPT):
            home.processes[0].report()
        assert [each["id"] for each in crew.oldest()] == [1], "the other's is old"


def pages(size: int) -> Any:
    def page(wanted: dict[str, str], start: int) -> dict[str, Any]:
        rows = [{"id": n} for n in range(start, min(size, start + PAGE))]
        return {"total": size, "sessions": rows, "next_offset": None}

    return page


def test_a_list_goes_through_one_worker_after_the_other() -> None:
    with house(2) as home:
        home.processes[0].answers["page"] = pages(PAGE - 1)
        home.processes[1].answers["page"] = pages(PAGE)
        directory = home.crew().directory
        first = of(home, directory.page({"subject": "x"}, 0))
        assert (first["total"], len(first["sessions"]), first["next_offset"]) == (999, 500, 500)
        assert first["sessions"][-1] == {"id": 0}
        second = of(home, directory.page({}, 500))
        assert [each["id"] for each in second["sessions"]] == [*range(1, PAGE)]
        assert second["next_offset"] is None
        assert home.processes[1].told[0] == ("page", ({"subject": "x"}, 0))


def test_a_list_says_that_a_worker_did_not_answer() -> None:
    with house(2) as home:
        home.processes[0].dies()
        home.processes[1].answers["page"] = pages(3)
        told = of(home, home.crew().directory.page({}, 0))
        assert (told["total"], told["workers_without_answer"]) == (3, 1)
        home.processes[1].answers["page"] = pages(3)
        home.wait(0)
        home.processes[-1].answers["page"] = pages(1)
        told = of(home, home.crew().directory.page({}, 0))
        assert told == {"total": 4, "sessions": told["sessions"], "next_offset": None}


def test_one_session_is_found_and_ended_whichever_worker_has_it() -> None:
    with house(2) as home:
        directory = home.crew().directory
        for process, found in zip(home.processes, (None, {"id": "req_1"}), strict=True):
            process.answers = {"show": found, "close": bool(found), "revoke": 2}
        assert of(home, directory.show("req_1")) == {"id": "req_1"}
        assert of(home, directory.close("req_1")) is True
        assert of(home, directory.revoke("alice")) == 4
        home.processes[1].answers = {"show": None, "close": False}
        assert of(home, directory.show("req_1")) is None
        assert of(home, directory.close("req_1")) is False


def test_a_worker_that_hangs_or_is_gone_keeps_no_answer_from_the_others() -> None:
    with house(3) as home:
        home.processes[0].dies()
        home.processes[2].answers["revoke"] = 1
        found: list[Any] = []
        home.crew().directory.revoke("alice").addBoth(found.append)
        home.processes[2].cross()
        assert found == []
        home.wait(SECONDS)
        assert found == [1]
