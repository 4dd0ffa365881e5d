"""What a fleet of relays counts together: the seam between one relay's admission and its store."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Literal, Protocol

from attrs import frozen

from relay.admission.ledger import Ledger
from relay.admission.quota import Quota

Kind = Literal["address", "subject"]


@frozen
class Claim:
    """
    One of the callers that a hold counts for, and what that caller may have.

    @ivar name: the address (see L{relay.admission.callers.key_of}), or the subject.
    """

    kind: Kind
    name: str
    quota: Quota


class Lease(Protocol):
    """
    A hold, and the session that it may become, as the fleet counts it.

    @ivar share: how many relays the limits are to be divided by, because the fleet could not count
        it; 1 if it did, or if nothing is to be divided.
    """

    share: int

    def opened(self) -> None:
        """The hold has become a session."""

    def end(self) -> None:
        """It is over. Further calls do nothing."""


class Fleet(Protocol):
    """
    The relays that count together.

    @ivar share: how many relays the limits of what comes now are to be divided by: 1 while the
        fleet counts.
    @ivar ledger: adds up what callers spend on all relays.
    """

    @property
    def ledger(self) -> Ledger:
        """See the class."""

    @property
    def share(self) -> int:
        """See the class."""

    def admit(self, claims: Sequence[Claim], caller: str) -> Awaitable[Lease]:
        """
        Count one hold more, for all its callers or for none.

        @param caller: whose budget it spends; the L{ledger} then knows what that has spent.
        @raise Refused: if one of them has too much, or if nobody is let in without the fleet.
        """

    def revoke(self, subject: str) -> None:
        """Tell all others that what this subject has is to end."""

    def told(self) -> dict[str, object]:
        """How it is doing, for the operator."""
