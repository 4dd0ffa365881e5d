"""Holds and sessions of a relay in a fleet, in memory; the fleet says what a test has it say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from memory import World
from twisted.internet.defer import Deferred

from relay import Grant, GrantLimits, Limits, Metrics, Request, Settings, refuse
from relay.admission.callers import over_count
from relay.admission.ledger import LocalLedger
from relay.admission.shared import Claim
from relay.rules.refusals import Refused
from relay.rules.usage import Usage
from relay.testing.reactor import THERE

CREATED = '{"type":"session.created"}'


class FakeLease:
    """Keeps what it is told."""

    def __init__(self, share: int = 1) -> None:
        self.share = share
        self.told: list[str] = []

    def opened(self) -> None:
        self.told.append("opened")

    def end(self) -> None:
        self.told.append("end")


class FakeFleet:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.share = 1
        self.ledger = LocalLedger(lambda: 0.0)
        self.callers: list[str] = []
        self.asked: list[tuple[Claim, ...]] = []
        self.answers: list[Deferred[FakeLease]] = []
        self.revoked: list[str] = []

    def admit(self, claims: Sequence[Claim], caller: str) -> Deferred[FakeLease]:
        self.asked.append(tuple(claims))
        self.callers.append(caller)
        self.answers.append(Deferred())
        return self.answers[-1]

    def revoke(self, subject: str) -> None:
        self.revoked.append(subject)

    def told(self) -> dict[str, object]:
        return {"state": "up"}


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


def world_of(fleet: FakeFleet, subject: str | None = "ann", **limits: Any) -> World:
    def admit(request: Request) -> Grant:
        return Grant(subject, GrantLimits(holds=7))

    settings = Settings(limits=Limits(**limits), trusted_proxies=("127.0.0.1",))
    world = World(settings=settings, options={"admit": admit})
    world.factory.join(fleet)
    return world


def come(world: World) -> Any:
    return world.downstream(headers={"X-Forwarded-For": "192.0.2.1"})


def test_a_hold_waits_for_the_fleet_and_dials_nobody_before(fleet: FakeFleet) -> None:
    world = world_of(fleet)
    downstream = come(world)
    ((of_address, of_subject),) = fleet.asked
    assert (of_address.kind, of_address.name) == ("address", "192.0.2.1")
    assert (of_subject.kind, of_subject.name, of_subject.quota.holds) == ("subject", "ann", 7)
    assert fleet.callers == ["subject:ann"]
    assert not world.reactor.tcpClients
    lease = FakeLease()
    fleet.answers[0].callback(lease)
    upstream = world.answering()
    upstream.send(CREATED)
    downstream.read()
    assert (downstream.status, lease.told) == (101, ["opened"])
    downstream.line.lose()
    upstream.line.lose()
    world.advance(4)
    assert lease.told == ["opened", "end"]


def test_what_the_fleet_refuses_is_told_as_a_relays_own_limit(fleet: FakeFleet) -> None:
    world = world_of(fleet)
    downstream = come(world)
    fleet.answers[0].errback(over_count("subject", "sessions", " in the fleet"))
    downstream.read()
    assert downstream.status == 429
    (record,) = world.listener.holds
    assert (record.outcome, record.detail) == (
        "too_many_sessions",
        "over subject_sessions in the fleet",
    )
    assert not world.reactor.tcpClients


def test_closed_is_a_refusal_of_its_own(fleet: FakeFleet) -> None:
    world = world_of(fleet)
    downstream = come(world)
    fleet.answers[0].errback(Refused(refuse("limits_unavailable", detail="no route")))
    downstream.read()
    assert downstream.status == 503
    (record,) = world.listener.holds
    assert (record.outcome, record.detail) == ("limits_unavailable", "no route")


def test_a_client_that_leaves_ends_the_question(fleet: FakeFleet) -> None:
    world = world_of(fleet)
    come(world).line.lose()
    answer = fleet.answers[0]
    assert answer.called
    assert world.listener.holds[0].outcome == "left"


def test_a_hold_that_fails_ends_its_lease(fleet: FakeFleet) -> None:
    world = world_of(fleet)
    downstream = come(world)
    lease = FakeLease()
    fleet.answers[0].callback(lease)
    downstream.line.lose()
    assert lease.told == ["end"]


def test_who_has_no_limit_is_not_asked_about(fleet: FakeFleet) -> None:
    world = world_of(fleet, None)
    world.downstream()
    assert world.reactor.tcpClients
    assert fleet.asked == []


def test_an_address_without_a_limit_is_no_claim(fleet: FakeFleet) -> None:
    come(world_of(fleet, address_sessions=0, address_holds=0, address_handshakes=0))
    assert [claim.kind for claim in fleet.asked[0]] == ["subject"]


def test_while_it_cannot_count_a_relay_has_its_part(fleet: FakeFleet) -> None:
    world = world_of(fleet, address_sessions=6)
    fleet.share = 3
    for _ in range(3):
        come(world)
    assert len(fleet.asked) == 2
    assert world.listener.holds[-1].detail == "over address_sessions"


def test_of_those_that_waited_in_vain_too_a_relay_lets_in_its_part(fleet: FakeFleet) -> None:
    world = world_of(fleet, address_sessions=6)
    clients = [come(world) for _ in range(4)]
    leases = [FakeLease(3) for _ in clients]
    for answer, lease in zip(fleet.answers, leases, strict=True):
        answer.callback(lease)
    # Each is counted with all that wait beside it.
    assert [record.outcome for record in world.listener.holds] == ["too_many_sessions"] * 2
    assert [lease.told for lease in leases] == [["end"], ["end"], [], []]


def test_what_was_spent_on_other_relays_counts_too(fleet: FakeFleet) -> None:
    fleet.ledger.spend("subject:ann", Usage(tokens=50))
    world = world_of(fleet, day_tokens=50)
    downstream = come(world)
    lease = FakeLease()
    fleet.answers[0].callback(lease)
    downstream.read()
    assert downstream.status == 429
    assert world.listener.holds[-1].outcome == "budget_exhausted"
    assert lease.told == ["end"]


def test_the_page_on_readiness_tells_of_the_fleet(fleet: FakeFleet) -> None:
    world = world_of(fleet)
    admin = world.factory.admin(Metrics())
    line = world.wire(admin.buildProtocol(THERE))
    line.deliver(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    _, _, body = line.take().partition(b"\r\n\r\n")
    assert json.loads(body)["fleet"] == {"state": "up"}


# -- revocations ---------------------------------------------------------------------------


def enter(world: World, fleet: FakeFleet) -> Any:
    downstream = come(world)
    fleet.answers[-1].callback(FakeLease())
    world.answering().send(CREATED)
    downstream.read()
    return downstream


def test_what_is_revoked_here_is_told_to_all(fleet: FakeFleet) -> None:
    world = world_of(fleet)
    downstream = enter(world, fleet)
    assert world.factory.handles.revoke("ann") == 1
    assert fleet.revoked == ["ann"]
    world.advance(0.1)
    downstream.read()
    assert downstream.close is not None
    assert downstream.close[0] == 1008


def test_what_is_revoked_elsewhere_ends_here_and_is_not_told_again(fleet: FakeFleet) -> None:
    world = world_of(fleet)
    old = enter(world, fleet)
    world.advance(10)
    new = enter(world, fleet)
    waiting = come(world)
    world.factory.revoked_elsewhere("ann", 5.0)
    world.advance(0.1)
    for each in (old, new):
        each.read()
    assert fleet.revoked == []
    assert old.close is not None
    assert old.close[0] == 1008
    assert new.close is None, "it began after that"
    assert waiting.status is None
    world.factory.revoked_elsewhere("ann", 0.0)
    world.advance(0.1)
    new.read()
    waiting.read()
    assert new.close is not None
    assert waiting.status == 401
