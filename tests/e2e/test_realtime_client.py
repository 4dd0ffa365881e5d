"""The browser's client: its units in Node, its types by tsc, and the whole in Chromium."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from e2e import node_scripts
from e2e.pages import OPTIONS, lacking, serving
from processes import LOOPBACK, SECONDS, address_of, relay_command, running

STATIC = Path(__file__).parents[2] / "relay" / "web" / "static"

PAGE = Path(__file__).parent / "browser" / "client.html"


def test_its_units_hold() -> None:
    if lack := node_scripts.lacking():
        pytest.skip(lack)
    script = node_scripts.FOLDER / "realtime_client.test.mjs"
    done = subprocess.run(
        ["node", "--test", str(script)], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\bpass \d\d", done.stdout)


def test_its_types_fit_what_an_app_does() -> None:
    node_scripts.require()
    tsc = node_scripts.FOLDER / "node_modules" / ".bin" / "tsc"
    flags = "--noEmit --strict --target es2023 --lib es2023,dom --module nodenext"
    script = str(node_scripts.FOLDER / "realtime_client_types.ts")
    done = subprocess.run(
        [str(tsc), *flags.split(), script], capture_output=True, text=True, timeout=SECONDS
    )
    assert done.returncode == 0, done.stdout


def test_npm_packs_it() -> None:
    if lack := node_scripts.lacking():
        pytest.skip(lack)
    npm = shutil.which("npm")
    assert npm is not None
    command = [npm, "pack", "--dry-run", "--json"]
    done = subprocess.run(command, cwd=STATIC, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    (packed,) = json.loads(done.stdout)
    names = {file["path"] for file in packed["files"]}
    assert names == {"package.json", "realtime-client.js", "realtime-client.d.ts"}


def demo_at(endpoint: str) -> list[str]:
    command = relay_command("--demo")
    return [endpoint if word == LOOPBACK else word for word in command]


def test_a_page_learns_why_it_is_refused_and_comes_back_when_the_relay_does(tmp_path: Path) -> None:
    if lack := lacking():
        pytest.skip(lack)
    with ExitStack() as stack:
        pages = stack.enter_context(serving())

        def reported(wanted: str) -> list[str]:
            name, seen = pages.reports.get(timeout=SECONDS)
            while name != wanted:
                name, seen = pages.reports.get(timeout=SECONDS)
            return [said for (said,) in seen["told"]]

        with running(demo_at(LOOPBACK), tmp_path) as process:
            relay = urlsplit(address_of(process)).netloc
            pages.files = {
                "/client.html": (
                    "text/html",
                    PAGE.read_text("utf-8").replace("RELAY", relay).encode(),
                )
            }
            url = f"{pages.origin()}/client.html"
            command = ["chromium", *OPTIONS, f"--user-data-dir={tmp_path}/profile", url]
            stack.enter_context(running(command, tmp_path))
            connecting, why, refused = reported("refused")
            assert (connecting, refused) == ("connecting", "refused")
            assert why.startswith("upstream_unauthorized: The relay's own upstream key")
            assert reported("open") == ["connecting", "open"]
            process.kill()
        port = relay.rpartition(":")[2]
        with running(demo_at(f"tcp:{port}:interface=127.0.0.1"), tmp_path):
            told = reported("renewed")
        assert "reconnecting" in told
        assert told[told.index("renewed with 1") + 1] == "session.created"
