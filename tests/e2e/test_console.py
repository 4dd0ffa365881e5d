"""The console in Chromium: one talks, picks a fault, and reads what went wrong."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e import chromium, node_scripts
from e2e.pages import lacking, serving
from e2e.relays import authority, demo_command, listening
from e2e.test_microphone import speaking
from playwright.sync_api import Page, expect
from processes import SECONDS, address_of, environ, relay_command, running

from relay.simulator import faults as simulator

EXAMPLE = Path(__file__).parents[2] / "examples" / "react"

LATER = "Try again later: this may pass."
NEVER = "Trying again will not help."

FAULTS = {
    "fault-http-401": ("upstream_unauthorized", NEVER, 4502),
    "fault-http-403": ("upstream_unauthorized", NEVER, 4502),
    "fault-http-429": ("upstream_rate_limited", LATER, 1013),
    "fault-http-500": ("upstream_refused", LATER, 1013),
    "fault-http-503": ("upstream_refused", LATER, 1013),
    "fault-quota": ("upstream_quota_exhausted", NEVER, 4502),
    "fault-error-3000": ("upstream_unauthorized", NEVER, 4502),
    "fault-error-4000": ("upstream_rejected_request", NEVER, 4400),
    "fault-silent": ("upstream_timeout", LATER, 1013),
    "fault-hang": ("upstream_timeout", LATER, 1013),
    "fault-reset": ("upstream_connect_failed", LATER, 1013),
}
"""Of each: the code that is shown, the advice, and with what a bare WebSocket is closed."""

LATE = {
    "fault-reset-after-N": ("upstream_lost", LATER, "open, then close 1011"),
    "fault-close-CODE": ("upstream_closed", LATER, "open, then close 1013 "),
}
"""Those that come in a session: the same, but what a bare WebSocket is shown."""

MOST = SECONDS * 1000

HARMLESS = {"fault-slow"}


@pytest.fixture
def page(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The console of a demo, in a browser that allows it no fault."""
    if lack := lacking():
        pytest.skip(lack)
    config = tmp_path / "relay.toml"
    config.write_text("hold_seconds = 3.0", "utf-8")
    with running(relay_command("--demo", "--config", str(config)), tmp_path) as relay:
        name = request.node.name.removeprefix("test_")
        with chromium.page(name, told=(chromium.REFUSED,)) as made:
            made.goto(address_of(relay))
            made.wait_for_selector("#model option:nth-child(5)", state="attached")
            yield made


def connects(page: Page, model: str | None = None) -> None:
    if model is not None:
        page.select_option("#model", model)
    page.click("#start")


def state_is(page: Page, state: str) -> None:
    page.wait_for_selector(f'#state[data-state="{state}"]')


def test_one_writes_plays_and_speaks_and_hears_the_answer(page: Page) -> None:
    assert page.is_disabled("#send")
    connects(page)
    state_is(page, "open")
    page.fill("#text", "Hello, parrot.")
    page.keyboard.press("Enter")
    page.wait_for_selector("#transcript li:nth-child(2)")
    assert page.inner_text("#transcript").split("\n") == [
        "you: Hello, parrot.",
        "it: Hello, parrot.",
    ]
    page.click("#clip")
    page.wait_for_selector("#transcript li:nth-child(3)")
    told = r"First audio, turn by turn, after \d+, \d+ ms."
    assert re.fullmatch(told, page.inner_text("#turns"))
    page.click("#microphone")
    page.locator('#timeline tr[data-dir="up"]').nth(20).wait_for(state="attached")
    page.fill("#filter", "session.created")
    page.locator("#timeline tr", has_text="append").first.wait_for(state="detached")
    assert page.locator("#timeline tr").count() == 1
    page.click("#timeline button")
    assert '"type": "session.created"' in page.inner_text("#inspect")
    assert len(exported(page)) > 20
    page.click("#stop")
    state_is(page, "closed")
    assert page.is_disabled("#microphone")


def test_each_fault_of_the_simulator_is_tried() -> None:
    assert {*FAULTS, *LATE, *HARMLESS} == {row.name for row in simulator.FAULTS}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refusal_is_told_in_words_with_what_to_do(page: Page, fault: str) -> None:
    code, advice, close = FAULTS[fault]
    connects(page, fault)
    expect(page.locator("#code")).to_have_text(code, timeout=MOST)
    expect(page.locator("#todo")).to_have_text(advice)
    expect(page.locator("#message")).not_to_be_empty()
    assert page.inner_text("#request").startswith("in the log by req_")
    bare = f"open, then an error event, {code}, then close {close} “relay: {code}”"
    expect(page.locator("#bare")).to_have_text(bare, timeout=MOST)
    status = "an error without a word, then close 1006 without a reason"
    expect(page.locator("#status")).to_have_text(status)


@pytest.mark.parametrize("fault", LATE)
def test_an_end_in_a_session_is_told_too(page: Page, fault: str) -> None:
    code, advice, bare = LATE[fault]
    page.select_option("#model", fault)
    page.fill("#number", "1013" if "CODE" in fault else "1")
    connects(page)
    state_is(page, "open")
    page.fill("#text", "Hello, parrot.")
    page.keyboard.press("Enter")
    expect(page.locator("#code")).to_have_text(code)
    expect(page.locator("#todo")).to_have_text(advice)
    expect(page.locator("#bare")).to_contain_text(bare)


def test_a_demo_asks_for_nothing_that_it_does_not_need(page: Page) -> None:
    assert page.is_hidden("#credential-label")
    assert page.is_hidden("#number-label")
    page.select_option("#model", "fault-close-CODE")
    assert page.is_visible("#number-label")
    assert "https://localhost:8443/v1" in page.inner_text("#node")
    page.set_viewport_size({"width": 360, "height": 740})
    width: Any = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360


def test_its_snippets_run_as_pasted(page: Page) -> None:
    command = [sys.executable, "-c", page.inner_text("#python")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout.startswith("SessionCreatedEvent(")
    text = (
        f'<link rel="icon" href="data:,"><script type=module>{page.inner_text("#browser")}</script>'
    )
    with serving() as pages, page.expect_console_message(lambda it: it.text == "session.created"):
        pages.files = {"/app.html": ("text/html", text.encode())}
        page.goto(f"{pages.origin()}/app.html")


MOUNTING = """
import { createElement } from "react";
import { createRoot } from "react-dom/client";

const url = "URL";
const App = () => createElement("p", null, useRealtime(url, null));
createRoot(document.querySelector("pre")).render(createElement(App));
"""


def test_its_snippet_for_react_runs_as_pasted(page: Page, tmp_path: Path) -> None:
    node_scripts.require(node_scripts.BUNDLING)
    node_scripts.install(EXAMPLE)
    app = tmp_path / "app"
    app.mkdir()
    (app / "node_modules").symlink_to(EXAMPLE / "node_modules")
    (app / "realtime-client.js").write_bytes(node_scripts.CLIENT.read_bytes())
    url = page.url.replace("http", "ws") + "v1/realtime?model=gpt-realtime"
    text = page.inner_text("#react") + MOUNTING.replace("URL", url)
    (app / "app.js").write_text(text, "utf-8")
    html = '<link rel="icon" href="data:,"><pre></pre><script type="module" src="app.js"></script>'
    (app / "index.html").write_text(html, "utf-8")
    with serving() as pages:
        pages.files = node_scripts.bundled(app, tmp_path / "bundle")
        page.goto(f"{pages.origin()}/index.html")
        expect(page.locator("p")).to_have_text("open")


def test_its_snippet_for_node_runs_as_pasted(page: Page, tmp_path: Path) -> None:
    node_scripts.require()
    trusted = authority(tmp_path)
    (tmp_path / "node_modules").symlink_to(node_scripts.MODULES)
    with listening(demo_command(tmp_path, trusted), tmp_path) as relay:
        text = page.inner_text("#node").replace("https://localhost:8443", relay.secure)
        text += 'realtime.on("session.created", () => realtime.close());'
        (tmp_path / "talk.mjs").write_text(text, "utf-8")
        done = subprocess.run(
            [*node_scripts.command(), "talk.mjs"],
            cwd=tmp_path,
            env=environ(NODE_EXTRA_CA_CERTS=str(trusted.ca_file)),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    assert done.stdout.split() == ["session.created"], done.stderr


def exported(page: Page) -> list[dict[str, Any]]:
    """The events that the page has kept."""
    with page.expect_download() as download:
        page.click("#export")
    return [
        json.loads(line) for line in Path(download.value.path()).read_text("utf-8").splitlines()
    ]


def test_one_speaks_and_hears_the_same_samples(tmp_path: Path) -> None:
    if lack := lacking():
        pytest.skip(lack)
    speech = speaking(tmp_path / "turn.wav")
    with (
        running(relay_command("--demo"), tmp_path) as relay,
        chromium.page("speaks", *speech) as page,
    ):
        page.goto(address_of(relay))
        connects(page)
        state_is(page, "open")
        page.click("#microphone")
        page.locator("#timeline tr", has_text="response.done").first.wait_for()
        page.click("#microphone")
        events = [each["event"] for each in exported(page)]
    sent, heard = (
        b"".join(base64.b64decode(each[key]) for each in events if each["type"] == kind)
        for kind, key in (
            ("input_audio_buffer.append", "audio"),
            ("response.output_audio.delta", "delta"),
        )
    )
    assert len(heard) > 24_000
    assert heard in sent
    assert is_loud(heard)


def is_loud(samples: bytes) -> bool:
    """Whether it is speech, not silence."""
    return max(abs(each) for each in array("h", samples)) > 1000
