"""
How a configuration file becomes settings. No I/O: text in, values out, and every fault is told.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from functools import partial
from operator import eq
from typing import Any, cast

import attrs
import cattrs
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from relay.config import checks
from relay.config.settings import Auth, ListenerTable, Settings, UpstreamTable


class SettingsError(Exception):
    """
    The text is no configuration.

    @ivar faults: everything wrong with it, one line each, which names the key.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load(text: str) -> Settings:
    """
    The settings that a TOML text says.

    @raise SettingsError: with every fault, not only the first.
    """
    try:
        # tomllib recurses into nested lists, and int() refuses thousands of digits.
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError((f"not TOML: {error}",)) from None
    except (RecursionError, ValueError):
        raise SettingsError(("not TOML: nested too deeply, or a number too long",)) from None
    try:
        return _CONVERTER.structure(table, Settings)
    except BaseValidationError as error:
        raise SettingsError(tuple(_faults(error, ""))) from None


_LISTS: dict[str, type] = {"listener": ListenerTable, "upstream": UpstreamTable}
"""The tables that may stand more than once."""


def _faults(error: Exception, where: str) -> Iterator[str]:
    if isinstance(error, ForbiddenExtraKeysError):
        for key in sorted(error.extra_fields):
            yield where + _unknown(key, error.cl)
    elif isinstance(error, BaseValidationError):
        for inner in error.exceptions:
            yield from _faults(inner, where + _place(inner))
    else:
        yield where + str(error)


def _place(error: Exception) -> str:
    """Which table an error is in; the field is already named by its validator."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, IterableValidationNote):
            return f"#{int(note.index) + 1}: "
        if isinstance(note, AttributeValidationNote) and isinstance(error, BaseValidationError):
            return f"[[{note.name}]] " if note.name in _LISTS else f"[{note.name}]: "
    return ""


_SECRET_NAMES = {"key", "keys", "api_key", "apikey", "secret", "password", "token", "tokens"}


def _unknown(key: str, cls: type) -> str:
    """The fault of a key that the table has not; its value is not looked at."""
    plain = re.fullmatch(r"[\w-]{1,60}", key)
    said = f"{key if plain else checks.shown(key)}: unknown key"
    if key.lower() in _SECRET_NAMES:
        instead = "token_env or token_file" if cls is Auth else "key_env or key_file"
        return f"{said}; secrets stay out of this file, name one with {instead}"
    close = difflib.get_close_matches(key, [a.name for a in attrs.fields(cls)], n=1)
    return f"{said} (did you mean {close[0]}?)" if close else said


def _checked(attribute: attrs.Attribute[Any]) -> Any:
    """
    Structures one field and validates it at once, so that all faults of a table are found:
    attrs itself stops at the first.
    """

    def structure(raw: Any, kind: Any) -> Any:
        try:
            value = _CONVERTER.structure(raw, kind)
        except ValueError as error:
            raise ValueError(f"{attribute.name}: {error}") from None
        if attribute.converter is not None:
            value = cast(Any, attribute.converter)(value)
        if attribute.validator is not None:
            attribute.validator(None, attribute, value)
        return value

    return structure


def _table(cls: type) -> Any:
    """Structures a table, which may have no other keys than the class has fields."""
    # "Any", for the fields arrive as keyword arguments between others of other types.
    fields: dict[str, Any] = {a.name: override(struct_hook=_checked(a)) for a in attrs.fields(cls)}
    make: Any = make_dict_structure_fn(cls, _CONVERTER, _cattrs_forbid_extra_keys=True, **fields)

    def structure(raw: Any, kind: Any) -> Any:
        if not isinstance(raw, dict):
            raise ValueError(f"must be a table, not {checks.kind_of(raw)}")
        return make(raw, kind)

    return structure


def _tables(name: str, cls: Any) -> Any:
    """Structures a list of tables."""

    def structure(raw: Any, _: Any) -> Any:
        if not isinstance(raw, list):
            raise ValueError(f"must be a list of tables, written [[{name}]]")
        return tuple(_CONVERTER.structure(raw, list[cls]))

    return structure


def _as_is(raw: Any, _: Any) -> Any:
    # The validators look at the type; cattrs would make "8" a number and 1 a boolean.
    return tuple(raw) if isinstance(raw, list) else raw


_CONVERTER = cattrs.Converter(detailed_validation=True)
_CONVERTER.register_structure_hook_func(
    lambda kind: kind not in [list[cls] for cls in _LISTS.values()],  # type: ignore[valid-type]
    _as_is,
)
for _primitive in (bool, int, float, str):
    _CONVERTER.register_structure_hook(_primitive, _as_is)
for _name, _cls in _LISTS.items():
    _kind: Any = tuple[_cls, ...]  # type: ignore[valid-type]
    _CONVERTER.register_structure_hook_func(partial(eq, _kind), _tables(_name, _cls))
_CONVERTER.register_structure_hook_factory(attrs.has, _table)
