"""C{realtime-relay token}: the named keys that clients may send."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from secrets import token_urlsafe

from relay.config import keyring
from relay.config.auth import ClientKeyTable
from relay.config.keys import KeyFault
from relay.config.load import SettingsError
from relay.config.plan import settings_from

NO_FILE = "the configuration names no file of keys: set keys_file in [auth]"

KEY_BYTES = 32
"""Random bytes of a key."""


def token(arguments: Sequence[str]) -> None:
    """
    Make a key and print it, which nothing does again; or list the names; or revoke a key.

    @raise SystemExit: if that cannot be done, with one line that says why.
    """
    parser = ArgumentParser(
        "realtime-relay token",
        description="The named keys that clients may send, in the file that keys_file in [auth]"
        " names. It holds only their hashes. A relay that runs sees each change at once.",
    )
    parser.add_argument("verb", choices=("new", "list", "revoke"))
    parser.add_argument("name", nargs="?", help="of the key; the subject in the relay's records")
    parser.add_argument("--config", metavar="FILE", required=True, help="TOML file of settings")
    said = parser.parse_intermixed_args(arguments)
    if (said.verb == "list") is not (said.name is None):
        parser.error("new and revoke need a NAME, and list has none")
    try:
        print(_done(said.verb, said.name, _file_in(said.config)))
    except KeyFault as fault:
        raise SystemExit(f"realtime-relay: {fault.line}") from None
    except SettingsError as error:
        raise SystemExit(f"realtime-relay: {error.faults[0]}") from None


def _file_in(config: str) -> Path:
    named = settings_from(config).auth.keys_file
    if named is None:
        raise KeyFault(NO_FILE)
    return Path(named)


def _done(verb: str, name: str, path: Path) -> str:
    """Do it; return what to print."""
    if verb == "list":
        return "\n".join(_line(table) for table in keyring.keys_in(path))
    if verb == "revoke":
        keyring.revoke(path, name)
        return f"{name} is revoked"
    key = f"rk_{token_urlsafe(KEY_BYTES)}"
    keyring.add(path, name, key)
    return key


def _line(table: ClientKeyTable) -> str:
    models = f"models: {', '.join(table.models)}" if table.models else ""
    upstream = f"upstream: {table.upstream}" if table.upstream else ""
    return "  ".join(filter(None, (table.name, models, upstream)))
