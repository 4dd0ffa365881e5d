"""Change the file of keys: tables are added and taken out, and all else in it stays as it is."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from relay.config import checks
from relay.config.access import hash_of, tables_in, tables_of
from relay.config.auth import ClientKeyTable
from relay.config.keys import KeyFault

WHAT = "the file of keys"

_TABLE = re.compile(r"^[ \t]*\[\[[ \t]*key[ \t]*\]\]", re.MULTILINE)


def keys_in(path: Path) -> tuple[ClientKeyTable, ...]:
    """
    The tables of the file; none if there is no file yet.

    @raise KeyFault: if it is no file of keys.
    """
    return tables_in(path, WHAT) if path.exists() else ()


def add(path: Path, name: str, key: str) -> None:
    """
    Add a table for this key.

    @raise KeyFault: if the name is no name, or taken, or the file cannot be used.
    """
    before = keys_in(path)
    if fault := checks.name(name):
        raise KeyFault(f"the name of a key {fault}")
    if name in {table.name for table in before}:
        raise KeyFault(f"there is a key named {name} already; revoke it first, or choose another")
    text = path.read_text("utf-8") if path.exists() else ""
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    _replace(path, f'{text}{gap}[[key]]\nname = "{name}"\nhash = "{hash_of(key)}"\n')


def revoke(path: Path, name: str) -> None:
    """
    Take out the table of this name.

    @raise KeyFault: if there is none, or the file cannot be used.
    """
    if name not in {table.name for table in keys_in(path)}:
        raise KeyFault(f"there is no key named {name}")
    text = path.read_text("utf-8")
    starts = [found.start() for found in _TABLE.finditer(text)]
    first, *parts = (text[a:b] for a, b in zip([0, *starts], [*starts, len(text)], strict=True))
    kept = [part for part in parts if name not in _names_in(part)]
    if len(kept) != len(parts) - 1:
        raise KeyFault(f"{WHAT} is not written as [[key]] tables; take out {name} by hand")
    _replace(path, "".join([first, *kept]))


def _names_in(text: str) -> set[str]:
    with suppress(KeyFault):
        return {table.name for table in tables_of(text, WHAT)}
    return set()


def _replace(path: Path, text: str) -> None:
    """
    Write the file by a rename, so that a relay never reads half of it. A link stays a link.

    @raise KeyFault: if this would be no file of keys, or cannot be written.
    """
    tables_of(text, WHAT)
    real = Path(os.path.realpath(path))
    try:
        with NamedTemporaryFile("w", dir=real.parent, delete=False, encoding="utf-8") as beside:
            beside.write(text)
        os.chmod(beside.name, real.stat().st_mode & 0o777 if real.exists() else 0o644)
        os.replace(beside.name, real)
    except OSError as error:
        raise KeyFault(f"{WHAT} cannot be written: {os.strerror(error.errno or 0)}") from None
