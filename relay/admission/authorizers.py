"""All that the operator lets clients in by, as one C{admit}."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from twisted.internet.interfaces import IReactorTime

from relay.admission.asking import asking
from relay.admission.callback import MOST_BYTES, Callback
from relay.admission.evenly import evenly
from relay.admission.grant import Grant
from relay.admission.request import Admit, Request, Verdict
from relay.admission.static import require_keys
from relay.config.access import Access
from relay.config.issuers import JwtSource
from relay.rules.refusals import Refusal, refuse
from relay.timing.callbacks import answer_of

Decide = Callable[[Request], Verdict | Awaitable[Verdict] | None]
"""Decides on a request whose credential is of some kind, good or not; L{None} for any other."""


def admit_by(access: Access, reactor: Any) -> Admit | None:
    """What decides by all that the settings name; L{None} if that is nothing."""
    kinds: list[Decide] = []
    admits: list[Admit] = []
    if access.client_keys is not None:
        admits.append(require_keys(access.client_keys))
        kinds.append(partial(_if_known, admits[-1]))
    if access.jwt:
        admits.append(_issuers(access.jwt, reactor))
        kinds.append(partial(_if_issued, {each.table.issuer for each in access.jwt}, admits[-1]))
    if access.callback.url is not None:
        admits.append(_callback(access, access.callback.url, reactor).admit)
        kinds.append(admits[-1])
    if not admits:
        return None
    return evenly(by_kind(kinds) if len(kinds) > 1 else admits[0], IReactorTime(reactor))


def _if_known(admit: Admit, request: Request) -> Verdict | None:
    """By the keys: whoever sends one of them."""
    verdict = admit(request)
    return verdict if isinstance(verdict, Grant) else None


def _if_issued(
    issuers: set[str], admit: Admit, request: Request
) -> Verdict | Awaitable[Verdict] | None:
    """By the issuers: whoever sends a token of one of them."""
    from relay.admission.jwt import issuer_in

    return admit(request) if issuer_in(request.credential or "") in issuers else None


def _issuers(sources: Sequence[JwtSource], reactor: Any) -> Admit:
    # Imported only here, because PyJWT is an extra.
    from relay.admission.issuers import admits_by_issuer

    return first_of(admits_by_issuer(sources, reactor))


def by_kind(kinds: Sequence[Decide]) -> Admit:
    """
    Let the first kind that knows the credential decide, alone: what it refuses goes to no other.
    """

    def admit(request: Request) -> Verdict | Awaitable[Verdict]:
        for decide in kinds:
            verdict = decide(request)
            if verdict is not None:
                return verdict
        why = "it is none of the kinds in [auth]" if request.credential else "there is none"
        return refuse("unauthorized", detail=f"the credential: {why}")

    return admit


def first_of(admits: Sequence[Admit]) -> Admit:
    """
    Let in whom one of these lets in. If none does, the first refusal but C{unauthorized} counts:
    the one that cannot tell at present might have let the client in.
    """

    async def admit(request: Request) -> Verdict:
        refusals: list[Refusal] = []
        for each in admits:
            verdict: Verdict = await answer_of(each(request))
            if isinstance(verdict, Grant):
                return verdict
            refusals.append(verdict)
        others = [each for each in refusals if each.code != "unauthorized"]
        details = dict.fromkeys(each.detail for each in refusals)
        return others[0] if others else refuse("unauthorized", detail="; ".join(details))

    return admit


def _callback(access: Access, url: str, reactor: Any) -> Callback:
    table = access.callback
    ask = asking(reactor, table.ca_file, table.seconds, MOST_BYTES)

    def token() -> str | None:
        return access.bearer and access.bearer()

    def post(facts: bytes) -> Any:
        headers = {"Content-Type": "application/json"}
        if (own := token()) is not None:
            headers["Authorization"] = f"Bearer {own}"
        return ask("POST", url, headers, facts)

    names = tuple(name.lower() for name in table.headers)
    return Callback(post, names, IReactorTime(reactor).seconds, token)
