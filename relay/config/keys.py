"""
Find the secrets that the settings name.

They come from files, environment variables and systemd credentials, never from the configuration
itself. No message here repeats what was read. Nor does one repeat a path that is not there, because
the secret itself may stand where the path belongs.
"""

from __future__ import annotations

import os
import stat
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from twisted.logger import Logger

from relay.config.upstream_table import UpstreamTable
from relay.rules.errors import RelayError
from relay.upstreams.credential import is_credential
from relay.upstreams.proxies import DIRECTLY
from relay.upstreams.upstream import is_exposed

_log = Logger()

T = TypeVar("T")

LARGEST_FILE = 65536
"""Most bytes of a key or token file: reading C{/dev/zero} must end."""

QUOTES = "\"'`"
"""What people put around a key, as a shell would want it."""


class KeyFault(RelayError):
    """
    A secret cannot be read, or must not be used.

    @ivar line: what is wrong, in one line without the secret.
    """

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


class SecretFile(Generic[T]):
    """
    A file of secrets that is read anew when it has changed, so that another process can change it.

    If the file can no longer be used, what was read last stays in use, and each such change of the
    file is one line in the log.

    @param what: what the log calls the file.
    @param read: reads the file; given its path and C{what}.
    @raise KeyFault: what C{read} raises now.
    """

    def __init__(self, path: Path, what: str, read: Callable[[Path, str], T]) -> None:
        self._path = path
        self._what = what
        self._reads = read
        self._mark = self._refused = mark_of(path)
        self._found = read(path, what)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._path == self._path

    def __hash__(self) -> int:
        return hash(self._path)

    def __call__(self) -> T:
        """What the file holds now. It costs one C{stat} unless the file has changed."""
        mark = mark_of(self._path)
        if mark is not None and mark != self._mark:
            self._read(mark)
        return self._found

    @property
    def last(self) -> T:
        """What the file held when it was read last. It costs nothing."""
        return self._found

    def _read(self, mark: tuple[int, ...]) -> None:
        try:
            self._found = self._reads(self._path, self._what)
        except KeyFault as fault:
            # The mark is not kept, so the file is read again for the next attempt. The fault may
            # be the relay's, out of descriptors, and the file may never change again.
            if mark != self._refused:
                _log.error("{line}; the last good one stays in use", line=fault.line)
            self._refused = mark
        else:
            self._mark = self._refused = mark
            _log.info("{what}: read anew", what=self._what)


class KeyFile(SecretFile[str]):
    """A file whose one line is an upstream's key: a L{relay.upstreams.upstream.Credential}."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(path, what, only_line)


def mark_of(path: Path) -> tuple[int, ...] | None:
    """
    A value that differs when the file has changed, in place or by a rename, or is gone.

    @return: L{None} for a pipe and the like, which can be read only once: a second read blocks.
    """
    try:
        found = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    if not stat.S_ISREG(found.st_mode):
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)


def upstream_key(table: UpstreamTable, environ: Mapping[str, str]) -> str | KeyFile | None:
    """
    The key for one upstream: from C{key_file}, else C{key_env}, else the systemd credential
    C{NAME.key}, else, for provider C{openai}, C{OPENAI_API_KEY}. A file or variable that is named
    must be there, so that a typing error never leads to another key.

    @return: the key, or the file that holds it; L{None} if none is named or found.
    @raise KeyFault: if what is named is not there or is no key, or if the key would cross a network
        in clear.
    """
    key = _find(table, f"upstream {table.name}: ", environ)
    url = urlsplit(table.url)
    if key is not None and is_exposed(url, proxied=table.proxy not in (None, DIRECTLY)):
        raise KeyFault(
            f"upstream {table.name}: a key is not sent over ws:// to {url.hostname}; use wss://"
        )
    return key


def _find(table: UpstreamTable, whose: str, environ: Mapping[str, str]) -> str | KeyFile | None:
    if table.key_file is not None:
        return KeyFile(Path(table.key_file), f"{whose}key_file")
    if table.key_env is not None:
        return variable(table.key_env, f"{whose}key_env", environ)
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials and _is_there(path := Path(credentials, f"{table.name}.key")):
        return KeyFile(path, f"{whose}systemd credential {table.name}.key")
    if table.provider == "openai" and environ.get("OPENAI_API_KEY"):
        return variable("OPENAI_API_KEY", whose.rstrip(": "), environ)
    return None


def _is_there(path: Path) -> bool:
    """Whether there is a file. One that may not be looked at is there: reading it says why not."""
    try:
        return path.exists()
    except PermissionError:
        return True


def variable(name: str, what: str, environ: Mapping[str, str]) -> str:
    """
    The secret in an environment variable.

    @raise KeyFault: if it is not set, or no secret.
    """
    value = environ.get(name)
    if not value:
        raise KeyFault(f"{what}: the environment variable {name} is not set or empty")
    # Bytes of the environment that are not UTF-8 are surrogates in the string.
    return _secret(value.encode("utf-8", "surrogateescape"), f"{what}: {name}")


def only_line(path: Path, what: str) -> str:
    """
    The secret in a file of one line.

    @raise KeyFault: if there is no such line, or more than one.
    """
    secrets = lines_of(path, what)
    if len(secrets) > 1:
        raise KeyFault(f"{what}: more than one line")
    return next(iter(secrets.values()))


def long_line(path: Path, what: str, least: int) -> bytes:
    """
    The secret in a file of one line, of which a key is made.

    @param least: fewest characters.
    @raise KeyFault: if there is no such line, or a shorter one.
    """
    line = only_line(path, what)
    if len(line) < least:
        raise KeyFault(f"{what}: fewer than {least} characters")
    return line.encode("ascii")


def lines_of(path: Path, what: str) -> dict[int, str]:
    """
    The lines of a file of secrets by their numbers from 1, without blank ones; at least one.

    @raise KeyFault: if there is none, or anything else than secrets.
    """
    lines = read_file(path, what).removeprefix(BOM_UTF8).splitlines()
    secrets = {n: _secret(line, f"{what}: line {n}") for n, line in enumerate(lines, 1) if line}
    if not secrets:
        raise KeyFault(f"{what}: the file is empty")
    return secrets


def read_file(path: Path, what: str) -> bytes:
    """
    The whole file.

    @raise KeyFault: if it cannot be read, or is larger than L{LARGEST_FILE}.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise KeyFault(f"{what}: cannot be read: {why}{_looked_at(path)}") from None
    if len(data) > LARGEST_FILE:
        raise KeyFault(f"{what}: larger than {LARGEST_FILE} bytes")
    return data


def _looked_at(path: Path) -> str:
    """Where a file is, as far as it is there: what is not there may be a secret in its place."""
    whole = Path(os.path.abspath(path))
    there = next((each for each in (whole, *whole.parents) if os.path.exists(each)), whole.parent)
    return f" ({there})" if there == whole else f" (below {there})"


def _secret(value: bytes, what: str) -> str:
    secret = value.decode("latin-1")
    if len(secret) > 1 and secret[0] == secret[-1] and secret[0] in QUOTES:
        raise KeyFault(f"{what}: is in quotes, which would be sent too; take them off")
    if not is_credential(secret):
        raise KeyFault(f"{what}: holds a space, a control character or one that is not ASCII")
    return secret
