"""A relay that is configured anew while it runs: what is open goes on."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from memory import World, keyed

from relay import Limits, Metrics, RelayFactory, Settings, Upstream
from relay.rules.refusals import refuse
from relay.testing.reactor import THERE

ORIGIN = "https://app.example"
ALLOWING = Settings(origins=(ORIGIN,))
FIRST = Upstream("ws://127.0.0.1:9000/v1/realtime")


def status(world: World, **headers: str) -> bytes:
    """What a request for a session is answered with at once; nothing, if it is held."""
    return bytes(world.downstream(headers=headers).line.sent[9:12])


def test_the_next_request_has_the_new_settings_and_a_session_goes_on() -> None:
    world = World(settings=Settings(limits=Limits(sessions=1)))
    downstream, upstream = world.open()
    assert status(world) == b"503"
    assert status(world, origin=ORIGIN) == b"403"
    world.factory.configure([FIRST], settings=ALLOWING)
    assert status(world, origin=ORIGIN) == b""
    downstream.send("still here")
    upstream.read()
    assert upstream.received == ["still here"]


@pytest.mark.parametrize("at", [None, "tcp:8080"])
def test_a_connection_that_waited_asks_the_relay_as_it_is_now(at: str | None) -> None:
    world = World(at=at)
    line = world.accept()
    world.factory.configure([FIRST], admit=keyed("key"))
    line.deliver(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
    world.advance(0.1)
    assert line.sent[9:12] == b"401"


def test_the_admin_listener_follows() -> None:
    world = World()
    admin = world.factory.admin(Metrics())
    admin.set_public(False)

    def asked() -> bytes:
        line = world.wire(admin.buildProtocol(THERE))
        line.deliver(b"GET /healthz HTTP/1.1\r\nHost: relay.internal\r\n\r\n")
        return bytes(line.sent[9:12])

    assert asked() == b"403"
    world.factory.configure([FIRST], settings=Settings(hosts=("relay.internal",)))
    assert asked() == b"200"


def test_an_upstream_that_is_the_same_keeps_its_breaker_and_another_key_has_none() -> None:
    upstreams = [
        Upstream("wss://a.example/v1/realtime", name="a", credential="one"),
        Upstream("wss://b.example/v1/realtime", name="b", credential="two"),
    ]
    factory = RelayFactory(upstreams, reactor=World().reactor)
    for standing in factory.standings:
        while standing.breaker_state == "closed":
            standing.failed(refuse("upstream_timeout"), standing.begin())
    factory.configure([upstreams[0], evolve(upstreams[1], credential="three")])
    assert [each.breaker_state for each in factory.standings] == ["open", "closed"]


def test_an_upstream_that_has_changed_still_has_its_connections() -> None:
    world = World(upstream=evolve(FIRST, max_sessions=2))
    world.open()
    world.factory.configure([evolve(FIRST, max_sessions=1)])
    assert status(world) == b"503"
    world.factory.configure([evolve(FIRST, max_sessions=2)])
    assert status(world) == b""


def test_without_signing_keys_secrets_stay_good() -> None:
    world = World(options={"admit": keyed("key")})
    body = json.dumps({"session": {"type": "realtime", "model": "m"}}).encode()
    line = world.accept()
    line.deliver(
        b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: localhost\r\n"
        b"Authorization: Bearer key\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    value = json.loads(bytes(line.sent).partition(b"\r\n\r\n")[2])["value"]
    world.factory.configure([FIRST], admit=keyed("other"))
    assert status(world, authorization=f"Bearer {value}") == b""
    world.factory.configure([FIRST], admit=keyed("other"), signing_keys=[b"k" * 32])
    held = world.downstream(headers={"authorization": f"Bearer {value}"})
    world.advance(0.1)
    assert held.line.sent[9:12] == b"401"


def test_what_cannot_be_changes_nothing() -> None:
    world = World()
    for upstreams, options in (
        ([], {}),
        ([FIRST, FIRST], {"settings": ALLOWING}),
        ([FIRST], {"settings": ALLOWING, "signing_keys": [b"short"]}),
    ):
        with pytest.raises(ValueError, match=r"upstream|signing_keys"):
            world.factory.configure(upstreams, **options)
    assert status(world, origin=ORIGIN) == b"403"
