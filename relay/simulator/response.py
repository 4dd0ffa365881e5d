"""
One answer, as data: how it opens, its deltas, how it closes.
"""

from __future__ import annotations

from attrs import define

from relay.simulator.audio import Format
from relay.simulator.fields import Event
from relay.simulator.items import Item
from relay.simulator.utterances import Utterance, total_tokens

DETAILS: dict[str, Event] = {
    "completed": {"status": "completed", "status_details": None},
    **{
        reason: {"status": status, "status_details": {"type": status, "reason": reason}}
        for reason, status in (
            ("client_cancelled", "cancelled"),
            ("turn_detected", "cancelled"),
            ("max_output_tokens", "incomplete"),
        )
    },
}
"""Why a response ended to what C{response.done} says about it."""


@define
class Response:
    """
    One answer. Its owner calls L{opening} once, then L{deltas} until L{finished} or a cancel, then
    L{closing} once.

    @ivar frame: the fields of the response object that do not change: id, modalities, voice.
    @ivar item: the item that the answer fills.
    @ivar utterance: what the answer says.
    @ivar end: how much of the utterance may be said.
    @ivar heard: C{input_token_details} of what the client said before.
    @ivar previous_item_id: the id of the item before L{item}, if there is one.
    """

    frame: Event
    item: Item
    utterance: Utterance
    end: int
    heard: Event
    previous_item_id: str | None = None

    @property
    def id(self) -> str:
        """The response's id."""
        return str(self.frame["id"])

    @property
    def in_conversation(self) -> bool:
        """Whether its item is one of the conversation's."""
        return self.frame["conversation_id"] is not None

    @property
    def said(self) -> bytes:
        """The audio said so far."""
        return self.utterance.audio[: self.utterance.sent]

    @property
    def finished(self) -> bool:
        """Whether all deltas are said."""
        return self.utterance.sent >= self.end

    def _at_item(self, event: Event) -> Event:
        """Whose it is stands first, as upstream's: who reads a long event may look no further."""
        return {"type": event["type"], "response_id": self.id, "output_index": 0, **event}

    def _within_item(self, event: Event) -> Event:
        part = {} if self.utterance.part() is None else {"content_index": 0}
        return self._at_item({"item_id": self.item.id, **part, **event})

    def _item_events(self, state: str) -> list[Event]:
        item = dict(self.item.wire)
        output = self._at_item({"type": f"response.output_item.{state}", "item": item})
        if not self.in_conversation:
            return [output]
        about = {"previous_item_id": self.previous_item_id, "item": item}
        return [output, {"type": f"conversation.item.{state}", **about}]

    def _part_events(self, state: str) -> list[Event]:
        part = self.utterance.part()
        if part is None:
            return []
        return [self._within_item({"type": f"response.content_part.{state}", "part": part})]

    def _shown(self, **more: object) -> Event:
        empty: Event = {"status_details": None, "output": [], "usage": None}
        return {**self.frame, "status": "in_progress", **empty, **more}

    def opening(self) -> list[Event]:
        """The events before the first delta."""
        return [
            {"type": "response.created", "response": self._shown()},
            *self._item_events("added"),
            *self._part_events("added"),
        ]

    def deltas(self) -> list[Event]:
        """The next piece of the answer."""
        return list(map(self._within_item, self.utterance.delta(self.end)))

    def usage(self) -> Event:
        """The tokens that a bill would count up to now."""
        heard = self.heard["audio_tokens"] + self.heard["text_tokens"]
        said = total_tokens(self.utterance, self.utterance.sent)
        return {
            "total_tokens": heard + said,
            "input_tokens": heard,
            "output_tokens": said,
            "input_token_details": self.heard,
            "output_token_details": self.utterance.tokens_at(self.utterance.sent),
        }

    def closing(self, cancelled: str | None = None) -> list[Event]:
        """
        The events after the last delta, C{response.done} last.

        @param cancelled: why it ends early; one of the keys of L{DETAILS}.
        """
        whole = "completed" if self.end == self.utterance.size else "max_output_tokens"
        details = DETAILS[cancelled or whole]
        self._settle("completed" if details["status"] == "completed" else "incomplete")
        done = self._shown(**details, output=[self.item.wire], usage=self.usage())
        return [
            *map(self._within_item, self.utterance.ending()),
            *self._part_events("done"),
            *self._item_events("done"),
            {"type": "response.done", "response": done},
        ]

    def _settle(self, status: str) -> None:
        self.item.wire = {**self.item.wire, **self.utterance.item(), "status": status}
        # The client may have truncated the item meanwhile. It stays truncated.
        samples = self.said[: len(self.item.audio.get(0, b""))]
        self.item.audio = {0: samples} if samples else {}


def new_item(item_id: str, utterance: Utterance, form: Format) -> Item:
    """The item that an answer fills, as it is before the answer."""
    start = utterance.item()
    wire = {"id": item_id, "type": start["type"], "status": "in_progress", **start}
    if "content" in wire:
        wire["content"] = []
    return Item(wire, {0: utterance.audio} if utterance.audio else {}, form)
