"""
C{twistd realtime-relay}: its options, and the service they describe.

All that can be checked is checked while the options are parsed, and each fault is one line on
standard error. The exception is always a L{SystemExit}, because C{twistd} would print its help page
for a L{usage.UsageError}, and a traceback for an exception in L{makeService}.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, ClassVar, NoReturn

from twisted.logger import ILogObserver
from twisted.python import usage

from relay.config.checks import shown
from relay.config.plan import Faults, Flags, Plan, plan, plan_again
from relay.config.settings import Settings
from relay.daemon.base import Daemon
from relay.daemon.logfile import LogWriter, Writable
from relay.daemon.logs import TextObserver, observer_for, open_log
from relay.daemon.redaction import Redaction
from relay.daemon.service import RelayService
from relay.daemon.sparing import Sparing
from relay.daemon.workers.parent import Likeness, ParentService
from relay.timing.clock import use_monotonic_clock


def _give_up(faults: Sequence[str]) -> NoReturn:
    raise SystemExit("\n".join(f"realtime-relay: {fault}" for fault in faults))


class Options(usage.Options):
    """
    The command line of C{twistd realtime-relay}.

    @ivar plan: what the options and the configuration file ask for.
    @cvar listens: whether the process is to listen.
    """

    listens: ClassVar = True

    synopsis = "[options]"
    longdesc = (
        "Relays WebSocket sessions to a Realtime service, and opens its own connection before it"
        " answers the client's. Needs a key in OPENAI_API_KEY, or --demo."
    )
    optFlags: ClassVar = [
        ["demo", None, "Relay to the built-in simulator only; needs no key and no network."],
        ["console", None, "Serve the console at /: a page on which to talk with a session."],
    ]
    optParameters: ClassVar = [
        ["config", None, None, "TOML file of settings; the other flags go over it."],
        [
            "admin",
            None,
            None,
            "Twisted endpoint to serve health, metrics and drain on, instead of the file's; empty"
            " for none.",
        ],
        ["workers", None, None, "Processes that serve sessions, instead of the file's."],
        ["log-format", None, None, "Log lines as text (default) or json."],
    ]
    plan: Plan

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """
        @param environ: the environment variables, where keys are looked for.
        """
        super().__init__()
        self._environ = environ
        self._listen: list[str] = []
        self._urls: list[str] = []

    def opt_listen(self, endpoint: str) -> None:
        """Twisted endpoint to listen on, instead of the file's. May be repeated."""
        self._listen.append(endpoint)

    def opt_upstream(self, url: str) -> None:
        """ws:// or wss:// URL to relay to, instead of the file's. If repeated: in that order."""
        self._urls.append(url)

    def opt_version(self) -> NoReturn:
        """Display the relay's version and exit."""
        print(f"realtime-relay {version('realtime-relay')}")
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        """Refuse an argument that is no option."""
        if arguments:
            raise usage.UsageError(f"unexpected argument {shown(arguments[0])}")

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse and check everything.

        @raise SystemExit: with a line for each fault.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            _give_up([str(error)])

    def postOptions(self) -> None:
        """Make the plan, and check that it goes with C{twistd}'s own options."""
        found = self.find()
        if not isinstance(found, Plan):
            _give_up(found)
        twistd: Mapping[str, Any] = self.parent or {}
        if found.settings.log_format == "json" and twistd.get("syslog"):
            _give_up(["--log-format json does not go with twistd's --syslog"])
        self.plan = found

    def find(self, settings: Settings | None = None) -> Plan | Faults:
        """
        What the relay is to be: at its start, and whenever it takes new settings.

        @param settings: those to go on with; L{None} for those in the file.
        """
        if settings is not None:
            return plan_again(settings, self.flags(), self._environ)
        file = self["config"]
        # A daemon changes to its --rundir before it is asked again.
        self["config"] = None if file is None else os.path.abspath(file)
        return plan(file, self.flags(), self._environ)

    @property
    def _workers(self) -> int | None:
        value = self["workers"]
        try:
            return None if value is None else int(value)
        except ValueError:
            _give_up([f"--workers: {shown(value)} is no whole number"])

    def flags(self) -> Flags:
        """What the command line says."""
        return Flags(
            demo=bool(self["demo"]),
            console=bool(self["console"]),
            listens=self.listens,
            listen=tuple(self._listen),
            upstream=tuple(self._urls),
            admin=self["admin"],
            workers=self._workers,
            log_format=self["log-format"],
        )


def _sparing(observer: ILogObserver, reactor: Any) -> ILogObserver:
    """What leaves out lines that repeat; what it left out last is told before the log ends."""
    sparing = Sparing(observer, partial(reactor.callFromThread, reactor.callLater))
    atexit.register(sparing.finish)
    return sparing


def makeService(options: Options) -> Daemon:
    """The service that the options describe."""
    from twisted.internet import reactor

    use_monotonic_clock(reactor)
    twistd: Mapping[str, Any] = options.parent or {"nodaemon": True}
    log: LogWriter | None = None
    observer: ILogObserver | None = None
    redaction: Redaction | None = None
    kind: Callable[[Writable], ILogObserver] = TextObserver
    if not twistd.get("syslog"):  # twistd writes to syslog by itself
        log_format = options.plan.settings.log_format
        kind = observer_for(log_format, twistd)
        log = open_log(twistd, kind)
        redaction = Redaction(log)
        observer = kind(redaction)
        if log_format == "text":  # programs want each line
            observer = _sparing(observer, reactor)
    plan: Plan = options.plan
    parts: dict[str, Any] = {
        "reactor": reactor,
        "find": options.find,
        "observer": observer,
        "log": log,
        "redaction": redaction,
    }
    if plan.settings.workers == 1:
        return RelayService(plan, **parts)
    alike = Likeness(
        options.flags(), kind, plan.settings.log_format == "text", twistd.get("reactor")
    )
    return ParentService(plan, alike, **parts)
