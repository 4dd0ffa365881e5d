"""
Find the secrets that the settings name: upstream keys, and the tokens downstream must send.

They come from files, environment variables and systemd credentials, never from the configuration
itself. No message here repeats what was read, nor the path or name it was looked for under where
somebody may have put the secret itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from relay.admission.origins import is_loopback
from relay.settings import Auth, UpstreamTable

LARGEST_FILE = 65536
"""Bytes of a key or token file; C{/dev/zero} is no such file."""

_SECRET = re.compile(rb"[\x21-\x7e]+")


class KeyFault(Exception):
    """
    A secret cannot be had or must not be used.

    @ivar line: what is wrong, in one line without the secret.
    """

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


def upstream_key(table: UpstreamTable, environ: Mapping[str, str]) -> str | None:
    """
    The key for one upstream: of C{key_file}, else of C{key_env}, else of the systemd credential
    C{NAME.key}, else, for provider C{openai}, of C{OPENAI_API_KEY}. What is named must be there:
    a typing error never falls through to another key.

    @return: the key, or L{None} where none is named or found.
    @raise KeyFault: where it is named and not there, is no key, or would cross a network in clear.
    """
    key = _find(table, f"upstream {table.name}: ", environ)
    url = urlsplit(table.url)
    if key is not None and url.scheme == "ws" and not is_loopback(url.hostname or ""):
        raise KeyFault(
            f"upstream {table.name}: a key is not sent over ws:// to {url.hostname}; use wss://"
        )
    return key


def _find(table: UpstreamTable, whose: str, environ: Mapping[str, str]) -> str | None:
    if table.key_file is not None:
        return _only_line(Path(table.key_file), f"{whose}key_file")
    if table.key_env is not None:
        return _variable(table.key_env, f"{whose}key_env", environ)
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    if credentials and (path := Path(credentials, f"{table.name}.key")).exists():
        return _only_line(path, f"{whose}systemd credential {table.name}.key")
    if table.provider == "openai" and environ.get("OPENAI_API_KEY"):
        return _variable("OPENAI_API_KEY", whose.rstrip(": "), environ)
    return None


def downstream_tokens(auth: Auth, environ: Mapping[str, str]) -> tuple[str, ...]:
    """
    The tokens that downstream may send, each once: that of C{token_env} and those of
    C{token_file}, where blank lines do not count.

    @return: none where neither is named.
    @raise KeyFault: where one is named and holds no token, or anything that is none.
    """
    tokens: list[str] = []
    if auth.token_env is not None:
        tokens.append(_variable(auth.token_env, "[auth] token_env", environ))
    if auth.token_file is not None:
        tokens.extend(_lines(Path(auth.token_file), "[auth] token_file"))
    return tuple(dict.fromkeys(tokens))


def _variable(name: str, what: str, environ: Mapping[str, str]) -> str:
    value = environ.get(name)
    if not value:
        raise KeyFault(f"{what}: the environment variable {name} is not set or empty")
    # What is not UTF-8 in the environment is a surrogate in the string.
    return _secret(value.encode("utf-8", "surrogateescape"), f"{what}: {name}")


def _only_line(path: Path, what: str) -> str:
    lines = _lines(path, what)
    if len(lines) > 1:
        raise KeyFault(f"{what}: more than one line")
    return lines[0]


def _lines(path: Path, what: str) -> list[str]:
    """The lines of a file of secrets, at least one."""
    lines = _read(path, what).splitlines()
    secrets = [_secret(line, f"{what}: line {n}") for n, line in enumerate(lines, 1) if line]
    if not secrets:
        raise KeyFault(f"{what}: the file is empty")
    return secrets


def _read(path: Path, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise KeyFault(f"{what}: cannot be read: {os.strerror(error.errno or 0)}") from None
    if len(data) > LARGEST_FILE:
        raise KeyFault(f"{what}: larger than {LARGEST_FILE} bytes")
    return data


def _secret(value: bytes, what: str) -> str:
    if not _SECRET.fullmatch(value):
        raise KeyFault(f"{what}: holds a space, a control character or one that is not ASCII")
    return value.decode("ascii")
