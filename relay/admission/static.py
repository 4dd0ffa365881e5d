"""Keys that clients are given once, and that hold until they are revoked."""

from __future__ import annotations

from hmac import compare_digest

from attrs import asdict

from relay.admission.grant import Grant
from relay.admission.quota import GrantLimits
from relay.admission.request import Admit, Request, Verdict
from relay.config.access import ClientKeys, digest_of
from relay.rules.refusals import refuse


def require_keys(keys: ClientKeys) -> Admit:
    """
    Admit a client that sends one of the keys.

    @param keys: asked for each request, so that a key that is revoked is refused at once.
    """

    def admit(request: Request) -> Verdict:
        given = request.credential or ""
        digest = digest_of(given)
        # All are compared, and by their digests: timing tells nothing of any key.
        found = [key for key in keys() if compare_digest(digest, key.digest)]
        if not given or not found:
            why = "the credential is none of the keys" if given else "there is no credential"
            return refuse("unauthorized", detail=why)
        key = found[0]
        limits = GrantLimits(**asdict(key.limits))
        return Grant(
            key.subject, limits, key.policy, models=key.models or None, upstream=key.upstream
        )

    return admit
