"""Where the keys of an issuer of JWTs come from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime

from relay.admission.asking import asking
from relay.admission.jwt import FindKey, require_jwt
from relay.admission.keyset import MOST_BYTES, KeySet
from relay.admission.request import Admit
from relay.config.issuers import JwtSource

JWKS_SECONDS = 3.0
"""How long an issuer's keys are waited for."""


def admit_by_issuer(source: JwtSource, reactor: Any) -> Admit:
    """What lets in a client with a token of this issuer."""
    return require_jwt(source.table, _find(source, reactor))


def _find(source: JwtSource, reactor: Any) -> FindKey:
    table = source.table
    if source.key is not None:
        return partial(_only, source.key)
    ask = asking(reactor, table.ca_file, JWKS_SECONDS, MOST_BYTES)
    url = table.jwks_url or ""
    fetch = partial(ask, "GET", url, {"Accept": "application/json"}, b"")
    return KeySet(url, table.algorithms, fetch, IReactorTime(reactor).seconds).find


async def _only(key: Callable[[], Any], kid: str | None) -> Any:
    """The one key, whatever a token calls it."""
    return key()
