"""The result of a dial: an upstream that is open."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from relay.dial.protocol import UpstreamProtocol
from relay.upstreams.endpoints import Endpoint
from relay.upstreams.upstream import Upstream


@frozen(eq=False)
class OpenUpstream:
    """
    An upstream that is open, and has sent its first event if its kind sends one.

    @ivar endpoint: what it was opened for.
    @ivar first: the messages it sent so far, in order; each is its payload and whether it is
        binary.
    @ivar session_id: from C{session.created}; L{None} if there is none.
    @ivar secrets: strings that must not show in text from this upstream.
    """

    protocol: UpstreamProtocol
    upstream: Upstream
    endpoint: Endpoint
    first: list[tuple[bytes, bool]] = field(repr=False)
    session_id: str | None
    secrets: tuple[str, ...] = field(repr=False)

    def when_lost(self, call: Callable[[], object]) -> None:
        """Have this called once the connection is gone."""
        self.protocol.when_lost(call)

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol it selected."""
        selected: str | None = self.protocol.websocket_protocol_in_use
        return selected

    @property
    def shaped(self) -> bool:
        """Whether its events have OpenAI's form."""
        return self.upstream.traits.shaped
