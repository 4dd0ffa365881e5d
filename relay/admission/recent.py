"""What is known of whoever was here lately, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """
    A value for each key in use, and for the keys that were used last.

    @param make: makes the value of a key that is not known.
    @param capacity: most keys that are kept though they are not in use.
    """

    def __init__(self, make: Callable[[], V], capacity: int) -> None:
        self._make = make
        self._capacity = capacity
        self._used: dict[K, tuple[V, int]] = {}
        self._others: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used) + len(self._others)

    def use(self, key: K) -> V:
        """The key's value, which is kept until L{leave} was called as often as this."""
        value, uses = self._used.get(key) or (self._taken(key), 0)
        self._used[key] = (value, uses + 1)
        return value

    def leave(self, key: K) -> None:
        """One use of the key is over."""
        value, uses = self._used.pop(key)
        if uses > 1:
            self._used[key] = (value, uses - 1)
            return
        self._others[key] = value
        if len(self._others) > self._capacity:
            self._others.popitem(last=False)

    def _taken(self, key: K) -> V:
        known = self._others.pop(key, None)
        return self._make() if known is None else known
