"""A hundred honest sessions beside all attacks at once: untouched, and nothing is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import quantiles
from time import perf_counter

import pytest
from chaos.certificates import Certificates
from chaos.peers import FIRST, Peer, echo, upstream
from chaos.relays import Relay, listener_table, relay, upstream_table
from chaos.scale import run, scaled, seed
from chaos.upstream_process import upstream_process
from picows import WSCloseCode, WSMsgType, ws_connect
from processes import closed_port, environ

HONEST = scaled(20, 100)
SECONDS = scaled(4, 20)
"""How long each is measured: without the attack, and with it."""

WORD_SECONDS = 0.1
"""From one word of a session to the next."""

AUDIO = 6400
"""Bytes of a word: 100 ms of PCM16 at 24 kHz are as many in base64."""

LIMITS = """
[limits]
sessions = 1000
head_seconds = 2.0
linger_seconds = 0.5
"""
"""The defaults, but that all is over soon, and that nobody is slowed down for short sessions."""

TESTS = Path(__file__).parents[1]


class Talker(Peer):
    """Says a word again and again, and measures how long its echo takes."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[float] = []
        self.took: list[float] = []
        self.faults: list[bytes] = []
        self._first = True

    def say(self) -> None:
        """A word."""
        number = b"%08d" % len(self.sent)
        self.sent.append(perf_counter())
        self.transport.send(WSMsgType.TEXT, number + b"." * AUDIO)

    def message(self, payload: bytes, binary: bool) -> None:
        if self._first:
            self._first = False
            self.faults += [payload] * (payload != FIRST)
            return
        if int(payload[:8]) != len(self.took):
            self.faults.append(payload[:8])
        self.took.append(perf_counter() - self.sent[len(self.took)])


async def talk(talkers: list[Talker], seconds: float) -> tuple[float, float]:
    """Let them talk; median and 99th percentile of what their words took, in milliseconds."""
    before = {talker: len(talker.took) for talker in talkers}
    words = round(seconds / WORD_SECONDS)
    for _ in range(words):
        for talker in talkers:
            talker.say()
            await asyncio.sleep(WORD_SECONDS / len(talkers))
    while any(len(talker.took) < len(talker.sent) for talker in talkers):
        assert not any(talker.ended.done() for talker in talkers), "one was cut"
        await asyncio.sleep(0.01)
    took = [each for talker in talkers for each in talker.took[before[talker] :]]
    cuts = quantiles(took, n=100)
    return cuts[49] * 1e3, cuts[98] * 1e3


async def opened(running: Relay) -> list[Talker]:
    talkers = [Talker() for _ in range(HONEST)]
    for talker in talkers:
        await ws_connect(lambda made=talker: made, f"{running.url}?model=honest")
    return talkers


async def attacked(folder: Path) -> None:
    async with AsyncExitStack() as stack:
        certificates = Certificates(folder)
        target = await stack.enter_async_context(upstream(echo))
        # What the attackers send is echoed by another process, which would slow this one. On the
        # relay's own machine, neither must take the processor from it.
        other, theirs = await stack.enter_async_context(upstream_process())
        os.sched_setscheduler(other.pid, os.SCHED_IDLE, os.sched_param(0))
        plain, secure = closed_port(), closed_port()
        config = listener_table(f"haproxy:tcp:{plain}:interface=127.0.0.1")
        config += listener_table(f"haproxy:tcp:{secure}:interface=127.0.0.1", certificates.file)
        config += LIMITS
        config += upstream_table(target, "honest", model="honest")
        config += upstream_table(theirs, "theirs", model="echo")
        running = await stack.enter_async_context(relay(folder, config))
        async with running.checked(memory=False):
            talkers = await opened(running)
            quiet = await talk(talkers, SECONDS)
            attacker = await asyncio.create_subprocess_exec(
                sys.executable,
                str(Path(__file__).with_name("attacker.py")),
                *map(str, (plain, secure, SECONDS, seed())),
                env=environ(PYTHONPATH=os.pathsep.join([str(TESTS), str(TESTS.parent)])),
                stdout=asyncio.subprocess.PIPE,
            )
            beside = await talk(talkers, SECONDS)
            out, _ = await attacker.communicate()
            assert attacker.returncode == 0
            for talker in talkers:
                assert not talker.faults
                talker.transport.send_close(WSCloseCode.OK)
                await talker.ended
                assert talker.close == (1000, "")
        ratio = beside[1] / quiet[1]
        print(f"\n{HONEST} honest sessions: p50 {quiet[0]:.2f}, p99 {quiet[1]:.2f} ms;")
        print(f"beside the attack p50 {beside[0]:.2f}, p99 {beside[1]:.2f} ms: {ratio:.2f} times")
        done = json.loads(out)
        print(f"{sum(done.values())} attacks: {done}")


# aiofastnet, below picows, reads on from a socket that it has closed, and leaves it unclosed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_honest_sessions_do_not_notice_all_attacks_at_once(tmp_path: Path) -> None:
    run(attacked(tmp_path), scaled(60, 150))
