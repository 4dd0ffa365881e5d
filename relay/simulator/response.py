"""
One answer, as data: how it opens, its deltas, how it closes.
"""

from __future__ import annotations

from attrs import define

from relay.simulator.fields import Event
from relay.simulator.items import Item
from relay.simulator.utterances import Utterance


@define
class Response:
    """
    One answer. The conversation calls L{opening} once, then L{delta} until L{finished} or a cancel,
    then L{closing} once.

    @ivar frame: the fields of the response object that do not change: id, modalities, voice.
    @ivar item: the assistant's item, which the answer fills.
    @ivar utterance: what the answer says.
    @ivar heard: C{input_token_details} of what the client said before.
    @ivar previous_item_id: the id of the item before L{item}, if there is one.
    """

    frame: Event
    item: Item
    utterance: Utterance
    heard: Event
    previous_item_id: str | None = None

    @property
    def finished(self) -> bool:
        """Whether all deltas are said."""
        return self.utterance.finished

    def _at_item(self, event: Event) -> Event:
        return {**event, "response_id": self.frame["id"], "output_index": 0}

    def _at_part(self, event: Event) -> Event:
        return {**self._at_item(event), "item_id": self.item.id, "content_index": 0}

    def _item_events(self, state: str) -> list[Event]:
        item = dict(self.item.wire)
        return [
            self._at_item({"type": f"response.output_item.{state}", "item": item}),
            {
                "type": f"conversation.item.{state}",
                "previous_item_id": self.previous_item_id,
                "item": item,
            },
        ]

    def _part_event(self, state: str) -> Event:
        return self._at_part(
            {"type": f"response.content_part.{state}", "part": self.utterance.part()}
        )

    def _shown(self, status: str, **more: object) -> Event:
        empty: Event = {"status_details": None, "output": [], "usage": None}
        return {**self.frame, "status": status, **empty, **more}

    def opening(self) -> list[Event]:
        """The events before the first delta."""
        return [
            {"type": "response.created", "response": self._shown("in_progress")},
            *self._item_events("added"),
            self._part_event("added"),
        ]

    def delta(self) -> Event:
        """The next piece of the answer."""
        return self._at_part(self.utterance.delta())

    def usage(self) -> Event:
        """The tokens that a bill would count up to now."""
        said = self.utterance.tokens()
        heard = self.heard["audio_tokens"] + self.heard["text_tokens"]
        spoken = said["audio_tokens"] + said["text_tokens"]
        return {
            "total_tokens": heard + spoken,
            "input_tokens": heard,
            "output_tokens": spoken,
            "input_token_details": self.heard,
            "output_token_details": said,
        }

    def closing(self, cancelled: bool) -> list[Event]:
        """The events after the last delta, C{response.done} last."""
        self._settle("incomplete" if cancelled else "completed")
        status = "cancelled" if cancelled else "completed"
        why = {"type": "cancelled", "reason": "client_cancelled"} if cancelled else None
        done = self._shown(status, status_details=why, output=[self.item.wire], usage=self.usage())
        return [
            *map(self._at_part, self.utterance.ending()),
            self._part_event("done"),
            *self._item_events("done"),
            {"type": "response.done", "response": done},
        ]

    def _settle(self, status: str) -> None:
        said = self.utterance.content()
        self.item.wire = {**self.item.wire, "status": status, "content": [said]}
        # The client may have truncated the item meanwhile. It stays truncated.
        kept = len(self.item.audio.get(0, b""))
        samples = self.utterance.samples()[:kept]
        self.item.audio = {0: samples} if samples else {}


def assistant_item(item_id: str, audio: bytes) -> Item:
    """
    The item an answer fills.

    @param audio: all audio that the answer will say.
    """
    wire = {
        "id": item_id,
        "object": "realtime.item",
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    return Item(wire, {0: audio} if audio else {})
