"""Clients as apps have them: each opens a session, speaks in it, and goes on until it gives up."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from attrs import asdict, frozen
from e2e import node_scripts, python_scripts

LIMIT = 12
"""Attempts after which a client is stopped: more than any gives itself."""


@frozen
class Target:
    """What a client opens: a model, at a relay with an C{http} and an C{https} URL."""

    plain: str
    secure: str
    model: str


Seen = dict[Target, str]
"""What a client was told by each target in the end, if it can say."""

Client = Callable[[Sequence[Target], Path], Seen]
"""Has a client at each target go on until it gives up; the path is whom it may trust."""


def openai_python(reconnects: bool, targets: Sequence[Target], _ca_file: Path) -> Seen:
    """The C{openai} package for Python, without and with C{on_reconnecting}."""
    told = json.dumps([asdict(target) for target in targets])
    seen = python_scripts.run("plain", "attempts.py", str(reconnects), told, str(LIMIT))
    return dict(zip(targets, json.loads(seen), strict=True))


def _in_node(sdk: str, targets: Sequence[Target], ca_file: Path) -> Seen:
    told = json.dumps([asdict(target) for target in targets])
    node_scripts.run("attempts.mjs", sdk, told, str(LIMIT), ca_file=ca_file)
    return {}


CLIENTS: dict[str, Client] = {
    "openai-python": partial(openai_python, False),
    "with `on_reconnecting`": partial(openai_python, True),
    "openai-node": partial(_in_node, "openai"),
    "with `reconnect`": partial(_in_node, "openai-reconnect"),
    "agents-realtime": partial(_in_node, "agents"),
}
"""By the names of their columns."""
