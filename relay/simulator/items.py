"""
The items of a conversation, in their order, within a bound of memory.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterator

from attrs import Factory, define

from relay.simulator import fields
from relay.simulator.fields import ClientError, Event

MAX_WEIGHT = 64 * 1024 * 1024
"""Most bytes of all items together; above that, the oldest are forgotten."""

ITEM_WEIGHT = 1024
"""Bytes that an empty item counts."""

CONTENT = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("output_text", "output_audio"),
}
"""The role of a message to the content types that it may have."""

REQUIRED = {
    "message": (),
    "function_call": ("name", "arguments"),
    "function_call_output": ("call_id", "output"),
}
"""The type of an item that a client may create to the strings that it must have."""


@define
class Item:
    """
    One item of a conversation.

    @ivar wire: the item as events show it, which is without its audio, as OpenAI's are.
    @ivar audio: the index of a content part to the part's samples.
    @ivar answered: whether a response has answered it.
    """

    wire: Event
    audio: dict[int, bytes] = Factory(dict)
    answered: bool = False

    @property
    def id(self) -> str:
        """The item's id."""
        return str(self.wire["id"])

    @property
    def role(self) -> str:
        """C{system}, C{user} or C{assistant}; C{""} if the item is no message."""
        return str(self.wire.get("role", ""))

    @property
    def content(self) -> list[Event]:
        """The content parts; none if the item is no message."""
        parts: list[Event] = self.wire.get("content", [])
        return parts

    def samples(self) -> bytes:
        """All audio of the item, joined."""
        return b"".join(self.audio.values())

    def text(self) -> str:
        """All text of the item, joined."""
        return "".join(part.get("text", "") for part in self.content)

    def whole(self) -> Event:
        """The item with its audio in base64, as C{conversation.item.retrieved} shows it."""
        parts = [
            {**part, "audio": base64(self.audio[index])} if index in self.audio else part
            for index, part in enumerate(self.content)
        ]
        return {**self.wire, "content": parts} if parts else self.wire

    def weight(self) -> int:
        """About how many bytes the item holds."""
        return ITEM_WEIGHT + len(json.dumps(self.wire)) + sum(map(len, self.audio.values()))


def base64(samples: bytes) -> str:
    """Samples as the wire carries them."""
    return binascii.b2a_base64(samples, newline=False).decode("ascii")


def user_audio(item_id: str, samples: bytes) -> Item:
    """The item that committed audio becomes."""
    return Item(
        {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        },
        {0: samples},
    )


def _part(part: object, role: str, param: str) -> Event:
    if not isinstance(part, dict):
        raise ClientError("invalid_type", f"Make '{param}' an object.", param)
    within = f"{param}."
    kind = fields.required(part, "type", str, within)
    fields.one_of(kind, CONTENT[role], f"{within}type")
    if kind in ("input_text", "output_text"):
        fields.required(part, "text", str, within)
    # Item.text() joins the texts of parts of any type.
    fields.optional(part, "text", str, "", within)
    return {name: value for name, value in part.items() if value is not None}


def _message(wire: Event) -> Item:
    role = fields.required(wire, "role", str, "item.")
    fields.one_of(role, tuple(CONTENT), "item.role")
    given = fields.required(wire, "content", list, "item.")
    parts = [_part(part, role, f"item.content[{at}]") for at, part in enumerate(given)]
    audio = {
        at: fields.audio(part, "audio", f"item.content[{at}].")
        for at, part in enumerate(parts)
        if part["type"] == "input_audio"
    }
    shown = [{k: v for k, v in part.items() if k != "audio"} for part in parts]
    return Item({**wire, "content": shown}, audio)


def created(given: Event, new_id: str) -> Item:
    """
    The item a client asked for.

    @param new_id: the item's id, unless the client chose one.
    @raise ClientError: if it is no item that a client may create.
    """
    kind = fields.required(given, "type", str, "item.")
    fields.one_of(kind, tuple(REQUIRED), "item.type")
    for name in REQUIRED[kind]:
        fields.required(given, name, str, "item.")
    item_id = fields.optional(given, "id", str, new_id, "item.")
    wire = {"id": item_id, "object": "realtime.item", "type": kind, "status": "completed"}
    wire = {**{k: v for k, v in given.items() if v is not None}, **wire}
    return _message(wire) if kind == "message" else Item(wire)


class Items:
    """
    Items by id, in the order of the conversation. They are L{MAX_WEIGHT} bytes at most; but one
    item stays, however large.
    """

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._weights: dict[str, int] = {}
        self._total = 0

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items.values())

    def get(self, item_id: str) -> Item | None:
        """The item, or L{None} if there is none with that id."""
        return self._items.get(item_id)

    def last_id(self) -> str | None:
        """The id of the last item, or L{None} while there is none."""
        return next(reversed(self._items), None)

    def add(self, item: Item) -> str | None:
        """
        Put an item at the end.

        @return: the id of the item before it, if any.
        """
        before = self.last_id()
        self._items[item.id] = item
        self.weigh(item)
        return before

    def insert(self, item: Item, after: str | None) -> None:
        """Put an item behind the item C{after}, or first if that is L{None}."""
        order = list(self._items.values())
        place = 0 if after is None else list(self._items).index(after) + 1
        order.insert(place, item)
        self._items = {each.id: each for each in order}
        self.weigh(item)

    def remove(self, item_id: str) -> None:
        """Forget an item."""
        self._total -= self._weights.pop(item_id)
        del self._items[item_id]

    def weigh(self, item: Item) -> None:
        """Count an item that is new or has changed, and forget the oldest to make room."""
        if item.id not in self._items:
            return
        weight = item.weight()
        self._total += weight - self._weights.get(item.id, 0)
        self._weights[item.id] = weight
        while self._total > MAX_WEIGHT and len(self._items) > 1:
            self.remove(next(iter(self._items)))
