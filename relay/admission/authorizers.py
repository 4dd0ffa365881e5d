"""All that the operator lets clients in by, as one C{admit}."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IReactorTime

from relay.admission.asking import asking
from relay.admission.callback import MOST_BYTES, Callback
from relay.admission.grant import Grant
from relay.admission.request import Admit, Request, Verdict
from relay.admission.static import require_keys
from relay.config.access import Access
from relay.rules.refusals import refuse
from relay.timing.callbacks import answer_of


def admit_by(access: Access, reactor: Any) -> Admit | None:
    """What decides by all that the settings name; L{None} if that is nothing."""
    found: list[Admit] = []
    if access.client_keys is not None:
        found.append(require_keys(access.client_keys))
    if access.jwt:
        # Imported only here, because PyJWT is an extra.
        from relay.admission.issuers import admit_by_issuer

        found += [admit_by_issuer(each, reactor) for each in access.jwt]
    if access.callback.url is not None:
        found.append(_callback(access, access.callback.url, reactor).admit)
    return first_of(found) if len(found) > 1 else next(iter(found), None)


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
