"""
The public keys of an issuer, by HTTP: a JWK Set.

Source: RFC 7517.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import jwt
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay.admission.asking import Answer, NoAnswer
from relay.config.authorizers import kind_of
from relay.policy.strict import NotStrict, parse_strict
from relay.rules.refusals import Refused, refuse
from relay.timing.flight import Flights

_log = Logger()

MOST_BYTES = 262_144
MOST_KEYS = 100

FRESH_SECONDS = 600.0
"""Seconds after which the keys are fetched again before one is used."""

STALE_SECONDS = 86_400.0
"""Seconds for which keys stay in use if the issuer does not answer."""

PAUSE_SECONDS = 10.0
"""Least seconds between two fetches, whatever key ids tokens name."""


class KeySet:
    """
    Keys by their ids, fetched when they are first asked for.

    @param fetch: asks the issuer.
    @param seconds: the time, by a monotonic clock.
    """

    def __init__(
        self,
        url: str,
        algorithms: tuple[str, ...],
        fetch: Callable[[], Deferred[Answer]],
        seconds: Callable[[], float],
    ) -> None:
        self._url = url
        self._algorithms = algorithms
        self._fetch = fetch
        self._seconds = seconds
        self._keys: dict[str | None, Any] = {}
        self._got = self._tried = float("-inf")
        self._fault: NoAnswer | None = None
        self._flights: Flights[None, None] = Flights()

    async def find(self, kid: str | None) -> Any:
        """
        The key of this id; without one, the only key.

        @return: L{None} if the issuer has no such key.
        @raise Refused: with C{authorizer_unavailable} if it may have one, but the keys cannot be
            had.
        """
        if self._age > FRESH_SECONDS:
            # Each waits for it, because the issuer may have withdrawn the key meanwhile.
            await self._renewed()
        if self._of(kid) is None:
            await self._renewed()
        found = self._of(kid)
        if found is None and self._fault is not None:
            left = max(1, ceil(self._tried + PAUSE_SECONDS - self._seconds()))
            said = f"the keys at {self._url} cannot be had: {self._fault}"
            raise Refused(refuse("authorizer_unavailable", retry_after=left, detail=said))
        return found

    @property
    def _age(self) -> float:
        return self._seconds() - self._got

    def _of(self, kid: str | None) -> Any:
        keys = self._keys if self._age <= STALE_SECONDS else {}
        if kid is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(kid)

    async def _renewed(self) -> None:
        """Fetch the keys, unless that was tried just now; together with whoever does so already."""
        if not self._flights and self._seconds() - self._tried >= PAUSE_SECONDS:
            # The set waits itself, too: else who leaves at once could put it off for everybody.
            self._flights.join(None, self._fetch_begun)
        if self._flights:
            await self._flights.join(None, self._fetch_begun)

    def _fetch_begun(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._fetched())

    async def _fetched(self) -> None:
        self._tried = self._seconds()
        try:
            answer = await self._fetch()
            self._keys = keys_in(answer, self._algorithms)
            self._got, self._fault = self._seconds(), None
        except NoAnswer as fault:
            self._fault = fault
            _log.error("[[auth.jwt]] jwks_url {url}: {fault}", url=self._url, fault=fault)


def keys_in(answer: Answer, algorithms: tuple[str, ...]) -> dict[str | None, Any]:
    """
    The keys of an answer, by their ids, as far as they are for one of these algorithms.

    @raise NoAnswer: if it is no key set, or none of its keys can be used.
    """
    if answer.status != 200:
        raise NoAnswer(f"it answers {answer.status}")
    try:
        listed = parse_strict(answer.body).get("keys")
    except NotStrict as fault:
        raise NoAnswer(f"its answer is no JWK set: {fault}") from None
    if not isinstance(listed, list):
        raise NoAnswer("its answer is no JWK set: it has no list of keys")
    found = [each for each in listed[:MOST_KEYS] if isinstance(each, dict)]
    keys = {each.get("kid"): key for each in found if (key := _key(each, algorithms)) is not None}
    if not keys:
        raise NoAnswer("its answer has no key of the kind of algorithms")
    return keys


_TYPES = {"RSA": "RS", "EC": "ES", "OKP": "Ed"}

_PUBLIC = ("kty", "n", "e", "crv", "x", "y")
"""All that is read of a key: no private half, and no certificate or URL of one."""


def _key(said: dict[str, Any], algorithms: tuple[str, ...]) -> Any:
    """
    A key that verifies: by any algorithm of its kind, or only by the one that it is for (RFC 8725,
    3.1).
    """
    if _TYPES.get(str(said.get("kty"))) != kind_of(algorithms[0]) or not _verifies(said):
        return None
    if not isinstance(said.get("kid"), (str, type(None))):
        return None
    algorithm, public = said.get("alg"), {name: said[name] for name in _PUBLIC if name in said}
    try:
        if algorithm is None:
            return jwt.PyJWK(public).key
        return jwt.PyJWK(public, algorithm) if algorithm in algorithms else None
    except (jwt.PyJWTError, ValueError, TypeError):
        return None


def _verifies(said: dict[str, Any]) -> bool:
    operations = said.get("key_ops", ["verify"])
    return (
        said.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )
