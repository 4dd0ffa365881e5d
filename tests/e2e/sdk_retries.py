"""
Measure how often each SDK comes back after each refusal and close: C{docs/sdks.md}.

    cd tests && python -m e2e.sdk_retries

writes the page's table anew. Counted are the relay's own records, not what the clients say.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen
from e2e import node_scripts, python_scripts
from e2e.relays import Authority, Relay, authority, demo_command, holds, listening
from e2e.sdk_clients import CLIENTS, LIMIT, Seen, Target

PAGE = Path(__file__).parents[2] / "docs" / "sdks.md"
REFUSING = Path(__file__).parent / "refusing.py"
_BLOCK = re.compile(r"(<!-- measured: sdk-retries -->\n).*?(<!-- end -->)", re.DOTALL)

STATUS = (
    "fault-error-4000",
    "fault-http-401",
    "fault-http-403",
    "fault-http-429",
    "fault-http-500",
    "fault-http-503",
    "fault-quota",
    "fault-error-3000",
    "fault-reset",
)
ADMIT = (
    "refuse-unauthorized",
    "refuse-model_not_allowed",
    "refuse-not_found",
    "refuse-rate_limited",
    "refuse-internal_error",
    "refuse-not_supported",
    "refuse-relay_full",
)
IN_BAND = ("fault-error-4000", "fault-http-401", "fault-http-429", "fault-http-500")
CLOSES = (
    "fault-close-1000",
    "fault-close-1001",
    "fault-close-1008",
    "fault-close-1009",
    "fault-close-1011",
    "fault-close-1012",
    "fault-close-1013",
    "fault-close-4000",
    "fault-reset-after-1",
)


@frozen
class Group:
    """
    Rows about one relay.

    @ivar title: what is in them; a table begins with it. Without one they go on with the last.
    """

    title: str | None
    relay: Relay
    models: Sequence[str]

    @property
    def targets(self) -> list[Target]:
        """What each client opens."""
        return [Target(self.relay.plain, self.relay.secure, model) for model in self.models]


@contextmanager
def groups(folder: Path, trusted: Authority) -> Iterator[list[Group]]:
    """The relays, running."""
    refusing = [sys.executable, str(REFUSING), str(trusted.certificate), str(trusted.key)]

    def demo(**settings: object) -> list[str]:
        return demo_command(folder, trusted, **settings)

    with ExitStack() as stack:

        def start(command: list[str]) -> Relay:
            return stack.enter_context(listening(command, folder))

        by_status = start(demo(refusals="http"))
        yield [
            Group("Refused by status", by_status, STATUS),
            # The upstream never answers, so a hold of any length ends alike.
            Group(None, start(demo(refusals="http", hold_seconds=0.3)), ["fault-hang"]),
            Group(None, start(refusing), ADMIT),
            Group("Refused in band", start(demo(refusals="event")), IN_BAND),
            Group("Closed at the first message of each session", by_status, CLOSES),
        ]


@frozen
class Column:
    """What one client did: how often it came for each target, and what the relay answered."""

    attempts: Counter[tuple[str, str]]
    outcomes: dict[tuple[str, str], str]
    seen: Seen


def _column(name: str, measured: Sequence[Group], trusted: Authority) -> Column:
    targets = [target for group in measured for target in group.targets]
    seen = CLIENTS[name](targets, trusted.ca_file)
    attempts: Counter[tuple[str, str]] = Counter()
    outcomes = {}
    for relay in {group.relay.plain: group.relay for group in measured}.values():
        for record in holds(relay):
            attempts[relay.plain, record["model"]] += 1
            outcomes[relay.plain, record["model"]] = record["outcome"]
    return Column(attempts, outcomes, seen)


def _cell(attempts: int) -> str:
    return "no end" if attempts >= LIMIT else str(attempts)


def _row(target: Target, columns: Sequence[Column]) -> tuple[str, ...]:
    key = target.plain, target.model
    outcome = columns[0].outcomes[key]
    told = columns[0].seen[target] + ("" if outcome == "opened" else f", `{outcome}`")
    return (f"`{target.model}`", told, *(_cell(column.attempts[key]) for column in columns))


def _lines(measured: Sequence[Group], columns: Sequence[Column]) -> Iterator[str]:
    for group in measured:
        if group.title:
            names = (group.title, "downstream gets", *CLIENTS)
            yield from ("", _line(names), _line(["---"] * len(names)))
        yield from (_line(_row(target, columns)) for target in group.targets)
    yield ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def measure(folder: Path) -> str:
    """The tables, as the page has them. The npm packages must be there."""
    trusted = authority(folder)
    with groups(folder, trusted) as measured:
        columns = [_column(name, measured, trusted) for name in CLIENTS]
    return "".join(f"{line}\n" for line in _lines(measured, columns))


def filled(page: str, tables: str) -> str:
    """The page's text with these tables."""
    return _BLOCK.sub(lambda block: block[1] + tables + block[2], page)


if __name__ == "__main__":
    node_scripts.install()
    python_scripts.install("plain")
    with TemporaryDirectory() as name:
        PAGE.write_text(filled(PAGE.read_text("utf-8"), measure(Path(name))), "utf-8")
