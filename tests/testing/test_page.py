"""The tests on the page of the docs pass, as they stand there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


def example() -> dict[str, Any]:
    """What the page's one example defines."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


TESTS = {name: value for name, value in example().items() if name.startswith("test_")}


@pytest.mark.parametrize("name", TESTS)
def test_the_example_of_the_testing_page_passes(name: str) -> None:
    TESTS[name]()


def test_the_testing_page_has_a_script_of_every_kind() -> None:
    import relay.testing.upstream as module

    public = {n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__}
    scripts = {name for name in public if name.islower()} - {"CREATED"}
    listed = set(re.findall(r"^\| `(\w+)", PAGE.read_text("utf-8"), re.M))
    assert listed == scripts
