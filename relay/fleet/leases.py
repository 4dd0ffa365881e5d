"""The leases of one relay, and when each is to be renewed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

Places = tuple[str, ...]
"""The keys under which a lease counts."""


class Leased:
    """
    A lease: see L{relay.admission.shared.Lease}.

    @param name: in the whole fleet its own.
    @param while_held: the keys under which it counts until it is a session.
    @param always: those under which it counts until its end.
    @param free: called with keys under which it counts no longer.
    @ivar places: the keys under which it counts now.
    """

    __slots__ = ("_end", "_free", "_while_held", "name", "places", "share")

    def __init__(
        self,
        name: str,
        while_held: Places,
        always: Places,
        free: Callable[[Leased, Places], None],
        end: Callable[[Leased], None],
    ) -> None:
        self.name = name
        self.share = 1
        self.places = while_held + always
        self._while_held = while_held
        self._free = free
        self._end = end

    def opened(self) -> None:
        """It is a session."""
        held, self._while_held = self._while_held, ()
        if held and self.places:
            self.places = tuple(place for place in self.places if place not in held)
            self._free(self, held)

    def end(self) -> None:
        """It is over. Further calls do nothing."""
        places, self.places = self.places, ()
        if places:
            self._end(self)
            self._free(self, places)


class Leases:
    """
    Those that are not over, the ones first that are to be renewed first.

    @param seconds: from one renewal to the next.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: OrderedDict[Leased, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._due)

    def add(self, lease: Leased, now: float) -> None:
        """One that the store knows."""
        self._due[lease] = now + self._seconds

    def add_unknown(self, lease: Leased) -> None:
        """One that the store is yet to be told of."""
        self._due[lease] = 0.0
        self._due.move_to_end(lease, last=False)

    def drop(self, lease: Leased) -> None:
        """One that is over, if it is there."""
        self._due.pop(lease, None)

    def forget(self) -> None:
        """The store may know none of them any more."""
        for lease in self._due:
            self._due[lease] = 0.0

    def take(self, now: float, most: int) -> list[Leased]:
        """Those that are to be renewed by now, at most so many. They count as renewed."""
        found: list[Leased] = []
        for lease, due in islice(self._due.items(), most):
            if due > now:
                break
            found.append(lease)
        for lease in found:
            self._due[lease] = now + self._seconds
            self._due.move_to_end(lease)
        return found
