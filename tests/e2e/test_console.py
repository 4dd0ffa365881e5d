"""The console in Chromium: one talks, picks a fault, and reads what went wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.pages import lacking
from playwright.sync_api import Page, sync_playwright
from processes import SECONDS, address_of, relay_command, running

OPTIONS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)

FAULTS = {
    "fault-http-401": ("upstream_unauthorized", "Trying again will not help."),
    "fault-error-3000": ("upstream_unauthorized", "Trying again will not help."),
    "fault-error-4000": ("upstream_rejected_request", "Trying again will not help."),
    "fault-quota": ("upstream_quota_exhausted", "Trying again will not help."),
    "fault-reset": ("upstream_connect_failed", "Try again later: this may pass."),
}


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """The console of a demo, in a browser that allows it no fault."""
    if lack := lacking():
        pytest.skip(lack)
    faults: list[str] = []
    with running(relay_command("--demo"), tmp_path) as relay, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=OPTIONS)
        made = chromium.new_page(viewport={"width": 1200, "height": 900})
        made.set_default_timeout(SECONDS * 1000)
        # Violations of the Content-Security-Policy are among these.
        made.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        made.on("pageerror", lambda error: faults.append(str(error)))
        made.goto(address_of(relay))
        made.wait_for_selector("#model option:nth-child(5)", state="attached")
        yield made
        made.screenshot(path=tmp_path / "console.png", full_page=True)
        chromium.close()
    assert not faults


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
    assert page.inner_text("#turns").startswith("First audio of the last turn after ")
    page.click("#clip")
    page.wait_for_selector("#transcript li:nth-child(3)")
    page.click("#microphone")
    page.locator('#timeline tr[data-dir="up"]').nth(20).wait_for(state="attached")
    page.fill("#filter", "session.created")
    page.locator("#timeline tr", has_text="append").first.wait_for(state="detached")
    assert page.locator("#timeline tr").count() == 1
    page.click("#timeline button")
    assert '"type": "session.created"' in page.inner_text("#inspect")
    with page.expect_download() as download:
        page.click("#export")
    lines = Path(download.value.path()).read_text("utf-8").splitlines()
    assert len(lines) > 20
    page.click("#stop")
    state_is(page, "closed")
    assert page.is_disabled("#microphone")


def test_each_fault_is_told_in_words_with_what_to_do(page: Page) -> None:
    for model, (code, advice) in FAULTS.items():
        connects(page, model)
        page.locator("#code", has_text=code).wait_for()
        assert page.inner_text("#todo") == advice
        assert page.inner_text("#message")
        assert page.inner_text("#request").startswith("in the log by req_")
        assert "1006" in page.inner_text("#bare")
        page.evaluate("document.getElementById('code').textContent = ''")
    page.click("#stop")


def test_a_demo_asks_for_nothing_that_it_does_not_need(page: Page) -> None:
    assert page.is_hidden("#credential-label")
    assert page.is_hidden("#number-label")
    page.select_option("#model", "fault-close-CODE")
    assert page.is_visible("#number-label")
    base = page.url.rstrip("/")
    for name in ("python", "node", "browser"):
        assert base in page.inner_text(f"#{name}")
    page.set_viewport_size({"width": 360, "height": 740})
    width: Any = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
