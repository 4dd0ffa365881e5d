"""All that the operator lets clients in by, as one C{admit}."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from relay.admission.asking import asking
from relay.admission.callback import MOST_BYTES, Callback
from relay.admission.grant import Grant
from relay.admission.request import Admit, Request, Verdict
from relay.admission.static import require_keys
from relay.config.access import Access, JwtSource
from relay.rules.refusals import refuse
from relay.timing.callbacks import answer_of

Knows = Callable[[Request], bool]
"""Whether a request's credential is of some kind, good or not."""


def admit_by(access: Access, reactor: Any) -> Admit | None:
    """What decides by all that the settings name; L{None} if that is nothing."""
    kinds: list[tuple[Knows, Admit]] = []
    if access.client_keys is not None:
        known = require_keys(access.client_keys)
        kinds.append((lambda request: isinstance(known(request), Grant), known))
    if access.jwt:
        kinds.append(_issuers(access.jwt, reactor))
    if access.callback.url is not None:
        asks = _callback(access, access.callback.url, reactor).admit
        kinds.append((lambda request: True, asks))
    if len(kinds) == 1:
        return kinds[0][1]
    return by_kind(kinds) if kinds else None


def _issuers(sources: Sequence[JwtSource], reactor: Any) -> tuple[Knows, Admit]:
    # Imported only here, because PyJWT is an extra.
    from relay.admission.issuers import admit_by_issuer
    from relay.admission.jwt import issuer_in

    names = {each.table.issuer for each in sources}
    admit = first_of([admit_by_issuer(each, reactor) for each in sources])
    return (lambda request: issuer_in(request.credential or "") in names), admit


def by_kind(kinds: Sequence[tuple[Knows, Admit]]) -> Admit:
    """
    Let the first kind that knows the credential decide, alone: what it refuses goes to no other.
    """

    def admit(request: Request) -> Verdict | Awaitable[Verdict]:
        for knows, decide in kinds:
            if knows(request):
                return decide(request)
        why = "it is none of the kinds in [auth]" if request.credential else "there is none"
        return refuse("unauthorized", detail=f"the credential: {why}")

    return admit


def first_of(admits: Sequence[Admit]) -> Admit:
    """Let in whom one of these lets in. The first refusal but C{unauthorized} ends it."""

    async def admit(request: Request) -> Verdict:
        details = []
        for each in admits:
            verdict: Verdict = await answer_of(each(request))
            if isinstance(verdict, Grant) or verdict.code != "unauthorized":
                return verdict
            details.append(verdict.detail)
        return refuse("unauthorized", detail="; ".join(dict.fromkeys(details)))

    return admit


def _callback(access: Access, url: str, reactor: Any) -> Callback:
    table = access.callback
    ask = asking(reactor, table.ca_file, table.seconds, MOST_BYTES)

    def post(facts: bytes) -> Any:
        headers = {"Content-Type": "application/json"}
        if access.bearer is not None:
            headers["Authorization"] = f"Bearer {access.bearer()}"
        return ask("POST", url, headers, facts)

    names = tuple(name.lower() for name in table.headers)
    return Callback(post, names, IReactorTime(reactor).seconds)
