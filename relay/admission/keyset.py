"""
The public keys of an issuer, by HTTP: a JWK Set.

Source: RFC 7517.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jwt
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay.admission.asking import Answer, NoAnswer
from relay.config.authorizers import kind_of
from relay.rules.refusals import Refused, refuse
from relay.timing.flight import Flights

_log = Logger()

MOST_BYTES = 262_144
MOST_KEYS = 100

FRESH_SECONDS = 600.0
"""Seconds after which the keys are fetched again, while those that there are stay in use."""

STALE_SECONDS = 86_400.0
"""Seconds for which keys stay in use if no newer ones can be had."""

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
        self._kind = kind_of(algorithms[0])
        self._fetch = fetch
        self._seconds = seconds
        self._keys: dict[str | None, Any] = {}
        self._got = self._tried = float("-inf")
        self._flights: Flights[None, None] = Flights()

    async def find(self, kid: str | None) -> Any:
        """
        The key of this id; without one, the only key.

        @return: L{None} if the issuer has no such key.
        @raise Refused: with C{authorizer_unavailable} if the keys cannot be had.
        """
        age = self._seconds() - self._got
        if self._of(kid) is None or age > STALE_SECONDS:
            await self._renewed()
        elif age > FRESH_SECONDS:
            # Nobody has to wait for it.
            Deferred.fromCoroutine(self._renewed())
        if self._seconds() - self._got > STALE_SECONDS:
            said = f"the keys at {self._url} cannot be had"
            raise Refused(refuse("authorizer_unavailable", detail=said))
        return self._of(kid)

    def _of(self, kid: str | None) -> Any:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    async def _renewed(self) -> None:
        """Fetch the keys, unless that was tried just now; together with whoever does so already."""
        if self._flights or self._seconds() - self._tried >= PAUSE_SECONDS:
            await self._flights.join(None, lambda: Deferred.fromCoroutine(self._fetched()))

    async def _fetched(self) -> None:
        self._tried = self._seconds()
        try:
            answer = await self._fetch()
            self._keys = keys_in(answer, self._kind)
            self._got = self._seconds()
        except NoAnswer as fault:
            _log.error("[[auth.jwt]] jwks_url {url}: {fault}", url=self._url, fault=fault)


def keys_in(answer: Answer, kind: str | None) -> dict[str | None, Any]:
    """
    The keys of an answer, by their ids, as far as they are of this kind and sign.

    @raise NoAnswer: if it is no key set, or none of its keys can be used.
    """
    if answer.status != 200:
        raise NoAnswer(f"it answers {answer.status}")
    try:
        listed = json.loads(answer.body)["keys"]
        found = [each for each in listed[:MOST_KEYS] if isinstance(each, dict)]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise NoAnswer("its answer is no JWK set") from None
    keys = {each.get("kid"): key for each in found if (key := _key(each, kind)) is not None}
    if not keys:
        raise NoAnswer("its answer has no key of the kind of algorithms")
    return keys


_TYPES = {"RSA": "RS", "EC": "ES", "OKP": "Ed"}


def _key(said: dict[str, Any], kind: str | None) -> Any:
    if _TYPES.get(str(said.get("kty"))) != kind or said.get("use", "sig") != "sig":
        return None
    if not isinstance(said.get("kid"), (str, type(None))):
        return None
    try:
        # Only the key itself: what signs is decided by the settings, not by the set.
        return jwt.PyJWK({k: v for k, v in said.items() if k != "alg"}).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
