"""What the operator can say of who may come in: the table C{[auth]}, and the file of keys."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen
from attrs.validators import and_

from relay.config import checks
from relay.config.authorizers import CallbackTable, JwtTable
from relay.config.fields import documented, file, secret_file, secret_files, unique_names
from relay.config.policy import PolicyTable


@frozen(kw_only=True)
class Auth:
    """
    Who may use the relay. With no key, token, issuer or callback, everybody may who can reach it.
    """

    keys_file: str | None = file(
        "File of the named keys that clients may send, as hashes; realtime-relay token writes"
        " it. Read anew when it has changed.",
    )
    token_env: str | None = documented(
        "Environment variable that holds a token that clients may send.",
        None,
        checks.optional(checks.variable),
    )
    token_file: str | None = secret_file(
        "File of the tokens that clients may send, one a line. Read anew when it has changed."
    )
    signing_keys: tuple[str, ...] = secret_files(
        "Files of the keys that sign ephemeral secrets, each of one line of at least 32 characters."
        " The first signs, all are accepted. Without any, a key is made at each start."
    )

    jwt: tuple[JwtTable, ...] = documented(
        "Issuers whose JWTs clients may send.", (), checks.tables(JwtTable)
    )
    callback: CallbackTable = field(
        factory=CallbackTable,
        validator=checks.table(CallbackTable),
        metadata={"doc": "Who is asked about each client."},
    )
    end_revoked: bool = documented(
        "Whether the sessions of a key end, within a second, when the key is taken out.",
        False,
        checks.true_or_false,
    )

    @property
    def asks(self) -> bool:
        """Whether clients must send a credential."""
        keys = (self.keys_file, self.token_env, self.token_file, self.callback.url)
        return any(each is not None for each in keys) or bool(self.jwt)


def _own(doc: str, check: checks.Validator) -> Any:
    return documented(doc, None, checks.unless_unset(check))


@frozen(kw_only=True)
class KeyLimits:
    """Limits of one key, where they are not those of all. The first three are of its subject."""

    sessions: int | None = _own("Sessions and holds at once.", checks.whole_number(0, 1_000_000))
    holds: int | None = _own("Holds at once.", checks.whole_number(0, 1_000_000))
    handshakes: int | None = _own(
        "Holds that may begin in a minute.", checks.whole_number(0, 1_000_000)
    )
    messages_per_second: int | None = _own(
        "Frames a second that a client may send.", checks.whole_number(0, 1_000_000)
    )
    bytes_per_second: int | None = _own("Bytes a second likewise.", checks.whole_number(0, 2**30))
    session_seconds: float | None = _own(
        "How long a session may last.", checks.seconds(10_000_000, or_none=True)
    )
    idle_seconds: float | None = _own(
        "How long nothing but Pings may cross in a session.",
        checks.seconds(10_000_000, or_none=True),
    )
    day_tokens: int | None = _own(
        "Tokens of its subject on one day (UTC), as the service reports them.",
        checks.whole_number(0, 10**12),
    )
    day_usage_seconds: float | None = _own(
        "Seconds likewise, where the service bills by seconds.",
        checks.seconds(10_000_000, or_none=True),
    )
    session_tokens: int | None = _own("Tokens of one session.", checks.whole_number(0, 10**12))
    session_usage_seconds: float | None = _own(
        "Billed seconds of one session.", checks.seconds(10_000_000, or_none=True)
    )


@frozen(kw_only=True)
class ClientKeyTable:
    """A key that a client may send: a table of the file that C{keys_file} names."""

    name: str = documented(
        "The subject of its sessions in the records: small letters, digits, - and _. Unique.",
        "",
        checks.text(checks.name),
    )
    hash: str = documented(
        'Of the key: "v1:", and the hexadecimal SHA-256 of the key.', "", checks.text(checks.digest)
    )
    models: tuple[str, ...] = documented(
        "The models that it may ask for; without any, all.", (), checks.each(checks.printable)
    )
    upstream: str | None = documented(
        "The name of the one upstream that it may use; if it is not set, any.",
        None,
        checks.optional(checks.name),
    )
    limits: KeyLimits = field(
        factory=KeyLimits,
        validator=checks.table(KeyLimits),
        metadata={"doc": "Its own limits."},
    )
    policy: PolicyTable = field(
        factory=PolicyTable,
        validator=checks.table(PolicyTable),
        metadata={"doc": "What its clients may say, within what all may."},
    )


@frozen(kw_only=True)
class ClientKeyTables:
    """All that the file can say that C{keys_file} names."""

    key: tuple[ClientKeyTable, ...] = documented(
        "The keys.", (), and_(checks.tables(ClientKeyTable), unique_names)
    )
