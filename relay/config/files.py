"""The files that the settings name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, cast

import attrs

from relay.config.fields import FILE, SECRET
from relay.config.settings import Settings


def beside(settings: Settings, folder: str) -> Settings:
    """The settings, with each relative path of a file against this folder."""
    return cast(Settings, _beside(settings, folder, is_file=False))


def _beside(value: Any, folder: str, *, is_file: bool) -> Any:
    if isinstance(value, tuple):
        return tuple(_beside(each, folder, is_file=is_file) for each in value)
    if attrs.has(type(value)):
        fields = {each.name: FILE in each.metadata for each in attrs.fields(type(value))}
        inside = {
            name: _beside(getattr(value, name), folder, is_file=is_file)
            for name, is_file in fields.items()
        }
        return attrs.evolve(value, **inside)
    return os.path.join(folder, value) if is_file and value is not None else value


def secrets_in(table: Any, inside: str = "") -> Iterator[tuple[str, str]]:
    """The files that the relay alone should be able to read: the key that names each, the path."""
    for attribute in attrs.fields(type(table)):
        name, value = attribute.name, getattr(table, attribute.name)
        if SECRET in attribute.metadata and attribute.metadata[SECRET](table):
            paths = value if isinstance(value, tuple) else (value,)
            yield from ((f"{inside}{name}", path) for path in paths if path is not None)
        elif isinstance(value, tuple) and value and attrs.has(type(value[0])):
            for number, each in enumerate(value, 1):
                yield from secrets_in(each, f"{inside}[[{name}]] #{number}: ")
        elif attrs.has(type(value)):
            yield from secrets_in(value, f"{inside}[{name}]: ")
