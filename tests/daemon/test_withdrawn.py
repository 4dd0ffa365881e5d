"""Keys that are taken out end sessions, on one clock."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock

from relay.config.access import ClientKey
from relay.daemon.withdrawn import Withdrawn


def keys_of(subjects: Sequence[str]) -> list[ClientKey]:
    """A key of each; of one that is named again, another."""
    return [
        ClientKey(each, f"{each}{subjects[:number].count(each)}".encode())
        for number, each in enumerate(subjects)
    ]


class Scene:
    """The keys as the file has them, and whom the relay was told to revoke."""

    def __init__(self, *subjects: str) -> None:
        self.clock = Clock()
        self.keys = keys_of(subjects)
        self.revoked: list[str] = []
        self.told: list[bytes] = []
        keys = lambda: tuple(self.keys)  # noqa: E731
        self.withdrawn = Withdrawn(keys, self._revoke, self.told.append, self.clock)
        self.withdrawn.start()

    def _revoke(self, subject: str) -> int:
        self.revoked.append(subject)
        return 1

    def keep(self, *subjects: str) -> None:
        self.keys = keys_of(subjects)
        self.clock.pump([0.25] * 4)


def test_a_subject_whose_key_is_gone_is_revoked_once_within_a_second() -> None:
    scene = Scene("a", "b", "c")
    scene.keep("b")
    assert scene.revoked == ["a", "c"]
    scene.keep("b")
    assert scene.revoked == ["a", "c"]


def test_a_subject_with_another_key_left_is_not_revoked() -> None:
    scene = Scene("a", "a")
    scene.keep("a")
    assert (scene.revoked, scene.told) == ([], [b"a1"])


def test_a_new_subject_is_watched_too() -> None:
    scene = Scene("a")
    scene.keep("a", "b")
    scene.keep("a")
    assert scene.revoked == ["b"]


def test_it_ends() -> None:
    scene = Scene("a")
    scene.withdrawn.stop()
    scene.keep()
    assert scene.revoked == []
    assert not scene.clock.getDelayedCalls()
