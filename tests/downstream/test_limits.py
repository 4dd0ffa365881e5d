"""How much one caller may have: by address, by subject, and when its sessions keep dying."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from memory import World
from twisted.internet.defer import Deferred

from relay import Grant, GrantLimits, InvalidValue, Limits, Request, Settings
from relay.admission.callers import key_of
from relay.testing.peers import Peer
from relay.testing.reactor import THERE

PROXIED = Settings(trusted_proxies=("127.0.0.1",))


def world_of(admit: Any = None, **limits: Any) -> World:
    settings = evolve(PROXIED, limits=Limits(**limits))
    return World(settings=settings, options={} if admit is None else {"admit": admit})


def named(subject: str | None, **limits: Any) -> Any:
    return lambda request: Grant(subject, GrantLimits(**limits))


def come(world: World, address: str | None = "192.0.2.1", agent: str = "a") -> Peer:
    return world.downstream(
        agent=agent, headers={} if address is None else {"X-Forwarded-For": address}
    )


def enter(world: World, address: str | None = "192.0.2.1", agent: str = "a") -> tuple[Peer, Peer]:
    """A session."""
    downstream = come(world, address, agent)
    upstream = world.answering()
    upstream.send('{"type":"session.created"}')
    downstream.read()
    assert downstream.response is not None
    assert downstream.response.status_code == 101
    return downstream, upstream


def refused(world: World, peer: Peer) -> tuple[int, str, str | None, str | None]:
    """Status, code, Retry-After, and the record's detail."""
    peer.read()
    assert peer.response is not None
    record = world.listener.holds[-1]
    status, headers = peer.response.status_code, peer.response.headers
    return status, record.outcome, headers.get("Retry-After"), record.detail


# -- by address ----------------------------------------------------------------------------


def test_an_address_has_so_many_sessions_and_holds_at_once() -> None:
    world = world_of(address_sessions=2)
    first, _ = enter(world)
    come(world)
    over = refused(world, come(world))
    assert over == (429, "too_many_sessions", "5", "over address_sessions")
    enter(world, "192.0.2.2")
    first.line.lose()
    world.advance(4)
    come(world)
    assert world.factory.active_holds == 2


def test_an_address_has_so_many_holds_at_once() -> None:
    world = world_of(address_holds=2)
    enter(world)
    come(world)
    waiting = come(world)
    over = refused(world, come(world))
    assert over == (429, "too_many_sessions", "5", "over address_holds")
    waiting.line.lose()
    come(world)
    assert world.factory.active_holds == 2


def test_an_address_has_so_many_handshakes_a_minute() -> None:
    world = world_of(address_handshakes=3)
    for _ in range(3):
        come(world).line.lose()
    over = refused(world, come(world))
    assert over == (429, "rate_limited", "20", "over address_handshakes")
    world.advance(20)
    come(world)
    assert world.factory.active_holds == 1


@pytest.mark.parametrize("name", ["address_sessions", "address_holds", "address_handshakes"])
def test_this_machine_has_no_limit_by_address_and_0_is_none(name: str) -> None:
    world = world_of(**{name: 1})
    for _ in range(5):
        come(world, None)
    unlimited = world_of(**{name: 0})
    for _ in range(5):
        come(unlimited)
    assert (world.factory.active_holds, unlimited.factory.active_holds) == (5, 5)


def test_a_near_proxy_whose_word_is_not_believed_is_limited_itself() -> None:
    world = world_of(address_sessions=1)
    come(world, "nobody")
    status, _, _, detail = refused(world, come(world, "unknown, nobody else"))
    assert status == 429
    assert detail is not None
    assert detail.startswith("over address_sessions; not believed of the proxy 127.0.0.1")


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_of_ipv6_a_network_counts_as_one_address(address: str, key: str) -> None:
    assert key_of(address) == key


def test_fifty_people_behind_one_address_may_come_at_once_and_come_again() -> None:
    world = world_of()
    for _ in range(6):
        holds = [come(world) for _ in range(100)]
        assert world.factory.active_holds == 100
        for hold in holds:
            hold.line.lose()


# -- by subject ----------------------------------------------------------------------------


def test_a_subject_is_counted_wherever_it_comes_from() -> None:
    world = world_of(named("ann"), subject_sessions=2)
    come(world, None)
    come(world, "192.0.2.1")
    over = refused(world, come(world, "192.0.2.2"))
    assert over == (429, "too_many_sessions", "5", "over subject_sessions")


@pytest.mark.parametrize(
    ("limits", "grant", "detail"),
    [
        ({"subject_holds": 1}, {}, "over subject_holds"),
        ({"subject_handshakes": 1}, {}, "over subject_handshakes"),
        ({"subject_sessions": 9}, {"sessions": 1}, "over subject_sessions"),
        ({}, {"holds": 1}, "over subject_holds"),
        ({}, {"handshakes": 1}, "over subject_handshakes"),
    ],
)
def test_a_grant_may_say_its_own_limits(
    limits: dict[str, int], grant: dict[str, int], detail: str
) -> None:
    world = world_of(named("ann", **grant), **limits)
    come(world)
    assert refused(world, come(world))[3] == detail


def test_a_grant_may_have_more_than_the_settings_say_and_none_is_no_subject() -> None:
    for admit in (named("ann", sessions=0, holds=3), named(None)):
        world = world_of(admit, subject_sessions=1, subject_holds=1)
        for _ in range(3):
            come(world, None)
        assert world.factory.active_holds == 3


def test_six_holds_at_once_with_a_limit_of_two_open_two() -> None:
    waiting: list[Deferred[Grant]] = []

    def admit(request: Request) -> Deferred[Grant]:
        waiting.append(Deferred())
        return waiting[-1]

    def answer() -> None:
        for each in waiting:
            each.callback(Grant("ann", GrantLimits(sessions=2)))
        waiting.clear()

    world = world_of(admit)
    callers = [come(world) for _ in range(6)]
    answer()
    assert len(world.reactor.tcpClients) == 2
    for _, _, factory, _, _ in world.reactor.tcpClients:
        upstream = world.answering(world.wire(factory.buildProtocol(THERE)))
        upstream.send('{"type":"session.created"}')
    for each in callers:
        each.read()
    assert sorted(each.status or 0 for each in callers) == [101, 101, 429, 429, 429, 429]
    late = come(world)
    answer()
    assert refused(world, late)[0] == 429
    callers[0].line.lose()
    world.advance(4)
    come(world)
    answer()
    assert world.factory.active_holds == 1


@pytest.mark.parametrize("wrong", [-1, "2", True, float("nan")])
def test_limits_of_a_grant_are_numbers(wrong: Any) -> None:
    with pytest.raises(InvalidValue, match="sessions of GrantLimits must be a number"):
        GrantLimits(sessions=wrong)
    with pytest.raises(InvalidValue, match="idle_seconds of GrantLimits must be a number"):
        GrantLimits(idle_seconds=wrong)


# -- sessions that keep dying --------------------------------------------------------------


HERE = "192.0.2.1"


def die(world: World, times: int, address: str | None = HERE, agent: str = "a") -> None:
    """So many sessions, of which upstream is lost at once."""
    for _ in range(times):
        downstream, upstream = enter(world, address, agent)
        upstream.line.lose()
        downstream.line.lose()


def test_who_dies_again_and_again_is_told_to_wait() -> None:
    world = world_of()
    die(world, 5)
    waits = []
    for _ in range(6):
        status, code, after, detail = refused(world, come(world, HERE))
        assert (status, code, detail) == (429, "rate_limited", "over short_sessions")
        assert after is not None
        waits.append(int(after))
        world.advance(int(after))
        die(world, 1)
    assert waits == [1, 2, 4, 8, 16, 30]


def test_the_others_at_that_address_are_not() -> None:
    world = world_of()
    die(world, 5, agent="broken")
    enter(world, HERE, "sound")
    assert refused(world, come(world, HERE, "broken"))[0] == 429


def test_a_subject_is_slowed_wherever_it_comes_from_and_nobody_else_there() -> None:
    def admit(request: Request) -> Grant:
        return Grant(request.credential)

    def as_(world: World, subject: str, address: str) -> Peer:
        return world.downstream(
            headers={"X-Forwarded-For": address, "Authorization": f"Bearer {subject}"}
        )

    world = world_of(admit)
    for _ in range(5):
        downstream = as_(world, "ann", "192.0.2.1")
        upstream = world.answering()
        upstream.send('{"type":"session.created"}')
        upstream.line.lose()
        downstream.line.lose()
    as_(world, "ben", "192.0.2.1")
    assert world.factory.active_holds == 1
    assert refused(world, as_(world, "ann", "192.0.2.2"))[0] == 429


@pytest.mark.parametrize("code", [1000, 1001])
def test_who_ends_his_sessions_himself_is_not_slowed(code: int) -> None:
    world = world_of()
    for _ in range(20):
        downstream, upstream = enter(world, HERE)
        downstream.send_close(code)
        world.settle(upstream, downstream)
        downstream.line.lose()
        upstream.line.lose()
    enter(world, HERE)


def test_who_drops_his_sessions_is_slowed() -> None:
    world = world_of()
    for _ in range(5):
        downstream, upstream = enter(world, HERE)
        downstream.line.lose()
        upstream.line.lose()
    assert refused(world, come(world, HERE))[0] == 429


def test_programs_on_the_relays_own_machine_are_not_slowed() -> None:
    world = world_of()
    die(world, 20, None)
    enter(world, None)


def test_with_0_nobody_is_slowed() -> None:
    world = world_of(short_sessions=0)
    die(world, 20)
    enter(world, HERE)


# -- the relay's own failures --------------------------------------------------------------


@pytest.mark.parametrize(
    "broken",
    ["relay.downstream.hold.Session", "relay.downstream.protocol.PeerProtocol._onOpen"],
)
def test_a_session_that_could_not_be_made_counts_no_longer(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    world = world_of(address_sessions=1)
    with monkeypatch.context() as patch:
        downstream = come(world)
        upstream = world.answering()
        patch.setattr(broken, lambda *_, **__: 1 / 0)
        upstream.send('{"type":"session.created"}')
    downstream.line.lose()
    upstream.line.lose()
    world.advance(4)
    come(world)
    assert world.factory.active_holds == 1
