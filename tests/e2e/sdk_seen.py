"""
Measure what each SDK shows of a refusal and of an end, for C{docs/sdks.md}: C{docs/sdks.json}.

    cd tests && python -m e2e.sdk_seen

writes the file anew. What a client was told comes from the client; how often it came is counted in
the relays' own logs.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import frozen
from e2e import node_scripts, pages, python_scripts
from e2e.relays import (
    Authority,
    Relay,
    authority,
    demo_command,
    holds,
    listening,
)
from e2e.sdk_clients import LIMIT

FILE = Path(__file__).parents[2] / "docs" / "sdks.json"

ALL_SECONDS = 600
"""Until the relays count as hung: all SDKs come to them, one after the other."""

Cell = dict[str, Any]
"""
What one client does in one case: C{shows}, the words for what a developer is told; C{ends}, how it
ends; C{attempts}, how often it came.
"""

Seen = dict[str, dict[str, Any]]
"""By case, what a client was C{told}, and the C{end} of it."""


@frozen
class Case:
    """
    One way to be refused or closed.

    @ivar relay: which of the relays.
    @ivar model: what makes it happen there.
    @ivar words: what there is to be shown: each word, and the pattern it is found by.
    """

    relay: str
    model: str
    words: Mapping[str, str]


def _refused(code: str, message: str, close: int) -> dict[str, str]:
    return {
        "status": r"\b502\b",
        # The reason of the Close has the code in it: "relay: CODE".
        "code": rf"(?<!relay: )\b{code}\b",
        "message": re.escape(message),
        "close code": rf"\b{close}\b",
        "reason": rf"relay: {code}\b",
    }


_FINAL = _refused("upstream_unauthorized", "upstream key was refused", 4502)
_PASSING = _refused("upstream_refused", "The upstream answered HTTP 500", 1013)
_END = {
    "code": "upstream_closed",
    "message": "The upstream closed the session",
    "close code": r"(?<!fault-close-)\b1012\b",
    "reason": "simulated",
}

CASES = {
    "http": Case("http", "fault-http-401", _FINAL),
    "http, may pass": Case("http", "fault-http-500", _PASSING),
    "event": Case("event", "fault-http-401", _FINAL),
    "event, may pass": Case("event", "fault-http-500", _PASSING),
    "auto": Case("auto", "fault-http-401", _FINAL),
    "by rule": Case("rules", "fault-http-401", _FINAL),
    "told": Case("http", "fault-close-1012", _END),
    "closed": Case("rules", "fault-close-1012", _END),
}
"""
A refusal that is final and one that may pass, in both forms; the final one as C{auto} tells it, and
as a rule for the SDK's C{User-Agent} does; and an end, by event and Close, and by a Close alone.
"""


@contextmanager
def relays(folder: Path, trusted: Authority, agents: Sequence[str]) -> Iterator[dict[str, Relay]]:
    """
    Those that the cases name, running.

    @param agents: whom the rules of the one with rules tell a refusal in band; all others get the
        status.
    """
    rules = [{"user_agent": agent, "form": "event"} for agent in agents]
    settings: dict[str, dict[str, object]] = {
        "http": {"refusals": "http"},
        "event": {"refusals": "event"},
        "auto": {},
        "rules": {"refusals": [*rules, {"form": "http"}], "closes": "plain"},
    }
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                listening(demo_command(folder, trusted, **each), folder, ALL_SECONDS)
            )
            for name, each in settings.items()
        }


# The SDKs


def _targets(to: Mapping[str, Relay]) -> list[dict[str, str]]:
    return [
        {
            "case": name,
            "plain": to[case.relay].plain,
            "secure": to[case.relay].secure,
            "model": case.model,
        }
        for name, case in CASES.items()
    ]


Client = Callable[[Mapping[str, Relay], Path, Path], Seen]
"""Has a client do every case: at these relays, trusting this authority, in this folder."""


def _python(environment: str, sdk: str = "") -> Client:
    def see(to: Mapping[str, Relay], _ca_file: Path, _folder: Path) -> Seen:
        script = f"seen_{environment}.py"
        told = python_scripts.run(environment, script, sdk, json.dumps(_targets(to)), str(LIMIT))
        return dict(json.loads(told))

    return see


def _node(sdk: str) -> Client:
    def see(to: Mapping[str, Relay], ca_file: Path, _folder: Path) -> Seen:
        told = node_scripts.run("seen.mjs", sdk, json.dumps(_targets(to)), ca_file=ca_file)
        return dict(json.loads(told))

    return see


def _browser(to: Mapping[str, Relay], _ca_file: Path, folder: Path) -> Seen:
    say = '{"type":"input_audio_buffer.clear"}'
    visits = [
        pages.Visit(
            each["case"],
            f"{each['plain'].replace('http', 'ws')}/v1/realtime?model={each['model']}",
            say=say,
        )
        for each in _targets(to)
    ]
    with pages.serving() as served:
        served.sets = {"seen": pages.Set(visits)}
        seen = pages.browse(served, "/?seen", folder)["seen"]
    return {
        case: {"told": [json.dumps(each) for each in events], "end": "a close event"}
        for case, events in seen.items()
    }


@frozen
class SDK:
    """
    One row.

    @ivar package: its name and version, and where it is from; without a version for what has none
        here.
    @ivar agent: the pattern for its C{User-Agent}, as a rule has it.
    @ivar needs: installs what it needs, or skips.
    """

    client: Client
    package: str
    agent: str
    needs: Callable[[], object]


def _of_python(environment: str, package: str, agent: str, sdk: str = "") -> SDK:
    pins = dict(pin.split(" == ") for pin in python_scripts.SDKS[environment].split(", "))
    version = next(pins[pin] for pin in pins if pin.partition("[")[0] == package)
    return SDK(
        _python(environment, sdk),
        f"{package} {version} on PyPI",
        agent,
        lambda: python_scripts.require(environment),
    )


def _of_npm(sdk: str, package: str, agent: str) -> SDK:
    text = (node_scripts.FOLDER / "package.json").read_text("utf-8")
    version = json.loads(text)["dependencies"][package]
    return SDK(_node(sdk), f"{package} {version} on npm", agent, node_scripts.require)


SDKS = {
    "openai-python": _of_python("plain", "openai", "AsyncOpenAI/Python *", "openai"),
    "openai-agents": _of_python("agents", "openai-agents", "Agents/Python *"),
    "pipecat": _of_python("pipecat", "pipecat-ai", "Python/* websockets/*"),
    "livekit-agents": _of_python("livekit", "livekit-plugins-openai", "LiveKit Agents"),
    "websockets": _of_python("plain", "websockets", "Python/* websockets/*", "websockets"),
    "aiohttp": _of_python("plain", "aiohttp", "Python/* aiohttp/*", "aiohttp"),
    "openai-node, by ws": _of_npm("openai-ws", "openai", "OpenAI/JS *"),
    "openai-node, by node's own": _of_npm("openai-websocket", "openai", "node"),
    "agents-realtime": _of_npm("agents", "@openai/agents-realtime", "Agents/JavaScript *"),
    "ws": _of_npm("ws", "ws", ""),
    "node's own": SDK(_node("node"), "node's WebSocket", "node", node_scripts.require),
    "browser": SDK(_browser, "Chromium's WebSocket", "Mozilla/*", pages.require),
}


def _cell(case: Case, told: Sequence[str], end: str, attempts: int) -> Cell:
    text = "\n".join(told)
    return {
        "shows": [word for word, pattern in case.words.items() if re.search(pattern, text)],
        "ends": end,
        "attempts": "no end" if attempts >= LIMIT else attempts,
    }


def measure(sdk: SDK, to: Mapping[str, Relay], ca_file: Path, folder: Path) -> dict[str, Cell]:
    """What it does in each case."""
    seen = sdk.client(to, ca_file, folder)
    came = {name: Counter(hold["model"] for hold in holds(relay)) for name, relay in to.items()}
    return {
        name: _cell(case, **seen[name], attempts=came[case.relay][case.model])
        for name, case in CASES.items()
    }


def at_times(known: Mapping[str, Cell], measured: Mapping[str, Cell]) -> dict[str, Cell]:
    """
    What was measured, less the words of which the file says that they are shown at times.

    openai-agents writes before it reads. If the Close comes first, it raises and drops the event.
    """
    cells = {}
    for name, cell in measured.items():
        times = known.get(name, {}).get("at times", [])
        shows = [word for word in cell["shows"] if word not in times]
        cells[name] = cell | {"shows": shows} | ({"at times": times} if times else {})
    return cells


def row(sdk: SDK, cells: Mapping[str, Cell]) -> dict[str, Any]:
    """What the file has of an SDK."""
    return {"package": sdk.package, "user_agent": sdk.agent, "cases": dict(cells)}


def known() -> dict[str, dict[str, Any]]:
    """What the file has."""
    return dict(json.loads(FILE.read_text("utf-8")))


def patterns() -> list[str]:
    """Those of all SDKs, each once."""
    return list(dict.fromkeys(sdk.agent for sdk in SDKS.values()))


def _measure_all() -> dict[str, dict[str, Any]]:
    before, found = known(), {}
    with TemporaryDirectory() as name:
        folder = Path(name)
        trusted = authority(folder)
        with relays(folder, trusted, patterns()) as to:
            for name, sdk in SDKS.items():
                sdk.needs()
                cells = measure(sdk, to, trusted.ca_file, folder)
                found[name] = row(sdk, at_times(before.get(name, {}).get("cases", {}), cells))
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(_measure_all(), indent=1) + "\n", "utf-8")
