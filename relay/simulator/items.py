"""
The items of a conversation, in their order, within a bound of memory.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterator

from attrs import Factory, define

from relay.simulator import fields
from relay.simulator.audio import FORMATS, Format
from relay.simulator.fields import Event
from relay.simulator.shapes import Shape, array, one_of, table, text, variant, whatever

MAX_WEIGHT = 64 * 1024 * 1024
"""Most bytes of all items together; above that, the oldest are forgotten."""

ITEM_WEIGHT = 1024
"""Bytes that an empty item counts."""

_PART = {
    "type": text,
    "text": text,
    "audio": text,
    "transcript": text,
    "image_url": text,
    "detail": one_of("auto", "low", "high"),
}


def _part(*required: str) -> Shape:
    return table(_PART, required=required)


CONTENT: dict[str, Shape] = {
    "system": variant({"input_text": _part("text")}),
    "user": variant(
        {
            "input_text": _part("text"),
            "input_audio": _part("audio"),
            "input_image": _part("image_url"),
        }
    ),
    "assistant": variant({"output_text": _part("text"), "output_audio": _part()}),
}
"""The role of a message to the content that it may have."""

_COMMON = {
    "type": text,
    "id": text,
    "object": one_of("realtime.item"),
    "status": one_of("completed", "incomplete", "in_progress"),
}

ITEM: Shape = variant(
    {
        "message": table(
            {**_COMMON, "role": one_of(*CONTENT), "content": array(whatever)},
            required=("role", "content"),
        ),
        "function_call": table(
            {**_COMMON, "call_id": text, "name": text, "arguments": text},
            required=("name", "arguments"),
        ),
        "function_call_output": table(
            {**_COMMON, "call_id": text, "output": text}, required=("call_id", "output")
        ),
    }
)
"""An item that a client may create."""


@define
class Item:
    """
    One item of a conversation.

    @ivar wire: the item as events show it, which is without its audio, as OpenAI's are.
    @ivar audio: the index of a content part to the part's samples.
    @ivar form: the format of the samples.
    @ivar answered: whether a response has answered it.
    """

    wire: Event
    audio: dict[int, bytes] = Factory(dict)
    form: Format = FORMATS["audio/pcm"]
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
        """All text of the item, joined; the output, if it is a function's."""
        parts = "".join(part.get("text", "") for part in self.content)
        return parts or str(self.wire.get("output", ""))

    @property
    def is_input(self) -> bool:
        """Whether an answer takes it up: it is the user's, or a function's output."""
        return self.role == "user" or self.wire["type"] == "function_call_output"

    def heard_as(self, transcript: str) -> None:
        """Show this as the words of its audio, which is its first content."""
        first, *others = self.content
        self.wire = {**self.wire, "content": [{**first, "transcript": transcript}, *others]}

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


def user_audio(item_id: str, samples: bytes, form: Format) -> Item:
    """The item that committed audio becomes."""
    return Item(
        {
            "id": item_id,
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        },
        {0: samples},
        form,
    )


def _message(wire: Event, param: str, form: Format) -> Item:
    parts = array(CONTENT[wire["role"]])(wire["content"], f"{param}.content")
    audio = {
        at: fields.audio(part, "audio", f"{param}.content[{at}].")
        for at, part in enumerate(parts)
        if part["type"] == "input_audio"
    }
    shown = [{k: v for k, v in part.items() if k != "audio"} for part in parts]
    return Item({**wire, "content": shown}, audio, form)


def created(given: Event, new_id: str, param: str, form: Format) -> Item:
    """
    The item a client asked for.

    @param new_id: the item's id, unless the client chose one.
    @param param: where the client asked for it.
    @param form: the format of its audio.
    @raise ClientError: if it is no item that a client may create.
    """
    wire: Event = ITEM(given, param)
    wire.pop("object", None)
    wire = {"id": wire.get("id", new_id), **wire, "status": "completed"}
    return _message(wire, param, form) if wire["type"] == "message" else Item(wire)


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
