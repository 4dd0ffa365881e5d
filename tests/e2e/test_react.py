"""The React example, built by Vite for development, in Chromium."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.request import urlopen

import pytest
from e2e import chromium, node_scripts
from e2e.pages import lacking, serving
from playwright.sync_api import expect
from processes import LOOPBACK, SECONDS, address_of, admin_of, relay_command, running

EXAMPLE = Path(__file__).parents[2] / "examples" / "react"


def sessions(admin: str) -> dict[str, int]:
    """How many there are, and how many have ended."""
    with urlopen(f"{admin}/metrics") as answer:
        text = answer.read().decode()
    active = re.findall(r"^relay_sessions_active (\d+)", text, re.MULTILINE)
    ended = re.findall(r"^relay_sessions_total\{.*\} (\d+)", text, re.MULTILINE)
    return {"active": sum(map(int, active)), "ended": sum(map(int, ended))}


def test_a_component_talks_and_strict_mode_leaves_one_session(tmp_path: Path) -> None:
    if lack := lacking() or node_scripts.lacking(node_scripts.BUNDLING):
        pytest.skip(lack)
    node_scripts.install(EXAMPLE)
    files = node_scripts.bundled(EXAMPLE, tmp_path / "bundle")
    command = relay_command("--demo", "--admin", LOOPBACK)
    with running(command, tmp_path) as relay, serving() as pages:
        base, admin = address_of(relay), admin_of(relay)
        pages.files = files
        with chromium.page("react") as page:
            page.goto(f"{pages.origin()}/index.html?relay={base}")
            expect(page.get_by_role("status")).to_have_text("Connected. ", timeout=SECONDS * 1000)
            page.get_by_label("Say").fill("Hello, parrot.")
            page.get_by_role("button").click()
            expect(page.get_by_role("listitem").nth(1)).to_have_text("it: Hello, parrot.")
            assert sessions(admin) == {"active": 1, "ended": 0}
            page.goto(f"{pages.origin()}/index.html?relay={base}&model=fault-error-3000")
            status = page.get_by_role("status")
            expect(status).to_contain_text("The relay's own upstream key", timeout=SECONDS * 1000)
