"""
Write the reference tables of the docs from the code's own.

    python docs/tables.py

rewrites what stands between C{<!-- table: NAME -->} and C{<!-- end -->} in each page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import attrs
from markdown_table import table
from sdk_tables import sdk_ends, sdk_packages, sdk_refusals

from bench.scale import costs_table, needs_table
from relay.config.auth import Auth, ClientKeyTable, KeyLimits
from relay.config.authorizers import CallbackTable, JwtTable
from relay.config.fleet_table import FleetTable
from relay.config.forms import RefusalRule
from relay.config.policy import PolicyTable
from relay.config.settings import Limits, ListenerTable, Settings
from relay.config.upstream_table import UpstreamTable
from relay.peer.ending import ENDING, Phase, Row
from relay.peer.seam import SEAM
from relay.policy.denials import DENIALS
from relay.rules import closes as close_table
from relay.rules.refusals import KINDS, Refusal, refuse
from relay.simulator.faults import FAULTS
from relay.telemetry.kinds import METRICS
from relay.upstreams.endpoints import ENDPOINTS, Endpoint
from relay.upstreams.meanings import FAMILIES, Meaning
from relay.upstreams.posts import POSTS
from relay.upstreams.providers import PROVIDERS, Provider
from relay.upstreams.relayed import OUTER

PAGES = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def refusals() -> str:
    """Each code: status, retry, what to do."""
    return table(
        "code,HTTP,in band,retry,message",
        (
            (
                f"`{code}`",
                str(kind.status) + (" + `Retry-After`" if kind.retry_after else ""),
                "1013" if kind.retryable else str(4000 + kind.status),
                "yes" if kind.retryable else "no",
                kind.message,
            )
            for code, kind in KINDS.items()
        ),
    )


def meanings() -> str:
    """Each family of an upstream's codes, and the refusal that it becomes."""
    words: dict[Meaning, list[str]] = {}
    for family, meaning in FAMILIES:
        words.setdefault(meaning, []).extend(f"`{word}`" for word in family.split())
    return table(
        "words in the code or type,becomes,HTTP,retry",
        (
            (", ".join(words[meaning]), f"`{refusal.code}`", str(refusal.status), _yes(refusal))
            for meaning in words
            for refusal in [
                refuse(meaning.code, status=meaning.status, retryable=meaning.retryable)
            ]
        ),
    )


def _yes(refusal: Refusal) -> str:
    return "yes" if refusal.retryable else "no"


def relayed() -> str:
    """Each code of a relay that is an upstream, and the code that the client gets."""
    codes: dict[str, list[str]] = {}
    for inner, outer in OUTER.items():
        codes.setdefault(outer, []).append(f"`{inner}`")
    return table(
        "the other relay's code,the client's code",
        ((", ".join(inner), f"`{outer}`") for outer, inner in codes.items()),
    )


def denials() -> str:
    """What a client is told of an event that a policy does not let through."""
    rows = ((f"`{code}`", message.format(detail="…")) for code, message in DENIALS.items())
    return table("code,message", rows)


def _close_row(name: str, code: int | None) -> tuple[str, str, str]:
    sent = close_table.crossing("upstream", code, ""), close_table.reply(code)
    crosses, reply = (name if each.code == code else str(each.code) for each in sent)
    return name, crosses, reply


def closes() -> str:
    """What each received code becomes on the other side, and what its sender gets."""
    groups: list[tuple[str, int | None]] = [("no code", None)]
    groups += [(str(code), code) for code in sorted(close_table.PASSED | close_table.TRANSLATED)]
    groups += [("3000 to 4999", 3000), ("1004 to 1006, 1016 to 2999, 5000 up", 1004)]
    return table("received,the other side gets,its sender gets", (_close_row(*g) for g in groups))


def endings() -> str:
    """Each end that downstream is told of by an event: the Close, retry, the message."""
    return table(
        "code,Close,retry,message",
        (
            (f"`{code}`", *_how(each.close_code), each.message.replace("{detail}", "…"))
            for code, each in close_table.ENDINGS.items()
        ),
    )


def _how(code: int | Literal[""]) -> tuple[str, str]:
    if code == "":
        return "upstream's", "by its code"
    return str(code), "yes" if code in close_table.RETRIED else "no"


def _ending_row(phase: Phase, row: Row) -> tuple[str, ...]:
    cells = []
    for after, actions in row.values():
        leads = [f"*{after}*"] if after != phase else []
        cells.append("; ".join([*(action.replace("_", " ") for action in actions), *leads]))
    return (f"*{phase}*", *cells)


def ending() -> str:
    """What each happening does in each phase of one connection, and the phase it leads to."""
    columns = ",".join(["phase", *ENDING["open"]])
    return table(columns, (_ending_row(*row) for row in ENDING.items()))


def _default(attribute: attrs.Attribute[Any]) -> str:
    """As TOML writes it, which for these values is as JSON does."""
    if "default" in attribute.metadata:
        return str(attribute.metadata["default"])
    value = attribute.default
    return "" if value in (None, attrs.NOTHING) else f"`{json.dumps(value)}`"


def _is_table(attribute: attrs.Attribute[Any]) -> bool:
    """Whether it has a heading of its own."""
    return attribute.name in ("auth", "limits", "policy", "fleet", "jwt", "callback")


def _settings_rows(cls: type) -> Iterator[tuple[str, str, str]]:
    for attribute in attrs.fields(cls):
        if not _is_table(attribute):
            yield f"`{attribute.name}`", _default(attribute), attribute.metadata["doc"]


def _settings(cls: type) -> Callable[[], str]:
    return lambda: table("key,default,meaning", _settings_rows(cls))


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names)) or "nothing"


def _provider_row(name: str, provider: Provider) -> tuple[str, ...]:
    header, before = provider.credential
    query = "all but credentials" if provider.query is None else _named(provider.query)
    if provider.model != "model":
        query = f"`model` as `{provider.model}`"
    if provider.headers:
        query = f"header {_named(provider.headers)}"
    place = f"`{provider.url}`" if provider.url else "must be named"
    waits = "yes" if provider.first_event else "no"
    endpoints = _named(provider.endpoints)
    return (
        f"`{name}`",
        place,
        f"`{header}: {before}KEY`",
        endpoints,
        waits,
        f"`{provider.sample}`",
        query,
    )


def providers() -> str:
    """How the kinds of upstream differ."""
    columns = "provider,url,the key's header,endpoints,speaks first,a model,goes upstream besides"
    return table(columns, (_provider_row(*row) for row in PROVIDERS.items()))


def _endpoint_row(endpoint: Endpoint) -> tuple[str, ...]:
    served = [name for name, each in PROVIDERS.items() if endpoint.name in each.endpoints]
    return (
        f"`{endpoint.name}`",
        "<br>".join(f"`{path.template}`" for path in endpoint.paths),
        f"`{endpoint.upstream}`",
        f"`{endpoint.first_event}`" if endpoint.first_event else "none: it waits for the client",
        f"`{endpoint.last_event}`" if endpoint.last_event else "none",
        _named(endpoint.query),
        _named(served),
    )


def endpoints() -> str:
    """What each path means."""
    columns = "endpoint,asked for by,behind the base,first event,last event,query,served by"
    return table(columns, map(_endpoint_row, ENDPOINTS.values()))


def posts() -> str:
    """What is posted where, for calls."""
    rows = (
        (
            f"`{endpoint.name}`",
            "<br>".join(f"`{path.template}`" for path in endpoint.paths),
            f"`{endpoint.upstream}`",
            _named(name for name, each in PROVIDERS.items() if endpoint.name in each.endpoints),
        )
        for endpoint in POSTS.values()
    )
    return table("endpoint,asked for by `POST`,behind the base,served by", rows)


def seam() -> str:
    """Each name of Autobahn's that the relay touches."""
    columns = "class or module,name,the relay's use,form,relied on"
    rows = (
        (f"`{row.owner}`", f"`{row.name}`", row.use, _form(row.form), row.relied) for row in SEAM
    )
    return table(columns, rows)


def _form(form: str) -> str:
    return form if form.isalpha() else f"`{form}`"


def faults() -> str:
    """Each model name that makes the simulator fail."""
    return table("model,what happens", ((f"`{row.name}`", row.description) for row in FAULTS))


def metrics() -> str:
    """Each metric: type, labels, what it counts."""
    rows = (
        (f"`{name}`", kind.type, ", ".join(f"`{label}`" for label in kind.labels), kind.doc)
        for name, kind in METRICS.items()
    )
    return table("metric,type,labels,meaning", rows)


TABLES: dict[str, Callable[[], str]] = {
    "refusals": refusals,
    "meanings": meanings,
    "relayed": relayed,
    "closes": closes,
    "endings": endings,
    "ending": ending,
    "settings": _settings(Settings),
    "refusal_rules": _settings(RefusalRule),
    "listener": _settings(ListenerTable),
    "upstream": _settings(UpstreamTable),
    "auth": _settings(Auth),
    "client_key": _settings(ClientKeyTable),
    "jwt": _settings(JwtTable),
    "callback": _settings(CallbackTable),
    "key_limits": _settings(KeyLimits),
    "limits": _settings(Limits),
    "policy": _settings(PolicyTable),
    "fleet": _settings(FleetTable),
    "denials": denials,
    "endpoints": endpoints,
    "posts": posts,
    "providers": providers,
    "seam": seam,
    "faults": faults,
    "sdk_refusals": sdk_refusals,
    "sdk_ends": sdk_ends,
    "sdk_packages": sdk_packages,
    "metrics": metrics,
    "scale_costs": costs_table,
    "scale": needs_table,
}


def filled(page: str) -> str:
    """The page's text with every table made anew."""
    return _BLOCK.sub(lambda block: block[1] + TABLES[block[2]]() + block[3], page)


if __name__ == "__main__":
    for path in PAGES.glob("*.md"):
        path.write_text(filled(path.read_text("utf-8")), "utf-8")
