"""The scripts of the how-to guides, run as they stand there, with a demo relay."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e import chromium, node_scripts
from e2e.pages import lacking, serving
from e2e.test_microphone import CHIRP
from processes import SECONDS, address_of, environ, relay_command, running

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFUSED = '502 {"error": {"type": "relay_error", "code": "upstream_unauthorized",'


def script(page: str, language: str, number: int = 0) -> str:
    """One of a page's scripts."""
    text = (DOCS / page).read_text("utf-8")
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return found[number]


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a demo relay."""
    with running(relay_command("--demo"), tmp_path_factory.mktemp("relay")) as process:
        yield address_of(process)


def said(command: list[str], folder: Path, **variables: str) -> list[str]:
    """What a script prints that ends well."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ(**variables),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return [line.strip() for line in done.stdout.splitlines()]


def here(text: str, relay: str) -> str:
    """The script, with this relay in place of the one on its page."""
    own = relay.removeprefix("http://")
    changed = text.replace("127.0.0.1:8080", own)
    changed = changed.replace("wss://relay.example.com", f"ws://{own}")
    changed = changed.replace("https://relay.example.com", relay)
    assert changed != text
    return changed


def recorded(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        samples: bytes = file.readframes(file.getnframes())
    return samples


@pytest.mark.parametrize("page", ["tutorial.md", "../README.md"])
def test_the_first_script_talks_and_shows_a_refusal(relay: str, page: str, tmp_path: Path) -> None:
    (tmp_path / "talk.py").write_text(here(script(page, "python"), relay), "utf-8")
    lines = said([sys.executable, "talk.py", "gpt-realtime"], tmp_path)
    assert lines[0] == "session.created"
    assert "response.output_text.delta Hello, parrot." in lines
    (refused,) = said([sys.executable, "talk.py", "fault-http-401"], tmp_path)
    assert refused.startswith(REFUSED)
    assert REFUSED in (DOCS / page).read_text("utf-8")


def test_a_recording_is_answered_by_another(relay: str, tmp_path: Path) -> None:
    (tmp_path / "audio.py").write_text(here(script("audio.md", "python"), relay), "utf-8")
    assert not said([sys.executable, "audio.py", str(CHIRP), "answer.wav"], tmp_path)
    assert recorded(tmp_path / "answer.wav") == recorded(CHIRP)


def test_a_refusal_of_the_audio_script_is_printed(relay: str, tmp_path: Path) -> None:
    text = here(script("audio.md", "python"), relay).replace("gpt-realtime", "fault-http-401")
    (tmp_path / "audio.py").write_text(text, "utf-8")
    (line,) = said([sys.executable, "audio.py", str(CHIRP), "answer.wav"], tmp_path)
    assert line.startswith('502 {"error": ')


@pytest.fixture
def node(tmp_path: Path) -> list[str]:
    """Node, in a folder with the browser's client and OpenAI's SDK."""
    node_scripts.require()
    (tmp_path / "realtime-client.js").write_bytes(node_scripts.CLIENT.read_bytes())
    (tmp_path / "package.json").write_text('{"type": "module"}', "utf-8")
    (tmp_path / "node_modules").symlink_to(node_scripts.MODULES)
    return node_scripts.command()


def test_a_service_in_node_talks_and_is_told_of_a_refusal(
    relay: str, node: list[str], tmp_path: Path
) -> None:
    (tmp_path / "service.mjs").write_text(here(script("node.md", "js"), relay), "utf-8")
    lines = said([*node, "service.mjs"], tmp_path)
    assert lines == ["connecting", "open", "Hello, parrot.", "closed"]
    _, refused = said([*node, "service.mjs", "fault-error-3000"], tmp_path)
    assert refused.startswith("refused The relay's own upstream key was refused")


def test_a_backend_in_node_mints_a_secret(relay: str, node: list[str], tmp_path: Path) -> None:
    (tmp_path / "mint.mjs").write_text(here(script("node.md", "js", 1), relay), "utf-8")
    (secret,) = said([*node, "mint.mjs"], tmp_path)
    assert secret.startswith("ek_")


def test_the_hook_on_the_page_is_the_examples() -> None:
    example = ROOT / "examples" / "react" / "src" / "useRealtime.js"
    assert script("react.md", "js") == example.read_text("utf-8")


def test_a_twisted_service_listens(relay: str, tmp_path: Path) -> None:
    text = here(script("twisted-client.md", "python"), relay).replace('"rk_..."', "None")
    text = text.replace("print(event", "reactor.stop(); print(event")
    (tmp_path / "service.py").write_text(text, "utf-8")
    lines = said([sys.executable, "service.py"], tmp_path, PYTHONPATH=str(ROOT))
    assert lines == ["session.created"]


def test_a_page_uses_the_client(relay: str) -> None:
    if lack := lacking():
        pytest.skip(lack)
    told = "const told = []; window.told = told; const show = (...it) => told.push(it);"
    page_script = here(script("browser-client.md", "html"), relay)
    page_script = page_script.replace("\n", f"\n{told}\nconst play = () => null;\n", 1)
    mint = f"""
      const answer = await fetch("{relay}/v1/realtime/client_secrets", {{
        method: "POST",
        headers: {{ "Content-Type": "application/json" }},
        body: '{json.dumps({"session": {"type": "realtime", "model": "gpt-realtime"}})}',
      }});
      return (await answer.json()).value;"""
    page_script = page_script.replace(
        '(await fetch("/secret", { method: "POST" })).text()', f"{{{mint}}}"
    )
    with serving() as pages, chromium.page("uses-the-client") as page:
        whole = '<!doctype html><link rel="icon" href="data:,">' + page_script
        pages.files = {"/app.html": ("text/html", whole.encode())}
        page.goto(f"{pages.origin()}/app.html")
        page.wait_for_function('window.told?.at(-1)?.[0] === "open"')
