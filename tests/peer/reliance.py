"""What shows that Autobahn does what a row of the seam says."""

from __future__ import annotations

from collections.abc import Callable

CHECKS: dict[str, list[Callable[[], None]]] = {}
"""The checks of each row, by C{owner.name}."""


def shows(owner: str, *names: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """The function checks what is relied on of these names, with Autobahn's own classes."""

    def register(check: Callable[[], None]) -> Callable[[], None]:
        for name in names:
            CHECKS.setdefault(f"{owner}.{name}", []).append(check)
        return check

    return register
