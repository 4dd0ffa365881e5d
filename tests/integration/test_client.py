"""The client for Twisted services, with a relay and with a service, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_twisted
from integration.canary import CANARY
from integration.logged import Logged
from integration.loopback import BOUND, REACTOR, until
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory

from relay import RelayFactory, Settings, Upstream
from relay.client import RealtimeClient, Refused, Times
from relay.daemon.demo import certified
from relay.simulator import SimulatorFactory

QUICK = Times(first_event=5, backoff_base=0.01, backoff_most=0.05)
ROUNDS = 10


class House:
    """A service, and relays before it, one after the other on one port."""

    def __init__(self) -> None:
        self.service = REACTOR.listenTCP(0, SimulatorFactory(REACTOR), interface="127.0.0.1")
        self.port: Any = None
        self.relay: Any = None
        self.clients: list[RealtimeClient] = []
        self.number = 0

    async def opens(self, **settings: Any) -> None:
        """Another relay takes the port."""
        url = f"ws://127.0.0.1:{self.service.getHost().port}/v1/realtime"
        self.relay = RelayFactory([Upstream(url)], reactor=REACTOR, settings=Settings(**settings))
        self.port = REACTOR.listenTCP(self.number, self.relay, interface="127.0.0.1")
        self.number = self.port.getHost().port

    async def leaves(self) -> Any:
        """The relay no longer listens; what is open goes on."""
        await maybeDeferred(self.port.stopListening)
        return self.relay

    def client(self, model: str = "gpt-realtime", **options: Any) -> RealtimeClient:
        url = f"ws://127.0.0.1:{self.number}/v1/realtime?model={model}"
        made = RealtimeClient(url, CANARY, reactor=REACTOR, times=QUICK, **options)
        self.clients.append(made)
        made.startService()
        return made

    async def ends(self) -> None:
        for client in self.clients:
            if client.running:
                client.stopService()
        await deferLater(REACTOR, 0.05)
        self.relay.abort()
        for port in (self.port, self.service):
            await maybeDeferred(port.stopListening)
        await deferLater(REACTOR, 0.3)


@pytest_twisted.async_yield_fixture
async def house(logged: Logged) -> AsyncIterator[House]:
    made = House()
    await made.opens()
    yield made
    await made.ends()


async def heard(events: Any, kind: str) -> dict[str, Any]:
    """The next event of this type."""
    return await Deferred.fromCoroutine(_heard(events, kind)).addTimeout(BOUND, REACTOR)


async def _heard(events: Any, kind: str) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = await events.__anext__()
        if event["type"] == kind:
            return event


def says(client: RealtimeClient, text: str, modality: str = "text") -> None:
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    assert client.send({"type": "conversation.item.create", "item": item})
    assert client.send({"type": "response.create", "response": {"output_modalities": [modality]}})


@pytest_twisted.ensureDeferred
async def test_a_session_opens_with_the_set_up_and_answers(house: House) -> None:
    update = {"type": "session.update", "session": {"type": "realtime", "instructions": "Hm."}}
    client = house.client(setup=[update])
    assert not client.send({"type": "x"})
    events = client.events()
    await heard(events, "session.created")
    told = await heard(events, "session.updated")
    assert told["session"]["instructions"] == "Hm."
    says(client, "Hello, parrot.")
    done = await heard(events, "response.output_text.done")
    assert (done["text"], client.state, client.sessions) == ("Hello, parrot.", "open", 1)
    client.stopService()
    with pytest.raises(StopAsyncIteration):
        await heard(events, "nothing more")
    assert client.state == "closed"


@pytest.mark.parametrize(
    ("model", "code"),
    [
        ("fault-error-3000", "upstream_unauthorized"),
        ("fault-error-4000", "upstream_rejected_request"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_refusal_that_is_final_is_raised_with_what_the_relay_says(
    house: House, logged: Logged, model: str, code: str
) -> None:
    client = house.client(model)
    with pytest.raises(Refused) as refused:
        await heard(client.events(), "session.created")
    told = refused.value.told
    assert (told.code, told.retryable, client.state) == (code, False, "refused")
    assert told.request_id is not None


@pytest_twisted.ensureDeferred
async def test_a_service_without_a_relay_refuses_by_its_status(house: House) -> None:
    house.number, number = house.service.getHost().port, house.number
    client = house.client("fault-http-401")
    house.number = number
    with pytest.raises(Refused) as refused:
        await heard(client.events(), "session.created")
    assert refused.value.told.code == "status_401"


@pytest.mark.parametrize("model", ["fault-hang", "fault-silent"])
@pytest_twisted.ensureDeferred
async def test_it_stops_also_while_a_session_is_awaited(house: House, model: str) -> None:
    client = house.client(model)
    await until(lambda: house.relay.active_holds == 1, "the hold")
    client.stopService()
    assert client.state == "closed"
    await until(lambda: house.relay.active_holds == 0, "its end")


@pytest_twisted.ensureDeferred
async def test_by_tls_it_trusts_whom_it_is_told_to(house: House, logged: Logged) -> None:
    logged.expected.add("SSL error: certificate verify failed")  # by Twisted
    made = certified(datetime.now(UTC))
    secure: Any = TLSMemoryBIOFactory(made.options, False, house.relay)
    port = REACTOR.listenTCP(0, secure, interface="127.0.0.1")
    url = f"wss://localhost:{port.getHost().port}/v1/realtime?model=gpt-realtime"
    trust = trustRootFromCertificates([Certificate.loadPEM(made.authority)])
    for trusted in (trust, None):
        client = RealtimeClient(url, CANARY, reactor=REACTOR, times=QUICK, trust=trusted)
        house.clients.append(client)
        client.startService()
        if trusted is None:
            await until(lambda c=client: c.state == "reconnecting", "the failure")  # type: ignore[misc]
        else:
            await heard(client.events(), "session.created")
        client.stopService()
    await maybeDeferred(port.stopListening)


@pytest_twisted.ensureDeferred
async def test_a_relay_that_is_gone_and_back_is_found_again(house: House) -> None:
    credentials: list[str] = []

    def credential() -> str:
        credentials.append("key")
        return "key"

    client = house.client(items=lambda: [{"type": "input_audio_buffer.clear"}])
    client._credential = credential
    events = client.events()
    await heard(events, "session.created")
    (await house.leaves()).abort()
    await deferLater(REACTOR, 0.1)
    assert client.state == "reconnecting"
    await house.opens()
    await heard(events, "session.created")
    await heard(events, "input_audio_buffer.cleared")
    assert (client.sessions, client.state) == (2, "open")
    assert credentials


@pytest_twisted.ensureDeferred
async def test_nobody_hears_ten_restarts(house: House) -> None:
    """Each relay drains while it speaks; no turn has a gap."""
    client = house.client()
    events = client.events()
    await heard(events, "session.created")
    drained = []
    for number in range(ROUNDS):
        says(client, f"Turn {number}, in full.", "audio")
        await heard(events, "response.created")
        old = await house.leaves()
        await house.opens(drain_seconds=30)
        drained.append(old.drain())
        spoken = await heard(events, "response.output_audio.delta")
        assert spoken["delta"]
        done = await heard(events, "response.output_audio_transcript.done")
        assert done["transcript"] == f"Turn {number}, in full."
        done = await heard(events, "response.done")
        assert done["response"]["status"] == "completed"
        await until(lambda n=number: client.sessions == n + 2, "the next session")  # type: ignore[misc]
    for each in drained:
        await each
    assert client.sessions == ROUNDS + 1
    assert client.state == "open"
