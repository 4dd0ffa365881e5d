"""A service of the operator's own that is asked about each client."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from relay.admission.asking import Answer, NoAnswer
from relay.admission.claims import grant_of
from relay.admission.grant import Grant
from relay.admission.request import Request, Verdict
from relay.policy.strict import NotStrict, parse_strict
from relay.rules.errors import InvalidValue
from relay.rules.refusals import Refusal, refuse
from relay.rules.scrub import redact
from relay.timing.clock import epoch
from relay.timing.flight import Flights
from relay.upstreams.passing import is_secret_header

_log = Logger()

MOST_BYTES = 65_536

CAPACITY = 1000
"""Answers that are remembered. Each takes about as much as its JSON, so at most L{MOST_BYTES}."""

LONGEST_CACHED = 3600.0
"""Most seconds for which an answer is remembered."""

REFUSING = (401, 403)
"""Statuses by which it refuses without more words."""


@frozen
class Verdicts:
    """
    What an answer says.

    @ivar seconds: how long the same request gets the same answer.
    """

    verdict: Verdict
    seconds: float = 0.0


class Callback:
    """
    Asks the service, and remembers its answers for as long as they say.

    @param ask: sends it the facts, as JSON.
    @param headers: names of the headers, in small letters, that are among the facts.
    @param seconds: the time, by a monotonic clock.
    @param token: what the relay itself is known by to the service; L{None} if by nothing.
    """

    def __init__(
        self,
        ask: Callable[[bytes], Deferred[Answer]],
        headers: tuple[str, ...],
        seconds: Callable[[], float],
        token: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._ask = ask
        self._headers = headers
        self._seconds = seconds
        self._token = token
        self._known: OrderedDict[bytes, tuple[float, Verdict]] = OrderedDict()
        self._flights: Flights[bytes, Verdict] = Flights()

    async def admit(self, request: Request) -> Verdict:
        """
        What the service says of a request; equal ones that wait share one question. It is not asked
        about a request with nothing that could let it in.
        """
        told = facts_of(request, self._headers)
        if not told["credential"] and not any(told["headers"].values()):
            return refuse("unauthorized", detail="there is no credential")
        facts = json.dumps(told).encode("ascii")
        # A digest, because the facts have the credential in them.
        key = sha256(facts).digest()
        known = self._verdict_known(key)
        if known is not None:
            return known
        return await self._flights.join(
            key, lambda: Deferred.fromCoroutine(self._asked(key, facts, secrets_of(told)))
        )

    def _verdict_known(self, key: bytes) -> Verdict | None:
        until, known = self._known.get(key, (float("-inf"), None))
        if known is None or self._seconds() >= until:
            return None
        if isinstance(known, Grant) and known.has_expired(epoch()):
            return None  # the service may grant it anew
        self._known.move_to_end(key)
        return known

    async def _asked(self, key: bytes, facts: bytes, secrets: list[str]) -> Verdict:
        try:
            found = verdict_in(await self._ask(facts))
        except (NoAnswer, InvalidValue) as fault:
            said = redact(str(fault), self._sent(secrets))
            _log.error("[auth.callback] {fault}", fault=said)
            return refuse("authorizer_unavailable", detail=f"the callback: {said}"[:200])
        found = _redacted(found, self._sent(secrets))
        if found.seconds > 0:
            self._remember(key, found)
        return found.verdict

    def _sent(self, secrets: list[str]) -> list[str]:
        """All secrets that the service was sent, and may quote."""
        token = self._token()
        return secrets if token is None else [*secrets, token]

    def _remember(self, key: bytes, found: Verdicts) -> None:
        self._known[key] = (self._seconds() + min(found.seconds, LONGEST_CACHED), found.verdict)
        self._known.move_to_end(key)
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)


def facts_of(request: Request, headers: tuple[str, ...]) -> dict[str, Any]:
    """What the service is told of a request."""
    route = request.route
    return {
        "credential": request.credential,
        "path": request.head.path,
        "endpoint": None if route is None else route.endpoint.name,
        "model": request.model,
        "origin": request.origin,
        "address": request.peer,
        "headers": {name: request.head.one(name) for name in headers},
    }


def secrets_of(facts: dict[str, Any]) -> list[str]:
    """The secrets among the facts: the credential, and each word of a header that has some."""
    shown = [value for name, value in facts["headers"].items() if value and is_secret_header(name)]
    words = [word for value in shown for word in re.split(r"[\s;,=]+", value)]
    return [*filter(None, (facts["credential"], *words))]


def _redacted(found: Verdicts, secrets: list[str]) -> Verdicts:
    """The same, without the secrets in the words of a refusal. Those of a grant may be needed."""
    said = found.verdict
    if isinstance(said, Grant):
        return found
    message, detail = (redact(text, secrets) for text in (said.message, said.detail))
    return evolve(found, verdict=evolve(said, message=message, detail=detail))


def verdict_in(answer: Answer) -> Verdicts:
    """
    What an answer says.

    @raise InvalidValue: if it is no answer.
    """
    if answer.status in REFUSING:
        why = f"the callback answers {answer.status}, to this credential or to the relay's own"
        return Verdicts(refuse("unauthorized", status=answer.status, detail=why))
    if answer.status != 200:
        raise InvalidValue(f"answers {answer.status}")
    try:
        said = parse_strict(answer.body)
    except NotStrict as fault:
        raise InvalidValue(f"answers no JSON object: {fault}") from None
    seconds = said.pop("cache_seconds", 0)
    if len(said) != 1 or not said.keys() <= {"grant", "refusal"}:
        raise InvalidValue("must answer with a grant or a refusal, and nothing else")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds >= 0:
        raise InvalidValue("cache_seconds must be a number, 0 or more")
    if "refusal" in said:
        return Verdicts(_refusal(said["refusal"]), seconds)
    return Verdicts(grant_of(_table(said["grant"], "grant")), seconds)


def _table(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValue(f"{name} must be an object")
    return value


def _refusal(said: Any) -> Refusal:
    table = {"code": "unauthorized", "detail": "the callback refuses it", **_table(said, "refusal")}
    for name, value in table.items():
        kind = _REFUSAL.get(name)
        if kind is None:
            raise InvalidValue(f"refusal has an unknown field {name[:60]!r}")
        if type(value) is not kind:  # a boolean is an int, too
            raise InvalidValue(f"{name} of a refusal must be of type {kind.__name__}")
    return refuse(**table)


_REFUSAL: dict[str, type] = {
    "code": str,
    "message": str,
    "status": int,
    "retryable": bool,
    "retry_after": int,
    "detail": str,
}
"""What a refusal may say; see L{refuse}."""
