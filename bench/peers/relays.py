"""This relay, run as users run it, with every guard and every record."""

from __future__ import annotations

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

[[upstream]]
url = "{origin}/v1/realtime"
ca_file = "{ca_file}"
"""


def _command(own: Mapping[str, str], place: Place) -> list[str]:
    settings = SETTINGS.format(
        own="\n".join(f'{key} = "{value}"' for key, value in own.items()),
        port=place.port,
        origin=place.upstream.origin,
        ca_file=place.upstream.ca_file,
    )
    config = place.write("relay.toml", settings)
    return [*TWISTD, "--nodaemon", "--pidfile=", "realtime-relay", "--config", config]


def relay(name: str, own: Mapping[str, str], checkout: Path | None = None) -> Peer:
    """
    @param own: settings besides those that every relay of this project has ever known.
    @param checkout: take the relay from this working tree, not from where it is installed.
    """
    return Peer(
        name,
        command=partial(_command, own),
        lacks=partial(lacks_package, "realtime-relay"),
        version=partial(versions, "realtime-relay", "Twisted", "autobahn", "pyOpenSSL"),
        environ={"PYTHONPATH": str(checkout)} if checkout else {},
    )
