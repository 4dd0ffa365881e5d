"""A worker's own end: with the whole relay, or alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from attrs import define, field
from twisted.internet.testing import MemoryReactorClock, StringTransport

from relay.config.plan import Flags, Plan
from relay.config.settings import Settings
from relay.daemon.logs import TextObserver
from relay.daemon.workers.channel import Channel
from relay.daemon.workers.shares import Shares, make
from relay.daemon.workers.start import Start
from relay.daemon.workers.worker import ALONE_SECONDS, WorkerService
from relay.upstreams.upstream import Upstream

SETTINGS = Settings(workers=2, admin="", allow_anonymous=True)
PLAN = Plan(SETTINGS, upstreams=(Upstream("ws://127.0.0.1:1"),))


class Service(WorkerService):
    """Notes when it leaves its sockets."""

    left = 0

    def _leave(self) -> None:
        super()._leave()
        self.left += 1


@define
class Worker:
    """One, beside another that has fewer connections, and its parent."""

    memory: int
    reactor: MemoryReactorClock = field(factory=MemoryReactorClock)
    service: Service = field(init=False)
    parent: Channel = field(init=False)
    shares: Shares = field(init=False)

    def __attrs_post_init__(self) -> None:
        start = Start(0, 2, SETTINGS, Flags(), (), (b"k" * 32,), TextObserver, False, None)
        self.shares = Shares(self.memory, 2)
        self.service = Service(PLAN, start, self.shares, reactor=self.reactor, environ={})
        self.service.channel.makeConnection(StringTransport())
        self.parent = Channel({}, self.reactor, lambda: None)
        self.parent.makeConnection(StringTransport())
        self.service.privilegedStartService()
        self.service.running = True

    def told(self, name: str) -> None:
        """Its parent tells it something."""
        self.parent.tell(name)
        transport = self.parent.transport
        assert isinstance(transport, StringTransport)
        self.service.channel.dataReceived(transport.value())
        transport.clear()

    def stops(self) -> None:
        """What its reactor does, if it was told to stop."""
        assert self.reactor.hasStopped
        self.service.running = False
        self.service.stopService()

    def wait(self, seconds: float) -> None:
        self.reactor.advance(seconds)
        self.reactor.advance(0)


@pytest.fixture
def worker() -> Iterator[Worker]:
    memory = make(2)
    yield Worker(memory)
    os.close(memory)


def test_one_that_is_told_to_end_with_all_goes_on_telling_clients_so(worker: Worker) -> None:
    worker.service._signalled()
    worker.told("end")
    assert worker.reactor.hasStopped
    worker.service.running = False  # it drains
    worker.wait(ALONE_SECONDS)
    assert worker.service.left == 0


def test_one_that_is_sent_a_signal_alone_leaves_clients_to_the_others(worker: Worker) -> None:
    worker.service._report()
    assert worker.shares.is_ahead(1, 1)
    worker.service._signalled()
    assert not worker.reactor.hasStopped
    worker.wait(ALONE_SECONDS)
    worker.stops()
    assert worker.service.left == 1
    worker.service._report()
    assert not worker.shares.is_ahead(1, 1), "nobody is left to it"


def test_one_whose_parent_is_gone_leaves_its_sockets_even_if_it_drains(worker: Worker) -> None:
    worker.told("end")
    worker.stops()
    assert worker.service.left == 0
    worker.service.channel.connectionLost()
    assert worker.service.left == 1
