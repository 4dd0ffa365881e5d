"""Plain relays, each a script beside this file, and all with the same arguments."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from bench.peers.place import (
    Peer,
    Place,
    first_line,
    lacks_package,
    lacks_program,
    versions,
)

HERE = Path(__file__).parent
WS = HERE / "node_modules" / "ws" / "package.json"


def _arguments(place: Place) -> list[str]:
    return [str(place.port), place.upstream.origin, str(place.upstream.ca_file)]


def _python_command(script: str, place: Place) -> list[str]:
    # "-P", for this folder has no modules to import.
    return [sys.executable, "-P", str(HERE / script), *_arguments(place)]


def _node_command(place: Place) -> list[str]:
    return ["node", str(HERE / "node_pump.mjs"), *_arguments(place)]


def _lacks_node() -> str | None:
    ws = None if WS.exists() else "the npm package ws is not installed in bench/peers"
    return lacks_program("node") or ws


def _node_version() -> str:
    ws = json.loads(WS.read_text("utf-8"))["version"]
    return f"Node {first_line('node', '-v')}, ws {ws}"


def _python(name: str, script: str, *packages: str) -> Peer:
    return Peer(
        name,
        partial(_python_command, script),
        partial(lacks_package, *packages),
        partial(versions, *packages),
    )


PLAIN_PEER = _python("plain", "plain.py", "Twisted", "autobahn", "pyOpenSSL")
NODE_PEER = Peer("node", _node_command, _lacks_node, _node_version)
AIOHTTP_PEER = _python("aiohttp", "aiohttp_pump.py", "aiohttp")
WEBSOCKETS_PEER = _python("websockets", "websockets_pump.py", "websockets")
