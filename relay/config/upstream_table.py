"""What the operator can say of one upstream (see L{relay.config.settings})."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import Factory, field, frozen

from relay.config import checks
from relay.config.fields import count, documented, file, secret_file
from relay.upstreams import passing, proxies
from relay.upstreams.providers import PROVIDERS


def _by_provider(doc: str, default: str, of: Callable[[UpstreamTable], str], check: Any) -> str:
    """A string whose default depends on the provider; C{default} describes it in the reference."""
    told = {"doc": doc, "default": default}
    made = Factory(of, takes_self=True)
    return field(default=made, validator=checks.text(check), metadata=told)


@frozen(kw_only=True)
class UpstreamTable:
    """One Realtime service, and where its key is found."""

    provider: str = documented(
        "The kind of service, whatever its host: see the table of providers.",
        "openai",
        checks.one_of(*PROVIDERS),
    )
    name: str = _by_provider(
        "What logs, metrics and refusals call it: small letters, digits, - and _. Unique.",
        "the provider",
        lambda table: table.provider,
        checks.name,
    )
    url: str = _by_provider(
        "Its ws:// or wss:// URL, without user, fragment or keys: its base, such as"
        " wss://host/v1, or that with /realtime. A client cannot override the parameters in its"
        " query.",
        "the provider's",
        lambda table: PROVIDERS[table.provider].url or "",
        checks.websocket_url,
    )
    key_env: str | None = documented(
        "Environment variable that holds its key.", None, checks.optional(checks.variable)
    )
    key_file: str | None = secret_file(
        "File of one line that holds its key; used rather than key_env."
    )
    ca_file: str | None = file(
        "PEM file of the authorities that may vouch for it, instead of the system's.",
    )
    priority: int = count("Upstreams with the lowest are tried first.", 0, 0, 1000)
    weight: int = count(
        "Among upstreams of one priority, one with twice the weight is first twice as often.",
        1,
        1,
        1000,
    )
    models: dict[str, str] = field(
        factory=dict,
        validator=checks.models,
        metadata={
            "doc": "The models it serves, each with its name there. Without any, it serves all.",
            "default": "`{}`",
        },
    )
    max_sessions: int | None = documented(
        "Connections to it at once, those of holds included; without it, any number. At least 1.",
        None,
        checks.unless_unset(checks.whole_number(1, 1_000_000)),
    )
    breaker: bool = documented(
        "Whether it is not tried for a while after it fails, or refuses its key.",
        True,
        checks.true_or_false,
    )
    proxy: str | None = documented(
        'Its HTTP proxy, http://HOST[:PORT], or "none". If it is not set, a wss:// upstream'
        " is reached by HTTPS_PROXY, unless NO_PROXY names its host.",
        None,
        checks.optional(proxies.fault_of_setting),
    )
    client_certificate: str | None = secret_file(
        "PEM file of the certificate to show it, with its chain and its private key."
    )
    first_event: bool | None = documented(
        "Whether it sends an event of OpenAI's form before its client speaks, so that a hold waits"
        " for it. If it is not set, its provider decides.",
        None,
        checks.unless_unset(checks.true_or_false),
    )
    query: tuple[str, ...] = documented(
        "Query parameters of a caller that go to it, besides those of the endpoint.",
        (),
        checks.each(passing.fault_of_parameter),
    )
    headers: tuple[str, ...] = documented(
        "Headers of a caller that go to it; none that carries a credential.",
        (),
        checks.each(passing.fault_of_header),
    )
    subprotocols: tuple[str, ...] = documented(
        "WebSocket subprotocols of a caller that go to it, besides OpenAI's.",
        (),
        checks.each(passing.fault_of_subprotocol),
    )
