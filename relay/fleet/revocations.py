"""What was revoked: told to the others, and heard from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from relay.fleet.scripts import DAY, RESTORE, REVOKE, REVOKED, Script

Ask = Callable[[Script, Sequence[str], Sequence[object]], Deferred[Any]]


SUBJECT, KEY = "subject", "key"
"""What may be revoked: a subject by its name, a key by the hexadecimal digest of it."""


class Revocations:
    """
    The store remembers all that was revoked, and when. So a relay that was cut off learns later
    what it has missed.

    @param ask: runs a script; what it returns fails with L{relay.fleet.store.StoreFault}.
    @param key: where they are in the store.
    @ivar effects: what a revocation does here, by what was revoked; given its name, and how many
        seconds ago that was.
    """

    def __init__(self, ask: Ask, key: str) -> None:
        self.effects: Mapping[str, Callable[[str, float], object]] = {}
        self._ask = ask
        self._key = key
        self._unsent: dict[str, None] = {}
        self._seen = 0
        self._known: dict[bytes, int] = {}

    def add(self, kind: str, name: str) -> None:
        """One that the others are to hear of; L{send} tells them."""
        self._unsent[f"{kind}:{name}"] = None

    async def send(self) -> None:
        """Tell the others."""
        for what in list(self._unsent):
            at = await self._ask(REVOKE, [self._key], [what])
            self._unsent.pop(what, None)
            self._known[what.encode("utf-8")] = at

    async def restore(self, most: int) -> None:
        """
        Tell the store what it may have lost, so that relays learn of it that start later.

        @param most: revocations in one script.
        """
        known = list(self._known.items())
        for first in range(0, len(known), most):
            told = [part for what, at in known[first : first + most] for part in (at, what)]
            await self._ask(RESTORE, [self._key], told)

    def all_again(self) -> None:
        """Another server may know others, by another clock."""
        self._seen = 0

    async def read(self, newest: int) -> None:
        """
        Hear from the others.

        @param newest: the time of the last revocation.
        """
        if newest <= self._seen:
            return
        now, *found = await self._ask(REVOKED, [self._key], [self._seen])
        times = {name: int(at) for name, at in zip(found[::2], found[1::2], strict=True)}
        self._seen = max(self._seen, *times.values()) if times else newest
        for name, at in times.items():
            if self._known.get(name, 0) < at:
                self._take(name.decode("utf-8", "replace"), max(0.0, (int(now) - at) / 1e6))
        self._known.update(times)
        oldest = int(now) - DAY * 1_000_000
        self._known = {name: at for name, at in self._known.items() if at > oldest}

    def _take(self, what: str, seconds: float) -> None:
        kind, _, name = what.partition(":")
        if (effect := self.effects.get(kind)) is not None:  # a later version may know more
            effect(name, seconds)
