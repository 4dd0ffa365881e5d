"""
What a client does with the items of its conversation: create, retrieve, delete, truncate.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.simulator import fields, items
from relay.simulator.audio import Format
from relay.simulator.fields import ClientError, Event
from relay.simulator.items import Item, Items


class History:
    """
    The items of one conversation, and the events about them.

    @param new_id: makes an unused id that begins with the given word.
    """

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self.items = Items()
        self._new_id = new_id

    def appended(self, item: Item) -> list[Event]:
        """Put an item at the end."""
        return self._shown(item, self.items.add(item))

    def _shown(self, item: Item, previous: str | None) -> list[Event]:
        return [
            {"type": f"conversation.item.{state}", "previous_item_id": previous, "item": item.wire}
            for state in ("added", "done")
        ]

    def item(self, item_id: str, action: str, param: str = "item_id") -> Item:
        """
        The item of that id.

        @param action: what the client wants to do with it, for the error's code.
        @raise ClientError: if there is none.
        """
        item = self.items.get(item_id)
        if item is None:
            message = f"Name an item that exists in '{param}'."
            raise ClientError(f"item_{action}_invalid_{param.rpartition('.')[2]}", message, param)
        return item

    def create(self, event: Event, form: Format) -> list[Event]:
        """
        Answer C{conversation.item.create}.

        @param form: the format of the client's audio.
        """
        given = fields.required(event, "item", dict)
        after = fields.optional(event, "previous_item_id", str, "")
        item = items.created(given, self._new_id("item"), "item", form)
        if self.items.get(item.id) is not None:
            message = "Choose another id: there is an item of that id already."
            raise ClientError("item_create_invalid_item_id", message, "item.id")
        if not after:
            return self.appended(item)
        previous = None if after == "root" else self.item(after, "create", "previous_item_id").id
        self.items.insert(item, previous)
        return self._shown(item, previous)

    def retrieve(self, event: Event) -> list[Event]:
        """Answer C{conversation.item.retrieve}."""
        item = self.item(fields.required(event, "item_id", str), "retrieve")
        return [{"type": "conversation.item.retrieved", "item": item.whole()}]

    def delete(self, event: Event) -> list[Event]:
        """Answer C{conversation.item.delete}."""
        item = self.item(fields.required(event, "item_id", str), "delete")
        self.items.remove(item.id)
        return [{"type": "conversation.item.deleted", "item_id": item.id}]

    def truncate(self, event: Event) -> list[Event]:
        """Answer C{conversation.item.truncate}."""
        item = self.item(fields.required(event, "item_id", str), "truncate")
        index = fields.required(event, "content_index", int)
        end_ms = fields.required(event, "audio_end_ms", int)
        if item.role != "assistant" or index not in item.audio:
            message = "Truncate audio of the assistant only."
            raise ClientError("item_truncate_invalid_item_id", message, "item_id")
        self._cut(item, index, item.form.size(end_ms))
        cut = {"item_id": item.id, "content_index": index, "audio_end_ms": end_ms}
        return [{"type": "conversation.item.truncated", **cut}]

    def _cut(self, item: Item, index: int, end: int) -> None:
        samples = item.audio[index]
        if not 0 <= end <= len(samples):
            message = "Make 'audio_end_ms' a time within the item's audio."
            raise ClientError("invalid_value", message, "audio_end_ms")
        item.audio[index] = samples[:end]
        # The transcript is removed too: it would have words that the listener never heard.
        parts = [{k: v for k, v in p.items() if k != "transcript"} for p in item.content]
        item.wire = {**item.wire, "content": parts}
        self.items.weigh(item)
