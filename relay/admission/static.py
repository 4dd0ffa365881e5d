"""Static tokens as downstream credentials."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from relay.admission.request import Admit, Grant, Request, Verdict
from relay.rules.errors import InvalidValue
from relay.rules.refusals import refuse


def require_tokens(tokens: Sequence[str]) -> Admit:
    """
    Admit a client that presents one of these tokens.

    @raise InvalidValue: if there is no token, or an empty one, which every client could present.
    """
    if not tokens or not all(tokens):
        raise InvalidValue("a token may not be empty")
    known = [token.encode("utf-8") for token in tokens]

    def admit(request: Request) -> Verdict:
        given = (request.credential or "").encode("utf-8")
        # All are compared, each in constant time: timing tells nothing of any token.
        if any(hmac.compare_digest(given, token) for token in known):
            return Grant()
        return refuse("unauthorized")

    return admit
