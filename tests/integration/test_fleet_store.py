"""Relays of one fleet with a real Redis: they count as one, whatever becomes of the store."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from integration.loopback import REACTOR, until
from redis_server import RedisServer, needed, redis_server
from twisted.internet.defer import Deferred, DeferredList

from relay.admission.quota import Quota
from relay.admission.shared import Claim
from relay.config.fleet import fleet_source
from relay.config.fleet_table import FleetTable
from relay.fleet.fleet import SharedFleet
from relay.fleet.leases import Leased
from relay.fleet.redis import fleet_of
from relay.rules.refusals import Refused
from relay.rules.usage import Usage

PAGE = Path(__file__).parents[2] / "docs" / "fleet.md"

SESSIONS = "{relay}:subject:ann:sessions"
HOLDS = "{relay}:subject:ann:holds"


def ann(sessions: int = 0, holds: int = 0, handshakes: float = 0, name: str = "ann") -> Claim:
    return Claim("subject", name, Quota("subject", sessions, holds, handshakes))


class Fleets:
    """
    Relays of one fleet, without the rest of a relay.

    @ivar ended: what each was told to end, in order.
    """

    def __init__(self) -> None:
        self.all: list[SharedFleet] = []
        self.ended: list[list[tuple[str, float]]] = []

    def add(self, **table: Any) -> SharedFleet:
        """One more."""
        source = fleet_source(FleetTable(**table))
        assert source is not None
        fleet = fleet_of(source, REACTOR, lambda outcome, took: None)
        ended: list[tuple[str, float]] = []
        fleet.start(
            lambda subject, age: ended.append((subject, age)),
            lambda digest, age: ended.append((digest.hex(), age)),
        )
        self.all.append(fleet)
        self.ended.append(ended)
        return fleet

    async def up(self, count: int, **table: Any) -> list[SharedFleet]:
        """So many, once the store counts for them."""
        made = [self.add(**{"relays": count, **table}) for _ in range(count)]
        await self.are("up")
        return made

    async def are(self, *states: str) -> None:
        """Wait until all are so."""
        await until(lambda: all(each.told()["state"] in states for each in self.all), str(states))


async def gone(fleet: SharedFleet) -> None:
    """Stop it, and wait until its connections are closed."""
    fleet.stop()
    await until(lambda: not fleet._store.is_connected, "the end of a connection")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisServer]:
    needed()
    with redis_server(tmp_path) as server:
        yield server


@pytest_twisted.async_yield_fixture
async def fleets() -> AsyncIterator[Fleets]:
    """Stopped behind the test."""
    fleets = Fleets()
    yield fleets
    for each in fleets.all:
        await gone(each)


async def tried(fleet: SharedFleet, *claims: Claim) -> Leased | str:
    """A lease, or the code of the refusal."""
    try:
        return await fleet.admit(claims, "subject:ann")
    except Refused as refused:
        return refused.refusal.code


async def at_once(fleets: list[SharedFleet], times: int, *claims: Claim) -> list[Leased]:
    """What is let in, of so many that come to each relay at once."""
    work = [Deferred.fromCoroutine(tried(f, *claims)) for f in fleets for _ in range(times)]
    results = await DeferredList(work)
    return [result for _, result in results if isinstance(result, Leased)]


@pytest_twisted.ensureDeferred
async def test_of_any_number_at_once_no_more_come_in_than_may(
    store: RedisServer, fleets: Fleets
) -> None:
    three = await fleets.up(3, url=store.url)
    leases = await at_once(three, 40, ann(sessions=50))
    assert len(leases) == store.count(SESSIONS) == 50
    assert {lease.share for lease in leases} == {1}
    for lease in leases[:7]:
        lease.end()
    await until(lambda: store.count(SESSIONS) == 43, "the leases that are over")
    assert len(await at_once(three, 40, ann(sessions=50))) == 7


@pytest_twisted.ensureDeferred
async def test_holds_and_handshakes_are_those_of_all(store: RedisServer, fleets: Fleets) -> None:
    three = await fleets.up(3, url=store.url)
    leases = await at_once(three, 5, ann(holds=4, sessions=9))
    assert len(leases) == store.count(HOLDS) == 4
    for lease in leases:
        lease.opened()
    await until(lambda: store.count(HOLDS) == 0, "holds that are sessions")
    assert len(await at_once(three, 5, ann(holds=9, sessions=9))) == 5
    # One comes back each ten seconds.
    assert len(await at_once(three, 5, ann(handshakes=6, name="ben"))) == 6
    with pytest.raises(Refused) as caught:
        await three[0].admit([ann(handshakes=6, name="ben")], "subject:ben")
    assert 8 <= (caught.value.refusal.retry_after or 0) <= 10
    for key in ("{relay}:subject:ben:handshakes", SESSIONS, "{relay}:fleet", "{relay}:relays"):
        assert int(store.say("TTL", key).removeprefix(":")) > 0, "each key has an end"


@pytest_twisted.ensureDeferred
async def test_whatever_comes_and_goes_they_count_as_one_does(
    store: RedisServer, fleets: Fleets
) -> None:
    three, chance = await fleets.up(3, url=store.url), random.Random(1)
    claims = [ann(3, 2, name=name) for name in ("ann", "ben", "cid")]
    held: list[tuple[list[Claim], Leased, bool]] = []
    for _ in range(400):
        counts = Counter((c.name, kind) for cs, _, s in held for c in cs for kind in ("all", s))
        if held and chance.random() < 0.45:
            these, lease, is_session = held.pop(chance.randrange(len(held)))
            if is_session or chance.random() < 0.5:
                lease.end()
            else:
                lease.opened()
                held.append((these, lease, True))
            await _in_order(three)
            continue
        these = chance.sample(claims, chance.choice((1, 2)))
        fits = all(counts[c.name, "all"] < 3 and counts[c.name, False] < 2 for c in these)
        found = await tried(chance.choice(three), *these)
        assert isinstance(found, Leased) is fits
        if isinstance(found, Leased):
            held.append((these, found, False))


async def _in_order(fleets: list[SharedFleet]) -> None:
    """Let the store do what each of them has told it so far."""
    for fleet in fleets:
        (await fleet.admit([ann(handshakes=1_000_000, name="nobody")], "near")).end()


@pytest_twisted.ensureDeferred
async def test_a_store_that_is_frozen_is_left_to_the_mode_and_is_back_by_itself(
    store: RedisServer, fleets: Fleets
) -> None:
    three = await fleets.up(3, url=store.url)
    assert len(await at_once(three, 1, ann(sessions=4))) == 3
    with store.frozen():
        by_mode = await at_once(three, 2, ann(sessions=4))
        assert [lease.share for lease in by_mode] == [3] * 6, "what each relay counts by itself"
        await fleets.are("down")
    await fleets.are("up")
    assert store.count(SESSIONS) == 9, "they count all the same"
    assert await tried(three[0], ann(sessions=9)) == "too_many_sessions"
    for lease in by_mode:
        lease.end()
    await until(lambda: store.count(SESSIONS) == 3, "the leases that are over")


@pytest_twisted.ensureDeferred
async def test_a_store_that_begins_anew_is_told_of_all_sessions_before_it_counts(
    store: RedisServer, fleets: Fleets
) -> None:
    two = await fleets.up(2, url=store.url)
    leases = await at_once(two, 9, ann(sessions=5))
    store.kill()
    await fleets.are("down")
    leases.pop().end()
    store.start()
    await fleets.are("up")
    assert store.count(SESSIONS) == 4
    assert len(await at_once(two, 9, ann(sessions=5))) == 1


@pytest_twisted.ensureDeferred
async def test_until_all_relays_have_told_it_the_mode_decides(
    store: RedisServer, fleets: Fleets
) -> None:
    first = fleets.add(url=store.url, relays=2)
    await fleets.are("settling")
    lease: Any = await tried(first, ann(sessions=5))
    assert (lease.share, store.count(SESSIONS)) == (2, 1)
    closed = fleets.add(url=store.url, relays=3, mode="closed", prefix="other")
    await until(lambda: closed.told()["state"] == "settling", "the other fleet")
    assert await tried(closed, ann(sessions=5)) == "limits_unavailable"
    closed.stop()
    fleets.all.remove(closed)
    fleets.add(url=store.url, relays=2)
    await fleets.are("up")


@pytest_twisted.ensureDeferred
async def test_a_replica_takes_over_when_it_is_promoted(
    store: RedisServer, fleets: Fleets, tmp_path: Path
) -> None:
    with redis_server(tmp_path, "--replicaof", f"127.0.0.1 {store.port}") as replica:
        await until(lambda: "master_link_status:up" in replica.say("INFO", "replication"), "link")
        two = await fleets.up(2, url=store.url, url_replica=replica.url)
        assert len(await at_once(two, 9, ann(sessions=5))) == 5
        store.kill()
        await until(lambda: "cannot be written to" in str(two[0].told().get("why")), "a replica")
        replica.say("REPLICAOF", "NO", "ONE")
        await fleets.are("up")
        assert replica.count(SESSIONS) == 5
        assert await at_once(two, 9, ann(sessions=5)) == []
        # It is made a replica while it is used: nothing can be written any more.
        store.start()
        replica.say("REPLICAOF", "127.0.0.1", str(store.port))
        await until(lambda: store.count(SESSIONS) == 5, "both at the first again")
        await fleets.are("up")
        assert await at_once(two, 9, ann(sessions=5)) == []


@pytest_twisted.ensureDeferred
async def test_a_replica_that_is_promoted_counts_once_all_relays_have_come_to_it(
    store: RedisServer, fleets: Fleets, tmp_path: Path
) -> None:
    with redis_server(tmp_path, "--replicaof", f"127.0.0.1 {store.port}") as replica:
        first = fleets.add(url=store.url, url_replica=replica.url, relays=2)
        second = fleets.add(url=store.url, relays=2)
        await fleets.are("up")
        await until(lambda: replica.count("{relay}:relays") == 2, "the replica knows both")
        store.kill()
        await fleets.are("down")
        replica.say("REPLICAOF", "NO", "ONE")
        await until(lambda: first.told()["state"] != "down", "the one that comes")
        assert (first.told()["state"], first.told()["relays"]) == ("settling", 1)
        assert second.told()["state"] == "down"


@pytest_twisted.ensureDeferred
async def test_what_is_revoked_at_one_is_told_to_all_and_to_those_that_come_later(
    store: RedisServer, fleets: Fleets
) -> None:
    first, *_ = await fleets.up(3, url=store.url)
    first.revoke("zoë ☂")
    await until(lambda: all(fleets.ended[1:]), "a revocation")
    assert [[subject for subject, _ in ended] for ended in fleets.ended] == [
        [],
        ["zoë ☂"],
        ["zoë ☂"],
    ]
    assert all(age < 1 for ended in fleets.ended[1:] for _, age in ended)
    store.kill()
    await fleets.are("down")
    store.start()
    await fleets.are("up")
    fleets.add(url=store.url, relays=3)
    await until(lambda: fleets.ended[3], "what it has missed, though the store had lost it")
    assert [len(ended) for ended in fleets.ended] == [0, 1, 1, 1], "nothing is done twice"


@pytest_twisted.ensureDeferred
async def test_a_revocation_is_pushed(
    store: RedisServer, fleets: Fleets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.fleet.fleet.BEAT_SECONDS", 3600.0)
    first, _ = (fleets.add(url=store.url, relays=1) for _ in range(2))
    await fleets.are("up")
    first.revoke("ann")
    await until(lambda: fleets.ended[1], "what is told without being asked for")


async def spent(answer: Usage | Awaitable[Usage]) -> Usage:
    """The answer, once it is there."""
    return answer if isinstance(answer, Usage) else await answer


@pytest_twisted.ensureDeferred
async def test_a_callers_day_is_that_of_all_relays_and_a_hold_learns_of_it(
    store: RedisServer, fleets: Fleets
) -> None:
    three = await fleets.up(3, url=store.url)
    for number, fleet in enumerate(three, 1):
        await spent(fleet.ledger.spend("subject:ann", Usage(10 * number, 0.5)))
    assert await spent(three[0].ledger.spend("subject:ann", Usage(1))) == Usage(61, 1.5)
    store.kill()
    await fleets.are("down")
    await spent(three[0].ledger.spend("subject:ann", Usage(7)))
    store.start()
    await fleets.are("up")
    late = fleets.add(url=store.url, relays=3)
    await fleets.are("up")
    lease: Any = await tried(late, ann(sessions=9))
    assert lease.share == 1
    assert late.ledger.spent("subject:ann") == Usage(68, 1.5), "without another question"
    key = late.ledger.key("subject:ann")
    assert int(store.say("TTL", key).removeprefix(":")) > 0
    with pytest.raises(Refused):
        await late.admit([ann(sessions=1)], "subject:ann")


@pytest_twisted.ensureDeferred
async def test_a_store_without_the_scripts_is_given_them(
    store: RedisServer, fleets: Fleets
) -> None:
    (one,) = await fleets.up(1, url=store.url)
    store.say("SCRIPT", "FLUSH")
    assert isinstance(await tried(one, ann(sessions=1)), Leased)
    assert await tried(one, ann(sessions=1)) == "too_many_sessions"
    assert one.told()["state"] == "up"


@pytest_twisted.ensureDeferred
async def test_tls_and_a_user_with_the_rights_that_the_page_says(
    fleets: Fleets, tmp_path: Path
) -> None:
    needed()
    ca = trustme.CA()
    own = ca.issue_cert("127.0.0.1", "localhost")
    for name, blob in (("ca", ca.cert_pem), ("cert", own.cert_chain_pems[0])):
        blob.write_to_path(tmp_path / name)
    own.private_key_pem.write_to_path(tmp_path / "key")
    other = trustme.CA()
    other.cert_pem.write_to_path(tmp_path / "other")
    (tmp_path / "password").write_text("right\n")
    (tmp_path / "wrong").write_text("wrong\n")
    (user,) = re.findall(r"^user relay .*$", PAGE.read_text("utf-8"), re.MULTILINE)
    users = ["user default off", user.replace("PASSWORD", "right"), ""]
    (tmp_path / "users").write_text("\n".join(users))
    tls_port = RedisServer(tmp_path).port
    options = [
        *("--tls-port", str(tls_port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(tmp_path / "cert"), "--tls-key-file", str(tmp_path / "key")),
        *("--aclfile", str(tmp_path / "users")),
    ]
    with redis_server(tmp_path, *options):
        table = {
            "url": f"rediss://relay@localhost:{tls_port}/1",
            "password_file": str(tmp_path / "password"),
            "ca_file": str(tmp_path / "ca"),
        }
        (one,) = await fleets.up(1, **table)
        assert isinstance(await tried(one, ann(sessions=1)), Leased)
        faults = {
            "password_file": ("wrong", "WRONGPASS"),
            "ca_file": ("other", "certificate verify failed"),
        }
        for key, (name, why) in faults.items():
            wrong = fleets.add(**{**table, key: str(tmp_path / name)})
            await until(partial(_says, wrong, why), why)


def _says(fleet: SharedFleet, why: str) -> bool:
    return why in str(fleet.told().get("why"))
