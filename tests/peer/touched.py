"""Find each name of Autobahn's that the relay's protocols touch, by their classes and source."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from autobahn.twisted import websocket as adapters
from autobahn.websocket import protocol as protocols
from twisted.internet.interfaces import IConsumer, ITCPTransport

import relay
from relay.dial.protocol import UpstreamFactory, UpstreamProtocol
from relay.downstream.protocol import DownstreamFactory, DownstreamProtocol
from relay.peer.autobahn import HANDSHAKE, INITIAL

HOLDERS: dict[str, Any] = {
    "WebSocketAdapterProtocol": adapters.WebSocketAdapterProtocol,
    "WebSocketProtocol": protocols.WebSocketProtocol,
    "WebSocketServerProtocol": protocols.WebSocketServerProtocol,
    "WebSocketClientProtocol": protocols.WebSocketClientProtocol,
    "WebSocketServerFactory": protocols.WebSocketServerFactory,
    "WebSocketClientFactory": protocols.WebSocketClientFactory,
}
"""Autobahn's classes by their names."""

UPSTREAMS = {"simulator", "recording"}
"""The rooms that use Autobahn's server as it is, and override what its manual names."""


def _is_of(cls: type, package: str) -> bool:
    return cls.__module__.split(".")[0] == package


def _line(*classes: type) -> dict[type, None]:
    return dict.fromkeys(above for cls in classes for above in cls.__mro__)


PROTOCOLS = [cls for cls in _line(DownstreamProtocol, UpstreamProtocol) if _is_of(cls, "relay")]
"""The relay's classes that inherit from Autobahn's protocols, and their mix-ins."""

_LINE = _line(DownstreamProtocol, UpstreamProtocol)
_NAMED_BY_TWISTED = {
    *(name for cls in _LINE if not _is_of(cls, "relay") and not _is_of(cls, "autobahn")
      for name in dir(cls)),
    *ITCPTransport.names(all=True),
    *IConsumer.names(all=True),
}  # fmt: skip


@cache
def tree(cls: type) -> ast.Module:
    """The source of a class."""
    return ast.parse(textwrap.dedent(inspect.getsource(cls)))


def attributes(node: ast.AST) -> Iterator[ast.Attribute]:
    """Each C{X.name} in it."""
    return (found for found in ast.walk(node) if isinstance(found, ast.Attribute))


def _is_own(node: ast.Attribute) -> bool:
    """Whether it is of C{self} or C{super()}."""
    base = node.value.func if isinstance(node.value, ast.Call) else node.value
    return isinstance(base, ast.Name) and base.id in ("self", "super")


def stored(cls: type) -> set[str]:
    """What its methods set on C{self}."""
    return {n.attr for n in attributes(tree(cls)) if _is_own(n) and isinstance(n.ctx, ast.Store)}


def options(cls: type) -> set[str]:
    """What its factory hands on."""
    common = set(protocols.WebSocketProtocol.CONFIG_ATTRS_COMMON)
    if cls is protocols.WebSocketProtocol:
        return common
    return set(getattr(cls, "CONFIG_ATTRS", ())) - common


@cache
def names(*classes: type) -> frozenset[str]:
    """All that Autobahn's classes among these call theirs."""
    theirs = [cls for cls in _line(*classes) if _is_of(cls, "autobahn")]
    of_each = (set(vars(cls)) | stored(cls) | options(cls) for cls in theirs)
    return frozenset().union(*of_each)


def is_plain(name: str) -> bool:
    """Whether it is a word that anyone may have: C{data}, C{state}, C{peer}."""
    return name.isalpha() and name.islower()


def _defined(cls: type) -> set[str]:
    """What a class has and sets, but what is copied to it from Autobahn."""
    found = {name for name in vars(cls) if name not in INITIAL or _is_own_default(cls, name)}
    return found | stored(cls)


def _is_own_default(cls: type, name: str) -> bool:
    return vars(cls)[name] is not INITIAL[name]


def _dunders(found: Iterable[str]) -> set[str]:
    return {name for name in found if name.startswith("__") and name != "__init__"}


def touched_by_protocols() -> set[str]:
    """What the relay's protocols override, set, or use of themselves."""
    theirs = names(DownstreamProtocol, UpstreamProtocol)
    found = {name for cls in PROTOCOLS for name in _defined(cls)}
    found |= {node.attr for cls in PROTOCOLS for node in attributes(tree(cls)) if _is_own(node)}
    return (found & theirs) - _dunders(found) | set(HANDSHAKE)


def modules() -> Iterator[Path]:
    """The relay's modules, but those of its own upstreams."""
    package = Path(relay.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if UPSTREAMS.isdisjoint(path.relative_to(package).parts):
            yield path


def touched_elsewhere() -> set[str]:
    """What any module uses of any other object, by names that only Autobahn has."""
    theirs = names(DownstreamProtocol, UpstreamProtocol) - _NAMED_BY_TWISTED
    trees = (ast.parse(path.read_text("utf-8")) for path in modules())
    found = {node.attr for tree in trees for node in attributes(tree) if not _is_own(node)}
    return {name for name in found & theirs if not is_plain(name)} - _dunders(found)


def touched_by_factories() -> set[tuple[str, str]]:
    """What the two factories are for Autobahn, whether they inherit from its own or not."""
    pairs = [
        (DownstreamFactory, protocols.WebSocketServerFactory),
        (UpstreamFactory, protocols.WebSocketClientFactory),
    ]
    return {
        (theirs.__name__, name)
        for ours, theirs in pairs
        for name in _defined(ours) & (set(dir(theirs)) | stored(theirs))
        if not name.startswith("__")
    }


def imported() -> set[tuple[str, str]]:
    """The module and name of each import from Autobahn."""
    return {
        (node.module or "", alias.name)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autobahn")
        for alias in node.names
    }
