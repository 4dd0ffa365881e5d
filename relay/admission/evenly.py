"""Wrong credentials all take as long: nobody can measure how far one was right."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.web.http import UNAUTHORIZED

from relay.admission.request import Admit, Request, Verdict
from relay.rules.refusals import Refusal
from relay.timing.callbacks import answer_of

EVEN_SECONDS = 0.05
"""
Seconds from a request to its 401. A credential that is none at all is found to be wrong
sooner than one that has expired. Who asks an issuer or a callback may wait longer.
"""


def evenly(decide: Admit, clock: IReactorTime) -> Admit:
    """The same decisions; a 401 comes after L{EVEN_SECONDS}, and not before."""

    async def admit(request: Request) -> Verdict:
        began = clock.seconds()
        verdict: Verdict = await answer_of(decide(request))
        left = began + EVEN_SECONDS - clock.seconds()
        if isinstance(verdict, Refusal) and verdict.status == UNAUTHORIZED and left > 0:
            await deferLater(clock, left)
        return verdict

    return admit
