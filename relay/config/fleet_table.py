"""What the operator can say of the store that the relays of a fleet share: the table C{[fleet]}."""

from __future__ import annotations

from typing import Literal
from urllib.parse import unquote, urlsplit

from attrs import frozen

from relay.config import checks
from relay.config.fields import count, documented, file, secret_file
from relay.rules.errors import InvalidValue
from relay.upstreams.credential import is_credential

PORT = 6379
FORM = "must be redis:// or rediss://, as in redis://[USER@]HOST[:PORT][/NUMBER]"


def _url(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return FORM
    if parts.password is not None:
        return "keep the password out of the URL, because that is logged; name password_file"
    number = parts.path.removeprefix("/")
    if parts.scheme not in ("redis", "rediss") or not host or not is_credential(value):
        return FORM
    if parts.query or parts.fragment or not (number.isdigit() or not number):
        return FORM
    return None


@frozen
class StoreAddress:
    """
    Where a store is.

    @ivar user: as whom to log in; L{None} for the store's own default.
    @ivar database: its number.
    """

    host: str
    port: int
    is_tls: bool
    user: str | None
    database: int


def _address(url: str) -> StoreAddress:
    parts = urlsplit(url)
    user = None if parts.username is None else unquote(parts.username)
    number = int(parts.path.removeprefix("/") or 0)
    return StoreAddress(
        parts.hostname or "", parts.port or PORT, parts.scheme == "rediss", user, number
    )


@frozen(kw_only=True)
class FleetTable:
    """The store that the relays of a fleet share; without C{url}, there is none."""

    url: str | None = documented(
        "Where the store is, Redis or Valkey: redis://[USER@]HOST[:PORT][/NUMBER], or rediss:// for"
        " TLS. Without it the relay is alone.",
        None,
        checks.optional(_url),
    )
    url_replica: str | None = documented(
        "Where its replica is: tried when the store is away, and used once it is promoted.",
        None,
        checks.optional(_url),
    )
    password_file: str | None = secret_file(
        "File of one line that holds the store's password. Read anew for each connection."
    )
    ca_file: str | None = file(
        "PEM file of the authorities that rediss:// is checked by, instead of the machine's.",
    )
    prefix: str = documented(
        "What the names of its keys begin with. Relays of one prefix are one fleet.",
        "relay",
        checks.text(checks.name),
    )
    relays: int = count("How many relays the fleet has.", 1, 1, 10_000)
    mode: Literal["closed", "open", "local"] = documented(
        "What a relay does about new sessions while the store is away: closed refuses them, open"
        " counts by itself, local does so too, with the limits divided by relays.",
        "local",
        checks.one_of("closed", "open", "local"),
    )
    lease_seconds: int = count(
        "Seconds for which a session goes on to count when its relay is heard of no more.",
        30,
        3,
        3600,
    )

    def __attrs_post_init__(self) -> None:
        """@raise InvalidValue: for what does not go together."""
        named = self.url_replica, self.password_file, self.ca_file
        if self.url is None and any(each is not None for each in named):
            raise InvalidValue("url: must be set, because the rest is about the store there")

    @property
    def addresses(self) -> tuple[StoreAddress, ...]:
        """Where to look for the store, in this order."""
        return tuple(_address(url) for url in (self.url, self.url_replica) if url is not None)
