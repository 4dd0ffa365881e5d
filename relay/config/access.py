"""
The keys that clients may send: found, and kept as hashes only.

A client's key is 256 random bits, so one round of SHA-256 keeps it: nobody can guess it to try it.
Slow hashes are for passwords, which people choose, and would cost each hold a tenth of a second.
The tokens of C{token_env} and C{token_file} are the operator's own choice, and should be as long.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from attrs import field, frozen

from relay.config.auth import Auth, ClientKeyTable, ClientKeyTables, KeyLimits
from relay.config.authorizers import CallbackTable
from relay.config.issuers import JwtSource, jwt_source, look_at_authorities
from relay.config.keys import (
    KeyFault,
    KeyFile,
    SecretFile,
    lines_of,
    long_line,
    read_file,
    variable,
)
from relay.config.load import SettingsError, load_as
from relay.policy.policy import Policy

T = TypeVar("T")

FORMAT = "v1:"
"""What stands before a hash that is a hexadecimal SHA-256."""

LEAST_SIGNING = 32
"""Fewest characters of a key that signs."""


@frozen
class ClientKey:
    """
    A key that a client may send.

    @ivar subject: whose it is, in the records.
    @ivar digest: see L{digest_of}.
    @ivar models: the models that it is for; none for all.
    @ivar upstream: the name of the one upstream that it is for; L{None} for any.
    @ivar limits: its own limits.
    @ivar policy: what its clients may say.
    """

    subject: str
    digest: bytes = field(repr=False)
    models: tuple[str, ...] = ()
    upstream: str | None = None
    limits: KeyLimits = field(factory=KeyLimits)
    policy: Policy = field(factory=Policy)


ClientKeys = Callable[[], tuple[ClientKey, ...]]
"""The keys that clients may send at this time."""


def digest_of(key: str) -> bytes:
    """The SHA-256 of a key."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def hash_of(key: str) -> str:
    """The hash of a key, as the file of keys has it."""
    return FORMAT + digest_of(key).hex()


def client_keys(auth: Auth, environ: Mapping[str, str]) -> ClientKeys | None:
    """
    The keys that clients may send. Those of C{keys_file} have their own names as subjects. The
    token of C{token_env} is the subject C{token_env}, and the one on line 3 of C{token_file} is
    C{token_file:3}.

    @return: L{None} if none of the three is named.
    @raise KeyFault: if one is named and cannot be used.
    """
    sources: list[ClientKeys] = []
    if auth.keys_file is not None:
        sources.append(SecretFile(Path(auth.keys_file), "[auth] keys_file", _of_tables))
    if auth.token_env is not None:
        token = variable(auth.token_env, "[auth] token_env", environ)
        found = (ClientKey("token_env", digest_of(token)),)
        sources.append(lambda: found)
    if auth.token_file is not None:
        sources.append(SecretFile(Path(auth.token_file), "[auth] token_file", _of_lines))
    if not sources:
        return None
    return lambda: tuple(chain.from_iterable(source() for source in sources))


@frozen
class Access:
    """
    Who may come in, with all secrets found.

    @ivar client_keys: the keys that clients may send; L{None} if none are named.
    @ivar signing: the keys that sign ephemeral secrets; none for one of the relay's own making.
    @ivar bearer: the token for the callback; L{None} without one.
    """

    client_keys: ClientKeys | None = field(default=None, repr=False, eq=False)
    signing: tuple[bytes, ...] = field(default=(), repr=False)
    jwt: tuple[JwtSource, ...] = field(default=(), eq=False)
    callback: CallbackTable = field(factory=CallbackTable)
    bearer: Callable[[], str] | None = field(default=None, repr=False, eq=False)

    @property
    def asks(self) -> bool:
        """Whether clients must send a credential."""
        return self.client_keys is not None or bool(self.jwt) or self.callback.url is not None


def access_of(auth: Auth, environ: Mapping[str, str], faults: list[str]) -> Access:
    """
    Find all secrets.

    @param faults: gets a line for each that cannot be used.
    """

    def found(read: Callable[..., T], *args: Any, otherwise: T) -> T:
        try:
            return read(*args)
        except KeyFault as fault:
            faults.append(fault.line)
            return otherwise

    issuers = [
        found(jwt_source, table, number, otherwise=None) for number, table in enumerate(auth.jwt, 1)
    ]
    found(look_at_authorities, auth.callback.ca_file, "[auth.callback]", otherwise=None)
    bearer = auth.callback.token_file
    return Access(
        found(client_keys, auth, environ, otherwise=None),
        found(signing_keys, auth, otherwise=()),
        tuple(filter(None, issuers)),
        auth.callback,
        None if bearer is None else found(_bearer, Path(bearer), otherwise=None),
    )


def _bearer(path: Path) -> KeyFile:
    return KeyFile(path, "[auth.callback] token_file")


def tables_in(path: Path, what: str) -> tuple[ClientKeyTable, ...]:
    """
    The tables of a file of keys.

    @raise KeyFault: if it is no such file.
    """
    try:
        text = read_file(path, what).decode("utf-8")
    except UnicodeDecodeError:
        raise KeyFault(f"{what}: not UTF-8 text") from None
    return tables_of(text, what)


def tables_of(text: str, what: str) -> tuple[ClientKeyTable, ...]:
    """
    The tables of the text of such a file.

    @raise KeyFault: if it is none.
    """
    try:
        found: ClientKeyTables = load_as(ClientKeyTables, text)
    except SettingsError as error:
        raise KeyFault(f"{what}: {error.faults[0]}") from None
    return found.key


def _of_tables(path: Path, what: str) -> tuple[ClientKey, ...]:
    return tuple(
        ClientKey(
            table.name,
            bytes.fromhex(table.hash.removeprefix(FORMAT)),
            table.models,
            table.upstream,
            table.limits,
            table.policy.policy,
        )
        for table in tables_in(path, what)
    )


def _of_lines(path: Path, what: str) -> tuple[ClientKey, ...]:
    return tuple(
        ClientKey(f"token_file:{number}", digest_of(token))
        for number, token in lines_of(path, what).items()
    )


def signing_keys(auth: Auth) -> tuple[bytes, ...]:
    """
    The keys that sign ephemeral secrets; the first of them signs.

    @raise KeyFault: if one of the files holds none, or a short one.
    """
    return tuple(_signing_key(Path(path), n) for n, path in enumerate(auth.signing_keys, 1))


def _signing_key(path: Path, number: int) -> bytes:
    return long_line(path, f"[auth] signing_keys #{number}", LEAST_SIGNING)
