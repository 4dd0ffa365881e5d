"""Relays in processes of their own, on a plain and a TLS port, and what their logs say."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import trustme
from attrs import frozen
from processes import LOOPBACK, SECONDS, TWISTD, end, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

Record = dict[str, Any]
"""One line of a JSON log."""

FENCE = "refuse-draining"
"""A model that only L{holds} asks for: its record is behind those of all clients before."""


class Log:
    """
    The log of a process, as it comes.

    Records are found in the order in which they were written, each once.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._records: list[Record] = []
        self._taken = 0
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._records.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the process, and read what it says until then."""
        end(self._process)
        self._reader.join(SECONDS)

    def take_until(self, matches: Callable[[Record], object]) -> list[Record]:
        """Wait for a record that matches; return all up to it that was not taken yet."""
        with self._changed:
            for at in count(self._taken + 1):
                self._await(at)
                if matches(self._records[at - 1]):
                    break
            taken, self._taken = self._records[self._taken : at], at
            return taken

    def _await(self, records: int) -> None:
        """Wait until there are so many."""
        come = self._changed.wait_for(lambda: self._ended or len(self._records) >= records, SECONDS)
        assert come, "waited in vain for a record"
        assert len(self._records) >= records, f"the relay ended: {self._records[-3:]}"


@frozen
class Relay:
    """
    A relay that listens.

    @ivar plain: its C{http} URL.
    @ivar secure: its C{https} URL.
    """

    plain: str
    secure: str
    log: Log


@frozen
class Authority:
    """
    Who vouches for the relays.

    @ivar ca_file: PEM for clients.
    @ivar certificate: PEM of the relays' certificate and its chain.
    @ivar key: PEM of its private key.
    """

    ca_file: Path
    certificate: Path
    key: Path


def authority(folder: Path) -> Authority:
    """A new one, with a certificate for 127.0.0.1."""
    made = Authority(folder / "ca.pem", folder / "relay.pem", folder / "relay.key")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(made.ca_file)
    leaf = ca.issue_cert("127.0.0.1")
    made.certificate.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(made.key)
    return made


def demo_command(folder: Path, authority: Authority, **settings: object) -> list[str]:
    """C{twistd realtime-relay --demo} with these settings and a configuration file of its own."""
    keys = {"listen": [LOOPBACK], "admin": "", "log_format": "json", **settings}
    listener = {
        "endpoint": LOOPBACK,
        "certificate": str(authority.certificate),
        "key": str(authority.key),
    }
    lines = [f"{name} = {_toml(value)}" for name, value in keys.items()]
    lines += [
        "[[listener]]",
        *(f"{name} = {json.dumps(value)}" for name, value in listener.items()),
        "[limits]",
        "short_sessions = 0",  # many sessions are ended badly here, on purpose
    ]
    config = folder / f"relay-{len(list(folder.glob('relay-*.toml')))}.toml"
    config.write_text("\n".join(lines), "utf-8")
    return [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--demo", "--config", str(config)]


def _toml(value: object) -> str:
    """As TOML writes it in one line, which JSON does but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


@contextmanager
def listening(command: list[str], folder: Path, seconds: float = SECONDS) -> Iterator[Relay]:
    """Run it, until it listens on both ports, and afterwards end it, or after this long."""
    with running(command, folder, seconds=seconds) as process:
        log = Log(process)
        try:
            urls = dict(_url_in(log) for _ in range(2))
            yield Relay(urls["http"], urls["https"], log)
        finally:
            log.close()


def holds(relay: Relay) -> list[Record]:
    """The records of the holds that ended since the last time."""
    url = f"{relay.plain.replace('http', 'ws')}/v1/realtime?model={FENCE}"
    with suppress(InvalidStatus, ConnectionClosed), connect(url) as fence:
        fence.recv()
    lines = relay.log.take_until(lambda line: _ends_a_hold(line) and line["model"] == FENCE)
    return [line for line in lines[:-1] if _ends_a_hold(line)]


def _ends_a_hold(record: Record) -> bool:
    message: str = record["message"]
    return record["namespace"] == "relay.telemetry.records" and message.startswith(
        ("opened", "refused")
    )


def _url_in(log: Log) -> tuple[str, str]:
    pattern = re.compile(r"listening on ((https?)://127\.0\.0\.1:\d+)")
    record = log.take_until(lambda record: pattern.search(record["message"]))[-1]
    found = pattern.search(record["message"])
    assert found is not None
    return found[2], found[1]
