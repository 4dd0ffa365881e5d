"""The store of a fleet that the settings name, with its password found."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from attrs import field, frozen

from relay.config.fleet_table import FleetTable
from relay.config.issuers import look_at_authorities
from relay.config.keys import KeyFault, KeyFile


@frozen
class FleetSource:
    """
    A table that names a store, with its secret found.

    @ivar password: what the store is told at each login; L{None} for none.
    """

    table: FleetTable
    password: Callable[[], str] | None = field(default=None, repr=False, eq=False)


def fleet_source(table: FleetTable) -> FleetSource | None:
    """
    What the table names; L{None} if that is no store.

    @raise KeyFault: if what it names cannot be used.
    """
    if table.url is None:
        return None
    if find_spec("txredisapi") is None:
        raise KeyFault("[fleet]: needs txredisapi; install realtime-relay[fleet]")
    look_at_authorities(table.ca_file, "[fleet]")
    if table.password_file is None:
        return FleetSource(table)
    return FleetSource(table, KeyFile(Path(table.password_file), "[fleet] password_file"))
