"""
One Realtime session as the server sees it, without I/O: client events in, server events out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from relay.simulator import fields, items, session
from relay.simulator.dialogue import Answers, Dialogue
from relay.simulator.fields import ClientError, Event
from relay.simulator.hearing import Idle, InputAudio, Mark, Started
from relay.simulator.history import History
from relay.simulator.items import Item
from relay.simulator.request import requested
from relay.simulator.responses import Responses
from relay.simulator.session import LOGPROBS
from relay.simulator.transcription import transcribed


class Conversation(Dialogue):
    """
    Answers client events as OpenAI's service does, with the client's own words.

    L{receive} only opens an answer. While L{speaking}, the owner calls L{advance} for the rest, at
    its own pace. So there is something for C{response.cancel} to cancel.

    @param model: the model's name; L{None} for a transcription session.
    @param now: tells the time, in seconds since 1970.
    @param new_id: makes an unused id that begins with the given word.
    """

    def __init__(
        self, model: str | None, now: Callable[[], float], new_id: Callable[[str], str]
    ) -> None:
        super().__init__(new_id)
        self._session = session.new_session(model, new_id("sess"), now())
        self._history = History(new_id)
        self._responses = Responses(self._history, new_id)
        self._audio = InputAudio()
        self._coming: str | None = None

    @property
    def speaking(self) -> bool:
        """Whether an answer has begun and not ended."""
        return bool(self._responses)

    def opening(self) -> list[Event]:
        """The events that start the session."""
        return self._stamped([{"type": "session.created", "session": self._session}])

    def advance(self) -> list[Event]:
        """
        Send the next part of each answer.

        @return: a delta, or all the events that close the answer; none when not speaking.
        """
        return self._stamped(self._counting_silence(self._responses.advance))

    # The session

    def _update(self, event: Event) -> list[Event]:
        before = self._session
        self._session = session.updated(before, fields.required(event, "session", dict))
        if session.hearing(before) != session.hearing(self._session):
            self._audio.restart(session.input_format(self._session))
            self._coming = None
        return [{"type": "session.updated", "session": self._session}]

    # The input audio buffer

    def _append(self, event: Event) -> list[Event]:
        self._audio.append(fields.audio(event, "audio"))
        detection = session.turn_detection(self._session)
        events: list[Event] = []
        while detection is not None and (mark := self._audio.scan(detection)) is not None:
            events += self._marked(mark, detection)
        return events

    def _marked(self, mark: Mark, detection: Event) -> list[Event]:
        if isinstance(mark, Started):
            return self._started(mark, detection)
        if isinstance(mark, Idle):
            about: Event = {"audio_start_ms": mark.since_ms, "audio_end_ms": mark.at_ms}
            event = {"type": "input_audio_buffer.timeout_triggered", **about}
            responds = True
        else:
            event = {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": mark.at_ms}
            responds = detection.get("create_response", False)
        item_id = self._coming = self._coming or self._new_id("item")
        events = [{**event, "item_id": item_id}, *self._committed(mark.audio)]
        return events + self._respond_by_itself() if responds else events

    def _started(self, mark: Started, detection: Event) -> list[Event]:
        self._coming = self._new_id("item")
        event = {
            "type": "input_audio_buffer.speech_started",
            "audio_start_ms": mark.at_ms,
            "item_id": self._coming,
        }
        interrupts = detection.get("interrupt_response", False)
        return [event, *(self._responses.interrupt() if interrupts else ())]

    def _commit(self, event: Event) -> list[Event]:
        audio = self._audio.take()
        if not audio:
            message = "Append audio before you commit: the input audio buffer is empty."
            raise ClientError("input_audio_buffer_commit_empty", message)
        return self._committed(audio)

    def _committed(self, audio: bytes) -> list[Event]:
        item = items.user_audio(self._coming or self._new_id("item"), audio, self._audio.form)
        self._coming = None
        event = {
            "type": "input_audio_buffer.committed",
            "previous_item_id": self._history.items.last_id(),
            "item_id": item.id,
        }
        return [event, *self._history.appended(item), *self._transcribed(item)]

    def _transcribed(self, item: Item) -> list[Event]:
        wanted = self._session["audio"]["input"]["transcription"]
        if wanted is None:
            return []
        sure = LOGPROBS in (self._session["include"] or ())
        events = transcribed(item.id, item.samples(), item.form, wanted.get("model", ""), sure)
        item.heard_as(events[-1]["transcript"])
        return events

    def _clear(self, event: Event) -> list[Event]:
        self._audio.take()
        self._coming = None
        return [{"type": "input_audio_buffer.cleared"}]

    # Items

    def _create(self, event: Event) -> list[Event]:
        return self._history.create(event, session.input_format(self._session))

    def _retrieve(self, event: Event) -> list[Event]:
        return self._history.retrieve(event)

    def _delete(self, event: Event) -> list[Event]:
        return self._history.delete(event)

    def _truncate(self, event: Event) -> list[Event]:
        return self._history.truncate(event)

    # Responses

    def _respond(self, event: Event) -> list[Event]:
        if not session.is_answering(self._session):
            message = "Open a realtime session: a transcription session has no responses."
            raise ClientError("invalid_value", message, "type")
        return self._open(fields.optional(event, "response", dict, {}))

    def _open(self, given: Event) -> list[Event]:
        def referred(item_id: str, param: str) -> Item:
            return self._history.item(item_id, "reference", param)

        events = self._responses.open(requested(given, self._session, self._new_id, referred))
        self._audio.silent_in(None)
        return events

    def _respond_by_itself(self) -> list[Event]:
        try:
            return self._open({})
        except ClientError as error:
            return [fields.error_event(error.code, error.message)]

    def _cancel(self, event: Event) -> list[Event]:
        wanted = fields.optional(event, "response_id", str, "")
        return self._counting_silence(lambda: self._responses.cancel(wanted))

    def _counting_silence(self, act: Callable[[], list[Event]]) -> list[Event]:
        before = self._responses.current
        events = act()
        if before is not None and self._responses.current is None:
            form = session.output_format(before.frame["audio"]["output"])
            self._audio.silent_in(form.milliseconds(len(before.said)))
        return events

    answers: ClassVar[Answers] = {
        "session.update": _update,
        "input_audio_buffer.append": _append,
        "input_audio_buffer.commit": _commit,
        "input_audio_buffer.clear": _clear,
        "conversation.item.create": _create,
        "conversation.item.retrieve": _retrieve,
        "conversation.item.delete": _delete,
        "conversation.item.truncate": _truncate,
        "response.create": _respond,
        "response.cancel": _cancel,
    }
