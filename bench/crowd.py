"""
What a storm is made of: clients that come back, relays, and the service behind them.

Each relay has the relay's own classes: the balancer with its breakers, and the budget of retries.
What they are asked, and when, is as L{relay.dial.dialer} does it for one upstream.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from random import Random
from typing import Protocol

from attrs import frozen

from bench.virtual import VirtualTime
from relay.rules.refusals import Refusal, UpstreamFacts, attributed, refuse
from relay.timing.allowance import Allowance
from relay.upstreams.balancing import Balancer, Standing
from relay.upstreams.classify import refusal_of_answer
from relay.upstreams.endpoints import REALTIME
from relay.upstreams.providers import PROVIDERS
from relay.upstreams.retry import RetryBudget, delay_of
from relay.upstreams.upstream import Upstream

UPSTREAM = Upstream("wss://service.example/v1/realtime", name="service")

FULL = refuse("relay_full")


def _refusal(status: int) -> Refusal:
    """What the relay makes of the service's answer, which says no more than its status."""
    facts = UpstreamFacts(UPSTREAM.name, "upgrade", status)
    said = refusal_of_answer(PROVIDERS[UPSTREAM.provider], status, {}, b"", ())
    return attributed(said, facts)


REFUSALS = {status: _refusal(status) for status in (429, 503)}


class Rates:
    """How often something happens, by whole seconds."""

    def __init__(self) -> None:
        self.total = 0
        self._seconds: dict[int, int] = {}

    def count(self, now: float) -> None:
        """It happens."""
        self.total += 1
        self._seconds[int(now)] = self._seconds.get(int(now), 0) + 1

    @property
    def peak(self) -> int:
        """The most in one second."""
        return max(self._seconds.values(), default=0)


@frozen
class Terms:
    """
    What the storm takes for given: seconds, and numbers a second.

    @ivar accepts: sessions that the service opens.
    @ivar polite: refusals up to which the service answers 429; beyond, it answers 503.
    @ivar burden: the work of refusing, in parts of that of opening a session.
    @ivar room: sessions and holds that a relay may have more than it has.
    @ivar handshake: of a relay's core, for both sides of one session.
    @ivar free: the part of a core that open sessions leave for handshakes.
    @ivar near: from a client to its relay.
    @ivar far: from a relay to the service, and back.
    @ivar opening: until a session's first event, if the service accepts.
    @ivar hold: that a hold may last.
    """

    accepts: float
    polite: float
    burden: float
    room: int
    handshake: float
    free: float
    near: float = 0.05
    far: float = 0.05
    opening: float = 0.3
    hold: float = 8.0


class Service:
    """The one upstream of all relays. It has a tenth of a second's sessions in hand."""

    def __init__(self, time: VirtualTime, terms: Terms) -> None:
        self.asked = Rates()
        self._time = time
        self._terms = terms
        self._sessions, self._answers = Allowance(), Allowance()

    def answer(self) -> int:
        """The status of an answer to one attempt."""
        now, terms = self._time.now, self._terms
        self.asked.count(now)
        if not self._sessions.take(1, now, terms.accepts, terms.accepts / 10):
            return 101
        self._sessions.spend(terms.burden, now, terms.accepts, terms.accepts / 10)
        return 503 if self._answers.take(1, now, terms.polite, terms.polite / 10) else 429


Ended = Callable[[int, Refusal | None], None]
"""Is told of the end of a client's attempt: its number, and the refusal if nothing else."""


class Relay(Protocol):
    """One process."""

    def arrive(self, client: int, opened: Callable[[int], None], ended: Ended) -> None:
        """A client asks for a session."""


class _Core:
    """The part of a core that handshakes have: one after the other."""

    def __init__(self, time: VirtualTime, terms: Terms) -> None:
        self._time = time
        self._leg = terms.handshake / 2 / terms.free
        self._idle_at = 0.0

    def done_in(self) -> float:
        """Shake hands with one side of a session; the seconds until that is done."""
        now = self._time.now
        self._idle_at = max(self._idle_at, now) + self._leg
        return self._idle_at - now


class HeldRelay:
    """This relay, as it is."""

    def __init__(self, time: VirtualTime, terms: Terms, service: Service, random: Random) -> None:
        self._time, self._terms, self._service = time, terms, service
        self._core = _Core(time, terms)
        self._balancer = Balancer([UPSTREAM], random.random, time.seconds)
        self._budget = RetryBudget()
        self._open = 0

    def arrive(self, client: int, opened: Callable[[int], None], ended: Ended) -> None:
        """See L{Relay}."""
        if self._open >= self._terms.room:
            self._time.after(self._core.done_in(), ended, client, FULL)
            return
        self._open += 1
        hold = _Hold(client, self._time.now + self._terms.hold, opened, ended)
        self._time.after(self._core.done_in(), self._dial, hold)

    def _dial(self, hold: _Hold) -> None:
        self._budget.hold(self._time.now)
        (standing,) = self._balancer.order(REALTIME, None)
        refusal = standing.refusal()
        if refusal is not None:
            self._end(hold, refusal)
        else:
            self._attempt(hold, standing, False)

    def _attempt(self, hold: _Hold, standing: Standing, is_retry: bool) -> None:
        period = standing.begin()
        asks = self._core.done_in() + self._terms.far / 2
        self._time.after(asks, self._asked, hold, standing, period, is_retry)

    def _asked(self, hold: _Hold, standing: Standing, period: int, is_retry: bool) -> None:
        status = self._service.answer()
        back = self._terms.far / 2 + (self._terms.opening if status == 101 else 0.0)
        late = self._time.now + back > hold.until
        if late:
            back, status = max(0.0, hold.until - self._time.now), 0
        self._time.after(back, self._answered, hold, standing, period, is_retry, status)

    def _answered(
        self, hold: _Hold, standing: Standing, period: int, is_retry: bool, status: int
    ) -> None:
        if status == 101:
            standing.succeeded()
            hold.opened(hold.client)
            return
        refusal = REFUSALS.get(status, TOO_LATE)
        standing.end()
        standing.failed(refusal, period)
        delay = None if is_retry else delay_of(refusal)
        now = self._time.now
        may = delay is not None and now + delay < hold.until and standing.refusal() is None
        if delay is not None and may and self._budget.take(now):
            self._time.after(delay, self._attempt, hold, standing, True)
        else:
            self._end(hold, refusal)

    def _end(self, hold: _Hold, refusal: Refusal) -> None:
        self._open -= 1
        hold.ended(hold.client, refusal)


TOO_LATE = refuse("upstream_timeout", upstream=UpstreamFacts(UPSTREAM.name, "upgrade"))


@frozen
class _Hold:
    """@ivar until: its deadline."""

    client: int
    until: float
    opened: Callable[[int], None]
    ended: Ended


class AcceptFirst:
    """
    The usual relay: it answers 101, then asks the service, and closes if that refuses. It has
    neither a breaker nor a limit.
    """

    def __init__(self, time: VirtualTime, terms: Terms, service: Service, random: Random) -> None:
        self._time, self._terms, self._service = time, terms, service
        self._core = _Core(time, terms)

    def arrive(self, client: int, opened: Callable[[int], None], ended: Ended) -> None:
        """See L{Relay}."""
        self._core.done_in()
        asks = self._core.done_in() + self._terms.far / 2
        self._time.after(asks, self._asked, client, opened, ended)

    def _asked(self, client: int, opened: Callable[[int], None], ended: Ended) -> None:
        back = self._terms.far / 2
        if self._service.answer() == 101:
            self._time.after(back + self._terms.opening, opened, client)
        else:
            self._time.after(back, ended, client, None)


Wait = Callable[[int, Refusal | None, Callable[[], float]], float]
"""
How a client waits: given the number of attempts in vain, from 0 for those before the first, what
the last one was told, and what gives a random number. Returns seconds.
"""


class Crowd:
    """
    Clients that have lost their sessions in one moment, and come back until each has one.

    @param tries: how many relays the balancer asks for one attempt that it sees refused with 503;
        1 if it sees none, because clients are told in band.
    @ivar asked: attempts at relays, those of the balancer included.
    @ivar served: when each client was served, in order.
    @ivar refused: how often each was not.
    """

    def __init__(
        self,
        time: VirtualTime,
        terms: Terms,
        relays: Sequence[Relay],
        wait: Wait,
        random: Random,
        clients: int,
        tries: int = 1,
    ) -> None:
        self.asked = Rates()
        self.served: list[float] = []
        self.refused = array("I", bytes(4 * clients))
        self._tries = array("I", bytes(4 * clients))
        self._time, self._terms, self._relays = time, terms, relays
        self._wait, self._random, self._most = wait, random, tries
        for client in range(clients):
            time.after(wait(0, None, random.random) + terms.near, self._arrives, client)

    def _arrives(self, client: int) -> None:
        self.asked.count(self._time.now)
        self._tries[client] += 1
        relay = self._relays[int(self._random.random() * len(self._relays))]
        relay.arrive(client, self._opened, self._ended)

    def _opened(self, client: int) -> None:
        self.served.append(self._time.now + self._terms.near)

    def _ended(self, client: int, refusal: Refusal | None) -> None:
        if refusal is not None and refusal.status == 503 and self._tries[client] < self._most:
            self._arrives(client)  # the balancer is beside the relays
            return
        self._tries[client] = 0
        self.refused[client] += 1
        wait = self._wait(self.refused[client], refusal, self._random.random)
        self._time.after(wait + 2 * self._terms.near, self._arrives, client)
