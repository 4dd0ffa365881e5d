"""The console's page and its files, in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from memory import World

from relay import Console, Settings
from relay.simulator.faults import FAULTS
from relay.web.static_files import POLICY

HTML = "Accept: text/html,application/xhtml+xml"


def ask(world: World, path: str, *fields: str) -> tuple[int, dict[str, str], str]:
    line = world.accept()
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    line.deliver("\r\n".join(lines).encode())
    head, _, body = line.take().decode().partition("\r\n\r\n")
    line.lose()
    first, *rows = head.split("\r\n")
    return int(first.split()[1]), dict(row.split(": ", 1) for row in rows), body


def with_console(is_demo: bool = True) -> World:
    return World(options={"console": Console(is_demo=is_demo, model="m")})


def test_a_browser_gets_the_page_and_may_do_nothing_else_with_it() -> None:
    status, headers, body = ask(with_console(), "/", HTML)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert headers["Content-Security-Policy"] == POLICY
    assert "unsafe" not in POLICY
    assert '<script type="module" src="console.js">' in body
    assert "<style" not in body
    assert "style=" not in body


def test_a_browser_at_a_base_path_without_its_slash_is_sent_behind_it() -> None:
    console = Console(is_demo=True, model="m")
    world = World(Settings(base_path="/voice"), options={"console": console})
    status, headers, body = ask(world, "/voice", HTML)
    assert (status, headers["Location"], body) == (308, "/voice/", "")
    assert ask(world, "/voice/", HTML)[0] == 200
    assert ask(world, "/voice/console.json")[0] == 200


@pytest.mark.parametrize("fields", [(), ("Accept: */*",), ("Accept: application/json",)])
def test_all_others_get_the_text(fields: tuple[str, ...]) -> None:
    _, headers, body = ask(with_console(), "/", *fields)
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert body.startswith("realtime-relay is running.")


def test_a_relay_without_a_console_has_none_of_its_files() -> None:
    world = World()
    assert ask(world, "/", HTML)[2].startswith("realtime-relay is running.")
    for name in ("console.js", "console.css", "console.json", "capture.js"):
        assert ask(world, f"/{name}")[0] == 404


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("console.js", "text/javascript"),
        ("console-audio.js", "text/javascript"),
        ("capture.js", "text/javascript"),
        ("console.css", "text/css"),
    ],
)
def test_its_files_have_their_types(name: str, kind: str) -> None:
    status, headers, _ = ask(with_console(), f"/{name}")
    assert (status, headers["Content-Type"]) == (200, f"{kind}; charset=utf-8")


@pytest.mark.parametrize("is_demo", [True, False])
def test_only_a_demo_has_faults_to_choose(is_demo: bool) -> None:
    told: Any = json.loads(ask(with_console(is_demo), "/console.json")[2])
    assert (told["demo"], told["model"]) == (is_demo, "m")
    names = [each["name"] for each in told["faults"]]
    assert names == ([row.name for row in FAULTS] if is_demo else [])
