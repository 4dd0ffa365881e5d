"""Who is silent is pinged, and given up if that does not help."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from twisted.internet.task import Clock

from relay.peer.keepalive import Keepalive


@dataclass
class Watched:
    """A peer that is pinged after 20 seconds and given up 10 later."""

    clock: Clock = field(default_factory=Clock)
    shows_life: bool | None = False
    stops_for: int = 0
    told: list[tuple[str, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keepalive = Keepalive(self.clock, 20, 10)
        self.keepalive.start(self.ping, lambda: self.shows_life, self.give_up)

    def ping(self) -> None:
        self.told.append(("ping", self.clock.seconds()))
        self.clock.rightNow += self.stops_for

    def give_up(self) -> None:
        self.told.append(("gone", self.clock.seconds()))

    def wait(self, seconds: int) -> None:
        self.clock.pump([1] * seconds)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_a_silent_peer_is_pinged_and_then_given_up(watched: Watched) -> None:
    watched.wait(60)
    assert watched.told == [("ping", 20), ("gone", 30)]
    assert watched.clock.getDelayedCalls() == []


def test_any_sign_of_life_spares_a_peer_until_the_next_look(watched: Watched) -> None:
    watched.wait(15)
    watched.keepalive.heard = True
    watched.wait(24)
    assert watched.told == []
    watched.wait(3)
    assert watched.told == [("ping", 40)]
    watched.keepalive.heard = True
    watched.wait(27)
    assert watched.told == [("ping", 40)]
    watched.wait(1)
    assert watched.told == [("ping", 40), ("ping", 70)]


def test_a_peer_of_unknown_progress_is_pinged_again(watched: Watched) -> None:
    watched.shows_life = None
    watched.wait(55)
    assert watched.told == [("ping", 20), ("ping", 30), ("ping", 40), ("ping", 50)]
    watched.shows_life = False
    watched.wait(10)
    assert watched.told[4:] == [("ping", 60)]
    watched.wait(10)
    assert watched.told[5:] == [("gone", 70)]


def test_a_peer_that_shows_life_in_another_way_is_left_in_peace(watched: Watched) -> None:
    watched.shows_life = True
    watched.wait(100)
    assert watched.told == []


def test_a_peer_that_shows_life_when_its_time_is_up_is_kept(watched: Watched) -> None:
    watched.wait(29)
    watched.shows_life = True
    watched.wait(20)
    assert watched.told == [("ping", 20)]


def test_a_peer_that_is_no_longer_watched_is_not_pinged(watched: Watched) -> None:
    watched.keepalive.stop()
    watched.wait(60)
    assert watched.told == []
    assert watched.clock.getDelayedCalls() == []


def test_a_relay_that_is_stopped_before_its_ping_has_left_waits_for_the_pong_all_the_same(
    watched: Watched,
) -> None:
    watched.stops_for = 60
    watched.wait(29)
    assert watched.told == [("ping", 20)]
    watched.wait(1)
    assert watched.told == [("ping", 20), ("gone", 90)]
