"""A chain notices whatever happens to its messages."""

from __future__ import annotations

from random import Random

import pytest
from chaos.chains import MIB, Chain, sizes

SIZES = [0, 5, 300, 0, 0, 41, 1000, 50]


def messages() -> list[tuple[bytes, bool]]:
    chain = Chain(1)
    return [(chain.message(size, at % 2 == 0), at % 2 == 0) for at, size in enumerate(SIZES)]


def follows(came: list[tuple[bytes, bool]]) -> bool:
    chain = Chain(1)
    return all(chain.follows(message, binary) for message, binary in came)


def test_an_unbroken_chain_is_accepted() -> None:
    assert follows(messages())


@pytest.mark.parametrize("at", range(len(SIZES) - 1))
def test_a_lost_message_is_noticed(at: int) -> None:
    came = messages()
    del came[at]
    assert not follows(came)


@pytest.mark.parametrize("at", range(len(SIZES) - 1))
def test_a_doubled_message_is_noticed(at: int) -> None:
    came = messages()
    came.insert(at, came[at])
    assert not follows(came)


@pytest.mark.parametrize("at", range(len(SIZES) - 2))
def test_a_moved_message_is_noticed(at: int) -> None:
    came = messages()
    came.insert(at + 1, came.pop(at))
    assert came == messages() or not follows(came)


@pytest.mark.parametrize("at", range(len(SIZES) - 1))
def test_a_changed_message_type_is_noticed(at: int) -> None:
    came = messages()
    came[at] = came[at][0], not came[at][1]
    assert not follows(came)


def test_a_changed_byte_is_noticed() -> None:
    came = messages()
    came[6] = came[6][0][:-1] + b"?", came[6][1]
    assert not follows(came)


def test_most_messages_are_small_and_some_are_large() -> None:
    drawn = sizes(Random(1), 10000)
    assert min(drawn) == 0
    assert MIB // 2 < max(drawn) <= MIB
    assert sorted(drawn)[5000] < 1000
