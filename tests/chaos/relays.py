"""Relays under the probe, and what must be true of them after each load."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from time import monotonic

from attrs import frozen
from chaos.scale import scaled
from processes import LOOPBACK, untraced

PROBE = Path(__file__).with_name("probe.py")

START_SECONDS = 30.0
SETTLE_SECONDS = 15.0
"""Until what is left open counts as leaked; longer than every deadline of L{QUICK}."""

BREAKER_SECONDS = scaled(2, 10)
"""From one hold that an open breaker lets through to the next."""

TURN_SECONDS = 0.05
"""A turn of the reactor at most."""

MEMORY_KIB = 2048
"""Memory that a load may leave behind, beyond what the same load left before."""

LINES = 100
"""Of the log, at its end, that are shown when a test fails."""

HOLD_SECONDS = 1.0

QUICK = f"""
hold_seconds = {HOLD_SECONDS}

[limits]
sessions = 100000
short_sessions = 0
head_seconds = 1.0
stall_seconds = 1.0
linger_seconds = 0.5
ping_seconds = 0.5
pong_seconds = 0.5
"""
"""Settings under which everything that a relay waits for is over soon."""

PATIENT = """
[limits]
sessions = 100000
short_sessions = 0
"""
"""Settings under which nobody is given up because the machine is slow."""


def upstream_table(
    port: int,
    name: str = "first",
    *,
    priority: int = 0,
    breaker: bool = False,
    ca_file: Path | None = None,
    model: str | None = None,
) -> str:
    """
    One of the configuration's upstreams, on loopback.

    @param model: the only one that it is for.
    """
    scheme = "ws" if ca_file is None else "wss"
    lines = [
        "[[upstream]]",
        f'name = "{name}"',
        f'url = "{scheme}://127.0.0.1:{port}/v1/realtime"',
        f"priority = {priority}",
        f"breaker = {str(breaker).lower()}",
    ]
    if ca_file is not None:
        lines.append(f'ca_file = "{ca_file}"')
    if model is not None:
        lines.append(f'models = {{ {model} = "{model}" }}')
    return "\n".join(["", *lines, ""])


def listener_table(endpoint: str, certificate: Path | None = None) -> str:
    """
    A further place to listen.

    @param certificate: with its chain and its private key: then it speaks TLS.
    """
    lines = ["[[listener]]", f'endpoint = "{endpoint}"']
    if certificate is not None:
        lines += [f'certificate = "{certificate}"', f'key = "{certificate}"']
    return "\n".join(["", *lines, ""])


@frozen(kw_only=True)
class Look:
    """What the probe told; see L{chaos.probe.Inside.look}."""

    opens: int
    refusals: dict[str, int]
    closes: dict[str, int]
    attempts: dict[str, int]
    hold_seconds: float
    holds: int
    sessions: int
    descriptors: int
    watched: int
    calls: list[str]
    memory_kib: int
    blocks: int
    turns: int
    cpu: float
    wall: float
    kept: float
    long: list[tuple[float, list[str]]]

    @property
    def open(self) -> tuple[int, int, int, int, list[str]]:
        """What should be as before when all is over."""
        return self.holds, self.sessions, self.descriptors, self.watched, self.calls

    @property
    def held(self) -> int:
        """Holds that were answered or left."""
        return self.opens + sum(self.refusals.values())

    @property
    def tried(self) -> int:
        """Attempts at upstreams."""
        return sum(self.attempts.values())

    def long_turns(self) -> str:
        """The longest turns, and what they were at."""
        return "\n".join(f"{cpu * 1e3:.1f} ms of CPU:\n{''.join(at)}" for cpu, at in self.long)

    def line(self, since: Look) -> str:
        """The figures, for people."""
        return (
            f"{self.held - since.held} holds, {self.opens - since.opens} opened,"
            f" {self.memory_kib - since.memory_kib:+} KiB, {self.turns} turns,"
            f" the longest {self.cpu * 1e3:.1f} ms of CPU, {self.kept * 1e3:.1f} ms kept,"
            f" {self.wall * 1e3:.1f} ms in all; refused {self._more(since.refusals, 'refusals')}"
        )

    def _more(self, before: dict[str, int], name: str) -> dict[str, int]:
        now: dict[str, int] = getattr(self, name)
        return {kind: now[kind] - before.get(kind, 0) for kind in sorted(now)}


class Relay:
    """
    One that runs.

    @ivar port: where it listens on loopback.
    @ivar url: of its WebSocket.
    @ivar pid: of its process.
    @ivar idle: what it held when it had just started.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path, socket: Path) -> None:
        self.pid = process.pid
        self.port = 0
        self.url = ""
        self._process = process
        self._log = log
        self._socket = socket
        self._probe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def start(self) -> None:
        """Wait until it listens and answers the probe's socket."""
        end = monotonic() + START_SECONDS
        while self._probe is None or "listening on" not in self.log:
            assert self._process.poll() is None, self.log
            assert monotonic() < end, self.log
            await asyncio.sleep(0.02)
            with suppress(OSError):
                self._probe = self._probe or await self._connect()
        self.port = self._port("http")
        self.url = f"ws://127.0.0.1:{self.port}/v1/realtime"
        self.idle = await self.look()

    def _port(self, scheme: str) -> int:
        return int(self.log.partition(f"listening on {scheme}://127.0.0.1:")[2].split()[0])

    @property
    def tls_port(self) -> int:
        """Where it listens on loopback with TLS, if its configuration says so."""
        return self._port("https")

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(str(self._socket), limit=2**24)

    def close(self) -> None:
        """Look no more."""
        if self._probe is not None:
            self._probe[1].close()

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text(errors="replace")

    async def look(self, line: bytes = b"look") -> Look:
        """Look inside."""
        assert self._probe is not None, "it has not started"
        reader, writer = self._probe
        writer.write(line + b"\n")
        return Look(**json.loads(await reader.readline()))

    def limit_descriptors(self, count: int) -> None:
        """Let it have so many descriptors from now on."""
        _, most = resource.prlimit(self.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (count, most))

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It does nothing meanwhile: all that happens then is one moment to it."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    # -- the checks ------------------------------------------------------------------------

    async def settled(self) -> Look:
        """
        Wait until nothing of any connection is left.

        @raise AssertionError: if something stays.
        """
        end = monotonic() + SETTLE_SECONDS
        while (look := await self.look()).open != self.idle.open:
            assert monotonic() < end, f"left open: {look.open}, when idle: {self.idle.open}"
            await asyncio.sleep(0.1)
        assert look.opens == sum(look.closes.values()), "opened = closed + active"
        self.check_log()
        return look

    def check_log(self) -> None:
        """Whatever comes, nothing is an exception to the relay."""
        _, found, after = self.log.partition("Traceback")
        assert not found, after[:3000]

    @asynccontextmanager
    async def checked(self, memory: bool = True) -> AsyncIterator[None]:
        """
        Check at the end of a load that everything is as it was before.

        @param memory: whether the relay has carried the same load before.
        """
        before = await self.settled()
        await self.look(b"begin")
        yield
        after = await self.settled()
        print(f"\n{after.line(before)}")
        assert after.cpu <= TURN_SECONDS, after.long_turns()
        if memory:
            assert after.memory_kib - before.memory_kib <= MEMORY_KIB


@asynccontextmanager
async def relay(folder: Path, config: str) -> AsyncIterator[Relay]:
    """A relay with this configuration, gone afterwards whatever happens."""
    number = len(list(folder.iterdir()))
    paths = [folder / f"{number}.{kind}" for kind in ("toml", "log", "probe")]
    toml, log, socket = paths
    toml.write_text(f'listen = ["{LOOPBACK}"]\n{config}')  # a flag would go before its [[listener]]
    arguments = ["--admin", "", "--config", str(toml)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, str(PROBE), str(socket), str(BREAKER_SECONDS), *arguments],
            cwd=folder,
            env=untraced(PYTHONUNBUFFERED="1"),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    running = Relay(process, log, socket)
    try:
        await running.start()
        yield running
    except BaseException:  # also a test that takes too long, which is cancelled
        print("\nThe relay's last lines:", *running.log.splitlines()[-LINES:], sep="\n")
        raise
    finally:
        running.close()
        process.kill()
        process.wait()
