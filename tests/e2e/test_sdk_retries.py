"""The page that says how often SDKs come back says what they do."""

from __future__ import annotations

import json
from pathlib import Path

from e2e import node_scripts
from e2e.sdk_retries import PAGE, filled, measure

DEPENDENCIES = json.loads((node_scripts.FOLDER / "package.json").read_text())["dependencies"]


def test_the_measured_table_is_the_pages(tmp_path: Path) -> None:
    node_scripts.require()
    text = PAGE.read_text("utf-8")
    assert filled(text, measure(tmp_path)) == text, "run: cd tests && python -m e2e.sdk_retries"


def test_the_versions_on_the_page_are_those_installed() -> None:
    text = PAGE.read_text("utf-8")
    for package in ("openai", "@openai/agents-realtime"):
        assert f"`{package}` {DEPENDENCIES[package]} on npm" in text
