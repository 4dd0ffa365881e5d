"""
What the operator said, as one value: the file, the flags, and the secrets that they name.

All that can be checked before anything listens is checked here, and every fault is told. Nothing is
kept between two calls, and only the files that are named are touched, so a running process can plan
anew at any time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from relay.config.access import Access, ClientKeys, access_of
from relay.config.advice import advice_on
from relay.config.certificates import (
    CertificateFault,
    authorities,
    check_name,
    identity,
    server_options,
)
from relay.config.checks import shown
from relay.config.files import beside
from relay.config.fleet import FleetSource, fleet_source
from relay.config.keys import KeyFault, upstream_key
from relay.config.listeners import (
    BY_TABLE,
    fault_of_access,
    fault_of_endpoint,
    fault_of_sharing,
    has_tls,
)
from relay.config.load import SettingsError, load
from relay.config.recording import faults_of_recording
from relay.config.settings import ListenerTable, Settings
from relay.config.upstream_table import UpstreamTable
from relay.rules.addresses import is_loopback
from relay.upstreams.proxies import proxy_for
from relay.upstreams.upstream import Upstream

Faults = tuple[str, ...]
"""All that is wrong; at least one line. Each names the key or flag, and none repeats a secret."""


@frozen(kw_only=True)
class Flags:
    """
    What the command line says. It overrides the file.

    @ivar demo: whether the built-in simulator is the only upstream.
    @ivar console: whether the console is served, also if the file does not say so.
    @ivar listens: whether the process is to listen at all; a check does not.
    @ivar listen: endpoint strings; empty for the file's.
    @ivar upstream: URLs in the order to try them; empty for the file's.
    @ivar admin: an endpoint string, or empty for no admin listener; L{None} for the file's.
    @ivar workers: a number; L{None} for the file's.
    @ivar log_format: C{text} or C{json}; L{None} for the file's.
    """

    demo: bool = False
    console: bool = False
    listens: bool = True
    listen: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    admin: str | None = None
    workers: int | None = None
    log_format: str | None = None


@frozen
class Plan:
    """
    What a relay is to be.

    @ivar settings: the file's settings, overridden by the flags.
    @ivar upstreams: the upstreams to relay to, with their keys; none in a demo.
    @ivar access: who may come in.
    @ivar demo: whether the built-in simulator is the only upstream.
    @ivar advice: see L{advice_on}.
    @ivar fleet: the store that it shares with others; L{None} if it is alone.
    """

    settings: Settings
    upstreams: tuple[Upstream, ...] = ()
    access: Access = field(factory=Access)
    demo: bool = field(default=False, kw_only=True)
    advice: tuple[str, ...] = field(default=(), kw_only=True)
    fleet: FleetSource | None = field(default=None, kw_only=True)

    @property
    def guarded(self) -> bool:
        """Whether a public listener is no oversight: it wants keys, or is meant to be open."""
        return self.access.asks or self.demo or self.settings.allow_anonymous


def plan(file: str | None, flags: Flags, environ: Mapping[str, str]) -> Plan | Faults:
    """
    The plan, or all that is wrong with it.

    @param file: path of the TOML file; L{None} for none.
    @param environ: the environment variables, where keys, tokens and proxies are looked for.
    """
    faults: list[str] = []
    try:
        settings = _with_flags(settings_from(file), flags, faults)
    except SettingsError as error:
        return (*faults, *error.faults)
    return _planned(settings, flags, environ, faults)


def plan_again(settings: Settings, flags: Flags, environ: Mapping[str, str]) -> Plan | Faults:
    """
    The plan of a relay whose settings stay, with all other files read anew.

    @param settings: those of a plan that was made with the same flags.
    """
    return _planned(settings, flags, environ, [])


def _planned(
    settings: Settings, flags: Flags, environ: Mapping[str, str], faults: list[str]
) -> Plan | Faults:
    upstreams: tuple[Upstream, ...] = ()
    # If a flag has a wrong URL, the file's upstreams are not checked: the flag would replace them.
    if not flags.demo and not faults:
        upstreams = tuple(_upstreams(settings, environ, faults))
    access = access_of(settings.auth, environ, faults)
    advice = tuple(advice_on(settings))
    fleet = _fleet(settings, faults)
    found = Plan(settings, upstreams, access, demo=flags.demo, advice=advice, fleet=fleet)
    # Keys that are named and cannot be read are a fault already.
    guarded = found.guarded or settings.auth.asks
    if access.client_keys is not None and not flags.demo:
        faults.extend(_faults_of_keys(access.client_keys, settings))
    for listener in settings.listeners:
        faults.extend(_faults_of_listener(listener, guarded, flags.listens))
    if settings.workers > 1:
        faults.extend(_faults_of_workers(settings, flags))
    if not flags.listen:  # which would replace the listeners that the file's rules name
        faults.extend(_faults_of_rules(settings))
    faults.extend(faults_of_recording(settings))
    fault = fault_of_endpoint(settings.admin, listens=flags.listens) if settings.admin else None
    if fault:
        faults.append(f"admin: {fault}")
    return tuple(faults) or found


def _fleet(settings: Settings, faults: list[str]) -> FleetSource | None:
    try:
        return fleet_source(settings.fleet)
    except KeyFault as fault:
        faults.append(fault.line)
        return None


def settings_from(path: str | None) -> Settings:
    """
    The settings in a file; without one, the defaults. Paths in it are against its folder.

    @raise SettingsError: with all that is wrong with it.
    """
    if path is None:
        return Settings()
    path = os.path.abspath(path)
    faults: Faults
    try:
        return beside(load(Path(path).read_text("utf-8")), os.path.dirname(path))
    except OSError as error:
        faults = (str(error.strerror),)
    except ValueError:
        faults = ("not UTF-8 text",)
    except SettingsError as error:
        faults = error.faults
    raise SettingsError(tuple(f"{path}: {fault}" for fault in faults))


def _with_flags(settings: Settings, flags: Flags, faults: list[str]) -> Settings:
    said: dict[str, Any] = {"console": True} if flags.console or flags.demo else {}
    if flags.listen:
        said["listen"], said["listener"] = flags.listen, ()
    if flags.demo and flags.upstream:
        faults.append(
            "--demo relays to the built-in simulator only; leave out --demo or --upstream"
        )
    elif flags.upstream:
        said["upstream"] = tuple(_tables(flags.upstream, faults))
    if flags.admin is not None:
        said["admin"] = flags.admin
    if flags.workers is not None:
        said["workers"] = flags.workers
    if flags.log_format is not None:
        said["log_format"] = flags.log_format
    try:
        return attrs.evolve(settings, **said)
    except ValueError as error:
        # The text begins with the field's name; the value came from the flag of that name.
        raise SettingsError(("--" + str(error).replace("_", "-", 1),)) from None


def _tables(urls: tuple[str, ...], faults: list[str]) -> Iterator[UpstreamTable]:
    for number, url in enumerate(urls, 1):
        name = "openai" if number == 1 else f"openai-{number}"
        try:
            yield UpstreamTable(name=name, url=url, priority=number)
        except ValueError as error:
            faults.append(f"--upstream: {str(error).removeprefix('url: ')}")


def _upstreams(
    settings: Settings, environ: Mapping[str, str], faults: list[str]
) -> Iterator[Upstream]:
    for table in settings.upstream or (UpstreamTable(),):
        try:
            upstream = _upstream(table, environ)
        except KeyFault as fault:
            faults.append(fault.line)
        except ValueError as error:
            faults.append(f"upstream {table.name}: {error}")
        else:
            faults.extend(f"upstream {table.name}{fault}" for fault in _faults_of(upstream))
            yield upstream


def _upstream(table: UpstreamTable, environ: Mapping[str, str]) -> Upstream:
    return Upstream(
        table.url,
        table.name,
        table.provider,
        upstream_key(table, environ),
        table.ca_file,
        priority=table.priority,
        weight=table.weight,
        models=table.models,
        max_sessions=table.max_sessions,
        breaker=table.breaker,
        proxy=proxy_for(table.proxy, table.url, environ),
        client_certificate=table.client_certificate,
        first_event=table.first_event,
        query=table.query,
        headers=table.headers,
        subprotocols=table.subprotocols,
    )


def _faults_of(upstream: Upstream) -> Iterator[str]:
    """What is wrong with an upstream; each text continues its name."""
    # A model server on this machine often wants no key.
    wants_key = upstream.provider != "generic" and not is_loopback(upstream.host)
    if wants_key and upstream.credential is None:
        ways = "name it by key_file or key_env in the configuration"
        if upstream.provider == "openai":
            ways = (
                "set OPENAI_API_KEY (or key_file in the configuration), or use --demo for the"
                " built-in simulator"
            )
        yield f" has no key: {ways}"
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
            yield f": {key}: {fault}"


def _faults_of_keys(keys: ClientKeys, settings: Settings) -> Iterator[str]:
    known = {None, *(table.name for table in settings.upstream or (UpstreamTable(),))}
    for key in keys():
        if key.upstream not in known:
            yield f"[auth] keys_file: {key.subject}: there is no upstream {key.upstream}"


def _faults_of_rules(settings: Settings) -> Iterator[str]:
    known = {None, *(listener.endpoint for listener in settings.listeners)}
    for number, rule in enumerate(settings.refusals, 1):
        if rule.listener not in known:
            yield (
                f"[[refusals]] #{number}: listener: {shown(rule.listener or '')} is neither in"
                " listen nor in [[listener]]"
            )


def _faults_of_workers(settings: Settings, flags: Flags) -> Iterator[str]:
    if flags.demo:
        yield "workers: a demo runs in one process; leave out --demo, or workers"
    for listener in settings.listeners:
        if fault := fault_of_sharing(listener.endpoint):
            yield f"listen: {fault}"


def _faults_of_listener(listener: ListenerTable, guarded: bool, listens: bool) -> Iterator[str]:
    endpoint = listener.endpoint
    if fault := fault_of_endpoint(endpoint, listens=listens):
        yield f"listen: {fault}"
    elif has_tls(endpoint) and listener.certificate is not None:
        yield f"[[listener]] {shown(endpoint)}: would speak TLS twice: {BY_TABLE}"
    elif fault := fault_of_access(endpoint, guarded=guarded):
        yield fault
    if listener.certificate is not None and listener.key is not None:
        try:
            server_options(listener.certificate, listener.key)
        except CertificateFault as error:
            yield f"[[listener]] {endpoint}: {error}"
