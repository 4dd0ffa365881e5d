"""The operator's service that is asked about each client, in memory."""

from __future__ import annotations

import json
from contextlib import suppress
from time import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from relay import Grant, GrantLimits, InvalidValue, Policy, Refusal, Request
from relay.admission import callback as module
from relay.admission.asking import Answer, NoAnswer
from relay.admission.callback import Callback, verdict_in
from relay.http.head import Head


def request(key: str = "k", **more: str) -> Request:
    fields = [("authorization", f"Bearer {key}"), *((n.lower(), v) for n, v in more.items())]
    head = Head("GET", "/v1/realtime?model=m", 1, tuple(fields))
    return Request("req_1", "192.0.2.1", head)


def answer(status: int = 200, **said: Any) -> Answer:
    return Answer(status, json.dumps(said).encode())


class Scene:
    """A service, and who asks it."""

    def __init__(self, *headers: str, token: str | None = None) -> None:
        self.clock = Clock()
        self.asked: list[tuple[Any, Deferred[Answer]]] = []
        self.callback = Callback(self._ask, headers, self.clock.seconds, lambda: token)

    def _ask(self, facts: bytes) -> Deferred[Answer]:
        self.asked.append((json.loads(facts), Deferred()))
        return self.asked[-1][1]

    def admit(self, asks: Request | None = None) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.callback.admit(asks or request()))

    def say(self, **said: Any) -> None:
        self.asked[-1][1].callback(answer(**said))


def result(waits: Deferred[Any]) -> Any:
    told: list[Any] = []
    waits.addBoth(told.append)
    return told[0]


def test_it_is_told_the_facts_and_its_grant_counts() -> None:
    scene = Scene("cookie", "x-none")
    waits = scene.admit(request(cookie="a=b", origin="https://app.example"))
    assert scene.asked[0][0] == {
        "credential": "k",
        "path": "/v1/realtime",
        "endpoint": "realtime",
        "model": "m",
        "origin": "https://app.example",
        "address": "192.0.2.1",
        "headers": {"cookie": "a=b", "x-none": None},
    }
    scene.say(
        grant={
            "subject": "ann",
            "models": ["m"],
            "limits": {"sessions": 2},
            "policy": {"force": {"instructions": "x"}, "lock": ["voice"]},
            "headers": {"OpenAI-Safety-Identifier": "u"},
        }
    )
    assert result(waits) == Grant(
        "ann",
        GrantLimits(sessions=2),
        Policy(force={"instructions": "x"}, lock=("voice",)),
        models=["m"],
        headers={"OpenAI-Safety-Identifier": "u"},
        mints=False,
    )


def test_an_answer_is_kept_for_as_long_as_it_says() -> None:
    scene = Scene()
    waits = scene.admit()
    scene.say(grant={"subject": "ann"}, cache_seconds=5)
    assert result(waits) == Grant("ann", mints=False)
    scene.clock.advance(4.9)
    assert result(scene.admit()) == Grant("ann", mints=False)
    assert len(scene.asked) == 1
    scene.admit(request("other"))
    assert len(scene.asked) == 2, "another credential is another question"
    scene.clock.advance(0.2)
    scene.admit()
    assert len(scene.asked) == 3


def test_an_answer_that_says_nothing_is_not_kept() -> None:
    scene = Scene()
    scene.admit()
    scene.say(grant={})
    scene.admit()
    assert len(scene.asked) == 2


def test_a_refusal_may_be_kept_too() -> None:
    scene = Scene()
    waits = scene.admit()
    said = {"code": "rate_limited", "message": "Later.", "retry_after": 7}
    scene.say(refusal=said, cache_seconds=60)
    found = result(waits)
    assert (found.code, found.status, found.message, found.retry_after) == (
        "rate_limited",
        429,
        "Later.",
        7,
    )
    assert result(scene.admit()) == found


def test_so_many_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAPACITY", 2)
    scene = Scene()
    for key in "abc":
        scene.admit(request(key))
        scene.say(grant={"subject": key}, cache_seconds=60)
    scene.admit(request("a"))
    assert len(scene.asked) == 4, "the oldest was forgotten"
    assert result(scene.admit(request("c"))) == Grant("c", mints=False)


def test_no_answer_is_kept_longer_than_an_hour() -> None:
    scene = Scene()
    scene.admit()
    scene.say(grant={}, cache_seconds=1e12)
    scene.clock.advance(module.LONGEST_CACHED)
    scene.admit()
    assert len(scene.asked) == 2


def test_equal_requests_share_one_question() -> None:
    scene = Scene()
    waiting = [scene.admit() for _ in range(3)]
    assert len(scene.asked) == 1
    waiting[0].addErrback(lambda failure: failure.trap(CancelledError))
    waiting[0].cancel()
    scene.say(grant={"subject": "ann"})
    assert [result(each) for each in waiting[1:]] == [Grant("ann", mints=False)] * 2


def test_the_question_is_dropped_when_nobody_waits_for_it() -> None:
    scene = Scene()
    waits = scene.admit()
    waits.addErrback(lambda failure: failure.trap(CancelledError))
    waits.cancel()
    assert scene.asked[0][1].called
    assert len(scene.callback._flights) == 0


def unavailable(found: Any) -> str:
    assert isinstance(found, Refusal)
    assert (found.code, found.status, found.retryable) == ("authorizer_unavailable", 503, True)
    return found.detail


def test_without_an_answer_nobody_comes_in() -> None:
    scene = Scene()
    waits = scene.admit()
    scene.asked[0][1].errback(NoAnswer("no answer within 3 s"))
    assert unavailable(result(waits)) == "the callback: no answer within 3 s"
    scene.admit()
    assert len(scene.asked) == 2, "it is not remembered"


WRONG = [
    (answer(500), "answers 500"),
    (answer(302, grant={}), "answers 302"),
    (answer(204), "answers 204"),
    (Answer(200, b""), "no JSON"),
    (Answer(200, b"[" * 100_000), "no JSON"),
    (Answer(200, b"true"), "it is no object"),
    (Answer(200, b'{"grant":{},"grant":{"mints":true}}'), "two keys of one object are the same"),
    (Answer(200, b'{"grant":{"subject":"\xff"}}'), "bytes or surrogates that are no text"),
    (answer(), "a grant or a refusal"),
    (answer(grant={}, refusal={}), "a grant or a refusal"),
    (answer(grant={}, granted=True), "and nothing else"),
    (answer(grant=True), "grant must be an object"),
    (answer(grant={"subjekt": "a"}), "unknown field 'subjekt'"),
    (answer(grant={"mints": 1}), "mints of a grant"),
    (answer(grant={"expires": 10**400}), "grant has a value of a wrong type"),
    (answer(grant={"limits": {"sessions": []}}), "sessions of GrantLimits"),
    (answer(grant={"credential": "two words"}), "credential of a grant must be a string of"),
    (answer(grant={"models": False}), "models of a grant"),
    (answer(grant={"subject": 3}), "subject of a grant"),
    (answer(grant={"limits": 3}), "limits must be a table"),
    (answer(grant={"limits": {"sessions": "x"}}), "sessions of GrantLimits"),
    (answer(grant={"policy": []}), "policy must be a table"),
    (answer(grant={"policy": {"events": "x"}}), "events of a Policy"),
    (answer(grant={"headers": {"a": "b\nc"}}), "headers of a grant"),
    (answer(grant={}, cache_seconds="x"), "cache_seconds"),
    (answer(grant={}, cache_seconds=-1), "cache_seconds"),
    (answer(grant={}, cache_seconds=float("nan")), "NaN and Infinity are no numbers"),
    (answer(grant={}, cache_seconds=True), "cache_seconds"),
    (answer(refusal=3), "refusal must be an object"),
    (answer(refusal={"code": "nope"}), "code of a refusal"),
    (answer(refusal={"code": ["x"]}), "code of a refusal"),
    (answer(refusal={"message": 3}), "message of a refusal"),
    (answer(refusal={"retry_after": "x"}), "retry_after"),
    (answer(refusal={"retry_after": True}), "retry_after"),
    (answer(refusal={"retry_after": -1}), "retry_after"),
    (answer(refusal={"status": 200}), "status of a refusal"),
    (answer(refusal={"status": "403"}), "status of a refusal"),
    (answer(refusal={"retryable": 1}), "retryable of a refusal"),
    (answer(refusal={"why": "x"}), "refusal has an unknown field 'why'"),
]


@pytest.mark.parametrize(("said", "fault"), WRONG)
def test_an_answer_that_is_none_lets_nobody_in(said: Answer, fault: str) -> None:
    scene = Scene()
    waits = scene.admit()
    scene.asked[0][1].callback(said)
    detail = unavailable(result(waits))
    assert fault in detail
    assert "two words" not in detail


@pytest.mark.parametrize("status", [401, 403])
def test_a_status_alone_refuses(status: int) -> None:
    found = verdict_in(Answer(status, b"<html>")).verdict
    assert isinstance(found, Refusal)
    assert (found.code, found.status) == ("unauthorized", status)
    assert f"answers {status}" in found.detail, "it may be the relay's own credential"


def test_a_refusal_may_say_how_it_is_told() -> None:
    said = {"code": "rate_limited", "status": 403, "retryable": False, "detail": "ten a day"}
    found = verdict_in(answer(refusal=said)).verdict
    assert isinstance(found, Refusal)
    assert (found.code, found.status, found.retryable) == ("rate_limited", 403, False)
    assert found.detail == "ten a day"
    plain = verdict_in(answer(refusal={})).verdict
    assert isinstance(plain, Refusal)
    assert (plain.status, plain.detail) == (401, "the callback refuses it")


def test_it_is_not_asked_about_nothing() -> None:
    scene = Scene("cookie")
    nothing = Request("req_1", "192.0.2.1", Head("GET", "/v1/realtime", 1, (("x", "y"),)))
    found = result(scene.admit(nothing))
    assert (found.code, found.detail) == ("unauthorized", "there is no credential")
    assert scene.asked == []
    scene.admit(Request("req_1", "192.0.2.1", Head("GET", "/", 1, (("cookie", "a=b"),))))
    assert scene.asked[0][0]["credential"] is None


def test_a_grant_is_kept_no_longer_than_it_lasts() -> None:
    scene = Scene()
    scene.admit()
    scene.say(grant={"expires": time() - 1}, cache_seconds=60)
    scene.admit()
    assert len(scene.asked) == 2


@pytest.mark.parametrize(
    "other",
    [
        request(origin="https://app.example"),
        request(cookie="a=b"),
        Request("req_1", "192.0.2.2", request().head),
        Request(
            "req_1", "192.0.2.1", Head("GET", "/v1/realtime?model=n", 1, request().head.fields)
        ),
    ],
)
def test_other_facts_are_another_question(other: Request) -> None:
    scene = Scene("cookie")
    scene.admit()
    scene.say(grant={}, cache_seconds=60)
    scene.admit(other)
    assert len(scene.asked) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["subject", "models", "limits", "policy", "expires", "headers", "credential", "upstream"]
)


@given(
    st.dictionaries(st.sampled_from(["grant", "refusal", "cache_seconds"]), JSON)
    | st.fixed_dictionaries({"grant": st.dictionaries(FIELDS, JSON)})
)
def test_no_answer_raises_anything_else(said: dict[str, Any]) -> None:
    with suppress(InvalidValue):
        verdict_in(Answer(200, json.dumps(said).encode()))


QUOTED = {
    "a refusal": {"refusal": {"message": "not {}", "detail": "what is ({})?"}},
    "a field of a refusal": {"refusal": {"{}": 1}},
    "a field of a grant": {"grant": {"{}": 1}},
    "a field of a policy": {"grant": {"policy": {"{}": 1}}},
    "no field": {"{}": 1},
}


@pytest.mark.parametrize("secret", ["key-of-client", "relay-token", "cookie-of-page", "x-secret-y"])
@pytest.mark.parametrize("where", QUOTED)
def test_its_words_never_quote_a_secret_that_it_was_sent(where: str, secret: str) -> None:
    scene = Scene("cookie", "x-secret", token="relay-token")
    fields = {"cookie": "a=b; s=cookie-of-page", "x-secret": "x-secret-y"}
    waits = scene.admit(request("key-of-client", **fields))
    scene.say(**json.loads(json.dumps(QUOTED[where]).replace("{}", secret)))
    said = result(waits)
    assert isinstance(said, Refusal)
    assert secret not in repr(said)


def test_a_header_that_carries_no_credential_may_be_quoted() -> None:
    scene = Scene("x-user")
    waits = scene.admit(request(**{"x-user": "ann.smith"}))
    scene.say(refusal={"message": "Not for ann.smith."})
    assert result(waits).message == "Not for ann.smith."


def test_its_grant_may_have_the_credential_that_it_was_sent() -> None:
    scene = Scene()
    waits = scene.admit(request("sk-of-client"))
    scene.say(grant={"subject": "ann", "credential": "sk-of-client"})
    assert result(waits).credential == "sk-of-client"
