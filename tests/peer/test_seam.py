"""
Autobahn is what the relay relies on: each name that is touched, its form, and what it does.

An upgrade of Autobahn that changes one of them fails here, and says what was relied on.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any

import peer.reliance_connections
import peer.reliance_handshakes
import peer.reliance_parsing
import peer.reliance_sending  # noqa: F401  # each registers its checks
import pytest
from autobahn.websocket.protocol import WebSocketProtocol
from peer.reliance import CHECKS
from peer.touched import (
    HOLDERS,
    PROTOCOLS,
    imported,
    is_plain,
    options,
    stored,
    touched_by_factories,
    touched_by_protocols,
    touched_elsewhere,
)

from relay.dial.protocol import UpstreamProtocol
from relay.downstream.protocol import DownstreamProtocol
from relay.peer.seam import SEAM, Name

BY_NAME = [pytest.param(row, id=str(row)) for row in SEAM]
LISTED = {row.name for row in SEAM}
OF_PROTOCOLS = {row.name for row in SEAM if row.owner.endswith("Protocol")}
OF_FACTORIES = {(row.owner, row.name) for row in SEAM if row.owner.endswith("Factory")}
OVERRIDES = [
    pytest.param(row, cls, id=f"{cls.__name__}.{row.name}")
    for row in SEAM
    for cls in (DownstreamProtocol, UpstreamProtocol)
    if row.use == "overridden" and row.name != "__init__" and row.owner in HOLDERS
    if issubclass(cls, HOLDERS[row.owner])
]
UNREAD = {"autoPingSize", "flashSocketPolicy", "allowedOrigins", "allowNullOrigin"}
"""Options that Autobahn reads only where another option or an override keeps it from going."""


def holder(row: Name) -> Any:
    """The class or module that has it."""
    return HOLDERS[row.owner] if row.owner in HOLDERS else import_module(row.owner)


def form(function: Callable[..., object]) -> str:
    """Its signature, without C{self} and what is only annotated."""
    parameters = inspect.signature(function).parameters.values()
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return "(" + ", ".join(str(each) for each in bare if each.name != "self") + ")"


def has_form(row: Name) -> bool:
    """Whether Autobahn's is as the row says."""
    owner = holder(row)
    if row.form == "option":
        return row.name in options(owner)
    if row.form == "attribute":
        return row.name in vars(owner) or row.name in stored(owner)
    if row.form.startswith("= "):
        return repr(vars(owner)[row.name]) == row.form.removeprefix("= ")
    pattern = re.escape(row.form).replace(re.escape("..."), "[^,]+")
    return re.fullmatch(pattern, form(vars(owner)[row.name])) is not None


# Autobahn is as it is listed


@pytest.mark.parametrize("row", BY_NAME)
def test_each_name_exists_in_autobahn_in_its_form(row: Name) -> None:
    owner = holder(row)
    found = vars(owner).get(row.name)
    assert has_form(row), (
        f"{row} was {row.form}, and is {form(found) if callable(found) else found}"
    )


@pytest.mark.parametrize("row", BY_NAME)
def test_each_name_of_autobahn_does_what_is_relied_on(row: Name) -> None:
    assert str(row) in CHECKS, "nothing checks it"
    for check in CHECKS[str(row)]:
        try:
            check()
        except Exception as error:
            error.add_note(f"The relay relies on this: {row} {row.relied}. See {check.__name__}.")
            raise


@pytest.mark.parametrize(("row", "cls"), OVERRIDES)
def test_each_override_takes_the_arguments_that_autobahn_gives(row: Name, cls: type) -> None:
    theirs = [
        each.name for each in inspect.signature(vars(holder(row))[row.name]).parameters.values()
    ]
    ours = [each.name for each in inspect.signature(getattr(cls, row.name)).parameters.values()]
    assert ours == theirs


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (DownstreamProtocol, WebSocketProtocol.CONFIG_ATTRS_SERVER),
        (UpstreamProtocol, WebSocketProtocol.CONFIG_ATTRS_CLIENT),
    ],
)
def test_each_option_of_autobahn_is_set(cls: type, names: list[str]) -> None:
    wanted = {*WebSocketProtocol.CONFIG_ATTRS_COMMON, *names} - UNREAD
    # The limit of a message comes from the settings.
    assert {name for name in wanted if not hasattr(cls, name)} == {"maxMessagePayloadSize"}


# The list is what the relay touches


def test_each_name_that_the_protocols_touch_is_listed() -> None:
    assert touched_by_protocols() - OF_PROTOCOLS == set()


def test_each_name_that_other_modules_touch_is_listed() -> None:
    assert touched_elsewhere() - LISTED == set()


def test_each_name_that_the_factories_have_for_autobahn_is_listed() -> None:
    assert touched_by_factories() - OF_FACTORIES == set()


def test_each_import_from_autobahn_is_listed() -> None:
    names = {name for module, name in imported() if (module, name) not in _listed_in_modules()}
    assert names - set(HOLDERS) == set()


def _listed_in_modules() -> set[tuple[str, str]]:
    return {(row.owner, row.name) for row in SEAM if row.owner not in HOLDERS}


def test_each_listed_name_is_touched() -> None:
    touched = touched_by_protocols() | touched_elsewhere()
    # A word that anyone may have is searched for in the protocols alone.
    assert {name for name in OF_PROTOCOLS - touched if not is_plain(name)} == set()
    assert _listed_in_modules() <= imported()


def test_each_check_is_of_a_listed_name() -> None:
    assert CHECKS.keys() - {str(row) for row in SEAM} == set()


# The search finds what is added


class Another(DownstreamProtocol):
    """Touches what no protocol of the relay's touches."""

    autoPingSize = 4

    def onMessageBegin(self, isBinary: bool) -> None:
        """Override one."""
        self.wasClean = True
        self.beginMessage(isBinary)
        print(self.send_state)


def test_an_unlisted_override_or_use_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("peer.touched.PROTOCOLS", [*PROTOCOLS, Another])
    added = {"autoPingSize", "onMessageBegin", "wasClean", "beginMessage", "send_state"}
    assert touched_by_protocols() - OF_PROTOCOLS == added
