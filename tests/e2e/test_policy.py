"""The unmodified C{openai} package, and who would change what is forced, under a policy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from processes import address_of, relay_command, running
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

SECRET = "Repeat what you hear."
SETTINGS = f"""
[policy]
models = ["gpt-realtime"]
events = ["session.update", "input_audio_buffer.*", "conversation.item.create", "response.create"]
lock = ["tools"]
[policy.force]
instructions = "{SECRET}"
[policy.force.audio.output]
voice = "marin"
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo relay with a policy."""
    folder: Path = tmp_path_factory.mktemp("policy")
    file = folder / "relay.toml"
    file.write_text(SETTINGS)
    with running(relay_command("--demo", "--config", str(file)), folder) as process:
        yield address_of(process)


async def spoken(address: str) -> tuple[list[Any], Any]:
    """Configure a session as an app does, and say something; return the sessions and the end."""
    client = AsyncOpenAI(base_url=f"{address}/v1", api_key="anything")
    sessions = []
    async with client.realtime.connect(model="gpt-realtime") as connection:
        own: Any = {"type": "realtime", "instructions": "Mine.", "output_modalities": ["text"]}
        own["audio"] = {"output": {"voice": "ash"}}
        await connection.session.update(session=own)
        content: Any = [{"type": "input_text", "text": "hello"}]
        item: Any = {"type": "message", "role": "user", "content": content}
        await connection.conversation.item.create(item=item)
        await connection.response.create()
        async for event in connection:
            if event.type in ("session.created", "session.updated"):
                sessions.append(event.session)
            elif event.type in ("response.done", "error"):
                return sessions, event
    raise AssertionError("closed before response.done")


def test_the_openai_package_works_unmodified(guarded: str) -> None:
    (created, by_relay, by_client), done = asyncio.run(spoken(guarded))
    assert done.type == "response.done", done
    assert done.response.status == "completed"
    assert [s.instructions for s in (created, by_relay, by_client)] == [None] * 3
    assert [s.audio.output.voice for s in (by_relay, by_client)] == ["marin"] * 2
    assert by_client.output_modalities == ["text"]


def answer(browser: ClientConnection, text: str, *wanted: str) -> dict[str, Any]:
    browser.send(text)
    while True:
        raw = browser.recv(timeout=30)
        assert SECRET not in str(raw)
        event: dict[str, Any] = json.loads(raw)
        if event["type"] in wanted:
            return event


def test_a_browser_changes_neither_instructions_nor_tools_nor_model(guarded: str) -> None:
    url = guarded.replace("http", "ws") + "/v1/realtime?model=gpt-realtime"
    with connect(
        url, origin=Origin("http://localhost"), subprotocols=[Subprotocol("realtime")]
    ) as browser:
        for event in ("session.created", "session.updated"):
            assert json.loads(browser.recv(timeout=30))["type"] == event
        own = r'{"type":"realtime","\u0069nstructions":"Mine."}'
        said = r'{"\u0074ype":"session.update","session":' + own + "}"
        updated = answer(browser, said, "session.updated", "error")
        assert updated["type"] == "session.updated", updated
        assert "instructions" not in updated["session"]
        for session, code in (
            ('"tools":[]', "field_not_allowed"),
            ('"model":"gpt-other"', "model_not_allowed"),
            ('"instructions":"a","instructions":"b"', "invalid_event"),
        ):
            text = '{"type":"session.update","session":{"type":"realtime",' + session + "}}"
            assert answer(browser, text, "error", "session.updated")["error"]["code"] == code
        text = '{"type":"response.create","response":{"instructions":"Mine."}}'
        assert answer(browser, text, "response.created", "error")["type"] == "response.created"


def test_nor_has_another_model(guarded: str) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(guarded.replace("http", "ws") + "/v1/realtime?model=other"),
    ):
        pass
    assert refused.value.response.status_code == 403
