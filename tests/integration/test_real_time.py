"""The same deadlines on the reactor's own clock, with nothing injected."""

from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from integration.answers import assert_complete, parse_answer
from integration.loopback import Loopback, until
from integration.requests import upgrade
from integration.upstreams import CREATED, UpstreamPort, answers, head, sends, switches

from relay import Limits, Settings

SOON = Settings(hold_seconds=0.3, limits=Limits(head_seconds=0.3, linger_seconds=0.3))

LATE: dict[str, tuple[Any, ...]] = {
    "silence": (),
    "101, then silence": (switches(),),
}


async def _status(loopback: Loopback, port: UpstreamPort, data: bytes) -> int:
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = loopback.relay(url, settings=SOON, reactor=None)
    client = await loopback.connect(relay)
    client.send(data)
    answer = parse_answer(await client.closed())
    assert_complete(answer)
    await loopback.settled(relay)
    assert relay.heard.one_refusal().outcome == answer.error["code"]
    assert all(peer.lost for peer in port.peers)
    return answer.status


@pytest.mark.parametrize("name", LATE)
@pytest_twisted.ensureDeferred
async def test_in_real_time_a_hold_ends_at_its_deadline(loopback: Loopback, name: str) -> None:
    assert await _status(loopback, UpstreamPort(*LATE[name]), upgrade()) == 504


@pytest_twisted.ensureDeferred
async def test_in_real_time_an_answer_ends_a_hold_before_its_deadline(loopback: Loopback) -> None:
    assert await _status(loopback, UpstreamPort(answers(500)), upgrade()) == 502


@pytest_twisted.ensureDeferred
async def test_in_real_time_a_late_head_is_408(loopback: Loopback) -> None:
    assert await _status(loopback, UpstreamPort(), upgrade()[:-1]) == 408


@pytest_twisted.ensureDeferred
async def test_in_real_time_a_session_leaves_nothing(loopback: Loopback) -> None:
    port = UpstreamPort(sends(head(103)), switches(CREATED))
    url = f"ws://127.0.0.1:{loopback.listen(port)}"
    relay = loopback.relay(url, settings=SOON, reactor=None)
    client = await loopback.connect(relay)
    client.send(upgrade())
    await until(lambda: b"session.created" in client.received, "the first event")
    client.die()
    await loopback.settled(relay)
    (closed,) = relay.heard.ends
    assert (closed.session_id, closed.close_code, closed.closed_by) == (
        "sess_1",
        1001,
        "downstream",
    )
