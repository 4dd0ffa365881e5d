"""A fleet whose store is a Redis or Valkey of the settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS

from relay.config.certificates import authorities
from relay.config.fleet import FleetSource
from relay.config.fleet_table import StoreAddress
from relay.fleet.fleet import Decided, SharedFleet
from relay.fleet.names import Names
from relay.fleet.store import CONNECT_SECONDS, Store


def fleet_of(source: FleetSource, reactor: Any, decided: Decided) -> SharedFleet:
    """
    The fleet of a table. It joins when it is started.

    @param decided: is told of each decision.
    @raise CertificateFault: if C{ca_file} cannot be used.
    """
    table = source.table
    servers = [_server(address, table.ca_file, reactor) for address in table.addresses]
    # Both servers of one store know the same users and databases.
    login = _login(source, table.addresses[0])
    channel = Names(table.prefix).revoked

    def connect(fleet: SharedFleet) -> Store:
        return Store(servers, login, channel, fleet, reactor)

    return SharedFleet(table, connect, reactor, decided)


def _server(address: StoreAddress, ca_file: str | None, reactor: Any) -> IStreamClientEndpoint:
    plain = HostnameEndpoint(reactor, address.host, address.port, timeout=CONNECT_SECONDS)
    if not address.is_tls:
        return plain
    roots = {} if ca_file is None else {"trustRoot": authorities(ca_file)}
    return wrapClientTLS(optionsForClientTLS(address.host, **roots), plain)


def _login(source: FleetSource, address: StoreAddress) -> Callable[[], Sequence[Sequence[str]]]:
    def words() -> Iterator[Sequence[str]]:
        if source.password is not None:
            user = () if address.user is None else (address.user,)
            yield ("AUTH", *user, source.password())
        if address.database:
            yield ("SELECT", str(address.database))

    return lambda: [*words()]
