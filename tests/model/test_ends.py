"""Who behaves as RFC 6455, 7.1.1 asks waits for no deadline, whatever ends a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from model.ends import End
from model.test_conversations import combinations
from model.world import MESSAGE_BYTES, Plane, World
from websockets.frames import Opcode

from relay.rules.closes import Side


def closes(end: End) -> None:
    end.close(b"\x03\xe8bye")


def breaks_framing(end: End) -> None:
    end.put(end.frame(Opcode.BINARY, b"four", bits=0x40) + b"and more")


def says_too_much(end: End) -> None:
    end.put(end.frame(Opcode.BINARY, bytes(MESSAGE_BYTES + 1)))


def closes_in_no_language(end: End) -> None:
    end.put(end.frame(Opcode.CLOSE, b"\x03\xe8\xff\xfe"))


def leaves(end: End) -> None:
    end.end_tls()
    end.socket.fin()


WAYS = [closes, breaks_framing, says_too_much, closes_in_no_language, leaves]


@pytest.fixture
def worlds() -> Iterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        world.forget()


@combinations
@pytest.mark.parametrize("side", ["downstream", "upstream"])
@pytest.mark.parametrize("way", WAYS)
def test_a_session_is_over_with_no_deadline_whoever_ends_it(
    worlds: list[World],
    plane: Plane,
    secure: frozenset[Side],
    side: Side,
    way: Callable[[End], None],
) -> None:
    world = World(plane, secure, 65536, False)
    worlds.append(world)
    pair = world.open()
    way(pair.ends[side])
    pair.ends[side].let_go()
    world.settle()
    world.check_nothing_left()
