"""
One session's events under its policy: what the client sends, and what upstream answers.

Source: OpenAI's Realtime and Live references, client events C{session.update}, C{session.start},
C{response.create} and C{conversation.item.create}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import permutations
from typing import Any, Literal

from relay.policy.denials import Denied, denial
from relay.policy.paths import (
    Path,
    as_path,
    drop,
    fitting,
    leaves,
    merged,
    misspelt,
    put,
    said,
    touches,
    twins,
)
from relay.policy.policy import Policy
from relay.policy.strict import NotStrict, parse_strict, serialised
from relay.rules.said import Said, error_in
from relay.rules.session_kinds import lacks, model_paths
from relay.rules.values import as_table, as_text

Goes = tuple[Literal["upstream", "downstream"], bytes]
"""Whom a message goes to, and what goes."""

APPENDS = (
    "input_audio_buffer.append",
    "session.input_audio.append",
    "session.input_audio_buffer.append",
)
"""Events that are nothing but audio: of sessions, of Live sessions, of translations."""

_READ: list[Path] = [("type",), ("event_id",), ("session",), ("response",), ("item",), ("model",)]
_INSTRUCTIONS: list[Path] = [("instructions",), ("prompt",)]
_SPEAKERS = ("user", "assistant")


class Rejected(Exception):
    """
    Upstream did not take the policy's own C{session.update}.

    @ivar said: what it said.
    """

    def __init__(self, said: Said) -> None:
        super().__init__()
        self.said = said


def plain_append(policy: Policy) -> re.Pattern[bytes]:
    """
    What matches, as a whole, an allowed event that is nothing but audio, in the form in which
    SDKs write it. Nothing in it can be read in two ways, so it is not parsed.
    """
    kinds = b"|".join(re.escape(kind).encode() for kind in APPENDS if policy.allows_event(kind))
    kind = rb'"type": ?"(?:' + (kinds or rb"(?!)") + rb')"'
    audio = rb'"audio": ?"[A-Za-z0-9+/]*+={0,2}"'
    own_id = rb'"event_id": ?"[A-Za-z0-9_-]{1,128}"'
    orders = [*permutations([kind, audio]), *permutations([kind, audio, own_id])]
    return re.compile(rb"\{(?:" + b"|".join(map(rb", ?".join, orders)) + rb")\}")


class Check:
    """
    The events of one session.

    @param request_id: the session's, for the ids of the relay's own events.
    """

    def __init__(self, policy: Policy, request_id: str) -> None:
        self._policy = policy
        self._kind = ""
        self._fits = True
        self._request_id = request_id
        self._plain = plain_append(policy).fullmatch
        self._forced = list(leaves(policy.force))
        forced = [path for path, _ in self._forced]
        self._dropped = _twins_of(forced)
        locked = [as_path(dotted) for dotted in policy.lock]
        self._locked = [*locked, *_twins_of(locked)]
        self._mute = [*forced, *self._dropped]
        self._guarded = [*self._mute, *self._locked]
        self._instructs = any(path[:1] in _INSTRUCTIONS for path in [*forced, *locked])
        self._hides = "instructions" in policy.force
        self._denials = 0
        self._awaits_answer = False

    # -- what the client sends -------------------------------------------------------------

    def sent(self, payload: bytes, is_binary: bool) -> Goes:
        """
        Look at a message of the client.

        @return: what upstream gets of it; or the error event that the client gets.
        """
        if not is_binary and self._plain(payload):
            return "upstream", payload
        event: dict[str, Any] = {}
        try:
            event = self._parsed(payload, is_binary)
            self._look_at(event)
            return "upstream", serialised(event)
        except Denied as denied:
            self._denials += 1
            told = denial(denied, self._request_id, self._denials, event.get("event_id"))
            return "downstream", told

    def _parsed(self, payload: bytes, is_binary: bool) -> dict[str, Any]:
        if is_binary:
            raise Denied("invalid_event", "it is binary")
        if len(payload) > self._policy.event_bytes:
            raise Denied("event_too_large", str(self._policy.event_bytes))
        try:
            return parse_strict(payload)
        except NotStrict as fault:
            raise Denied("invalid_event", str(fault)) from None

    def _look_at(self, event: dict[str, Any]) -> None:
        """Change what is forced. @raise Denied: for what is not allowed."""
        _well_spelt(event, _READ)
        kind = event.get("type")
        if not isinstance(kind, str):
            raise Denied("invalid_event", "its type is no string", "type")
        if not self._policy.allows_event(kind) or self._gives_instructions(kind):
            raise Denied("event_not_allowed", f"the event {kind}", "type")
        self._look_at_models(event, [("model",)], "")
        for name in ("session", "response"):
            if event.get(name) is not None:
                self._look_inside(event, name)
        session, response = event.get("session"), event.get("response")
        if session is not None or kind == "session.start":
            event["session"] = self._session(session or {}, kind == "session.start")
        for path in self._mute if response else ():
            drop(event["response"], path)
        self._look_at_items([event.get("item"), *_list(as_table(response).get("input"))])

    def _gives_instructions(self, kind: str) -> bool:
        return self._instructs and kind == "session.instructions.append"

    def _look_inside(self, event: dict[str, Any], name: str) -> None:
        """Look at a session's or a response's fields."""
        table = event[name]
        if not isinstance(table, dict):
            raise Denied("invalid_event", f"its {name} is no object", name)
        models = model_paths(self._kind if name == "session" else "")
        _well_spelt(table, [*self._guarded, *models, ("input",), ("type",)])
        if name == "session" and not self._fits and table.get("type", self._kind) != self._kind:
            raise Denied("field_not_allowed", "session.type", "session.type")
        for path in self._locked:
            if touches(table, path):
                dotted = ".".join((name, *path))
                raise Denied("field_not_allowed", dotted, dotted)
        self._look_at_models(table, models, f"{name}.")

    def _look_at_models(self, table: dict[str, Any], paths: Iterable[Path], above: str) -> None:
        for path in paths:
            if not all(map(self._policy.allows_model, said(table, path))):
                raise Denied("model_not_allowed", param=above + ".".join(path))

    def _session(self, session: dict[str, Any], is_start: bool) -> dict[str, Any]:
        """
        The session that upstream is told: one that starts has every value of the policy, one that
        changes only those of the fields that the client says something of.
        """
        for path in self._dropped:
            drop(session, path)
        for path, value in self._forced:
            if is_start or path[0] in session:
                put(session, path, value)
        return merged(self._policy.default, session) if is_start else session

    def set_up(self, session: dict[str, Any], kind: str) -> dict[str, Any]:
        """
        The session that upstream is told for a call, before it begins: it has every value of the
        policy that a session of this kind can have.

        @param session: what the client asks for; it is changed.
        @raise Denied: for what is not allowed.
        """
        self._kind = kind
        self._fit(kind)
        self._look_inside({"session": session}, "session")
        made = self._session(session, False)
        for path, value in self._forced:
            put(made, path, value)
        return merged(fitting(self._policy.default, kind), made)

    def _look_at_items(self, items: Iterable[object]) -> None:
        """Where instructions are the policy's, nobody but user and assistant speaks."""
        for item in items if self._instructs else ():
            table = as_table(item)
            _well_spelt(table, [("role",)])
            if "role" in table and table["role"] not in _SPEAKERS:
                raise Denied("field_not_allowed", "items of such a role", "item.role")

    # -- what upstream answers -------------------------------------------------------------

    def first(self, created: bytes) -> bytes | None:
        """
        The C{session.update} that goes upstream before anything of the client's.

        @param created: upstream's first event; empty if there was none.
        @return: L{None} if the policy has no values for the session.
        """
        self._kind = kind = as_text(as_table(as_table(_json(created)).get("session")).get("type"))
        self._fit(kind)
        session = fitting(merged(self._policy.default, self._policy.force), kind)
        if not session:
            return None
        if kind and kind != "translation":
            session = {"type": kind, **session}
        self._awaits_answer = True
        event_id = f"event_{self._request_id}"
        return serialised({"type": "session.update", "event_id": event_id, "session": session})

    def _fit(self, kind: str) -> None:
        """
        Force no field that a session of this kind lacks. The kind is upstream's word: a client
        that could choose it would be rid of the rest.
        """
        forced = [(path, value) for path, value in self._forced if not lacks(kind, path)]
        self._fits = len(forced) == len(self._forced)
        self._forced = forced

    def received(self, payload: bytes) -> bytes | None:
        """
        Look at a text message of upstream.

        @return: what the client gets of it; L{None} for nothing.
        @raise Rejected: if upstream refuses what L{first} made.
        """
        if self._awaits_answer and (b"session.updated" in payload or b"error" in payload):
            self._answered(as_table(_json(payload)))
        if not self._hides or b'"instructions"' not in payload:
            return payload
        event = _json(payload)
        if not isinstance(event, dict):
            return None  # it may hold them all the same
        _hide(event)
        return json.dumps(event).encode("ascii")

    def _answered(self, event: dict[str, Any]) -> None:
        """Upstream answers in order, so until it says that it took it, every error is of it."""
        kind = event.get("type")
        if kind == "error":
            raise Rejected(error_in(event))
        self._awaits_answer = kind != "session.updated"


def _twins_of(paths: list[Path]) -> list[Path]:
    return [twin for path in paths for twin in twins(path)]


def _well_spelt(table: dict[str, Any], paths: list[Path]) -> None:
    name = misspelt(table, paths)
    if name is not None:
        raise Denied("invalid_event", f"{name} is written like this", name)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _json(payload: bytes) -> object:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _hide(table: dict[str, Any]) -> None:
    """Remove the instructions of a session or a response, also from an event within an event."""
    table.pop("instructions", None)
    for name in ("session", "response", "event"):
        if isinstance(table.get(name), dict):
            _hide(table[name])
