"""Messages of which each names all before it, so that none can be lost, doubled or moved."""

from __future__ import annotations

from hashlib import blake2b
from random import Random

MIB = 2**20

_PATTERN = Random(0).randbytes(MIB).hex().encode()[:MIB] * 2
"""Filling: text of which no two places look alike."""

SIZES = ((0, 3, 5), (4, 200, 60), (200, 2000, 25), (2000, 16000, 9), (16000, 130000, 0.9))
"""Least bytes, most bytes, and how often. The largest are one in a thousand."""
LARGEST = (130000, MIB, 0.1)


def sizes(random: Random, count: int) -> list[int]:
    """So many sizes, from nothing to 1 MiB, most of them small."""
    spans = [*SIZES, LARGEST]
    chosen = random.choices(spans, [weight for *_, weight in spans], k=count)
    return [random.randint(low, high) for low, high, _ in chosen]


class Chain:
    """
    The messages of one direction, one after the other.

    @ivar count: messages so far.
    @ivar digest: of all of them, with their kinds and sizes.
    """

    def __init__(self, seed: int) -> None:
        self.count = 0
        self.digest = f"{seed:032x}".encode()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chain) and vars(self) == vars(other)

    def message(self, size: int, binary: bool) -> bytes:
        """
        The next one: its number, what all before it amount to, and filling; as much as fits.

        @param size: in bytes, at most 1 MiB.
        """
        head = b"%08x%s" % (self.count, self.digest)
        start = self.count * 7919 % MIB
        message = (head + _PATTERN[start : start + max(0, size - len(head))])[:size]
        kind = b"binary" if binary else b"text"
        summary = blake2b(message, digest_size=16, key=self.digest)
        summary.update(b"%s %d" % (kind, size))
        self.count += 1
        self.digest = summary.hexdigest().encode()
        return message

    def follows(self, message: bytes, binary: bool) -> bool:
        """Whether this is the next one."""
        return self.message(len(message), binary) == message
