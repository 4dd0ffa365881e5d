"""A page in a headless Chromium, driven by Playwright, in which no fault goes unseen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.pages import require
from playwright.sync_api import Page, sync_playwright
from processes import SECONDS

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
"""Where each page leaves a picture of its end."""

OPTIONS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)

REFUSED = "WebSocket connection to "
"""What Chromium itself tells the developer, not the page, of a WebSocket that did not open."""


@contextmanager
def page(name: str, *options: str, told: tuple[str, ...] = ()) -> Iterator[Page]:
    """
    An empty page of an ordinary size.

    When it is left, it must have logged no error, among which are all violations of its
    Content-Security-Policy.

    @param name: of its picture.
    @param options: more of Chromium's.
    @param told: how errors begin that it may log.
    """
    require()
    faults: list[str] = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*OPTIONS, *options]
        )
        made = chromium.new_page(viewport={"width": 1200, "height": 900})
        made.set_default_timeout(SECONDS * 500)
        made.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        made.on("pageerror", lambda error: faults.append(str(error)))
        try:
            yield made
        except Exception as error:
            error.add_note(f"the page has logged {faults}")
            raise
        finally:
            made.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
            chromium.close()
    assert [fault for fault in faults if not fault.startswith(told or ("\0",))] == []
