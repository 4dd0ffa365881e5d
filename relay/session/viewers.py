"""Those who are shown what crosses one session. While nobody is, nothing is looked at."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from attrs import frozen

from relay.session.glance import Seen, View
from relay.telemetry.crossings import Sender


@frozen(eq=False)
class _Viewer:
    """One who is shown messages."""

    view: View
    most: int


class Viewers:
    """
    Shows each message to all of them (see L{Seen}).

    @ivar most: bytes of a message that one of them wants.
    @param watch: has the session show its messages from now on; L{None} ends that.
    """

    def __init__(self, watch: Callable[[Seen | None], None]) -> None:
        self.most = 0
        self._watch = watch
        self._viewers: list[_Viewer] = []

    def add(self, view: View, most: int) -> Callable[[], None]:
        """
        Show messages to this one too.

        @param most: bytes of each, from its start.
        @return: what ends that; it may be called more than once, and from C{view} itself.
        """
        viewer = _Viewer(view, most)
        self._changed([*self._viewers, viewer])
        return partial(self._leave, viewer)

    def _leave(self, viewer: _Viewer) -> None:
        if viewer in self._viewers:
            self._changed([each for each in self._viewers if each is not viewer])

    def _changed(self, viewers: list[_Viewer]) -> None:
        before, self._viewers = self._viewers, viewers
        self.most = max((each.most for each in viewers), default=0)
        if bool(before) != bool(viewers):
            self._watch(self if viewers else None)

    def __call__(self, sender: Sender, beginning: bytes, size: int, is_binary: bool) -> None:
        """A message is crossing."""
        for viewer in self._viewers:
            viewer.view(sender, beginning[: viewer.most], size, is_binary)
