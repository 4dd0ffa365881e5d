"""
Prints what of the relay's only the garbage collector finds after holds and sessions of all kinds.

A program of its own, for pytest-twisted makes C{cleanFailure} do nothing, and with that every
refusal's failure keeps its frames.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from types import FrameType

from memory import World
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure
from websockets.frames import Frame, Opcode

from relay import Limits, Settings, Upstream
from relay.testing.peers import Line
from relay.upstreams.retry import WINDOW

ELSEWHERE = {"X-Forwarded-For": "192.0.2.1"}
SETTINGS = Settings(
    trusted_proxies=("127.0.0.1",), limits=Limits(address_sessions=2, short_sessions=0)
)
OURS = ("relay", "autobahn", "twisted.internet.defer")


def a_session(world: World) -> list[Line]:
    downstream, upstream = world.open()
    downstream.send("there")
    upstream.send("and back")
    world.settle(downstream, upstream)
    downstream.send_close(1000)
    world.settle(downstream, upstream)
    upstream.line.fin()
    return [downstream.line, upstream.line]


def a_lost_upstream(world: World) -> list[Line]:
    downstream, upstream = world.open()
    upstream.line.reset()
    downstream.read()
    return [downstream.line, upstream.line]


def a_refused_port(world: World) -> list[Line]:
    downstream = world.downstream()
    _, _, factory, _, _ = world.reactor.tcpClients[-1]
    factory.clientConnectionFailed(world.reactor.connectors[-1], Failure(ConnectionRefusedError()))
    return [downstream.line]


def an_answer(world: World) -> list[Line]:
    downstream = world.downstream()
    upstream = world.connected()
    upstream.deliver(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
    return [downstream.line, upstream]


def a_retry(world: World) -> list[Line]:
    downstream = world.downstream()
    first = world.connected()
    first.reset()
    second = world.connected()
    second.reset()
    return [downstream.line, first, second]


def a_timeout(world: World) -> list[Line]:
    downstream = world.downstream()
    world.advance(world.settings.hold_seconds)
    return [downstream.line]


def a_leaving_before_tcp(world: World) -> list[Line]:
    downstream = world.downstream()
    downstream.line.reset()
    return [downstream.line]


def a_leaving_in_the_upgrade(world: World) -> list[Line]:
    downstream = world.downstream()
    upstream = world.connected()
    downstream.line.reset()
    return [downstream.line, upstream]


def a_flood(world: World) -> list[Line]:
    """One that is held back when it leaves."""
    downstream, upstream = world.open()
    downstream.line.deliver(Frame(Opcode.TEXT, b"").serialize(mask=True) * 10_400)
    downstream.line.reset()
    upstream.line.reset()
    return [downstream.line, upstream.line]


def a_caller_over_its_limit(world: World) -> list[Line]:
    """So many holds at once that the last ones are refused."""
    return [world.downstream(headers=ELSEWHERE).line for _ in range(4)]


LIVES: list[Callable[[World], list[Line]]] = [
    a_session,
    a_lost_upstream,
    a_refused_port,
    an_answer,
    a_retry,
    a_timeout,
    a_leaving_before_tcp,
    a_leaving_in_the_upgrade,
    a_flood,
    a_caller_over_its_limit,
]


def _live(world: World, life: Callable[[World], list[Line]]) -> None:
    """From an accept to the end of all, of which the test's own doubles then forget."""
    lines = life(world)
    for line in lines:
        line.take()
        line.lose()
        line.protocol = None
    world.advance(WINDOW)  # what lingers has ended, and there may be another retry
    assert world.is_clean()
    world.reactor.tcpClients.clear()
    world.reactor.connectors.clear()
    world.reactor.sockets.clear()
    for told in (world.listener.holds, world.listener.refusals, world.listener.ends):
        told.clear()


def _left_over() -> list[str]:
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    gc.set_debug(0)
    kinds = {type(found) for found in gc.garbage}
    gc.garbage.clear()
    ours = [kind for kind in kinds if kind is FrameType or kind.__module__.startswith(OURS)]
    return sorted(kind.__qualname__ for kind in ours)


def main() -> None:
    for life in LIVES:
        world = World(
            settings=SETTINGS,
            upstreams=[Upstream("ws://127.0.0.1:9000/v1/realtime", breaker=False)],
        )
        _live(world, life)  # whatever is made once for all has been made
        gc.collect()
        gc.disable()
        for _ in range(3):
            _live(world, life)
        print(life.__name__, *_left_over())
        gc.enable()


if __name__ == "__main__":
    main()
