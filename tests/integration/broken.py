"""A table's row of one broken upstream, and what every such row must come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from integration.answers import (
    WebSocketClient,
    assert_complete,
    parse_answer,
    refused_in_band,
)
from integration.loopback import Loopback, RawClient, Relay, until
from integration.requests import upgrade
from integration.upstreams import Cue, Step, UpstreamPort

IN_BAND = "relay.refusals.event"


@dataclass(frozen=True)
class Broken:
    """
    One broken upstream.

    @ivar does: what it does, on L{cue}.
    @ivar code: the refusal's code; the next three fields are the rest of the refusal.
    @ivar stage: how far the attempt must have come.
    @ivar seen: upstream's HTTP status as the refusal tells it.
    @ivar seconds: the deadline that must pass first; without it, none may be needed.
    @ivar retry_after: the answer's C{Retry-After}.
    @ivar says: what the refusal's message must quote.
    @ivar logs: the beginning of the error it leaves in the log.
    @ivar cause: the error in the attempt's record, where that is all there is to know.
    """

    name: str
    does: tuple[Step, ...]
    code: str
    status: int
    retryable: bool
    stage: str = "upgrade"
    seen: int | None = None
    cue: Cue = "request"
    seconds: float = 0.0
    retry_after: str | None = None
    says: str = ""
    logs: str | None = None
    cause: str | None = None

    def __str__(self) -> str:
        return self.name

    @property
    def attempts(self) -> int:
        """Two, where what happened may be over at once."""
        dropped = self.code == "upstream_connect_failed" and self.stage in (
            "upgrade",
            "first_event",
        )
        failing = self.seen in (502, 503, 504) and self.retry_after is None
        return 2 if dropped or failing or self.retry_after == "1" else 1

    @property
    def breaks(self) -> bool:
        """Whether somebody has to mend something before anybody can be served."""
        refused_key = self.code == "upstream_unauthorized" and self.seen in (None, 401)
        return refused_key or self.code == "upstream_quota_exhausted"

    def check(self, error: dict[str, Any], relay: Relay) -> None:
        """The error object and the record say the same, and the right thing."""
        assert (error["code"], error["retryable"]) == (self.code, self.retryable)
        assert self.says in error["message"]
        assert (error["upstream"]["name"], error["attempts"]) == ("openai", self.attempts)
        assert error["upstream"]["stage"] == self.stage
        assert error["upstream"]["status"] == self.seen
        record = relay.heard.one_refusal()
        assert record.request_id == error["request_id"]
        assert record.outcome == self.code
        assert len(record.attempts) == self.attempts
        for attempt in record.attempts:
            assert (attempt.stage, attempt.outcome) == (self.stage, self.code)
            assert self.cause in (None, attempt.error)


async def _await_refusal(loopback: Loopback, case: Broken, port: UpstreamPort) -> None:
    """Let the time pass that the relay waits for the rest, if it must wait at all."""
    if case.seconds:
        await until(lambda: port.acted, "what the upstream does")
        await loopback.time_out(case.seconds)


async def check_by_http(loopback: Loopback, case: Broken, port: UpstreamPort, relay: Relay) -> None:
    """One whole answer and nothing else, and nothing is left of either side."""
    client = await loopback.connect(relay, RawClient())
    client.send(upgrade())
    await _await_refusal(loopback, case, port)
    answer = parse_answer(await client.closed())
    assert_complete(answer)
    assert answer.status == case.status
    assert answer.headers.get("retry-after") == case.retry_after
    case.check(answer.error, relay)
    await loopback.settled(relay, lingering=True)


async def check_in_band(loopback: Loopback, case: Broken, port: UpstreamPort, relay: Relay) -> None:
    """One event, one Close and nothing else, and nothing is left of either side."""
    client = WebSocketClient(subprotocols=(IN_BAND,))
    await loopback.connect(relay, client)
    await _await_refusal(loopback, case, port)
    error, close = await refused_in_band(client)
    number = 1013 if case.retryable else 4000 + case.status
    assert bytes(close.data) == number.to_bytes(2, "big") + f"relay: {case.code}".encode("ascii")
    case.check(error, relay)
    await loopback.settled(relay, lingering=True)


def one_of_each(cases: list[Broken]) -> list[Broken]:
    """The first case of each code and stage."""
    return list({(case.code, case.stage): case for case in reversed(cases)}.values())
