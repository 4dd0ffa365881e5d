"""One relay's part in its fleet, under a clock, with a store that answers when a test says so."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, eventAsText, globalLogPublisher
from twisted.python.failure import Failure

from relay.admission.callers import OverLimit
from relay.admission.quota import Quota
from relay.admission.shared import Claim
from relay.config.fleet_table import FleetTable
from relay.fleet import scripts
from relay.fleet.fleet import ANSWER_SECONDS, BEAT_SECONDS, LATE, STUCK_SECONDS, SharedFleet
from relay.fleet.leases import Leased
from relay.fleet.scripts import Script
from relay.fleet.store import Store, StoreFault
from relay.rules.refusals import Refused

ANN = Claim("subject", "ann", Quota("subject", 3, 2, 60))
HOME = Claim("address", "192.0.2.1", Quota("address", 5, 0, 0))
NAMES = {
    scripts.DECIDE: "decide",
    scripts.RENEW: "renew",
    scripts.FREE: "free",
    scripts.BEAT: "beat",
    scripts.REVOKE: "revoke",
    scripts.REVOKED: "revoked",
    scripts.RESTORE: "restore",
    scripts.SPEND: "spend",
}
KNOWN, UNKNOWN = [1, 2, 0], [0, 1, 0]
IN = [0, 1, 0, 0, 0]


class Asked:
    """What the store was asked."""

    def __init__(self, script: Script, keys: Sequence[str], arguments: Sequence[object]) -> None:
        self.name = NAMES[script]
        self.keys = list(keys)
        self.arguments = list(arguments)
        self.answer: Deferred[Any] = Deferred()


class FakeStore:
    """Keeps what is asked, in order. @ivar cuts: how often the connection was given up."""

    def __init__(self) -> None:
        self.is_connected = False
        self.asked: list[Asked] = []
        self.cuts = 0

    def start(self) -> None:
        """Nothing: a test says when there is a connection."""

    def stop(self) -> None:
        self.is_connected = False

    def cut(self) -> None:
        self.cuts += 1

    def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[object]
    ) -> Deferred[Any]:
        self.asked.append(Asked(script, keys, arguments))
        return self.asked[-1].answer

    def answer(self, name: str, value: Any) -> Asked:
        """Answer what was asked first; it must be this."""
        asked = self.asked.pop(0)
        assert asked.name == name
        asked.answer.callback(value)
        return asked


class Stage:
    """A fleet of its own."""

    def __init__(self, **table: Any) -> None:
        self.clock = Clock()
        self.store = FakeStore()
        self.decisions: list[tuple[str, float]] = []
        self.ended: list[tuple[str, float]] = []
        self.lines: list[str] = []
        settings = FleetTable(url="redis://store.example", relays=3, **table)
        self.fleet = SharedFleet(
            settings,
            lambda _: cast(Store, self.store),
            self.clock,
            lambda outcome, took: self.decisions.append((outcome, took)),
        )
        self.fleet.start(
            lambda subject, age: self.ended.append((subject, age)),
            lambda digest, age: self.ended.append((digest.hex(), age)),
        )

    @property
    def state(self) -> Any:
        return self.fleet.told()["state"]

    def connect(self) -> None:
        self.store.is_connected = True
        self.fleet.connected("run")

    def up(self) -> Stage:
        """Let it be up."""
        self.connect()
        self.store.answer("beat", UNKNOWN)
        self.store.answer("beat", KNOWN)
        assert self.state == "up"
        return self

    def ask(self, *claims: Claim) -> Deferred[Leased]:
        return Deferred.fromCoroutine(self.fleet.admit(claims or (ANN,), "subject:ann"))

    def lease(self, answer: Sequence[int] = (0, 1, 0, 0, 0)) -> Leased:
        asking = self.ask()
        self.store.answer("decide", answer)
        return result_of(asking)

    def wait(self, seconds: float) -> None:
        """Time passes; what is due gets a turn of its own, as a reactor's timers do."""
        self.clock.pump([seconds, 0])


@pytest.fixture
def lines() -> Any:
    """What is logged."""
    heard: list[str] = []

    def hear(event: LogEvent) -> None:
        heard.append(eventAsText(event, includeTimestamp=False, includeSystem=False))

    observer: Any = hear
    globalLogPublisher.addObserver(observer)
    yield heard
    globalLogPublisher.removeObserver(observer)


def result_of(asking: Deferred[Leased]) -> Leased:
    """What it came to."""
    assert isinstance(asking.result, Leased)
    return asking.result


def error_of(asking: Deferred[Any]) -> Any:
    """What it failed with."""
    caught: list[Failure] = []
    asking.addErrback(caught.append)
    return caught[0].value


def test_a_hold_is_one_question_and_its_lease_is_renewed_and_freed() -> None:
    stage = Stage().up()
    asking = stage.ask(HOME, ANN)
    asked = stage.store.answer("decide", IN)
    of_home, of_ann = "{relay}:address:192.0.2.1:", "{relay}:subject:ann:"
    kinds = ("sessions", "holds", "handshakes")
    assert asked.keys == [
        *("{relay}:fleet", "{relay}:relays", stage.fleet.ledger.key("subject:ann")),
        *(of_home + kind for kind in kinds),
        *(of_ann + kind for kind in kinds),
    ]
    assert asked.arguments[:3] == ["run", 3, 30_000_000]
    assert asked.arguments[4:] == ["5", "0", "0", "3", "2", "60"]
    lease: Any = asking.result
    assert (lease.share, stage.decisions) == (1, [("admitted", 0.0)])
    lease.opened()
    name = asked.arguments[3]
    freed = stage.store.answer("free", 1)
    assert (freed.keys, freed.arguments) == ([of_ann + "holds"], [name])
    stage.clock.advance(10)
    renewed = stage.store.answer("renew", 2)
    assert renewed.keys == [of_home + "sessions", of_ann + "sessions"]
    assert renewed.arguments == [30_000_000, name, name]
    stage.store.answer("beat", KNOWN)
    lease.end()
    assert stage.store.answer("free", 2).keys == renewed.keys


@pytest.mark.parametrize(
    ("answer", "code", "detail", "wait"),
    [
        ([2, 1, 0], "too_many_sessions", "subject_sessions in the fleet", 5),
        ([2, 2, 0], "too_many_sessions", "subject_holds in the fleet", 5),
        ([1, 1, 0], "too_many_sessions", "address_sessions in the fleet", 5),
        ([2, 3, 1_500_000], "rate_limited", "subject_handshakes in the fleet", 2),
    ],
)
def test_what_is_too_much_is_refused_as_a_relays_own_limits_are(
    answer: list[int], code: str, detail: str, wait: int
) -> None:
    stage = Stage().up()
    asking = stage.ask(HOME, ANN)
    stage.store.answer("decide", answer)
    error = error_of(asking)
    assert isinstance(error, OverLimit)
    assert (error.refusal.code, error.detail, error.refusal.retry_after) == (code, detail, wait)
    assert stage.decisions == [("over_limit", 0.0)]
    assert len(stage.fleet._leases) == 0


@pytest.mark.parametrize(("mode", "share"), [("local", 3), ("open", 1)])
def test_after_250_ms_the_mode_decides_and_then_at_once(mode: str, share: int) -> None:
    stage = Stage(mode=mode).up()
    asking = stage.ask()
    stage.wait(ANSWER_SECONDS - 0.001)
    assert not asking.called
    stage.wait(0.001)
    assert asking.called
    lease: Any = asking.result
    assert (lease.share, stage.fleet.share) == (share, share)
    told = stage.fleet.told()
    assert (told["state"], told["why"], told["relays"], told["mode"]) == ("down", LATE, 0, mode)
    asked = len(stage.store.asked)
    assert stage.ask().called
    assert len(stage.store.asked) == asked, "nobody waits for it any more"
    assert [outcome for outcome, _ in stage.decisions] == ["by_mode", "by_mode"]
    assert stage.fleet.figures() == (False, 0)


def test_closed_refuses_and_takes_back_what_the_store_may_yet_count() -> None:
    stage = Stage(mode="closed").up()
    asking = stage.ask()
    stage.wait(ANSWER_SECONDS)
    error = error_of(asking)
    assert isinstance(error, Refused)
    assert (error.refusal.code, error.refusal.detail) == ("limits_unavailable", LATE)
    assert [each.name for each in stage.store.asked] == ["decide", "free"]
    assert len(stage.fleet._leases) == 0


def test_an_answer_in_the_turn_in_which_the_time_is_up_is_in_time() -> None:
    stage = Stage().up()
    asking = stage.ask()
    # A reactor reads behind its timers.
    stage.clock.callLater(ANSWER_SECONDS, stage.store.answer, "decide", IN)
    stage.clock.advance(ANSWER_SECONDS)
    assert (stage.state, result_of(asking).share) == ("up", 1)


def test_a_client_that_leaves_is_taken_back() -> None:
    stage = Stage().up()
    asking = stage.ask()
    asking.cancel()
    assert isinstance(error_of(asking), CancelledError)
    decided, freed = stage.store.asked
    assert freed.name == "free"
    assert set(freed.arguments) == {decided.arguments[3]}
    decided.answer.callback(IN)
    assert stage.state == "up"


def test_before_there_is_a_connection_the_mode_decides_without_a_word(lines: list[str]) -> None:
    stage = Stage()
    assert stage.ask().called
    stage.clock.advance(BEAT_SECONDS * 9)
    assert (stage.state, stage.store.asked, lines) == ("starting", [], [])


def test_a_store_that_is_back_is_told_of_all_leases_before_it_counts() -> None:
    stage = Stage().up()
    known, over = stage.lease(), stage.lease()
    late = stage.ask()
    stage.wait(ANSWER_SECONDS)
    stage.store.asked.clear()
    over.end()
    stage.store.answer("free", 3)
    by_mode: Any = stage.ask().result
    stage.wait(BEAT_SECONDS)
    asks = stage.store.answer("beat", UNKNOWN)
    assert asks.arguments[-1] == "", "it does not yet say that the store has all"
    renewed = stage.store.answer("renew", 1)
    names = [known.name, result_of(late).name, by_mode.name]
    assert set(renewed.arguments[1:]) == set(names)
    assert stage.state == "down"
    tells = stage.store.answer("beat", KNOWN)
    assert tells.arguments[-1] == stage.fleet._relay
    assert stage.state == "up"


def test_one_that_came_meanwhile_is_told_too() -> None:
    stage = Stage().up()
    stage.lease()
    stage.fleet.lost("gone")
    stage.connect()
    stage.store.answer("beat", UNKNOWN)
    new: Any = stage.ask().result
    stage.store.answer("renew", 1)
    assert stage.store.answer("renew", 1).arguments[1:] == [new.name] * 2


def test_many_leases_are_renewed_in_scripts_of_a_hundred() -> None:
    stage = Stage()
    for _ in range(250):
        stage.ask()
    stage.connect()
    stage.store.answer("beat", UNKNOWN)
    sizes = [len(stage.store.answer("renew", 1).keys) for _ in range(3)]
    assert sizes == [200, 200, 100], "of two keys each"
    stage.store.answer("beat", KNOWN)


def test_while_it_does_not_know_all_sessions_the_mode_decides_and_it_still_refuses() -> None:
    stage = Stage().up()
    asked_before = stage.lease([0, 0, 0, 0, 0])
    assert asked_before.share == 3
    stage.clock.advance(BEAT_SECONDS)
    # What the mode has let in, the store is told of at the next sign of life.
    stage.store.answer("renew", 1)
    stage.store.answer("beat", UNKNOWN)
    assert (stage.state, stage.fleet.share) == ("settling", 3)
    asking = stage.ask()
    stage.store.answer("decide", [1, 1, 0])
    assert isinstance(error_of(asking), OverLimit)
    closed = Stage(mode="closed").up()
    asking = closed.ask()
    closed.store.answer("decide", [0, 0, 0, 0, 0])
    assert error_of(asking).refusal.code == "limits_unavailable"
    closed.store.answer("free", 2)


def test_a_connection_whose_sign_of_life_has_no_answer_is_given_up() -> None:
    stage = Stage().up()
    stage.wait(BEAT_SECONDS)
    stage.wait(ANSWER_SECONDS)
    assert stage.state == "down", "though nobody asked for a session"
    asking = stage.store.asked.pop()
    stage.wait(BEAT_SECONDS)
    assert stage.store.asked[-1].name == "beat"
    stage.wait(STUCK_SECONDS - 0.001)
    assert stage.store.cuts == 0
    stage.wait(0.001)
    assert stage.store.cuts == 1
    asking.answer.callback(KNOWN)


@pytest.mark.parametrize("fault", ["READONLY You can't write", "OOM command not allowed"])
def test_a_store_that_says_no_is_away(fault: str, lines: list[str]) -> None:
    stage = Stage().up()
    asking = stage.ask()
    stage.store.asked.pop().answer.errback(StoreFault(fault))
    assert result_of(asking).share == 3
    assert stage.fleet.told()["why"] == fault


def test_each_change_is_one_line(lines: list[str]) -> None:
    stage = Stage()
    stage.fleet.lost("no route")
    stage.fleet.lost("no route")
    stage.connect()
    stage.store.answer("beat", UNKNOWN)
    stage.store.answer("beat", UNKNOWN)
    stage.clock.advance(BEAT_SECONDS)
    stage.store.answer("beat", KNOWN)
    stage.fleet.stop()
    stage.fleet.lost("stopped")
    assert lines == [
        "the fleet's store is away (no route); until it is back, this relay counts by itself, with"
        " the limits divided by 3",
        "the fleet's store waits until 3 relays have told it of their sessions; until then, this"
        " relay counts by itself, with the limits divided by 3",
        "the fleet's store counts for 2 relays, after 0.5 s without it",
    ]
    assert not stage.clock.getDelayedCalls()


# -- revocations ---------------------------------------------------------------------------


def test_a_revocation_is_told_at_once_and_heard_within_half_a_second() -> None:
    stage = Stage().up()
    stage.fleet.revoke("ann")
    asked = stage.store.answer("revoke", 7_000_000)
    assert (asked.keys, asked.arguments) == (["{relay}:revoked"], ["subject:ann"])
    stage.clock.advance(BEAT_SECONDS)
    stage.store.answer("beat", [1, 3, 8_000_000])
    asked = stage.store.answer(
        "revoked", [b"9000000", b"subject:ann", b"7000000", b"subject:ben", b"8000000"]
    )
    assert asked.arguments == [0]
    assert stage.ended == [("ben", 1.0)], "its own is no news"
    stage.clock.advance(BEAT_SECONDS)
    stage.store.answer("beat", [1, 3, 8_000_000])
    assert stage.store.asked == []


def test_what_is_said_on_the_channel_is_heard_at_once() -> None:
    stage = Stage().up()
    stage.fleet.heard()
    stage.store.answer("beat", [1, 3, 5_000_000])
    stage.store.answer("revoked", [b"5000000", "subject:änn".encode(), b"5000000"])
    assert stage.ended == [("änn", 0.0)]


def test_a_revocation_while_the_store_is_away_is_told_when_it_is_back() -> None:
    stage = Stage()
    stage.fleet.revoke("ann")
    stage.connect()
    stage.store.answer("beat", UNKNOWN)
    assert stage.store.answer("revoke", 7_000_000).arguments == ["subject:ann"]
    stage.store.answer("beat", [1, 3, 7_000_000])
    stage.store.answer("revoked", [b"9000000", b"subject:ann", b"7000000"])
    assert stage.ended == []


def test_another_server_is_asked_for_all_and_nothing_is_done_twice() -> None:
    stage = Stage().up()
    stage.fleet.heard()
    stage.store.answer("beat", [1, 3, 5_000_000])
    stage.store.answer("revoked", [b"5000000", b"subject:ann", b"5000000"])
    stage.fleet.lost("gone")
    stage.connect()
    stage.store.answer("beat", UNKNOWN)
    assert stage.store.answer("restore", 2).arguments == [5_000_000, b"subject:ann"]
    stage.store.answer("beat", [1, 3, 4_000_000])
    told = [b"6000000", b"subject:ben", b"4000000", b"subject:ann", b"5000000"]
    asked = stage.store.answer("revoked", told)
    assert asked.arguments == [0]
    assert stage.ended == [("ann", 0.0), ("ben", 2.0)]


def test_a_key_is_told_by_its_digest_and_what_is_not_known_here_is_left_alone() -> None:
    stage = Stage().up()
    stage.fleet.withdraw(b"\x00\xff")
    assert stage.store.answer("revoke", 1).arguments == ["key:00ff"]
    stage.fleet.heard()
    stage.store.answer("beat", [1, 3, 3])
    stage.store.answer("revoked", [b"3", b"key:0a", b"2", b"another:kind", b"3"])
    assert stage.ended == [("0a", 1e-6)]
