"""Holds that the relay ends by its own rules: who may come in, how many, and until when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from integration.loopback import HOLD, Loopback, RawClient, Relay, until
from integration.requests import upgrade
from integration.upstreams import CREATED, Step, UpstreamPort, answers, pings, switches
from memory import keyed
from twisted.internet.defer import CancelledError, Deferred, fail, succeed

from relay import Limits, Refusal, RefusalCode, Request, Settings, refuse
from relay.upstreams.breaker import FAILURES


class OurBug(Exception):
    """Something that the relay did not see coming."""


def _raises(*_: object) -> NoReturn:
    raise OurBug("this text stays in the log")


def _fails(*_: object) -> Deferred[Any]:
    return fail(OurBug("this text stays in the log"))


def _is_cancelled(*_: object) -> Deferred[Any]:
    """Not by the relay: by its own maker, who gave it up."""
    return fail(CancelledError())


def _hangs(*_: object) -> Deferred[Any]:
    return Deferred()


@dataclass(frozen=True)
class Barred:
    """
    One way to be refused by what the relay was made with.

    @ivar options: what the relay is made with.
    @ivar seconds: the deadline that must pass first.
    @ivar logs: the beginning of the error it leaves in the log.
    @ivar attempts: how many attempts reached out for an upstream.
    """

    name: str
    options: dict[str, Any]
    code: str
    status: int
    retryable: bool
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    logs: str | None = None
    attempts: int = 0

    def __str__(self) -> str:
        return self.name


def _verdict(code: RefusalCode, status: int, retryable: bool, **headers: str) -> list[Barred]:
    """What C{admit} may say, in each way it may say it."""

    def at_once(request: Request) -> Refusal:
        return refuse(code)

    def later(request: Request) -> Deferred[Refusal]:
        return succeed(refuse(code))

    async def coroutine(request: Request) -> Refusal:
        return refuse(code)

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return [
        Barred(f"{code}, {admit.__name__}", {"admit": admit}, code, status, retryable, named)
        for admit in (at_once, later, coroutine)
    ]


_away = ("authorizer_unavailable", 503, True, {"retry-after": "5"})
_wrong = ("unauthorized", 401, False, {"www-authenticate": 'Bearer realm="realtime-relay"'})

_BAD_CALLBACK = "credential callback of openai failed"
_BAD_AUTHORIZER = "the authorizer failed for req_"


def _of_credential(name: str, credential: Callable[[], Any], **more: Any) -> Barred:
    more.setdefault("logs", _BAD_CALLBACK)
    return Barred(f"credential {name}", {"credential": credential}, *_away, **more)


BARRED = [
    # -- what admit says -------------------------------------------------------------------
    *_verdict("unauthorized", 401, False, www_authenticate='Bearer realm="realtime-relay"'),
    *_verdict("model_not_allowed", 403, False),
    *_verdict("too_many_sessions", 429, True, retry_after="5"),
    *_verdict("rate_limited", 429, True, retry_after="5"),
    *_verdict("budget_exhausted", 429, True, retry_after="60"),
    *_verdict("limits_unavailable", 503, True, retry_after="5"),
    Barred("no token", {"admit": keyed("abc")}, *_wrong),
    Barred(
        "its own words",
        {"admit": lambda _: refuse("rate_limited", "Come back at noon.", retry_after=60)},
        "rate_limited",
        429,
        True,
        {"retry-after": "60"},
    ),
    # -- admit does not say ----------------------------------------------------------------
    Barred("admit raises", {"admit": _raises}, *_away, logs=_BAD_AUTHORIZER),
    Barred("admit fails", {"admit": _fails}, *_away, logs=_BAD_AUTHORIZER),
    Barred("admit is cancelled", {"admit": _is_cancelled}, *_away, logs=_BAD_AUTHORIZER),
    Barred("admit hangs", {"admit": _hangs}, *_away, seconds=HOLD),
    Barred("admit says nonsense", {"admit": lambda _: "yes"}, *_away, logs=_BAD_AUTHORIZER),
    Barred("admit says nothing", {"admit": lambda _: None}, *_away, logs=_BAD_AUTHORIZER),
    # -- the upstream's credential ---------------------------------------------------------
    _of_credential("raises", _raises),
    _of_credential("fails", _fails),
    _of_credential("is cancelled", _is_cancelled),
    _of_credential("hangs", _hangs, logs=None, seconds=HOLD),
    _of_credential("is no text", lambda: 7),
    _of_credential("is two lines", lambda: "a\r\nX-Evil: b"),
    _of_credential("is not ASCII", lambda: succeed("k\xe9y")),
    # -- its settings ----------------------------------------------------------------------
    Barred(
        "a short hold",
        {"settings": Settings(hold_seconds=0.3), "admit": _hangs},
        *_away,
        seconds=0.3,
    ),
]

Bring = Callable[[Loopback, Relay, UpstreamPort], Any]
"""Brings a client into the situation; returns it."""


@dataclass(frozen=True)
class Situation:
    """
    One refusal that depends on what else goes on.

    @ivar does: what the upstream does.
    @ivar holds: how many holds and sessions are left behind the refusal, for the test to end.
    """

    name: str
    bring: Bring
    code: str
    status: int
    does: tuple[Step, ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    holds: int = 0
    settings: Settings | None = None

    def __str__(self) -> str:
        return self.name


async def held(loopback: Loopback, relay: Relay, port: UpstreamPort) -> RawClient:
    """A client that is in the hold, while the upstream has done its steps."""
    before = len(port.peers)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: len(port.peers) > before and port.peers[-1].acted, "the upstream's part")
    return client


async def _another(loopback: Loopback, relay: Relay, port: UpstreamPort) -> RawClient:
    """Who comes while another is in the hold, or has a session."""
    other = await held(loopback, relay, port)
    if port.steps == (switches(CREATED),):
        await until(lambda: b"session.created" in other.received, "a session")
    client = await loopback.connect(relay)
    client.send(upgrade())
    return client


async def _drained(loopback: Loopback, relay: Relay, port: UpstreamPort) -> RawClient:
    """Who is in the hold when the relay is drained."""
    client = await held(loopback, relay, port)
    relay.drain()
    return client


async def _late(loopback: Loopback, relay: Relay, port: UpstreamPort) -> RawClient:
    """Who comes while the relay drains."""
    relay.drain()
    client = await loopback.connect(relay)
    client.send(upgrade())
    return client


async def _after_failures(loopback: Loopback, relay: Relay, port: UpstreamPort) -> RawClient:
    """A client that comes when so many others were refused that the breaker is open."""
    for _ in range(FAILURES):
        client = await loopback.connect(relay)
        client.send(upgrade())
        await client.closed()
    relay.heard.refusals.clear()
    client = await loopback.connect(relay)
    client.send(upgrade())
    return client


def _early(data: bytes) -> Bring:
    """Who sends something while in the hold."""

    async def bring(loopback: Loopback, relay: Relay, port: UpstreamPort) -> RawClient:
        client = await held(loopback, relay, port)
        client.send(data)
        return client

    return bring


ONE_SESSION = Settings(limits=Limits(sessions=1))
AT_ONCE = Settings(drain_seconds=0)

_full = ("relay_full", 503)
_later = {"retry-after": "5"}
_draining: tuple[str, int, tuple[Step, ...], dict[str, str]]
_draining = ("draining", 503, (), {"retry-after": "1"})

SITUATIONS = [
    Situation("full of a hold", _another, *_full, (), _later, 1, ONE_SESSION),
    Situation("full of a session", _another, *_full, (switches(CREATED),), _later, 1, ONE_SESSION),
    Situation("drained in the hold", _drained, *_draining, settings=AT_ONCE),
    Situation("draining", _late, *_draining),
    Situation(
        "behind an open breaker",
        _after_failures,
        "upstream_unavailable",
        503,
        (answers(500),),
    ),
    Situation(
        "behind a breaker that a refused key opened",
        _after_failures,
        "upstream_unauthorized",
        502,
        (answers(401),),
        {"x-should-retry": "false"},
    ),
    Situation("an early byte", _early(b"x"), "bad_request", 400),
    Situation("an early frame", _early(b"\x81\x80\x00\x00\x00\x00"), "bad_request", 400),
    Situation("an early Close", _early(b"\x88\x80\x00\x00\x00\x00"), "bad_request", 400),
    Situation("a second upgrade", _early(upgrade()), "bad_request", 400),
    Situation(
        "an early byte before the first event",
        _early(b"x"),
        "bad_request",
        400,
        (switches(), pings),
    ),
]
