"""The docs hold the code's own tables, and name what they must."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def tables() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_those_of_the_code(page: Path) -> None:
    text = page.read_text("utf-8")
    assert tables().filled(text) == text, "run: python docs/tables.py"


def test_every_table_is_in_a_page() -> None:
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    for name in tables().TABLES:
        assert pages.count(f"<!-- table: {name} -->") == 1
