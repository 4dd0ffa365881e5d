"""What a session's client may say, as a value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import optional

from relay.policy.paths import merged
from relay.policy.strict import serialised
from relay.rules.errors import InvalidValue, wanted
from relay.rules.refusals import Refusal, refuse


def _names(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, (tuple, frozenset)) or not all(
        isinstance(name, str) and all(name.split(".")) for name in value
    ):
        raise wanted(f"{attribute.name} of a Policy must be a tuple of names", value)


def _fields(_: object, attribute: Attribute[Any], value: object) -> None:
    if fault := fault_of_fields(value):
        raise InvalidValue(f"{attribute.name} of a Policy {fault}")


def fault_of_fields(value: object) -> str | None:
    """Why the value is no table of JSON; L{None} if it is one."""
    if not isinstance(value, Mapping):
        return "must be a table"
    try:
        _ = serialised(value)
    except (TypeError, ValueError, RecursionError):
        return "must hold what JSON can say"
    return "says its model by models" if "model" in value else None


def fault_of_name(name: str) -> str | None:
    """Why the value is neither a name nor names with dots between; L{None} if it is."""
    return None if name.isprintable() and all(name.split(".")) else "must be names with dots"


def _whole(_: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1024:
        raise wanted(f"{attribute.name} of a Policy must be a number from 1024 up", value)


@frozen(kw_only=True)
class Policy:
    """
    What the client of a session may say. By default it may say everything.

    @ivar models: the models that it may name; L{None} for all.
    @ivar events: types of the events that it may send, where C{*} at the end stands for any rest;
        L{None} for all.
    @ivar force: fields of the session that have these values, whatever the client says. Its
        C{instructions} are hidden from the client.
    @ivar default: fields of the session that have these values until the client says otherwise.
    @ivar lock: fields, with dots between the names, that an event of the client may not say.
    @ivar event_bytes: most bytes of an event, apart from one that is nothing but audio.
    @raise InvalidValue: for a value or a type that is none of these.
    """

    models: tuple[str, ...] | None = field(default=None, validator=optional(_names))
    events: tuple[str, ...] | None = field(default=None, validator=optional(_names))
    force: Mapping[str, Any] = field(factory=dict, hash=False, validator=_fields, repr=False)
    default: Mapping[str, Any] = field(factory=dict, hash=False, validator=_fields, repr=False)
    lock: tuple[str, ...] = field(default=(), validator=_names)
    event_bytes: int = field(default=262_144, validator=_whole)

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        named = self.models is not None or self.events is not None
        return bool(named or self.force or self.default or self.lock)

    def allows_model(self, model: object) -> bool:
        """Whether the client may name this model."""
        return self.models is None or model in self.models

    def allows_event(self, kind: str) -> bool:
        """Whether the client may send events of this type."""
        return self.events is None or any(_fits(kind, each) for each in self.events)

    def refusal_of(self, model: str | None) -> Refusal | None:
        """Why a request for this model gets no session; L{None} if it may have one."""
        if self.allows_model(model):
            return None
        said = "Name a model; this relay allows some only." if model is None else None
        return refuse("model_not_allowed", said)

    def within(self, outer: Policy) -> Policy:
        """
        This policy within an outer one: what both allow. Of two forced values the outer one's
        counts, of two defaults this one's.
        """
        return Policy(
            models=_both(self.models, outer.models),
            events=_common(self.events, outer.events),
            force=merged(self.force, outer.force),
            default=merged(outer.default, self.default),
            lock=tuple(dict.fromkeys([*outer.lock, *self.lock])),
            event_bytes=min(self.event_bytes, outer.event_bytes),
        )


def fixing(session: Mapping[str, Any]) -> Policy:
    """The policy that forces a session's fields, and its model if it names one."""
    model = session.get("model")
    fields = {name: value for name, value in session.items() if name != "model"}
    return Policy(force=fields, models=None if model is None else (model,))


def _fits(kind: str, allowed: str) -> bool:
    return kind.startswith(allowed[:-1]) if allowed.endswith("*") else kind == allowed


def _both(some: tuple[str, ...] | None, others: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if some is None or others is None:
        return others if some is None else some
    return tuple(each for each in some if each in others)


def _common(some: tuple[str, ...] | None, others: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The narrower of each two patterns that one of them covers."""
    if some is None or others is None:
        return others if some is None else some
    return tuple(dict.fromkeys([*_covered(some, others), *_covered(others, some)]))


def _covered(some: Iterable[str], by: Iterable[str]) -> list[str]:
    return [each for each in some if any(_fits(each, other) for other in by)]
