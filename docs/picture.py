"""
Draw the rooms of C{relay/} and what each imports, from the imports themselves.

    python docs/picture.py

writes C{docs/rooms.svg}, as does each build of the docs. The rows are the layers that import-linter
holds (C{pyproject.toml}), so every arrow points down.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parent.parent
PICTURE = Path(__file__).parent / "rooms.svg"

EVERYWHERE = {"rules", "timing"}
"""Nearly every room imports these: their arrows would hide the others."""

WIDTH, ROW, BOX, HEIGHT = 880, 64, 150, 34


def layers() -> list[list[str]]:
    """The rooms, row by row, top to bottom."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contract = settings["tool"]["importlinter"]["contracts"][0]
    return [row.replace("(", "").replace(")", "").split(" | ") for row in contract["layers"]]


def files(room: str) -> list[Path]:
    """The modules of a room, which may be a module itself."""
    folder = ROOT / "relay" / room
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


def imported(room: str) -> set[str]:
    """The other rooms that this one imports from."""
    found = {name for path in files(room) for name in _imports(ast.parse(path.read_text("utf-8")))}
    return found - {room}


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("relay."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.ImportFrom) and node.module == "relay":
            yield "factory"  # what embedders import


def _places(rows: list[list[str]]) -> dict[str, tuple[float, float]]:
    """The middle of each room's box."""
    return {
        room: (WIDTH * (column + 1) / (len(row) + 1), ROW * number + ROW / 2)
        for number, row in enumerate(rows)
        for column, room in enumerate(row)
    }


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    (x, y), (to_x, to_y) = start, end
    y, to_y = y + HEIGHT / 2, to_y - HEIGHT / 2
    bend = (to_y - y) / 2
    curve = f"M{x:.0f},{y:.0f} C{x:.0f},{y + bend:.0f} {to_x:.0f},{to_y - bend:.0f}"
    return f'<path d="{curve} {to_x:.0f},{to_y:.0f}" marker-end="url(#tip)"/>'


def _box(room: str, place: tuple[float, float]) -> str:
    x, y = place
    lines = sum(path.read_text("utf-8").count("\n") for path in files(room))
    left, top = x - BOX / 2, y - HEIGHT / 2
    return (
        f'<rect x="{left:.0f}" y="{top:.0f}" width="{BOX}" height="{HEIGHT}" rx="5"/>'
        f'<text x="{x:.0f}" y="{y + 4:.0f}">{escape(room)}'
        f'<tspan class="size"> {lines}</tspan></text>'
    )


STYLE = """
path { fill: none; stroke: #7a8aa0; stroke-opacity: .45 }
rect { fill: #f4f6f9; stroke: #4a5a70 }
text { font: 14px sans-serif; text-anchor: middle; fill: #1c2430 }
.size { font-size: 11px; fill: #6a7686 }
"""

TIP = (
    '<defs><marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="7" markerHeight="7"'
    ' orient="auto"><path d="M0,0 L6,3 L0,6" style="fill:#7a8aa0;stroke:none"/></marker></defs>'
)


def draw() -> str:
    """The picture as SVG; a number is a room's lines."""
    rows = layers()
    places = _places(rows)
    arrows = [
        _arrow(places[room], places[target])
        for room in places
        for target in sorted(imported(room) & places.keys() - EVERYWHERE)
    ]
    boxes = [_box(*item) for item in places.items()]
    size = f'viewBox="0 0 {WIDTH} {ROW * len(rows)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>{TIP}'
    return "\n".join([head, *arrows, *boxes, "</svg>\n"])


if __name__ == "__main__":
    PICTURE.write_text(draw(), "utf-8")
