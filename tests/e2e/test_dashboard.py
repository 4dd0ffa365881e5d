"""The dashboard in Chromium: a session and a refusal appear, and a session is ended."""

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


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A demo: the URL of its WebSocket, and that of its admin listener."""
    if lack := lacking():
        pytest.skip(lack)
    with running(relay_command("--demo", "--admin", LOOPBACK), tmp_path) as process:
        websocket = f"{address_of(process).replace('http', 'ws')}/v1/realtime?model="
        yield websocket, admin_of(process)


@pytest.fixture
def page(relay: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[Page]:
    """The dashboard, in a browser that allows it no fault."""
    with chromium.page(request.node.name.removeprefix("test_")) as made:
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
    page.set_viewport_size({"width": 360, "height": 740})
    width: Any = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 360
