"""Several kinds of credential: whose a credential is, and who decides then."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred

from relay import Grant, Refusal, Request
from relay.admission.authorizers import by_kind, first_of
from relay.http.head import Head
from relay.rules.refusals import refuse


def bearing(credential: str | None) -> Request:
    fields = () if credential is None else (("authorization", f"Bearer {credential}"),)
    return Request("req_1", "192.0.2.1", Head("GET", "/v1/realtime", 1, fields))


def kind(letter: str, verdict: Any, asked: list[str]) -> Any:
    """A kind that knows what begins with this letter."""

    def decide(request: Request) -> Any:
        if not (request.credential or "").startswith(letter):
            return None
        asked.append(letter)
        return verdict

    return decide


def test_the_kind_that_knows_the_credential_decides_alone() -> None:
    asked: list[str] = []
    wrong, other = refuse("unauthorized", detail="expired"), Grant("c")
    kinds = [kind("a", Grant("a"), asked), kind("b", wrong, asked), kind("", other, asked)]
    admit: Any = by_kind(kinds)
    assert admit(bearing("a1")) == Grant("a")
    assert admit(bearing("b1")) is wrong, "no other may let it in"
    assert admit(bearing("c1")) is other
    assert asked == ["a", "b", ""]


@pytest.mark.parametrize(
    ("credential", "why"),
    [("x", "it is none of the kinds in [auth]"), (None, "there is none")],
)
def test_what_nobody_knows_is_refused_as_every_wrong_one(credential: str | None, why: str) -> None:
    admit: Any = by_kind([kind("a", Grant("a"), [])])
    found = admit(bearing(credential))
    assert found == refuse("unauthorized", detail=f"the credential: {why}")


def first(*verdicts: Any) -> Any:
    admits: Any = [lambda request, v=v: v for v in verdicts]
    told: list[Any] = []
    answer: Any = first_of(admits)(bearing("x"))
    Deferred.fromCoroutine(answer).addBoth(told.append)
    return told[0]


def test_of_two_tables_for_one_issuer_either_may_let_in() -> None:
    wrong = refuse("unauthorized", detail="one")
    assert first(wrong, Grant("b")) == Grant("b")
    away = refuse("authorizer_unavailable")
    assert first(away, Grant("b")) == Grant("b")
    assert first(away, wrong) is first(wrong, away) is away
    both = first(wrong, refuse("unauthorized", detail="two"))
    assert isinstance(both, Refusal)
    assert both.detail == "one; two"
