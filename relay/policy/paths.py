"""
Fields within fields: C{audio.output.voice} is a path of three names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from relay.rules.session_kinds import lacks

Path = tuple[str, ...]
Table = dict[str, Any]

_TWINS: tuple[tuple[str, str], ...] = (
    ("audio.output.voice", "voice"),
    ("audio.output.speed", "speed"),
    ("audio.output.format", "output_audio_format"),
    ("audio.input.format", "input_audio_format"),
    ("audio.input.transcription", "input_audio_transcription"),
    ("audio.input.noise_reduction", "input_audio_noise_reduction"),
    ("audio.input.turn_detection", "turn_detection"),
    ("output_modalities", "modalities"),
    ("max_output_tokens", "max_response_output_tokens"),
    ("instructions", "prompt"),
    ("tools", "prompt"),
)
"""
Two fields that say the same: in today's form of events and in the retired one, which some services
still read. A stored prompt has instructions and tools of its own.
"""

_PAIRS = [
    (tuple(one.split(".")), tuple(other.split(".")))
    for pair in _TWINS
    for one, other in (pair, pair[::-1])
]


def as_path(dotted: str) -> Path:
    """The path that a setting writes with dots."""
    return tuple(dotted.split("."))


def leaves(table: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Each value in the table that is no table itself, or an empty one, with its path."""
    for name, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name), value


def twins(path: Path) -> Iterator[Path]:
    """Other paths by which a client could say the same, or a part of it."""
    for one, other in _PAIRS:
        if path[: len(one)] == one:
            yield other + path[len(one) :]
        elif one[: len(path)] == path:
            yield other


def put(table: Table, path: Path, value: Any) -> None:
    """Set the value; what stands in its way and is no table gives way to one."""
    for name in path[:-1]:
        inner = table.get(name)
        if not isinstance(inner, dict):
            inner = table[name] = {}
        table = inner
    table[path[-1]] = deepcopy(value)


def touches(table: Table, path: Path) -> bool:
    """Whether the table says something of this path: a value there, or no table on the way."""
    value: Any = table
    for name in path:
        if not isinstance(value, dict):
            return True
        if name not in value:
            return False
        value = value[name]
    return True


def said(table: Table, path: Path) -> list[Any]:
    """What the table says at this path: one value, or none."""
    value: Any = table
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return []
        value = value[name]
    return [value]


def fitting(table: Mapping[str, Any], kind: str) -> Table:
    """What is left of the table for a session of this kind, which has some fields only."""
    fitted: Table = {}
    for path, value in leaves(table):
        if not lacks(kind, path):
            put(fitted, path, value)
    return fitted


def drop(table: Table, path: Path) -> None:
    """Remove what the table says of this path."""
    *above, last = path
    for name in above:
        inner = table.get(name)
        if not isinstance(inner, dict):
            table.pop(name, None)
            return
        table = inner
    table.pop(last, None)


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> Table:
    """Both tables in one; where both have a value, that of C{over}."""
    both = deepcopy(dict(under))
    for path, value in leaves(over):
        put(both, path, value)
    return both


def misspelt(table: Table, paths: Iterator[Path] | list[Path]) -> str | None:
    """
    A name that differs by case from one on the paths. Some services read it as that.

    @return: the name as it should be; L{None} if there is none.
    """
    for path in paths:
        here: Any = table
        for name in path:
            if not isinstance(here, dict):
                break
            if name not in here and any(key.casefold() == name.casefold() for key in here):
                return name
            here = here.get(name)
    return None
