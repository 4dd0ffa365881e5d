"""
Function calls: when the parrot calls a tool, and with which arguments.
"""

from __future__ import annotations

import json
import re
from typing import Any

from attrs import frozen

from relay.simulator.fields import Event
from relay.simulator.shapes import Shape, either, one_of, table, text, variant, whatever

MAX_SCHEMA_DEPTH = 8
"""Most levels of an argument that is made up."""

TOOL: Shape = variant(
    {
        "function": table(
            {"type": text, "name": text, "description": text, "parameters": whatever},
            required=("name",),
        )
    }
)
"""A tool that a client may offer. The simulator reaches no MCP server, so it refuses those."""

TOOL_CHOICE: Shape = either(
    one_of("auto", "none", "required"),
    variant({"function": table({"type": text, "name": text}, required=("name",))}),
)
"""What C{tool_choice} may be."""


@frozen
class Call:
    """A function to call, with arguments as JSON."""

    name: str
    arguments: str


def chosen(tools: list[Event], choice: Any, said: str) -> Call | None:
    """
    The call that the parrot makes, if any.

    C{auto} calls a tool whose name is a word of the text. If a JSON object follows the name, it is
    the arguments.

    @param choice: C{tool_choice}.
    @param said: the text that is answered; C{""} for audio.
    """
    if isinstance(choice, dict):
        candidates = [tool for tool in tools if tool["name"] == choice["name"]]
    else:
        named = [tool for tool in tools if _after(tool["name"], said) is not None]
        candidates = {"auto": named, "none": [], "required": named or tools}[choice]
    return _call(candidates[0], said) if candidates else None


def _after(name: str, said: str) -> str | None:
    # What stands behind the name. Words have hyphens here, for the names of tools may.
    found = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", said)
    return said[found.end() :] if found else None


def _call(tool: Event, said: str) -> Call:
    arguments = _leading_object(_after(tool["name"], said) or "")
    if arguments is None:
        arguments = _object(tool.get("parameters") or {}, said, MAX_SCHEMA_DEPTH)
    return Call(tool["name"], json.dumps(arguments))


def _leading_object(behind: str) -> Event | None:
    start = behind.find("{")
    if start < 0:
        return None
    try:
        found = json.JSONDecoder().raw_decode(behind[start:])[0]
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


_SAMPLES: dict[str, Any] = {"number": 1.5, "integer": 1, "boolean": True, "array": [], "null": None}


def _sample(schema: Any, said: str, depth: int = MAX_SCHEMA_DEPTH) -> Any:
    """
    A value that a JSON schema allows, as far as it is a plain one; a string is what was said.
    """
    if not isinstance(schema, dict) or not depth:
        return None
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return schema["enum"][0]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object" or "properties" in schema:
        return _object(schema, said, depth - 1)
    return _SAMPLES[kind] if isinstance(kind, str) and kind in _SAMPLES else said


def _object(schema: Event, said: str, depth: int) -> Event:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    required = schema.get("required")
    names = required if isinstance(required, list) else list(properties)
    return {n: _sample(properties[n], said, depth) for n in properties if n in names}
