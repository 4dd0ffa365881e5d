"""This relay, run as users run it, with every guard and every record."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.peers.place import Peer, Place, lacks_package, versions

TWISTD = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]

SETTINGS = """\
{own}
listen = ["tcp:{port}:interface=127.0.0.1"]

[limits]
sessions = 20000
{limits}

[[upstream]]
url = "{origin}/v1/realtime"
ca_file = "{ca_file}"
{policy}
"""


FAST = {"messages_per_second": 1_000_000, "bytes_per_second": 2**30}
"""A client may send as fast as it can, and is counted all the same."""


POLICY = """
[policy]
models = ["gpt-realtime", "m"]
events = ["input_audio_buffer.*", "session.update", "response.create"]
lock = ["instructions", "tools", "audio.output.voice"]
"""
"""A policy that says nothing of its own to upstream, which would echo it."""


def _command(
    own: Mapping[str, str | int], limits: Mapping[str, int], policy: str, place: Place
) -> list[str]:
    settings = SETTINGS.format(
        own="\n".join(f"{key} = {json.dumps(value)}" for key, value in own.items()),
        limits="\n".join(f"{key} = {value}" for key, value in limits.items()),
        port=place.port,
        origin=place.upstream.origin,
        ca_file=place.upstream.ca_file,
        policy=policy,
    )
    config = place.write("relay.toml", settings)
    return [*TWISTD, "--nodaemon", "--pidfile=", "realtime-relay", "--config", config]


def relay(
    name: str,
    own: Mapping[str, str | int],
    checkout: Path | None = None,
    limits: Mapping[str, int] = FAST,
    policy: str = "",
) -> Peer:
    """
    @param policy: the table, if there is to be one.
    @param own: settings besides those that every relay of this project has ever known.
    @param limits: limits likewise.
    @param checkout: take the relay from this working tree, not from where it is installed.
    """
    return Peer(
        name,
        command=partial(_command, own, limits, policy),
        lacks=partial(lacks_package, "realtime-relay"),
        version=partial(versions, "realtime-relay", "Twisted", "autobahn", "pyOpenSSL"),
        environ={"PYTHONPATH": str(checkout)} if checkout else {},
    )
