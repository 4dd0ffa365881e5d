"""Ask C{admit} about one request."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from relay.admission.grant import Grant
from relay.admission.request import Admit, Request, Verdict
from relay.rules.errors import wanted
from relay.rules.refusals import Refusal, Refused, refuse
from relay.timing.callbacks import answer_of
from relay.timing.clock import epoch

_log = Logger()


async def grant_for(request: Request, admit: Admit | None) -> Grant:
    """
    The grant for a request; without C{admit} everybody has one. It has no deadline of its own.

    @raise Refused: with what C{admit} refuses by; with C{unauthorized} if the grant has expired;
        with C{authorizer_unavailable} if C{admit} raises, or answers with something else.
    """
    if admit is None:
        return Grant()
    try:
        verdict: Verdict = await answer_of(admit(request))
        if not isinstance(verdict, (Grant, Refusal)):
            raise wanted("admit must answer with a relay.Grant or relay.Refusal", verdict)
    except CancelledError:
        raise
    except Exception:
        _log.failure("the authorizer failed for {id}", id=request.id)
        raise Refused(refuse("authorizer_unavailable")) from None
    if isinstance(verdict, Refusal):
        raise Refused(verdict)
    if verdict.has_expired(epoch()):
        raise Refused(refuse("unauthorized", detail="the credential has expired"))
    return verdict
