"""
What a fleet costs its store: the server's CPU for each of the scripts, on a Redis of its own.

    python -m bench.store [--markdown FILE]

One subject has all the sessions, and each of them an address of its own. The subject is on one
relay at first, and then on many.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

from attrs import frozen

from bench.children import free_port, running
from bench.rounds import scratch
from bench.tables import Table, number
from relay.admission.quota import GrantLimits, quota_of_address, quota_of_subject
from relay.admission.shared import Claim
from relay.config.settings import Limits
from relay.fleet.fleet import CHUNK
from relay.fleet.names import Names
from relay.fleet.question import question
from relay.fleet.scripts import BEAT, DECIDE, FREE, RENEW, SPEND, Script

SESSIONS = 20_000
"""Of the one subject."""

RELAYS = 1000
"""Of which each has spent for the subject, where that is on many."""

LEASE = 30
"""Seconds of a lease: the setting's default."""

PLENTY = GrantLimits(sessions=10**6, holds=10**6, handshakes=10**6)

NAMES = Names("relay")

BEATS, BEGINS, OPENS = "a sign of life", "a hold begins", "it becomes a session"
RENEWS, ENDS = f"{CHUNK} leases are renewed", "a session ends"
REPORTS = "the service reports usage"
MANY = f", of a caller on {RELAYS:,} relays"
COLUMN = "CPU µs"

SUBJECT = Claim("subject", "shop", quota_of_subject(PLENTY, Limits()))

DAY = NAMES.spent(20_000, "subject:shop")

COMMON: tuple[object, ...] = ("run", RELAYS, LEASE * 1_000_000)


@frozen
class Call:
    """One script, with what it is called with."""

    script: Script
    keys: tuple[str, ...]
    arguments: tuple[object, ...]


def claims(session: int) -> tuple[Claim, Claim]:
    """Whom a session counts for."""
    address = f"10.{session >> 16}.{session >> 8 & 255}.{session & 255}"
    return Claim("address", address, quota_of_address(Limits())), SUBJECT


def decide(session: int) -> Call:
    """A hold begins."""
    keys, arguments = question(NAMES, COMMON, f"relay:{session}", claims(session), DAY)
    return Call(DECIDE, tuple(keys), tuple(arguments))


def opened(session: int) -> Call:
    """It becomes a session."""
    held, _ = NAMES.places(claims(session))
    return Call(FREE, held, (f"relay:{session}",) * len(held))


def ended(session: int) -> Call:
    """The session ends."""
    _, always = NAMES.places(claims(session))
    return Call(FREE, always, (f"relay:{session}",) * len(always))


def renewed(first: int) -> Call:
    """As many leases as go into one script are renewed."""
    pairs = [
        (place, f"relay:{session}")
        for session in range(first, first + CHUNK)
        for place in NAMES.places(claims(session))[1]
    ]
    return Call(RENEW, tuple(p for p, _ in pairs), (LEASE * 1_000_000, *(n for _, n in pairs)))


def beat(relay: int) -> Call:
    """A relay's sign of life."""
    member = LEASE * 1_000_000 // 3
    keys = (NAMES.fleet, NAMES.members, NAMES.revoked)
    return Call(BEAT, keys, (*COMMON, member, f"relay-{relay % RELAYS}"))


def spent(report: int, relay: str = "relay") -> Call:
    """A session's service reports usage."""
    return Call(SPEND, (DAY,), (relay, report * 100, 0))


def spent_elsewhere(relay: int) -> Call:
    """The same on another relay."""
    return spent(1, f"relay-{relay}")


class Server:
    """One connection to the store, and no more than one call at a time on it."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._reader = wire.makefile("rb")

    def say(self, *words: object) -> bytes:
        """
        A command; its answer, if that is a string.

        @raise RuntimeError: if it is an error.
        """
        parts = [str(word).encode() for word in words]
        said = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._wire.sendall(b"*%d\r\n" % len(parts) + said)
        return self._answer()

    def _answer(self) -> bytes:
        line = self._reader.readline().rstrip()
        kind, rest = line[:1], line[1:]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b"$":
            return self._reader.read(int(rest) + 2) if int(rest) >= 0 else b""
        for _ in range(int(rest) if kind == b"*" else 0):
            self._answer()
        return rest

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has used so far."""
        lines = self.say("INFO", "cpu").decode().splitlines()
        of = dict(line.split(":") for line in lines if ":" in line)
        return float(of["used_cpu_user"]) + float(of["used_cpu_sys"])

    def cost(self, calls: Iterable[Call]) -> float:
        """Microseconds of CPU for each of these calls."""
        made = [*calls]
        before = self.cpu
        for call in made:
            self.say("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.arguments)
        return (self.cpu - before) / len(made) * 1e6


ALL, FEW = range(SESSIONS), range(SESSIONS, SESSIONS + 1000)

STEPS: tuple[tuple[str, Callable[[int], Call], range], ...] = (
    (BEATS, beat, ALL),
    (BEGINS, decide, ALL),
    (OPENS, opened, ALL),
    (REPORTS, spent, ALL),
    (RENEWS, renewed, range(0, SESSIONS, CHUNK)),
    (ENDS, ended, ALL),
    ("", spent_elsewhere, range(RELAYS)),
    (BEGINS + MANY, decide, FEW),
    (REPORTS + MANY, spent, FEW),
)
"""
What it is called with for each step of a session's life. The one without a name is no step: it has
the subject spend on other relays too.
"""


def measure(server: Server) -> Table:
    """All of them, in the order of a session's life."""
    for script in (DECIDE, FREE, RENEW, BEAT, SPEND):
        server.say("SCRIPT", "LOAD", script.text)
    costs = {what: server.cost(map(call, of)) for what, call, of in STEPS}
    rows = [[what, number(cost)] for what, cost in costs.items() if what]
    return Table("store: what its server does for the relays", ["", COLUMN], rows)


def main() -> None:
    """Measure, and show it."""
    parser = argparse.ArgumentParser(prog="python -m bench.store", description="A fleet's store.")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table")
    arguments = parser.parse_args()
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with scratch() as folder, running(command, folder) as child:
        child.listening(port)
        with socket.create_connection(("127.0.0.1", port)) as wire:
            table = measure(Server(wire))
    print(table.as_text())
    if arguments.markdown:
        arguments.markdown.write_text(table.as_markdown(), "utf-8")


if __name__ == "__main__":
    main()
