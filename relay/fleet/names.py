"""What the keys in the store are called."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from relay.admission.shared import Claim


@frozen
class Names:
    """
    The names of one fleet's keys. In braces, the prefix has a cluster keep them all in one place,
    because one script uses several.

    @param prefix: of the settings.
    """

    prefix: str

    @property
    def fleet(self) -> str:
        """The fleet's state."""
        return f"{{{self.prefix}}}:fleet"

    @property
    def members(self) -> str:
        """The relays that live."""
        return f"{{{self.prefix}}}:relays"

    @property
    def revoked(self) -> str:
        """The subjects that were revoked; also the channel on which that is told."""
        return f"{{{self.prefix}}}:revoked"

    def places(self, claims: Sequence[Claim]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Where a lease counts: until it is a session, and always."""
        held = tuple(self.holds(claim) for claim in claims if claim.quota.holds)
        return held, tuple(self.sessions(claim) for claim in claims if claim.quota.sessions)

    def sessions(self, claim: Claim) -> str:
        """The leases of a caller's sessions and holds."""
        return self._of(claim, "sessions")

    def holds(self, claim: Claim) -> str:
        """The leases of its holds."""
        return self._of(claim, "holds")

    def handshakes(self, claim: Claim) -> str:
        """Its bucket."""
        return self._of(claim, "handshakes")

    def spent(self, day: int, caller: str) -> str:
        """What a caller has spent on a day, by its number since 1970."""
        return f"{{{self.prefix}}}:spent:{day}:{caller}"

    def _of(self, claim: Claim, what: str) -> str:
        return f"{{{self.prefix}}}:{claim.kind}:{claim.name}:{what}"
