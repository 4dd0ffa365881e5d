"""The admin listener in memory, and what it answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

from memory import World

from relay import Metrics, Settings
from relay.testing.peers import Line
from relay.testing.reactor import THERE
from relay.web.admin import AdminFactory


@dataclass
class Answer:
    """An answer as a client sees it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """Of a refusal."""
        error: dict[str, Any] = json.loads(self.body)["error"]
        return error

    @property
    def code(self) -> str:
        """Of a refusal."""
        return str(self.error["code"])


@dataclass
class Desk:
    """A relay in memory, and its admin listener."""

    settings: Settings = field(default_factory=Settings)
    options: dict[str, Any] = field(default_factory=dict)
    is_public: bool = False

    def __post_init__(self) -> None:
        metrics = Metrics()
        self.world = World(settings=self.settings, options={"listeners": [metrics], **self.options})
        self.admin: AdminFactory = self.world.factory.admin(metrics)
        self.admin.set_public(self.is_public)

    def connect(self) -> Line:
        """A connection to the admin listener."""
        return self.world.wire(self.admin.buildProtocol(THERE))

    def ask(self, path: str, method: str = "GET", host: str = "localhost", **fields: str) -> Answer:
        """Ask with one request."""
        line = self.connect()
        head = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        head += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        line.deliver("\r\n".join([*head, "", ""]).encode())
        raw = line.take()
        line.lose()
        top, _, body = raw.partition(b"\r\n\r\n")
        first, *rest = top.decode().split("\r\n")
        headers = dict(cast(tuple[str, str], each.split(": ", 1)) for each in rest)
        return Answer(int(first.split()[1]), headers, body)
