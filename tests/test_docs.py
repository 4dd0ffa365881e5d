"""The docs hold the code's own tables and names, and their links and examples are good."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import typing
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from types import ModuleType

import attrs
import pytest
from twisted.python import usage

import relay
from relay.commands import main as cli
from relay.commands import simulate
from relay.config.auth import ClientKeyTables
from relay.config.load import load_as
from relay.config.settings import Settings
from relay.daemon import tap
from relay.peer.seam import SEAM
from relay.rules import closes
from relay.rules.refusals import KINDS
from relay.simulator.faults import FAULTS
from relay.telemetry.kinds import METRICS
from relay.upstreams.providers import PROVIDERS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
TEXTS = [*PAGES, *sorted(ROOT.glob("*.md")), ROOT / "newsfragments" / "README.md"]

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def read(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


picture = script("picture")


# What the code has, the pages have


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_table_of_a_page_is_the_codes(page: Path) -> None:
    text = page.read_text("utf-8")
    assert script("tables").filled(text) == text, "run: python docs/tables.py"


def test_each_test_that_the_page_on_security_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / "security.md").read_text("utf-8")))
    tests = "".join(path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    assert len(named) > 40
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_every_table_is_in_a_page() -> None:
    pages = "".join(page.read_text("utf-8") for page in PAGES)
    for name in script("tables").TABLES:
        assert pages.count(f"<!-- table: {name} -->") == 1


def tables_in(cls: type) -> Iterator[type]:
    """The class and those of its tables, at any depth."""
    yield cls
    for hint in typing.get_type_hints(cls).values():
        for inner in (hint, *typing.get_args(hint)):
            if attrs.has(inner):
                yield from tables_in(inner)


TABLES = {
    "auth": "## `[auth]`",
    "limits": "## `[limits]`",
    "policy": "## `[policy]`",
    "fleet": "## `[fleet]`",
    "jwt": "## `[[auth.jwt]]`",
    "callback": "## `[auth.callback]`",
}
"""What stands on the page for a key that is a table."""


def settings() -> Iterator[str]:
    for cls in tables_in(Settings):
        for attribute in attrs.fields(cls):
            yield TABLES.get(attribute.name, f"| `{attribute.name}` |")


def close_codes() -> Iterator[str]:
    for code in sorted(closes.PASSED | closes.TRANSLATED):
        yield f"| {code} |"
    yield from ("| no code |", "| 3000 to 4999 |", "| 1004 to 1006, 1016 to 2999, 5000 up |")


def commands() -> Iterator[str]:
    yield "## `twistd realtime-relay`"
    for name in cli.COMMANDS:
        yield f"## `realtime-relay {name}`"


def flags() -> Iterator[str]:
    classes = [
        found
        for found in chain.from_iterable(vars(each).values() for each in (tap, cli, simulate))
        if isinstance(found, type) and issubclass(found, usage.Options)
    ]
    assert len(classes) >= 4, "twistd's, check's, simulate's and replay's"
    for flag in chain.from_iterable(found().longOpt for found in classes):
        yield f"`--{flag.rstrip('=')}"


def modules() -> Iterator[str]:
    for path in sorted((ROOT / "relay").iterdir()):
        if path.suffix == ".py" and path.stem != "__init__":
            yield f"`{path.stem}`"
        elif (path / "__init__.py").exists():
            yield f"`{path.name}/`"


NAMES = {
    "refusals.md": [f"| `{code}` |" for code in KINDS],
    "closes.md": [*close_codes()],
    "upstreams.md": [f"| `{name}` |" for name in PROVIDERS],
    "settings.md": [*settings()],
    "operating.md": [f"| `{name}` |" for name in METRICS],
    "simulator.md": [f"| `{fault.name}` |" for fault in FAULTS],
    "cli.md": [*commands(), *flags()],
    "api.md": [
        *(f":: relay.{name}" for name in relay.__all__),
        *(f'`"{name}"`' for name in PROVIDERS),
    ],
    "architecture.md": [*modules()],
    "autobahn.md": [f"| `{row.owner}` | `{row.name}` |" for row in SEAM],
}


@pytest.mark.parametrize("page", NAMES)
def test_every_name_is_on_its_page(page: str) -> None:
    text = read(page)
    assert [name for name in NAMES[page] if name not in text] == []


def test_every_page_is_in_the_index() -> None:
    listed = read("index.md").split("\n")
    for page in PAGES:
        assert page.stem == "index" or page.stem in listed


_AUTODOC = re.compile(
    r"auto(?:class|function):: relay\.(?P<name>\w+)(?P<signature>\(.*\))?\n"
    r"(?:   :members: (?P<members>.*)\n)?"
)

UNSIGNED = ("()", "(**fields)")
"""What nobody calls, and what another page lists."""


def documented() -> Iterator[typing.Any]:
    """Each thing whose signature the page of the API shows, and each member it lists."""
    for found in _AUTODOC.finditer(read("api.md")):
        name, signature, members = found.group("name", "signature", "members")
        value = getattr(relay, name)
        if signature not in UNSIGNED:
            yield pytest.param(value, id=name)
        for member in (members or "").split(", ") if members else ():
            yield pytest.param(vars(value)[member], id=f"{name}.{member}")


def annotations_of(value: typing.Any) -> Iterator[tuple[str, str]]:
    """The module and the text of each annotation in a signature."""
    if isinstance(value, type) and attrs.has(value):
        own = [field.name for field in attrs.fields(value) if field.init]
        yield from ((value.__module__, value.__annotations__[name]) for name in own)
        return
    if isinstance(value, type):
        value = vars(value).get("__init__", lambda: None)
    function = getattr(value, "fget", None) or getattr(value, "func", None) or value
    function = getattr(function, "__func__", function)
    yield from ((function.__module__, text) for text in function.__annotations__.values())


def is_own(value: object) -> bool:
    """Whether it is a class of the relay, or a name that it gives to a composed type."""
    module = getattr(value, "__module__", "")
    is_class = isinstance(value, type) and module.startswith("relay")
    return is_class or typing.get_origin(value) is not None


@pytest.mark.parametrize("value", [*documented()])
def test_each_name_in_a_documented_signature_is_exported(value: typing.Any) -> None:
    for module, text in annotations_of(value):
        known = vars(sys.modules[module])
        names = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
        own = {name for name in names if is_own(known.get(name))}
        assert own <= {*relay.__all__}, text


def test_the_search_finds_the_relays_own_names_in_signatures() -> None:
    """The test before this looks by these."""
    texts = [text for param in documented() for _, text in annotations_of(param.values[0])]
    assert {"Head", "Credential", "Stage | None", "Sequence[Standing]"} <= {*texts}


# Links


def slug(heading: str) -> str:
    """The anchor that a heading gets, here and on code hosts."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(heading) for heading in _HEADING.findall(_FENCE.sub("", page.read_text("utf-8")))}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if ":" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists() or target == picture.PICTURE, link
        assert not anchor or anchor in anchors(target), link


# The picture of the rooms


def test_every_room_is_in_the_picture() -> None:
    drawn = picture.draw()
    rooms = [path.stem for path in (ROOT / "relay").iterdir() if not path.name.startswith("_")]
    assert [room for room in rooms if room != "py" and f">{room}<" not in drawn] == []


def test_every_arrow_of_the_picture_points_down() -> None:
    rows = {room: number for number, row in enumerate(picture.layers()) for room in row}
    for room, row in rows.items():
        assert all(rows[target] > row for target in picture.imported(room)), room


# Examples


def examples(language: str) -> list[typing.Any]:
    """Each fenced block of a language; its id says which."""
    return [
        pytest.param(code, id=f"{page.name}-{number}")
        for page in TEXTS
        for number, (found, code) in enumerate(_FENCE.findall(page.read_text("utf-8")), 1)
        if found == language
    ]


@pytest.mark.parametrize("code", examples("toml"))
def test_toml_examples_load(code: str) -> None:
    load_as(ClientKeyTables if code.startswith("[[key]]") else Settings, code)


@pytest.mark.parametrize("code", examples("python"))
def test_python_examples_compile(code: str) -> None:
    compile(code, "example", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
