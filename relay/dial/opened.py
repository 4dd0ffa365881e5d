"""What a dial comes to: an upstream that is open."""

from __future__ import annotations

from attrs import frozen

from relay.dial.protocol import UpstreamProtocol
from relay.upstreams.providers import Upstream


@frozen(eq=False)
class OpenUpstream:
    """
    An upstream that is open and has said its first word.

    @ivar first: the messages it sent so far, in order; each is payload and whether it is binary.
    @ivar session_id: from C{session.created}.
    @ivar secrets: what must not show in text from it.
    """

    protocol: UpstreamProtocol
    upstream: Upstream
    first: list[tuple[bytes, bool]]
    session_id: str | None
    secrets: tuple[str, ...]

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol it selected."""
        selected: str | None = self.protocol.websocket_protocol_in_use
        return selected
