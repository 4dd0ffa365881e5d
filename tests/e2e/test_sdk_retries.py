"""The page that says how often SDKs come back says what they do."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e import node_scripts, python_scripts
from e2e.sdk_retries import PAGE, filled, measure
from e2e.sdk_seen import SDKS


def test_the_measured_table_is_the_pages(tmp_path: Path) -> None:
    node_scripts.require()
    python_scripts.require("plain")
    text = PAGE.read_text("utf-8")
    assert filled(text, measure(tmp_path)) == text, "run: cd tests && python -m e2e.sdk_retries"


@pytest.mark.parametrize("name", ["openai-python", "openai-node, by ws", "agents-realtime"])
def test_the_versions_on_the_page_are_those_installed(name: str) -> None:
    package, version, *place = SDKS[name].package.split(" ")
    assert f"`{package}` {version} {' '.join(place)}" in PAGE.read_text("utf-8")
