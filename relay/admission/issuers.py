"""Where the keys of an issuer of JWTs come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime

from relay.admission.asking import asking
from relay.admission.jwt import FindKey, require_jwt
from relay.admission.keyset import MOST_BYTES, KeySet
from relay.admission.request import Admit
from relay.config.authorizers import JwtTable
from relay.config.issuers import JwtSource

JWKS_SECONDS = 3.0
"""How long an issuer's keys are waited for."""


def admits_by_issuer(sources: Sequence[JwtSource], reactor: Any) -> list[Admit]:
    """What lets in clients with tokens of these issuers. Keys that several use are fetched once."""
    found: dict[object, FindKey] = {}
    return [require_jwt(source.table, _find(source, reactor, found)) for source in sources]


def _find(source: JwtSource, reactor: Any, found: dict[object, FindKey]) -> FindKey:
    table = source.table
    if source.key is not None:
        return partial(_only, source.key)
    place = table.jwks_url, table.ca_file, frozenset(table.algorithms)
    if place not in found:
        found[place] = _fetching(table, reactor)
    return found[place]


def _fetching(table: JwtTable, reactor: Any) -> FindKey:
    ask = asking(reactor, table.ca_file, JWKS_SECONDS, MOST_BYTES)
    url = table.jwks_url or ""
    fetch = partial(ask, "GET", url, {"Accept": "application/json"}, b"")
    return KeySet(url, table.algorithms, fetch, IReactorTime(reactor).seconds).find


async def _only(key: Callable[[], Any], kid: str | None) -> Any:
    """The one key, whatever a token calls it."""
    return key()
