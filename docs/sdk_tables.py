"""The tables of what SDKs make of a refusal and of an end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from markdown_table import table

SDKS = json.loads(Path(__file__).with_name("sdks.json").read_text("utf-8"))
"""What was measured: C{tests/e2e/sdk_seen.py} writes it, and a test compares it with the SDKs."""

Cell = dict[str, Any]


def _shows(cell: Cell) -> str:
    """What a developer is told: the words that say most."""
    shows = cell["shows"]
    told = ["code", "message"] if "message" in shows else [word for word in shows if word != "code"]
    words = " and ".join(told) or "nothing"
    return words + ("; at times the event" if "at times" in cell else "")


def _comes_back(*cells: Cell) -> str:
    counts = {cell["attempts"] for cell in cells}
    (count,) = counts  # no SDK was found to heed which refusal may pass
    return {1: "no", "no end": "without end"}.get(count) or f"{count - 1} times"


def _choice(cases: dict[str, Cell]) -> str:
    """In band, unless that makes it come back without end."""
    endless = cases["event"]["attempts"] == "no end"
    return '`"http"`' if endless else '`"event"`'


def sdk_refusals() -> str:
    """What each SDK shows of a refusal in either form, if it comes back, and what to choose."""
    columns = "SDK,by status it shows,comes back,in band it shows,comes back,choose,`auto` is"
    rows = []
    for name, sdk in SDKS.items():
        cases = sdk["cases"]
        forms = [
            part
            for form in ("http", "event")
            for part in (
                _shows(cases[form]),
                _comes_back(cases[form], cases[f"{form}, may pass"]),
            )
        ]
        is_event = cases["auto"]["shows"] == cases["event"]["shows"]
        auto = '`"event"`' if is_event else '`"http"`'
        rows.append((name, *forms, _choice(cases), auto))
    return table(columns, rows)


def sdk_ends() -> str:
    """What each SDK shows of an end, told by an event and by its Close alone."""
    columns = "SDK,of event and Close it shows,of a Close alone,its app learns of it by,comes back"
    return table(
        columns,
        (
            (
                name,
                _shows(sdk["cases"]["told"]),
                _shows(sdk["cases"]["closed"]),
                ENDS[sdk["cases"]["closed"]["ends"]],
                _comes_back(sdk["cases"]["told"], sdk["cases"]["closed"]),
            )
            for name, sdk in SDKS.items()
        ),
    )


ENDS = {
    "raises": "an exception",
    "the loop ends": "the end of its loop",
    "a close event": "a close event",
    "a disconnected event": "`connection_change`",
    "the pipeline goes on": "a line in the log; its pipeline goes on",
    "stopped": "an error event at each loss",
}
"""How an app learns of an end, by what the file calls it."""


def sdk_packages() -> str:
    """What each SDK is, and the pattern for its User-Agent."""
    rows = (
        (name, sdk["package"], f"`user_agent = {json.dumps(sdk['user_agent'])}`")
        for name, sdk in SDKS.items()
    )
    return table("SDK,measured,its rule", rows)
