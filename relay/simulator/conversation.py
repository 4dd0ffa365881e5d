"""
One Realtime session as the server sees it, without I/O: client events in, server events out.
"""

from __future__ import annotations

from collections.abc import Callable

from relay.simulator import fields, items, session
from relay.simulator.fields import ClientError, Event
from relay.simulator.items import Item, Items
from relay.simulator.response import Response, assistant_item
from relay.simulator.utterances import Utterance, input_token_details, parroted

MAX_BUFFER = 32 * 1024 * 1024
"""Most bytes of audio that wait for a commit."""

REQUESTS_A_MINUTE = 1_000
TOKENS_A_MINUTE = 1_000_000


class Conversation:
    """
    Answers client events as OpenAI's service does, with the client's own words.

    L{receive} only opens the answer to a C{response.create}. While L{speaking}, the owner calls
    L{advance} for the rest, at its own pace. So there is something for C{response.cancel} to
    cancel.

    @param model: the model's name; L{None} for a transcription session.
    @param now: tells the time, in seconds since 1970.
    @param new_id: makes an unused id that begins with the given word.
    """

    def __init__(
        self, model: str | None, now: Callable[[], float], new_id: Callable[[str], str]
    ) -> None:
        self._new_id = new_id
        self._id = new_id("conv")
        self._session = session.new_session(model, new_id("sess"), now())
        self._items = Items()
        self._buffer = bytearray()
        self._response: Response | None = None
        self._responses = 0
        self._tokens = 0

    @property
    def speaking(self) -> bool:
        """Whether an answer has begun and not ended."""
        return self._response is not None

    def opening(self) -> list[Event]:
        """The events that start the session."""
        return self._stamped([{"type": "session.created", "session": self._session}])

    def receive(self, payload: bytes, is_binary: bool = False) -> list[Event]:
        """
        Answer one message of the client. No message makes this raise an exception.

        @return: the events to send now; none for an append.
        """
        try:
            event = fields.parse(payload, is_binary)
        except ClientError as error:
            return self._stamped([fields.error_event(error.code, error.message)])
        return self.receive_event(event)

    def receive_event(self, event: Event) -> list[Event]:
        """Like L{receive}, but the message is parsed already."""
        try:
            answer = self._answer(event)
        except ClientError as error:
            about = event.get("event_id")
            answer = [fields.error_event(error.code, error.message, error.param, about)]
        return self._stamped(answer)

    def advance(self) -> list[Event]:
        """
        Send the next part of the answer.

        @return: one delta, or all the events that close the answer; none when not speaking.
        """
        if self._response is None:
            return []
        if self._response.finished:
            return self._stamped(self._close(self._response, cancelled=False))
        return self._stamped([self._response.delta()])

    def _stamped(self, events: list[Event]) -> list[Event]:
        # The type stays the first key, because readers recognise events by their first bytes.
        return [
            {"type": event["type"], "event_id": self._new_id("event"), **event} for event in events
        ]

    def _answer(self, event: Event) -> list[Event]:
        kind = fields.required(event, "type", str)
        fields.one_of(kind, tuple(_ANSWERS), "type")
        return _ANSWERS[kind](self, event)

    # The session

    def _update(self, event: Event) -> list[Event]:
        self._session = session.updated(self._session, fields.required(event, "session", dict))
        return [{"type": "session.updated", "session": self._session}]

    # The input audio buffer

    def _append(self, event: Event) -> list[Event]:
        samples = fields.audio(event, "audio")
        if len(self._buffer) + len(samples) > MAX_BUFFER:
            message = f"Commit or clear the buffer: it holds {MAX_BUFFER} bytes at most."
            raise ClientError("input_audio_buffer_full", message, "audio")
        self._buffer += samples
        return []

    def _commit(self, event: Event) -> list[Event]:
        if not self._buffer:
            message = "Append audio before you commit: the input audio buffer is empty."
            raise ClientError("input_audio_buffer_commit_empty", message)
        item = items.user_audio(self._new_id("item"), bytes(self._buffer))
        self._buffer.clear()
        previous = self._items.last_id()
        committed = {
            "type": "input_audio_buffer.committed",
            "previous_item_id": previous,
            "item_id": item.id,
        }
        return [committed, *self._appended(item)]

    def _clear(self, event: Event) -> list[Event]:
        self._buffer.clear()
        return [{"type": "input_audio_buffer.cleared"}]

    # Items

    def _appended(self, item: Item) -> list[Event]:
        return self._shown(item, self._items.add(item))

    def _shown(self, item: Item, previous: str | None) -> list[Event]:
        return [
            {"type": f"conversation.item.{state}", "previous_item_id": previous, "item": item.wire}
            for state in ("added", "done")
        ]

    def _create(self, event: Event) -> list[Event]:
        given = fields.required(event, "item", dict)
        after = fields.optional(event, "previous_item_id", str, "")
        item = items.created(given, self._new_id("item"))
        if self._items.get(item.id) is not None:
            message = "Choose another id: there is an item of that id already."
            raise ClientError("item_create_invalid_item_id", message, "item.id")
        if not after:
            return self._appended(item)
        previous = None if after == "root" else self._item(after, "create", "previous_item_id").id
        self._items.insert(item, previous)
        return self._shown(item, previous)

    def _item(self, item_id: str, action: str, param: str = "item_id") -> Item:
        item = self._items.get(item_id)
        if item is None:
            message = f"Name an item that exists in '{param}'."
            raise ClientError(f"item_{action}_invalid_{param}", message, param)
        return item

    def _retrieve(self, event: Event) -> list[Event]:
        item = self._item(fields.required(event, "item_id", str), "retrieve")
        return [{"type": "conversation.item.retrieved", "item": item.whole()}]

    def _delete(self, event: Event) -> list[Event]:
        item = self._item(fields.required(event, "item_id", str), "delete")
        self._items.remove(item.id)
        return [{"type": "conversation.item.deleted", "item_id": item.id}]

    def _truncate(self, event: Event) -> list[Event]:
        item = self._item(fields.required(event, "item_id", str), "truncate")
        index = fields.required(event, "content_index", int)
        end_ms = fields.required(event, "audio_end_ms", int)
        if item.role != "assistant" or index not in item.audio:
            message = "Truncate audio of the assistant only."
            raise ClientError("item_truncate_invalid_item_id", message, "item_id")
        self._cut(item, index, end_ms)
        return [
            {
                "type": "conversation.item.truncated",
                "item_id": item.id,
                "content_index": index,
                "audio_end_ms": end_ms,
            }
        ]

    def _cut(self, item: Item, index: int, end_ms: int) -> None:
        samples = item.audio[index]
        end = end_ms * session.bytes_per_second(self._session) // 1000
        if not 0 <= end <= len(samples):
            message = "Make 'audio_end_ms' a time within the item's audio."
            raise ClientError("invalid_value", message, "audio_end_ms")
        item.audio[index] = samples[:end]
        # The transcript is removed too: it would have words that the listener never heard.
        parts = [{k: v for k, v in p.items() if k != "transcript"} for p in item.content]
        item.wire = {**item.wire, "content": parts}
        self._items.weigh(item)

    # Responses

    def _respond(self, event: Event) -> list[Event]:
        asked = fields.optional(event, "response", dict, {})
        default = self._session.get("output_modalities", ["text"])
        modalities = session.modalities(asked, default, "response.")
        metadata = fields.optional(asked, "metadata", dict, {}, "response.")
        if self.speaking:
            message = "Wait for 'response.done', or cancel the response in progress."
            raise ClientError("conversation_already_has_active_response", message)
        unheard = bool(self._buffer) and not any(item.samples() for item in self._turn())
        committed = self._commit(event) if unheard else []
        return committed + self._open(modalities[0], metadata)

    def _turn(self) -> list[Item]:
        return [item for item in self._items if item.role == "user" and not item.answered]

    def _open(self, modality: str, metadata: Event) -> list[Event]:
        turn = self._turn()
        for item in turn:
            item.answered = True
        audio = b"".join(item.samples() for item in turn)
        texts = [item.text() for item in turn]
        rate = session.bytes_per_second(self._session)
        utterance = parroted(audio, "".join(texts[-1:]), rate, modality)
        heard = input_token_details(audio, "".join(texts), rate)
        self._response = self._response_of(utterance, audio, heard, metadata)
        return self._response.opening()

    def _response_of(
        self, utterance: Utterance, audio: bytes, heard: Event, metadata: Event
    ) -> Response:
        spoken = audio if utterance.modality == "audio" else b""
        item = assistant_item(self._new_id("item"), spoken)
        frame = self._frame(utterance.modality, metadata)
        return Response(frame, item, utterance, heard, self._items.add(item))

    def _frame(self, modality: str, metadata: Event) -> Event:
        return {
            "object": "realtime.response",
            "id": self._new_id("resp"),
            "conversation_id": self._id,
            "output_modalities": [modality],
            "max_output_tokens": self._session.get("max_output_tokens", "inf"),
            "audio": {"output": self._session["audio"].get("output")},
            "metadata": metadata or None,
        }

    def _cancel(self, event: Event) -> list[Event]:
        wanted = fields.optional(event, "response_id", str, "")
        response = self._response
        if response is None or wanted not in ("", response.frame["id"]):
            message = "There is no active response to cancel."
            raise ClientError("response_cancel_not_active", message)
        return self._close(response, cancelled=True)

    def _close(self, response: Response, cancelled: bool) -> list[Event]:
        self._response = None
        events = response.closing(cancelled)
        self._items.weigh(response.item)
        self._responses += 1
        self._tokens += response.usage()["total_tokens"]
        return [*events, self._rate_limits()]

    def _rate_limits(self) -> Event:
        used = (
            ("requests", REQUESTS_A_MINUTE, self._responses),
            ("tokens", TOKENS_A_MINUTE, self._tokens),
        )
        limits = [
            {"name": name, "limit": limit, "remaining": max(0, limit - n), "reset_seconds": 60.0}
            for name, limit, n in used
        ]
        return {"type": "rate_limits.updated", "rate_limits": limits}


_ANSWERS: dict[str, Callable[[Conversation, Event], list[Event]]] = {
    "session.update": Conversation._update,
    "input_audio_buffer.append": Conversation._append,
    "input_audio_buffer.commit": Conversation._commit,
    "input_audio_buffer.clear": Conversation._clear,
    "conversation.item.create": Conversation._create,
    "conversation.item.retrieve": Conversation._retrieve,
    "conversation.item.delete": Conversation._delete,
    "conversation.item.truncate": Conversation._truncate,
    "response.create": Conversation._respond,
    "response.cancel": Conversation._cancel,
}
"""The type of a client event to the method that answers it."""
