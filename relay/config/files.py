"""The files that the settings name."""

from __future__ import annotations

import os
from typing import Any, cast

import attrs

from relay.config.fields import FILE
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
