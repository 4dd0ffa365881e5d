"""
C{twistd realtime-relay}: its options, and the service they describe.

All that can be checked is checked while the options are parsed: each fault is one line on
standard error. C{twistd} would print its help page for a L{usage.UsageError}, and a traceback for
an exception in L{makeService}, so what ends it here is always a L{SystemExit}.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import attrs
from twisted.internet.endpoints import serverFromString
from twisted.logger import ILogObserver
from twisted.python import usage

from relay.config.certificates import (
    CertificateFault,
    authorities,
    check_name,
    identity,
    server_options,
)
from relay.config.checks import shown
from relay.config.keys import KeyFault, downstream_tokens, upstream_key
from relay.config.load import SettingsError, load
from relay.config.settings import ListenerTable, Settings, UpstreamTable
from relay.daemon.logfile import LogWriter
from relay.daemon.logs import JSONObserver, TextObserver, open_log
from relay.daemon.service import OPEN_TO_ALL, RelayService
from relay.rules.addresses import is_loopback
from relay.timing.clock import use_monotonic_clock
from relay.upstreams.providers import Credential, Upstream
from relay.upstreams.proxies import proxy_for


def _give_up(faults: Sequence[str]) -> NoReturn:
    raise SystemExit("\n".join(f"realtime-relay: {fault}" for fault in faults))


class Options(usage.Options):
    """
    The command line of C{twistd realtime-relay}.

    @ivar settings: the file's, with what the flags say over it.
    @ivar upstreams: where to relay to, with their keys; none in a demo.
    @ivar tokens: what downstream may present.
    """

    synopsis = "[options]"
    longdesc = (
        "Relays WebSocket sessions to a Realtime service, and opens its own connection before it"
        " answers the client's. Needs a key in OPENAI_API_KEY, or --demo."
    )
    optFlags: ClassVar = [
        ["demo", None, "Relay to the built-in simulator only; needs no key and no network."],
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
        ["log-format", None, None, "Log lines as text (default) or json."],
    ]
    settings: Settings
    upstreams: tuple[Upstream, ...] = ()
    tokens: tuple[str, ...] = ()

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """
        @param environ: where keys are looked for.
        """
        super().__init__()
        self._environ = environ
        self._listen: list[str] = []
        self._urls: list[str] = []
        self._faults: list[str] = []

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
        """Refuse what is no option, by name."""
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
        """Read the file, put the flags over it, find the secrets, and check it all."""
        self.settings = self._with_flags(self._from_file())
        if not self["demo"] and not self._faults:
            self.upstreams = tuple(self._find_upstreams())
        self._find_tokens()
        for listener in self.settings.listeners:
            if self._check_endpoint("listen", listener.endpoint):
                self._check_access(listener.endpoint)
            self._check_certificate(listener)
        if self.settings.admin:
            self._check_endpoint("admin", self.settings.admin)
        self._check_log()
        if self._faults:
            _give_up(self._faults)

    def _from_file(self) -> Settings:
        path = self["config"]
        if path is None:
            return Settings()
        try:
            return load(Path(path).read_text("utf-8"))
        except OSError as error:
            _give_up([f"{path}: {error.strerror}"])
        except ValueError:
            _give_up([f"{path}: not UTF-8 text"])
        except SettingsError as error:
            _give_up([f"{path}: {fault}" for fault in error.faults])

    def _with_flags(self, settings: Settings) -> Settings:
        flags: dict[str, Any] = {}
        if self._listen:
            flags["listen"], flags["listener"] = tuple(self._listen), ()
        if self._urls:
            flags["upstream"] = tuple(self._tables())
        if self["admin"] is not None:
            flags["admin"] = self["admin"]
        if self["log-format"] is not None:
            flags["log_format"] = self["log-format"]
        try:
            return attrs.evolve(settings, **flags)
        except ValueError as error:
            # The validators name the field; here it came by the flag of that name.
            _give_up([*self._faults, "--" + str(error).replace("_", "-", 1)])

    def _tables(self) -> Iterator[UpstreamTable]:
        for number, url in enumerate(self._urls, 1):
            name = "openai" if number == 1 else f"openai-{number}"
            try:
                yield UpstreamTable(name=name, url=url, priority=number)
            except ValueError as error:
                self._faults.append(f"--upstream: {str(error).removeprefix('url: ')}")

    def _find_upstreams(self) -> Iterator[Upstream]:
        for table in self.settings.upstream or (UpstreamTable(),):
            try:
                key = upstream_key(table, self._environ)
                proxy = proxy_for(table.proxy, table.url, self._environ)
            except KeyFault as fault:
                self._faults.append(fault.line)
                continue
            except ValueError as error:
                self._faults.append(f"upstream {table.name}: {error}")
                continue
            upstream = Upstream(
                table.url,
                table.name,
                table.provider,
                key,
                table.ca_file,
                priority=table.priority,
                weight=table.weight,
                models=table.models,
                max_sessions=table.max_sessions,
                breaker=table.breaker,
                proxy=proxy,
                client_certificate=table.client_certificate,
            )
            self._check_key(upstream, key)
            self._check_certificates(upstream)
            yield upstream

    def _check_key(self, upstream: Upstream, key: Credential) -> None:
        # A local model server often wants none, and has no OpenAI behind it to refuse.
        if key is not None or upstream.provider == "generic" or is_loopback(upstream.host):
            return
        ways = "name it by key_file or key_env in the configuration"
        if upstream.provider == "openai":
            ways = (
                "set OPENAI_API_KEY (or key_file in the configuration), or use --demo for the"
                " built-in simulator"
            )
        self._faults.append(f"upstream {upstream.name} has no key: {ways}")

    def _check_certificates(self, upstream: Upstream) -> None:
        host = upstream.host if upstream.secure else None
        for key, check, value in (
            ("url", check_name, host),
            ("ca_file", authorities, upstream.ca_file),
            ("client_certificate", identity, upstream.client_certificate),
        ):
            try:
                if value is not None:
                    check(value)
            except CertificateFault as fault:
                self._faults.append(f"upstream {upstream.name}: {key}: {fault}")

    def _find_tokens(self) -> None:
        try:
            self.tokens = downstream_tokens(self.settings.auth, self._environ)
        except KeyFault as fault:
            self._faults.append(fault.line)

    def _check_endpoint(self, key: str, endpoint: str) -> bool:
        from twisted.internet import reactor

        try:
            serverFromString(reactor, endpoint)
        except Exception:
            # Parsers are plug-ins and raise what they like: a TypeError where an argument lacks.
            self._faults.append(
                f"{key}: {shown(endpoint)} is no endpoint that can be used here; one is"
                " tcp:8080:interface=127.0.0.1"
            )
            return False
        return True

    def _check_access(self, endpoint: str) -> None:
        auth = self.settings.auth
        guarded = auth.token_env or auth.token_file or self.settings.allow_anonymous
        if _is_public(endpoint) and not guarded and not self["demo"]:
            self._faults.append(f"{endpoint} {OPEN_TO_ALL}")

    def _check_certificate(self, listener: ListenerTable) -> None:
        if listener.certificate is None or listener.key is None:
            return
        try:
            server_options(listener.certificate, listener.key)
        except CertificateFault as fault:
            self._faults.append(f"[[listener]] {listener.endpoint}: {fault}")

    def _check_log(self) -> None:
        twistd: Mapping[str, Any] = self.parent or {}
        if self.settings.log_format == "json" and twistd.get("syslog"):
            self._faults.append("--log-format json does not go with twistd's --syslog")


def _is_public(endpoint: str) -> bool:
    """
    Whether an endpoint string asks for an address that other machines can reach.

    Those that do not tell, like C{systemd:}, are looked at once they listen.
    """
    kind, *arguments = re.split(r"(?<!\\):", endpoint)
    if kind not in ("tcp", "tcp6", "ssl"):
        return False
    named = [a.partition("=")[2] for a in arguments if a.startswith("interface=")]
    if kind == "tcp" and not named and len(arguments) > 1 and "=" not in arguments[1]:
        named = [arguments[1]]
    return not named or not is_loopback(named[0].replace("\\", ""))


def makeService(options: Options) -> RelayService:
    """The service that the options describe."""
    from twisted.internet import reactor

    use_monotonic_clock(reactor)
    twistd: Mapping[str, Any] = options.parent or {"nodaemon": True}
    log: LogWriter | None = None
    observer: ILogObserver | None = None
    if not twistd.get("syslog"):  # which is twistd's own matter
        kind = JSONObserver if options.settings.log_format == "json" else TextObserver
        log = open_log(twistd, kind)
        observer = kind(log)
    return RelayService(
        options.settings,
        options.upstreams,
        options.tokens,
        demo=bool(options["demo"]),
        reactor=reactor,
        observer=observer,
        log=log,
    )
