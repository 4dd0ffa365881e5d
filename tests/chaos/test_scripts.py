"""The storm's own parts: what ends do is a matter of the seed, and what they hear is judged."""

from __future__ import annotations

from random import Random

import pytest
from chaos.clients import BINARY, CLOSE, MORE, PING, TEXT, frame
from chaos.scripts import ENDINGS, scripts
from chaos.walk import Walk


def test_a_seed_makes_the_same_scripts_again() -> None:
    made = [scripts(Random(f"1 {number}")) for number in range(50)]
    assert made == [scripts(Random(f"1 {number}")) for number in range(50)]
    assert made != [scripts(Random(f"2 {number}")) for number in range(50)]


def test_each_script_has_one_end() -> None:
    for number in range(200):
        for script in scripts(Random(number)):
            assert script[-1].act in ENDINGS
            assert not [step for step in script[:-1] if step.act in ENDINGS]


GOOD = b"".join(
    (
        frame(TEXT, b"." * 70_000, fin=False, masked=False),
        frame(PING, b"." * 125, masked=False),
        frame(MORE, b"." * 300, masked=False),
        frame(BINARY, b"", masked=False),
        frame(CLOSE, b"\x03\xe8", masked=False),
    )
)


@pytest.mark.parametrize("chunk", [1, 7, len(GOOD)])
def test_the_walk_follows_frames_however_they_are_cut(chunk: int) -> None:
    walk = Walk(masked=False)
    for start in range(0, len(GOOD), chunk):
        walk.feed(GOOD[start : start + chunk])
    assert not walk.faults


@pytest.mark.parametrize(
    "bad",
    [
        GOOD + frame(TEXT, b"", masked=False),
        frame(TEXT, b"." * 100, declared=90, masked=False) + GOOD,
        frame(TEXT, b"text"),
        frame(PING, b"." * 126, masked=False),
        frame(PING, b"", fin=False, masked=False),
        frame(3, b"", masked=False),
    ],
    ids=["behind a Close", "within a frame", "masked", "long Ping", "half a Ping", "opcode"],
)
def test_the_walk_notices_bytes_that_are_no_frame(bad: bytes) -> None:
    walk = Walk(masked=False)
    walk.feed(bad)
    assert walk.faults
