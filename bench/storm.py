"""
A storm of reconnects, simulated: a region of relays is lost, and all its clients come back at once
to the relays that are left.

    python -m bench.storm [--clients 100000] [--seed 1] [--burden 0] [--markdown FILE]

Nothing is opened and no time is waited: it is a simulation in virtual time, of the relay's own
breakers, retries, refusals and hints, and of the client's own way to wait. The same storm is run
again with clients that keep no rule, and with relays that answer first and connect afterwards. The
result depends on the seed alone.
"""

from __future__ import annotations

import argparse
import gc
import time as real
from collections.abc import Callable
from math import ceil
from pathlib import Path
from random import Random

from attrs import frozen

from bench.crowd import AcceptFirst, Crowd, HeldRelay, Relay, Service, Terms, Wait
from bench.figures import percentile
from bench.scale import BUSY, handshake
from bench.tables import Table, number
from bench.virtual import VirtualTime
from relay.client.meaning import Times, delay
from relay.rules.refusals import Refusal

REGIONS = 3
"""One of which is lost."""

SESSIONS = 1000
"""That a relay may have: the setting's default."""

SPARE = 1.1
"""The room that the other regions have, in sessions of the lost one."""

SERVICE_SECONDS = 20
"""In which the service could take all clients, if they came evenly."""

POLITE = 5
"""Up to so many times what it accepts, the service answers 429; beyond, 503."""

PATIENCE = 300.0
"""Seconds after which a storm that is not over is given up."""

BURDEN = "what a refusal costs the service, in hundredths of what a session's opening does"

TIMES = Times()


def as_told(attempts: int, refusal: Refusal | None, chance: Callable[[], float]) -> float:
    """As the relay's own clients wait (see L{delay})."""
    return delay(attempts, refusal.retry_after if refusal else None, TIMES, chance)


def each_second(attempts: int, refusal: Refusal | None, chance: Callable[[], float]) -> float:
    """At once after the loss, then each second."""
    return 1.0 if attempts else 0.0


def at_once(attempts: int, refusal: Refusal | None, chance: Callable[[], float]) -> float:
    """A tenth of a second after each end, as SDKs do that take it for the end of a session."""
    return 0.1


def as_sdk(attempts: int, refusal: Refusal | None, chance: Callable[[], float]) -> float:
    """
    As the official SDKs wait that reconnect: 0.5 s, twice as long each time up to 8 s, and up to a
    quarter less. They give up after six attempts; these do not.
    """
    return float(min(0.5 * 2 ** min(attempts, 10), 8.0) * (1 - 0.25 * chance()))


@frozen
class Scenario:
    """@ivar tries: see L{Crowd}."""

    name: str
    relay: Callable[[VirtualTime, Terms, Service, Random], Relay]
    wait: Wait
    tries: int = 1


SCENARIOS = (
    Scenario("as it is", HeldRelay, as_told),
    Scenario("no jitter, no hints", HeldRelay, each_second),
    Scenario("accept first, back at once", AcceptFirst, at_once),
    Scenario("accept first, SDK's back-off", AcceptFirst, as_sdk),
    Scenario("as it is, SDK by status, one relay asked", HeldRelay, as_sdk),
    Scenario("as it is, SDK by status, four relays asked", HeldRelay, as_sdk, tries=4),
)


@frozen
class Result:
    """
    How one storm went.

    @ivar served: seconds until 50, 99 and 100 % were served; L{None} for never.
    @ivar at_relays: most attempts at relays in one second.
    @ivar at_service: the same at the service.
    @ivar attempts: at the service, for each client.
    @ivar refusals: that half of the clients met at most, and 99 % of them.
    """

    name: str
    served: tuple[float | None, float | None, float | None]
    at_relays: int
    at_service: int
    attempts: float
    refusals: tuple[float, float]


def terms_for(clients: int, burden: float = 0.0) -> Terms:
    """What the storm takes for given."""
    accepts = clients / SERVICE_SECONDS
    relays = relays_for(clients)
    return Terms(
        accepts=accepts,
        polite=accepts * POLITE,
        burden=burden,
        room=ceil(SPARE * clients / relays),
        handshake=handshake(),
        free=1 - BUSY,
    )


def relays_for(clients: int) -> int:
    """
    How many relays are left. All were loaded alike, and any region can be lost: so those that are
    left are full, but for what is spare, when they have the lost region's clients too.
    """
    others = clients * (REGIONS - 1)
    return ceil((others + SPARE * clients) / SESSIONS)


def blow(scenario: Scenario, clients: int, seed: int, burden: float = 0.0) -> Result:
    """Run one storm."""
    random, time = Random(f"{seed} {scenario.name}"), VirtualTime()
    terms = terms_for(clients, burden)
    service = Service(time, terms)
    relays = [scenario.relay(time, terms, service, random) for _ in range(relays_for(clients))]
    crowd = Crowd(time, terms, relays, scenario.wait, random, clients, scenario.tries)
    time.run(PATIENCE)
    refusals = percentile(crowd.refused, 50), percentile(crowd.refused, 99)
    half, most, whole = (_served(crowd.served, clients, part) for part in (50, 99, 100))
    return Result(
        scenario.name,
        (half, most, whole),
        crowd.asked.peak,
        service.asked.peak,
        service.asked.total / clients,
        refusals,
    )


def _served(served: list[float], clients: int, percent: int) -> float | None:
    """When so many of all were; those that never were have no time."""
    needed = ceil(clients * percent / 100)
    return sorted(served)[needed - 1] if len(served) >= needed else None


def table(results: list[Result], clients: int, seed: int) -> Table:
    """All of them."""
    headings = ["", "50 % served, s", "99 %", "100 %", "most a second at relays"]
    headings += ["at the service", "attempts there, a client", "refusals a client, p50", "p99"]
    rows = [_row(result) for result in results]
    relays, terms = relays_for(clients), terms_for(clients)
    note = (
        f"{clients:,} clients; {relays:,} relays are left, with room for {terms.room:,} sessions"
        f" more each; the service opens {terms.accepts:,.0f} sessions a second; seed {seed}."
    )
    return Table("storm: all come back at once", headings, rows, [note])


def _row(result: Result) -> list[str]:
    times = [number(seconds) for seconds in result.served]
    counts = [f"{result.at_relays:,}", f"{result.at_service:,}"]
    refusals = [f"{count:,.0f}" for count in result.refusals]
    return [result.name, *times, *counts, number(result.attempts), *refusals]


def main() -> None:
    """Run all of them, and show them in one table."""
    parser = argparse.ArgumentParser(prog="python -m bench.storm", description="A reconnect storm.")
    parser.add_argument("--clients", type=int, default=100_000, help="that have lost a session")
    parser.add_argument("--seed", type=int, default=1, help="of all that chance decides")
    parser.add_argument("--burden", type=float, default=0, help=BURDEN)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    arguments = parser.parse_args()
    # There is nothing to collect, and looking for it takes a third of the time.
    gc.disable()
    results = []
    for scenario in SCENARIOS:
        begun = real.monotonic()
        burden = arguments.burden / 100
        results.append(blow(scenario, arguments.clients, arguments.seed, burden))
        print(f"{scenario.name}: simulated in {real.monotonic() - begun:.0f} s", flush=True)
    made = table(results, arguments.clients, arguments.seed)
    print("", made.as_text(), sep="\n")
    if arguments.markdown:
        arguments.markdown.write_text(made.as_markdown(), "utf-8")


if __name__ == "__main__":
    main()
