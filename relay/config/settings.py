"""
What the operator can set.

Every field's C{metadata["doc"]} says what it is, with unit and bounds. The reference in the
documentation is made from these texts.
"""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen
from attrs.validators import and_

from relay.config import checks
from relay.config.auth import Auth
from relay.config.fields import count, documented, file, seconds, secret_file, unique_names, wait
from relay.config.fleet_table import FleetTable
from relay.config.forms import RefusalRule, as_rules, rules
from relay.config.policy import PolicyTable
from relay.config.upstream_table import UpstreamTable
from relay.rules.errors import InvalidValue

LOOPBACK_ENDPOINT = "tcp:8080:interface=127.0.0.1"
ADMIN_ENDPOINT = "tcp:9090:interface=127.0.0.1"

MOST_RECORDED = 64 * 2**20
"""Bytes of a recording that can be replayed."""


@frozen(kw_only=True)
class Limits:
    """How much one relay accepts, and how long it waits."""

    sessions: int = count("Sessions and holds at once.", 1000, 1, 1_000_000)
    address_sessions: int = count(
        "Sessions and holds at once of one address. 0 is no limit, here and below.",
        200,
        0,
        1_000_000,
    )
    address_holds: int = count("Holds at once of one address.", 100, 0, 1_000_000)
    address_handshakes: int = count(
        "Holds of one address that may begin in a minute.", 600, 0, 1_000_000
    )
    subject_sessions: int = count("Sessions and holds at once of one subject.", 200, 0, 1_000_000)
    subject_holds: int = count("Holds at once of one subject.", 100, 0, 1_000_000)
    subject_handshakes: int = count(
        "Holds of one subject that may begin in a minute.", 600, 0, 1_000_000
    )
    short_sessions: int = count(
        "Sessions of one caller that may end within 5 s of their opening, in a minute, before it"
        " has to wait between two.",
        5,
        0,
        1000,
    )
    messages_per_second: int = count(
        "Frames a second that a client may send in the long run, in one session; ten times as many"
        " at once.",
        1000,
        0,
        1_000_000,
    )
    bytes_per_second: int = count(
        "Bytes a second likewise. Ten times as many at once.", 4 * 2**20, 0, 2**30
    )
    session_seconds: float = wait("How long a session may last.", 86400.0, 10_000_000)
    idle_seconds: float = wait(
        "How long nothing but Pings may cross in a session.", 3600.0, 10_000_000
    )
    day_tokens: int = count(
        "Tokens of one subject and day (UTC), as the service reports them; without a subject, of"
        " one address.",
        0,
        0,
        10**12,
    )
    day_usage_seconds: float = wait(
        "Seconds of audio or session likewise, where the service bills by seconds.",
        0.0,
        10_000_000,
    )
    session_tokens: int = count("Tokens of one session.", 0, 0, 10**12)
    session_usage_seconds: float = wait("Billed seconds of one session.", 0.0, 10_000_000)
    message_bytes: int = count(
        "Bytes of one message, in either direction.", 24 * 2**20, 1024, 2**30
    )
    message_fragments: int = count("Frames that one message may come in.", 4096, 1, 1_000_000)
    head_bytes: int = count("Bytes of a request's head.", 16384, 1024, 2**20)
    head_fields: int = count("Header fields of a request.", 100, 10, 1000)
    head_seconds: float = seconds("Time for a request's head to arrive.", 10.0, 300)
    body_bytes: int = count("Bytes of a plain request's body.", 262144, 1024, 2**26)
    stall_seconds: float = seconds(
        "Time over which a side has to take 4,096 bytes a second while data waits for it; else it"
        " is closed.",
        30.0,
        3600,
    )
    linger_seconds: float = seconds(
        "Time for a closing connection to end by itself; then it is cut.", 3.0, 60
    )
    ping_seconds: float = seconds(
        "Time between two checks for a silent side; a side that was silent in between is pinged.",
        20.0,
        3600,
    )
    pong_seconds: float = seconds(
        "Time that a pinged side has to send anything; then it counts as lost.", 20.0, 3600
    )


@frozen(kw_only=True)
class ListenerTable:
    """A place to listen that needs more than an endpoint string in C{listen}."""

    endpoint: str = documented(
        "Twisted endpoint string.", LOOPBACK_ENDPOINT, checks.text(checks.printable)
    )
    certificate: str | None = file(
        "PEM file of the certificate and its chain; with it this listener speaks TLS.",
    )
    key: str | None = secret_file("PEM file of the certificate's private key.")


@checks.named
def _whole_pairs(listeners: tuple[ListenerTable, ...]) -> str | None:
    halves = [(listener.certificate is None) != (listener.key is None) for listener in listeners]
    return f"#{halves.index(True) + 1} needs both certificate and key" if any(halves) else None


@frozen(kw_only=True)
class Settings:
    """All that a configuration file can say."""

    listen: tuple[str, ...] = documented(
        "Twisted endpoint strings to listen on; with no [[listener]] either,"
        f' "{LOOPBACK_ENDPOINT}".',
        (),
        checks.each(checks.printable),
    )
    admin: str = documented(
        "Twisted endpoint string of the listener for health, metrics and drain; empty for none.",
        ADMIN_ENDPOINT,
        checks.text(checks.printable_or_empty),
    )
    listener: tuple[ListenerTable, ...] = documented(
        "Further places to listen, with TLS where they name a certificate.",
        (),
        and_(checks.tables(ListenerTable), _whole_pairs),
    )
    upstream: tuple[UpstreamTable, ...] = documented(
        "The Realtime services to relay to; OpenAI's where none is named.",
        (),
        and_(checks.tables(UpstreamTable), unique_names),
    )
    auth: Auth = field(
        factory=Auth, validator=checks.table(Auth), metadata={"doc": "Who may use the relay."}
    )
    limits: Limits = field(
        factory=Limits,
        validator=checks.table(Limits),
        metadata={"doc": "How much, and how long."},
    )
    policy: PolicyTable = field(
        factory=PolicyTable,
        validator=checks.table(PolicyTable),
        metadata={"doc": "What clients may say."},
    )
    fleet: FleetTable = field(
        factory=FleetTable,
        validator=checks.table(FleetTable),
        metadata={"doc": "What relays share."},
    )
    hold_seconds: float = seconds(
        "Time from the end of a downstream's request head to its answer. SDKs give up at 10.",
        8.0,
        600,
    )
    drain_delay_seconds: float = wait(
        "How long a relay that is told to end still accepts new sessions, while it says that it is"
        " not ready: time for a balancer to stop sending clients.",
        0.0,
        600,
    )
    drain_seconds: float = wait(
        "After that, how long its sessions may go on; then all are closed.", 30.0, 86400
    )
    notice_seconds: float = wait(
        "How long before its end a session is told of it, if its client asked for"
        " [notices](notices.md).",
        60.0,
        86400,
    )
    drain_spread_seconds: float | None = documented(
        "The last part of drain_seconds, over which the sessions still open are closed one by"
        " one; 10, or half of drain_seconds where that is less. Seconds, 0 to drain_seconds.",
        None,
        checks.unless_unset(checks.seconds(86400, or_none=True)),
    )
    refusals: tuple[RefusalRule, ...] = field(
        default="auto",
        converter=as_rules,
        validator=rules,
        metadata={
            "doc": 'How a refusal is told: "http" by status, "event" in band after a 101, "auto" in'
            " band to clients that hide the status from their app, as browsers do, and by status to"
            " all others. Or [[refusals]], which say it for some clients."
        },
    )
    closes: Literal["event", "plain"] = documented(
        'How an end that is not the client\'s own is told: "event" by an error event before the'
        ' Close, where the upstream has such events; "plain" by the Close alone.',
        "event",
        checks.one_of("event", "plain"),
    )
    plane: Literal["auto", "splice", "message"] = documented(
        'How messages cross an open session. With "splice" they cross as the bytes that came, by'
        ' the sockets themselves. With "message" each is parsed and sent anew, by transports as'
        ' Twisted makes them. "auto" is "splice". A session with a connection that is neither a'
        ' plain socket nor TLS over one always uses "message".',
        "auto",
        checks.one_of("auto", "splice", "message"),
    )
    workers: int = count(
        "Processes that serve sessions, under one that does not; see [workers](workers.md). Each"
        " has the limits for itself. With 1, one process does all.",
        1,
        1,
        256,
    )
    watch: Literal["types", "payload"] = documented(
        "What the [dashboard](dashboard.md#watch-a-session) tells of a session that one watches:"
        ' "types" are the type and the size of each event, "payload" is also what it says.',
        "types",
        checks.one_of("types", "payload"),
    )
    allow_anonymous: bool = documented(
        "Whether a listener that is not loopback may go without [auth].",
        False,
        checks.true_or_false,
    )
    console: bool = documented(
        "Whether the page at / is the [console](console.md), on which to talk with a session. A"
        " demo always has it.",
        False,
        checks.true_or_false,
    )
    hosts: tuple[str, ...] = documented(
        "Host names, without port, that a request's Host may have, besides loopback ones.",
        (),
        checks.each(checks.host),
        converter=checks.every(checks.normal_host),
    )
    origins: tuple[str, ...] = documented(
        "Origins, scheme://host[:port], of the web pages that may use the relay; also an app's,"
        ' like capacitor://localhost, and "null" or "file://" of pages without a host.',
        (),
        checks.each(checks.origin),
        converter=checks.every(checks.normal_origin),
    )
    trusted_proxies: tuple[str, ...] = documented(
        'Networks, like 10.0.0.0/8, of the proxies before the relay; "unix" for all that connect by'
        " a Unix socket. Of them Forwarded, X-Forwarded-For, X-Forwarded-Proto and X-Request-Id are"
        " believed.",
        (),
        checks.each(checks.proxy_peer),
    )
    base_path: str = documented(
        "The path before the relay's own paths, if a proxy keeps one: empty, or like /path.",
        "",
        checks.text(checks.base_path),
    )
    record: str | None = file(
        "Folder for [recordings of sessions](recording.md), one file each; without it, none is"
        " made. It must be there, and not every user of the machine may write into it."
    )
    record_subjects: tuple[str, ...] = documented(
        "Subjects whose sessions are recorded; if there are none here, those of all.",
        (),
        checks.each(checks.printable),
    )
    record_payloads: bool = documented(
        "Whether a recording has what was said, not only the types, sizes and times of messages.",
        False,
        checks.true_or_false,
    )
    record_bytes: int = count(
        "Bytes of one recording, which ends there.", 16 * 2**20, 2**16, MOST_RECORDED
    )
    record_files: int = count(
        "Recordings in the folder; while it has so many, none is begun.", 100, 1, 1_000_000
    )
    log_format: Literal["text", "json"] = documented(
        'Log lines for people ("text") or for programs ("json").',
        "text",
        checks.one_of("text", "json"),
    )

    def __attrs_post_init__(self) -> None:
        """@raise InvalidValue: if settings that are each right do not go together."""
        spread, whole = self.drain_spread_seconds, self.drain_seconds
        if spread is not None and spread > whole:
            raise InvalidValue(
                f"drain_spread_seconds: must be at most drain_seconds, {whole:g}, not {spread:g}"
            )
        callback, hold = self.auth.callback, self.hold_seconds
        if callback.url is not None and callback.seconds >= hold:
            raise InvalidValue(
                f"auth: [callback]: seconds: must be less than hold_seconds, {hold:g}, not"
                f" {callback.seconds:g}"
            )

    @property
    def drain_spread(self) -> float:
        """C{drain_spread_seconds}, or its default if it is not set. Seconds."""
        spread = self.drain_spread_seconds
        return min(10.0, self.drain_seconds / 2) if spread is None else spread

    @property
    def listeners(self) -> tuple[ListenerTable, ...]:
        """Every place to listen; there is always one."""
        plain = tuple(ListenerTable(endpoint=endpoint) for endpoint in self.listen)
        return plain + self.listener or (ListenerTable(endpoint=LOOPBACK_ENDPOINT),)
