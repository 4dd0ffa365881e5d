"""
The Autobahn testsuite, run against either side of a relay.

The suite is Autobahn's of 2015 on Python 2, so it shares no code with what it judges.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

from attrs import frozen
from environments import INSTALL_SECONDS, find_python, output_of
from processes import LOOPBACK, TWISTD, address_of, closed_port, running, until
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from relay.rules.closes import Side

REQUIREMENT = "autobahntestsuite == 25.10.1"

FOLDER = Path(__file__).parent / "python" / "environments" / "autobahntestsuite" / "site-packages"
"""Its last name keeps linters away."""

WHOLE = os.environ.get("CONFORMANCE") == "whole"
"""Whether the slow cases are run too."""

LIMITS = ("9.1.6", "9.2.6", "9.3.1", "9.4.1", "9.5.1", "9.6.1", "9.7.1", "9.8.1")
"""Of chapter 9, on limits and speed: the largest message, most fragments, smallest chops."""

CASES = [
    *(f"{chapter}.*" for chapter in (1, 2, 3, 4, 5, 6, 7, 10)),
    *(["9.*"] if WHOLE else LIMITS),
]
"""All chapters but 12 and 13, which are on compression: the relay offers and accepts none."""

RUN_SECONDS = 1800 if WHOLE else 300
"""Until a run counts as hung: 200 cases, of which some wait for a second or two."""

MAX_FRAGMENTS = "websockets.sync.messages.MAX_FRAGMENTS"
"""What the echoing ends must not limit."""

_RUN = """\
import site, sys
site.addsitedir(sys.argv.pop(1))
from autobahntestsuite.wstest import run
run()
"""

Plane = Literal["splice", "message"]


class Lacking(Exception):
    """What keeps the suite from running here."""


@frozen
class Suite:
    """
    The suite, installed.

    @ivar python: a Python 2.
    """

    python: str

    @classmethod
    def install(cls) -> Suite:
        """
        Install it, unless it is there.

        @raise Lacking: if it cannot be.
        """
        python = find_python("2.7")
        if python is None:
            raise Lacking("no python2.7, neither on PATH nor under PYENV_ROOT")
        stamp = FOLDER / "installed"
        if not stamp.is_file() or stamp.read_text("utf-8") != REQUIREMENT:
            shutil.rmtree(FOLDER, ignore_errors=True)
            FOLDER.mkdir(parents=True)
            command = [python, "-m", "pip", "install", "--target", str(FOLDER), REQUIREMENT]
            try:
                output_of(command, FOLDER, INSTALL_SECONDS)
            except AssertionError as error:
                raise Lacking(f"cannot be installed: {str(error).splitlines()[-1]}") from error
            stamp.write_text(REQUIREMENT, "utf-8")
        return cls(python)

    def command(self, mode: str, folder: Path, **spec: object) -> list[str]:
        """C{wstest} in this mode. Its reports go to the folder."""
        path = folder / f"{mode}.json"
        cases = {"cases": CASES, "exclude-cases": [], "exclude-agent-cases": {}}
        path.write_text(json.dumps({"outdir": str(folder), **cases, **spec}), "utf-8")
        return [self.python, "-c", _RUN, str(FOLDER), "-m", mode, "-s", str(path), "-u", "0"]


@contextmanager
def _relay(folder: Path, plane: Plane, upstream: str) -> Iterator[str]:
    """A relay with default limits, but for the fragments that a message may have."""
    config = folder / "relay.toml"
    config.write_text(
        f'plane = "{plane}"\nlisten = ["{LOOPBACK}"]\nadmin = ""\n'
        "[limits]\nmessage_fragments = 100000\n"
        f'[[upstream]]\nname = "fuzzed"\nprovider = "generic"\nurl = "{upstream}"\n'
    )
    command = [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--config", str(config)]
    with running(command, folder, seconds=RUN_SECONDS) as process:
        yield address_of(process).replace("http", "ws") + "/v1/realtime"


def _echo(websocket: ServerConnection | ClientConnection) -> None:
    """Send back what comes, until it is closed."""
    with suppress(ConnectionClosed):
        for message in websocket:
            websocket.send(message)


@contextmanager
def _echoing() -> Iterator[str]:
    with serve(
        _echo, "127.0.0.1", 0, compression=None, max_size=None, ping_interval=None
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()


def _fuzz_downstream(suite: Suite, folder: Path, plane: Plane) -> None:
    """The suite is the client, and behind the relay is an echo."""
    with _echoing() as echo, _relay(folder, plane, echo) as url:
        servers = [{"agent": "relay", "url": url}]
        output_of(suite.command("fuzzingclient", folder, servers=servers), folder, RUN_SECONDS)


def _fuzz_upstream(suite: Suite, folder: Path, plane: Plane) -> None:
    """The suite is the server, and before the relay is a client that echoes."""
    port = closed_port()
    direct = f"ws://127.0.0.1:{port}"
    command = suite.command("fuzzingserver", folder, url=direct)
    with running(command, folder, seconds=RUN_SECONDS):
        until(lambda: _listens(port))
        count = int(_ask(f"{direct}/getCaseCount")[0])
        with _relay(folder, plane, f"{direct}/runCase") as url:
            for case in range(1, count + 1):
                _run_case(f"{url}?case={case}&agent=relay")
        _ask(f"{direct}/updateReports?agent=relay")


def _listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def _run_case(url: str) -> None:
    with connect(url, compression=None, max_size=None, ping_interval=None) as websocket:
        _echo(websocket)


def _ask(url: str) -> list[str | bytes]:
    with connect(url, compression=None) as websocket:
        return list(websocket)


_FUZZ: dict[Side, Callable[[Suite, Path, Plane], None]] = {
    "downstream": _fuzz_downstream,
    "upstream": _fuzz_upstream,
}

TIMEOUTS = (
    "wasOpenHandshakeTimeout",
    "wasCloseHandshakeTimeout",
    "wasServerConnectionDropTimeout",
)


def fuzz(suite: Suite, side: Side, plane: Plane, folder: Path) -> dict[str, dict[str, Any]]:
    """Run all cases against this side; return the suite's report on each."""
    _FUZZ[side](suite, folder, plane)
    index = json.loads((folder / "index.json").read_text("utf-8"))["relay"]
    return {
        case: json.loads((folder / entry["reportfile"]).read_text("utf-8"))
        for case, entry in index.items()
    }


def complaints(report: dict[str, Any]) -> list[str]:
    """What the suite has against the relay in one case."""
    found = [name for name in TIMEOUTS if report[name]]
    if report["behavior"] not in ("OK", "NON-STRICT", "INFORMATIONAL"):
        found.append(f"{report['behavior']}: {report['result']}")
    if report["behaviorClose"] not in ("OK", "INFORMATIONAL"):
        found.append(f"{report['behaviorClose']}: {report['resultClose']}")
    if not report["wasClean"]:
        found.append(f"unclean: {report['wasNotCleanReason']}")
    return found
