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
from typing import Any

import attrs

from relay import closing
from relay.refusals import KINDS
from relay.settings import Auth, Limits, ListenerTable, Settings, UpstreamTable
from relay.simulator.faults import FAULTS

PAGES = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _table(columns: str, rows: Iterable[tuple[str, ...]]) -> str:
    names = columns.split(",")
    lines = [names, ["---"] * len(names), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def refusals() -> str:
    """Each code: status, retry, what to do."""
    return _table(
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


def _close_row(name: str, code: int | None) -> tuple[str, str, str]:
    crosses, reply = closing.crossing("upstream", code, ""), closing.reply(code)
    return name, str(crosses.code or "no code"), str(reply.code or "no code")


def closes() -> str:
    """What each received code becomes on the other side, and what its sender gets."""
    groups: list[tuple[str, int | None]] = [("no code", None)]
    groups += [(str(code), code) for code in sorted(closing.PASSED | closing.TRANSLATED)]
    groups += [("3000 to 4999", 3000), ("1004 to 1006, 1016 to 2999, 5000 up", 1004)]
    return _table("received,the other side gets,its sender gets", (_close_row(*g) for g in groups))


def _default(attribute: attrs.Attribute[Any]) -> str:
    """As TOML writes it, which for these values is as JSON does."""
    value = attribute.default
    return "" if value in (None, attrs.NOTHING) else f"`{json.dumps(value)}`"


def _settings_rows(cls: type) -> Iterator[tuple[str, str, str]]:
    for attribute in attrs.fields(cls):
        if not isinstance(attribute.default, attrs.Factory):  # type: ignore[arg-type]
            yield f"`{attribute.name}`", _default(attribute), attribute.metadata["doc"]


def _settings(cls: type) -> Callable[[], str]:
    return lambda: _table("key,default,meaning", _settings_rows(cls))


def faults() -> str:
    """Each model name that makes the simulator fail."""
    return _table("model,what happens", ((f"`{row.name}`", row.description) for row in FAULTS))


TABLES: dict[str, Callable[[], str]] = {
    "refusals": refusals,
    "closes": closes,
    "settings": _settings(Settings),
    "listener": _settings(ListenerTable),
    "upstream": _settings(UpstreamTable),
    "auth": _settings(Auth),
    "limits": _settings(Limits),
    "faults": faults,
}


def filled(page: str) -> str:
    """The page's text with every table made anew."""
    return _BLOCK.sub(lambda block: block[1] + TABLES[block[2]]() + block[3], page)


if __name__ == "__main__":
    for path in PAGES.glob("*.md"):
        path.write_text(filled(path.read_text("utf-8")), "utf-8")
