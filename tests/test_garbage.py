"""Nothing of a closed session waits for the garbage collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from memory import Peer, World

OURS = ("relay", "autobahn", "twisted.internet.defer")


@pytest.fixture
def world() -> Iterator[World]:
    """Whatever is made once for all sessions has been made."""
    world = World()
    _live(world)
    gc.collect()
    gc.disable()
    yield world
    gc.enable()


def _forget(world: World, *peers: Peer) -> None:
    """Drop what the test's own doubles keep."""
    world.advance(world.settings.limits.linger_seconds)
    assert world.is_clean()
    world.reactor.tcpClients.clear()
    world.reactor.connectors.clear()
    for told in (world.listener.holds, world.listener.refusals, world.listener.ends):
        told.clear()
    for peer in peers:
        peer.line.protocol = None


def _live(world: World) -> None:
    """A session, from its accept to its end."""
    downstream, upstream = world.open()
    downstream.send("there")
    upstream.send("and back")
    world.settle(downstream, upstream)
    downstream.send_close(1000)
    world.settle(downstream, upstream)
    upstream.line.fin()
    _forget(world, downstream, upstream)


def _left_over() -> list[str]:
    """What of the relay's only the collector finds."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        kinds = [type(found) for found in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    return sorted({kind.__qualname__ for kind in kinds if kind.__module__.startswith(OURS)})


def test_nothing_is_left_of_a_session(world: World) -> None:
    # Only of one that came to be: pytest-twisted makes C{cleanFailure} do nothing, so that here,
    # and only here, every refusal's failure keeps its frames.
    for _ in range(3):
        _live(world)
    assert _left_over() == []
