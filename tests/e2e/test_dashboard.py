"""
The dashboard in Chromium: a session and a refusal appear, a session is watched, and one is ended.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from e2e import chromium
from e2e.pages import lacking
from playwright.sync_api import Page, expect
from processes import LOOPBACK, SECONDS, address_of, admin_of, relay_command, running
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from relay.rules.first_steps import FIRST

MOST = SECONDS * 1000

TWO_FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Until all is drawn that has come."""

NOT_FOUND = "Failed to load resource: the server responded with a status of 404 "
"""What Chromium itself tells the developer where one asks for a session that is over."""


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A demo: the URL of its WebSocket, and that of its admin listener."""
    if lack := lacking():
        pytest.skip(lack)
    settings = tmp_path / "relay.toml"
    settings.write_text('watch = "payload"\n', "utf-8")
    command = relay_command("--demo", "--admin", LOOPBACK, "--config", str(settings))
    with running(command, tmp_path) as process:
        websocket = f"{address_of(process).replace('http', 'ws')}/v1/realtime?model="
        yield websocket, admin_of(process)


@pytest.fixture
def page(relay: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[Page]:
    """The dashboard, in a browser that allows it no fault."""
    with chromium.page(request.node.name.removeprefix("test_"), told=(NOT_FOUND,)) as made:
        made.goto(relay[1])
        made.wait_for_selector('#state[data-state="ready"]')
        yield made


def says_hello(session: ClientConnection) -> None:
    """A turn of the conversation."""
    part = {"type": "input_text", "text": "Hello."}
    item = {"type": "message", "role": "user", "content": [part]}
    session.send(json.dumps({"type": "conversation.item.create", "item": item}))
    session.send(json.dumps({"type": "response.create"}))
    while json.loads(session.recv(SECONDS))["type"] != "response.done":
        pass


def closed_with(session: ClientConnection) -> int | None:
    """The code of the Close that comes after all else."""
    with suppress(ConnectionClosed):
        while True:
            session.recv(SECONDS)
    return session.close_code


def is_refused(url: str) -> None:
    with suppress(InvalidStatus, ConnectionClosed), connect(url) as session:
        session.recv()


def test_sessions_and_refusals_appear_and_a_session_is_ended(
    page: Page, relay: tuple[str, str]
) -> None:
    websocket, _ = relay
    with connect(f"{websocket}gpt-realtime") as session:
        says_hello(session)
        row = page.locator("#open tr")
        expect(row).to_have_count(1, timeout=MOST)
        expect(row).to_contain_text("gpt-realtime")
        expect(page.locator("#sessions")).to_have_text("1", timeout=MOST)
        told = re.compile(r"^\d\.\d\d / \d\.\d\d s")
        for figure in ("#hold", "#first_audio"):
            expect(page.locator(figure)).to_have_text(told, timeout=MOST)
        is_refused(f"{websocket}fault-http-429")
        refused = page.locator("#refused tr")
        expect(refused).to_contain_text("upstream_rate_limited", timeout=MOST)
        expect(refused).to_contain_text("simulator at upgrade")
        expect(refused).to_contain_text(FIRST["upstream_rate_limited"])
        expect(page.locator("#codes")).to_have_text("upstream_rate_limited 1", timeout=MOST)
        page.once("dialog", lambda dialog: dialog.accept())
        page.focus("#open button")
        with connect(f"{websocket}gpt-realtime"):
            expect(row).to_have_count(2, timeout=MOST)
            page.keyboard.press("Enter")  # the button is still there, and has the focus
            expect(page.locator("#closing")).to_contain_text("is ending", timeout=MOST)
        assert closed_with(session) == 1008
    expect(row).to_have_count(0, timeout=MOST)
    fits(page, 360)


def fits(page: Page, width: int) -> None:
    """On a phone so wide, nothing has to be scrolled sideways."""
    page.set_viewport_size({"width": width, "height": 740})
    found: Any = page.evaluate("document.documentElement.scrollWidth")
    assert found <= width


def test_a_session_is_watched_by_keyboard_and_on_a_phone(
    page: Page, relay: tuple[str, str]
) -> None:
    events, state = page.locator("#watch-events li"), page.locator("#watch-state")
    with connect(f"{relay[0]}gpt-realtime") as session:
        page.focus("#open a", timeout=MOST)
        page.keyboard.press("Enter")
        expect(page.locator("#watch-title")).to_be_focused(timeout=MOST)
        expect(state).to_have_text("Watching types and payloads.", timeout=MOST)
        expect(page.locator("#watch-title")).to_contain_text("gpt-realtime", timeout=MOST)
        expect(page.locator("#open a[aria-current]")).to_have_count(1)
        says_hello(session)
        expect(events.nth(1)).to_contain_text("response.done", timeout=MOST)
        expect(events.last).to_contain_text("conversation.item.create")
        expect(events.last.get_by_label("from the client")).to_be_visible()
        page.focus("#watch-filter")
        page.keyboard.type("response.create")
        expect(events).to_have_count(2)  # response.create and response.created
        events.last.locator("summary").press("Enter")
        expect(events.last.locator("pre")).to_have_text('{"type": "response.create"}')
        page.locator("#watch-pause").press("Enter")
        session.send(json.dumps({"type": "response.create"}))
        expect(page.locator("#watch-count")).not_to_have_text(counted(page), timeout=MOST)
        page.evaluate(TWO_FRAMES)
        expect(events).to_have_count(2)
        page.locator("#watch-pause").press("Enter")
        expect(events).to_have_count(4, timeout=MOST)
        pictured(page)
        page.locator("#watch-clear").press("Enter")
        expect(events).to_have_count(0)
    expect(state).to_contain_text("the client ended it with 1000", timeout=MOST)
    page.locator("#watch-close").press("Enter")
    expect(page.locator("#watch")).to_be_hidden()
    page.goto(f"{relay[1]}/#watch=req_none")
    expect(state).to_have_text("There is no open session with this id.", timeout=MOST)


def counted(page: Page) -> str:
    return page.locator("#watch-count").inner_text()


def pictured(page: Page) -> None:
    """What is watched, on a phone, in the dark and in the light."""
    fits(page, 375)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        picture = chromium.SCREENSHOTS / f"watch-{scheme}.png"
        page.locator("#watch").screenshot(path=picture)
