"""
How a configuration file becomes settings, without I/O: text in, settings or all faults out.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, cast

import attrs

from relay.config import checks
from relay.config.auth import Auth, ClientKeyTable
from relay.config.places import hint, table_in
from relay.config.settings import Settings
from relay.rules.errors import RelayError

BOM = "\ufeff"
"""What some editors put before the text of a file."""


class SettingsError(RelayError):
    """
    The text is no configuration.

    @ivar faults: all that is wrong with it; each is one line that names the key.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def load(text: str) -> Settings:
    """
    The settings that a TOML text describes.

    @raise SettingsError: with every fault, not only the first.
    """
    return cast(Settings, load_as(Settings, text))


def load_as(cls: type, text: str) -> Any:
    """
    What a TOML text describes, as an instance of an attrs class whose fields are its keys.

    @raise SettingsError: with every fault, not only the first.
    """
    try:
        # tomllib recurses into nested lists, and int() refuses thousands of digits.
        table = tomllib.loads(text.removeprefix(BOM))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError((f"not TOML: {error}",)) from None
    except (RecursionError, ValueError):
        raise SettingsError(("not TOML: nested too deeply, or a number too long",)) from None
    return _built(cls, table, cls)


def _built(cls: type, raw: dict[str, Any], root: type) -> Any:
    """
    One table as an instance of its class.

    @param root: the class of the whole text, here and below.
    @raise SettingsError: with every fault in the table; attrs would stop at the first.
    """
    # The annotations are text until they are resolved, and tell which field is a table.
    fields = attrs.fields_dict(attrs.resolve_types(cls))
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name in [name for name in fields if name in raw]:
        try:
            values[name] = _value(fields[name], raw[name], root)
        except SettingsError as error:
            faults.extend(error.faults)
        except ValueError as error:
            faults.append(str(error))
    faults.extend(_unknown(key, cls, root) for key in sorted(raw.keys() - fields.keys()))
    if not faults:
        try:
            return cls(**values)
        except ValueError as error:
            faults.append(str(error))
    raise SettingsError(tuple(faults))


def _value(attribute: attrs.Attribute[Any], raw: Any, root: type) -> Any:
    """
    The value of one field.

    @raise ValueError: if the field's validator refuses it; the text begins with the field's name.
    @raise SettingsError: with every fault of the table or tables in the field.
    """
    name = attribute.name
    kind, many = table_in(attribute)
    if kind is not None and not many:
        value = _table(kind, raw, name, f"[{name}]", root)
    elif kind is not None and (attribute.converter is None or isinstance(raw, list)):
        # A converter makes a table also of a word that stands for one.
        value = _tables(kind, raw, name, root)
    else:
        value = tuple(raw) if isinstance(raw, list) else raw
    if attribute.converter is not None:
        value = cast(Any, attribute.converter)(value)
    if attribute.validator is not None:
        attribute.validator(None, attribute, value)
    return value


def _table(cls: type, raw: Any, name: str, inside: str, root: type) -> Any:
    """
    The table in a field.

    @param name: what a fault of the whole table is told to be at.
    @param inside: what a fault of a field in the table is told to be in.
    """
    if not isinstance(raw, dict):
        raise SettingsError((f"{name}: must be a table, not {checks.kind_of(raw)}",))
    try:
        return _built(cls, raw, root)
    except SettingsError as error:
        raise SettingsError(tuple(f"{inside}: {fault}" for fault in error.faults)) from None


def _tables(cls: type, raw: Any, name: str, root: type) -> tuple[Any, ...]:
    """The tables of a name that may stand more than once."""
    if not isinstance(raw, list):
        raise SettingsError((f"{name}: must be a list of tables, written [[{name}]]",))
    built: list[Any] = []
    faults: list[str] = []
    for number, each in enumerate(raw, 1):
        where = f"[[{name}]] #{number}"
        try:
            built.append(_table(cls, each, where, where, root))
        except SettingsError as error:
            faults.extend(error.faults)
    if faults:
        raise SettingsError(tuple(faults))
    return tuple(built)


_INSTEAD: dict[type, str] = {
    Auth: "name one with keys_file, token_env or token_file",
    ClientKeyTable: "a key is known here by its hash",
}
"""What to do instead of writing a secret into a table; for other tables, the words of upstreams."""

_SECRET_NAMES = {"key", "keys", "api_key", "apikey", "secret", "password", "token", "tokens"}


def _unknown(key: str, cls: type, root: type) -> str:
    """The fault of a key that the class does not have. Its value is not looked at."""
    plain = re.fullmatch(r"[\w-]{1,60}", key)
    said = f"{key if plain else checks.shown(key)}: unknown key"
    if key.lower() in _SECRET_NAMES:
        instead = _INSTEAD.get(cls, "name one with key_env or key_file")
        return f"{said}; secrets stay out of this file, {instead}"
    meant = hint(key, cls, root)
    return f"{said} ({meant})" if meant else said
