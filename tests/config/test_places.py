"""A key in the wrong table is told its place."""

from __future__ import annotations

import attrs
import pytest

from relay.config.auth import ClientKeyTables
from relay.config.load import SettingsError, load_as
from relay.config.places import TOP, places
from relay.config.settings import Limits, Settings


def told(text: str, root: type = Settings) -> str:
    with pytest.raises(SettingsError) as caught:
        load_as(root, text)
    (fault,) = caught.value.faults
    return fault


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sessions = 1", "sessions: unknown key (sessions belongs to [limits])"),
        (
            "[limits]\nhold_seconds = 8",
            f"[limits]: hold_seconds: unknown key (hold_seconds belongs to {TOP})",
        ),
        (
            'key_file = "x"',
            "key_file: unknown key (key_file belongs to [[upstream]] or [[auth.jwt]])",
        ),
        ("jwt = []", "jwt: unknown key (jwt is written [[auth.jwt]])"),
        ("[callback]", "callback: unknown key (callback is written [auth.callback])"),
        (
            "sesions = 1",
            "sesions: unknown key (did you mean sessions, which belongs to [limits]?)",
        ),
        ("[auth]\ntoken_fil = 1", "[auth]: token_fil: unknown key (did you mean token_file?)"),
        ("realtime = 1", "realtime: unknown key"),
    ],
)
def test_an_unknown_key_is_told_where_it_belongs(text: str, said: str) -> None:
    assert told(text) == said


def test_every_limit_at_the_top_is_told_its_table() -> None:
    for attribute in attrs.fields(Limits):
        name = attribute.name
        assert told(f"{name} = 1") == f"{name}: unknown key ({name} belongs to [limits])"


def test_every_key_has_a_place() -> None:
    assert {attribute.name for attribute in attrs.fields(Settings)} <= places(Settings).keys()


def test_the_file_of_keys_has_places_of_its_own() -> None:
    found = told("[[key]]\nholds = 1", ClientKeyTables)
    assert found == "[[key]] #1: holds: unknown key (holds belongs to [key.limits])"
