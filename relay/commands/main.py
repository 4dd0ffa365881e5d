"""The command C{realtime-relay}, for an operator who does not know C{twistd}."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, ClassVar

from twisted.internet.task import react
from twisted.scripts.twistd import run as twistd

from relay.commands.check import check as check_all
from relay.commands.services import ask_services
from relay.commands.simulate import give_up, replay, simulate
from relay.commands.token import token
from relay.daemon import tap
from relay.daemon.service import start_simulator
from relay.timing.clock import use_monotonic_clock
from relay.upstreams.diagnosis import as_json, as_table

HELP = """Usage: realtime-relay COMMAND [options]

Commands:
  run       Run the relay in the foreground, as "twistd -n realtime-relay" does.
  check     Check the settings, then dial each upstream once and say what is wrong.
  token     Make, list and revoke the named keys that clients may send.
  simulate  Run the built-in upstream on its own.
  replay    Serve a recorded session again, as an upstream.

"realtime-relay COMMAND --help" tells more, and "realtime-relay --version" the version.
"""


def run(arguments: Sequence[str]) -> None:
    """Run the relay in the foreground; never returns."""
    sys.argv = ["twistd", "--nodaemon", "--pidfile=", "realtime-relay", *arguments]
    twistd()


class CheckOptions(tap.Options):
    """The command line of C{realtime-relay check}: the relay's options, and those of the check."""

    listens: ClassVar = False

    synopsis = "Usage: realtime-relay check [options]"
    longdesc = (
        "Checks the settings, dials each upstream once, and asks each service that decides who may"
        " come in."
    )
    optFlags: ClassVar = [["json", None, "Print one JSON value instead of a table."]]
    optParameters: ClassVar = [["model", None, None, "The model to ask for."]]


def check(arguments: Sequence[str]) -> None:
    """Check all upstreams and services; exit with 1 unless all of them open or answer."""
    options = CheckOptions()
    options.parseOptions(arguments)
    react(_check, (options,))


async def _check(reactor: Any, options: CheckOptions) -> None:
    use_monotonic_clock(reactor)
    plan = options.plan
    for line in plan.advice:
        print(f"realtime-relay: {line}", file=sys.stderr)
    upstreams = (start_simulator(reactor)[1],) if plan.demo else plan.upstreams
    findings = await check_all(upstreams, plan.settings, options["model"], reactor)
    services = await ask_services(plan.access, reactor)
    if options["json"]:
        told = [*map(as_json, findings), *(service.as_json() for service in services)]
        print(json.dumps(told, indent=2))
    else:
        print("\n\n".join([as_table(findings), *(service.as_line() for service in services)]))
    if any(finding.refusal for finding in findings) or any(each.fault for each in services):
        raise SystemExit(1)


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "run": run,
    "check": check,
    "token": token,
    "simulate": simulate,
    "replay": replay,
}


def main() -> None:
    """Run the subcommand that the command line names."""
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(HELP, end="")
    elif name == "--version":
        print(f"realtime-relay {version('realtime-relay')}")
    elif name in COMMANDS:
        COMMANDS[name](arguments)
    else:
        give_up(f"{name!r} is no command; try realtime-relay --help")
