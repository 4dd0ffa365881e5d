"""An app's backend mints by its key and its page connects, both with the unmodified SDKs."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import openai
import pytest
from attrs import frozen
from e2e import chromium, node_scripts
from e2e.pages import browse, lacking, serving
from e2e.relays import Authority, Relay, authority, demo_command, listening
from openai import AsyncOpenAI, OpenAI
from processes import SECONDS, address_of, environ, relay_command, running
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
COMMAND = [sys.executable, "-c", "from relay.commands.main import main; main()"]


@frozen
class Guarded:
    """
    A demo relay that wants a key.

    @ivar key: a key of the app C{shop}.
    """

    relay: Relay
    key: str
    config: Path
    trusted: Authority

    def token(self, *words: str) -> str:
        """What C{realtime-relay token} prints."""
        command = [*COMMAND, "token", *words, "--config", str(self.config)]
        done = subprocess.run(
            command, env=environ(), capture_output=True, text=True, timeout=SECONDS, check=True
        )
        return done.stdout.strip()

    def client(self, key: str) -> AsyncOpenAI:
        """The SDK's client."""
        return AsyncOpenAI(base_url=f"{self.relay.plain}/v1", api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """It, running."""
    folder = tmp_path_factory.mktemp("guarded")
    trusted = authority(folder)
    config = folder / "keys-only.toml"
    auth = f'[auth]\nkeys_file = "{folder}/keys.toml"\nsigning_keys = ["{folder}/signing.key"]\n'
    config.write_text(auth)
    (folder / "signing.key").write_text("f" * 64)
    made = Guarded(Relay("", "", None), "", config, trusted)  # type: ignore[arg-type]
    key = made.token("new", "shop")
    command = demo_command(folder, trusted)
    with Path(command[-1]).open("a") as file:
        file.write(f"\n{auth}")
    with listening(command, folder) as relay:
        yield Guarded(relay, key, config, trusted)


async def first_event(client: AsyncOpenAI, model: str = "gpt-realtime") -> Any:
    async with client.realtime.connect(model=model) as connection:
        return (await connection.recv()).type


async def status_of(client: AsyncOpenAI, model: str = "gpt-realtime") -> int:
    with pytest.raises(InvalidStatus) as caught:
        await first_event(client, model)
    return caught.value.response.status_code


async def told(guarded: Guarded, path: str, secret: str) -> Any:
    """The session that upstream has once it was told what the secret was minted for."""
    url = f"{guarded.relay.plain}/v1/{path}".replace("http", "ws", 1)
    headers = {"Authorization": f"Bearer {secret}"}
    async with connect(url, additional_headers=headers) as socket:
        assert json.loads(await socket.recv())["type"] == "session.created"
        updated = json.loads(await socket.recv())
    assert updated["type"] == "session.updated"
    return updated["session"]


def test_the_python_sdk_mints_and_connects(guarded: Guarded) -> None:
    async def mint_and_connect() -> None:
        secret = await guarded.client(guarded.key).realtime.client_secrets.create(
            session={"type": "realtime", "model": "gpt-realtime"},
            expires_after={"anchor": "created_at", "seconds": 60},
        )
        assert secret.session.type == "realtime"
        type(secret).model_validate(secret.to_dict(), strict=True)
        client = guarded.client(secret.value)
        assert await first_event(client) == "session.created"
        assert await status_of(client, "other") == 403
        with pytest.raises(openai.PermissionDeniedError, match="cannot mint another"):
            await client.realtime.client_secrets.create()

    asyncio.run(mint_and_connect())


def test_the_python_sdk_mints_for_a_translation(guarded: Guarded) -> None:
    client = OpenAI(base_url=f"{guarded.relay.plain}/v1", api_key=guarded.key)
    secret = client.realtime.translations.client_secrets.create(
        session={"model": "gpt-realtime-translate", "audio": {"output": {"language": "de"}}}
    )
    assert secret.session.model == "gpt-realtime-translate"
    path = "realtime/translations?model=gpt-realtime-translate"
    session = asyncio.run(told(guarded, path, secret.value))
    assert session["audio"]["output"]["language"] == "de"


def test_the_python_sdk_mints_for_a_transcription(guarded: Guarded) -> None:
    client = OpenAI(base_url=f"{guarded.relay.plain}/v1", api_key=guarded.key)
    transcription: Any = {"model": "gpt-4o-transcribe", "language": "de"}
    secret = client.realtime.client_secrets.create(
        session={"type": "transcription", "audio": {"input": {"transcription": transcription}}}
    )
    session = asyncio.run(told(guarded, "realtime?intent=transcription", secret.value))
    assert session["type"] == "transcription"
    assert session["audio"]["input"]["transcription"]["language"] == "de"


def test_a_wrong_key_is_told_by_the_sdk(guarded: Guarded) -> None:
    async def all_wrong() -> None:
        client = guarded.client("rk_wrong")
        assert await status_of(client) == 401
        with pytest.raises(openai.AuthenticationError):
            await client.realtime.client_secrets.create()
        assert await status_of(guarded.client("ek_of_openai")) == 401

    asyncio.run(all_wrong())


def test_a_key_that_is_revoked_is_refused_at_once_and_its_name_is_in_the_records(
    guarded: Guarded,
) -> None:
    key = guarded.token("new", "kiosk")
    assert asyncio.run(first_event(guarded.client(key))) == "session.created"
    guarded.relay.log.take_until(lambda record: record.get("subject") == "kiosk")
    assert "kiosk" in guarded.token("list").split()
    guarded.token("revoke", "kiosk")
    assert asyncio.run(status_of(guarded.client(key))) == 401
    assert asyncio.run(first_event(guarded.client(guarded.key))) == "session.created"


def test_the_node_sdk_mints_and_connects(guarded: Guarded) -> None:
    node_scripts.require()
    out = node_scripts.run(
        "client_secret.mjs",
        f"{guarded.relay.secure}/v1",
        guarded.key,
        ca_file=guarded.trusted.ca_file,
    )
    assert json.loads(out) == {"first": "session.created", "type": "realtime", "close": 1000}


CDN = "https://cdn.jsdelivr.net/npm/@openai/agents-realtime/dist/bundle/"
BUNDLE = node_scripts.MODULES / "@openai/agents-realtime/dist/bundle"

REPORTING = """
<script type="module">
const shown = document.querySelector("pre");
const told = () => JSON.stringify({ shown: shown.textContent.split("\\n").map((l) => [l]) });
new MutationObserver(() => {
  if (shown.textContent.includes("LAST"))
    fetch("/seen?tutorial", { method: "POST", body: told() });
}).observe(shown, { childList: true });
</script>"""


def shown_by(
    page: int, relay: str, last: str, folder: Path, files: Mapping[str, tuple[str, bytes]]
) -> list[str]:
    """What a page of the tutorial shows, up to its last word, with a relay at this address."""
    pages = re.findall(r"```html\n(.*?)```", TUTORIAL.read_text("utf-8"), re.DOTALL)
    text = pages[page].replace("127.0.0.1:8080", relay).replace(CDN, "/")
    whole = text + REPORTING.replace("LAST", last)
    with serving() as served:
        served.files = {"/talk.html": ("text/html", whole.encode()), **files}
        seen = browse(served, "/talk.html", folder)["tutorial"]["shown"]
    return [line.strip() for (line,) in seen]


def test_the_page_of_the_tutorial_mints_and_talks(tmp_path: Path) -> None:
    lack = lacking()
    if lack:
        pytest.skip(lack)
    with running(relay_command("--demo"), tmp_path) as process:
        relay = address_of(process).removeprefix("http://")
        lines = shown_by(0, relay, "closed", tmp_path, {})
    assert lines[0] == "session.created"
    assert "response.output_text.delta Hello, parrot." in lines
    assert lines[-3:] == ["response.done", "closed 1000", ""]


def test_the_agent_of_the_tutorial_mints_and_talks(tmp_path: Path) -> None:
    lack = lacking()
    if lack:
        pytest.skip(lack)
    node_scripts.require()
    files = {
        f"/{path.name}": ("text/javascript", path.read_bytes()) for path in BUNDLE.glob("*.mjs")
    }
    with running(relay_command("--demo"), tmp_path) as process:
        relay = address_of(process).removeprefix("http://")
        lines = shown_by(1, relay, "response.done", tmp_path, files)
    assert "session.created" in lines
    assert "response.output_audio_transcript.done Hello, parrot." in lines
    assert not [line for line in lines if "error" in line]


def test_the_browser_build_of_openai_connects_with_a_secret(tmp_path: Path) -> None:
    node_scripts.require(node_scripts.BUNDLING)
    trusted = authority(tmp_path)
    files = node_scripts.bundled(node_scripts.FOLDER / "browser", tmp_path / "bundle")
    with listening(demo_command(tmp_path, trusted), tmp_path) as relay, serving() as pages:
        client = OpenAI(base_url=f"{relay.plain}/v1", api_key="anything", max_retries=0)
        session: Any = {"type": "realtime", "model": "gpt-realtime"}
        value = client.realtime.client_secrets.create(session=session).value
        told = {"base": f"{relay.secure}/v1", "value": value, "model": "gpt-realtime"}
        pages.files = {**files, "/openai.json": ("application/json", json.dumps(told).encode())}
        with chromium.page("openai", "--ignore-certificate-errors") as page:
            page.goto(f"{pages.origin()}/index.html")
            page.get_by_text("closed").wait_for()
            lines = page.inner_text("pre").split()
    assert lines[0] == "session.created"
    assert " ".join(lines).endswith("response.done closed 1000")
    assert "response.output_text.delta Hello, parrot." in " ".join(lines)
