"""The React example, built by Vite for development, in Chromium."""

from __future__ import annotations

import mimetypes
import re
import shutil
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
from e2e import chromium, node_scripts
from e2e.pages import lacking, serving
from playwright.sync_api import expect
from processes import LOOPBACK, SECONDS, address_of, admin_of, environ, relay_command, running

EXAMPLE = Path(__file__).parents[2] / "examples" / "react"


def built(folder: Path) -> dict[str, tuple[str, bytes]]:
    """Build the example as it is for development, and return its files."""
    copy = shutil.copytree(EXAMPLE, folder / "react", ignore=shutil.ignore_patterns("node_modules"))
    manifest = copy / "package.json"
    ours = str(EXAMPLE.parents[1] / "relay" / "web" / "static")
    text = manifest.read_text("utf-8").replace("file:../../relay/web/static", f"file:{ours}")
    manifest.write_text(text, "utf-8")
    for command in (node_scripts.NPM_INSTALL, "npx vite build --mode development"):
        done = subprocess.run(
            command.split(),
            cwd=copy,
            env=environ(NODE_ENV="development"),
            capture_output=True,
            text=True,
            timeout=node_scripts.INSTALL_SECONDS,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    made = copy / "dist"
    return {
        f"/{path.relative_to(made)}": (mimetypes.guess_type(path)[0] or "", path.read_bytes())
        for path in made.rglob("*")
        if path.is_file()
    }


def sessions(admin: str) -> dict[str, int]:
    """How many there are, and how many have ended."""
    with urlopen(f"{admin}/metrics") as answer:
        text = answer.read().decode()
    active = re.findall(r"^relay_sessions_active (\d+)", text, re.MULTILINE)
    ended = re.findall(r"^relay_sessions_total\{.*\} (\d+)", text, re.MULTILINE)
    return {"active": sum(map(int, active)), "ended": sum(map(int, ended))}


def test_a_component_talks_and_strict_mode_leaves_one_session(tmp_path: Path) -> None:
    if lack := lacking() or node_scripts.lacking():
        pytest.skip(lack)
    files = built(tmp_path)
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
