"""
A session of the Live API (C{/v1/live/sessions}) as the server sees it: silent until the client
starts it, then both sides may speak at any time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from attrs import Factory, define, frozen

from relay.simulator import fields, live_settings
from relay.simulator.audio import Format, converted
from relay.simulator.dialogue import Answers
from relay.simulator.faults import ResetAfter, Slow, parse_model
from relay.simulator.fields import ClientError, Event
from relay.simulator.hearing import InputAudio, Mark, Started, Stopped
from relay.simulator.items import base64
from relay.simulator.sideband import MAX_WAITING, LiveDialogue, Sideband, client_event_id
from relay.simulator.utterances import AUDIO_DELTA, words_for
from relay.simulator.voice import spoken

DETECTION: Event = {"type": "server_vad", "silence_duration_ms": 500}
"""How the simulator hears that the client has finished. The client has no say in it."""

REFLECTED = live_settings.FORMATS["audio/pcm", 24_000]
"""The format in which sidebands hear audio."""

MAX_STORED = 16
"""Most settings that are kept for forks; the oldest are forgotten."""


@define
class LiveSessions:
    """
    The Live sessions of one simulator.

    @ivar open: those that have started and not ended, by id.
    @ivar stored: the session objects of those that were to be stored, by id.
    """

    open: dict[str, LiveSession] = Factory(dict)
    stored: dict[str, Event] = Factory(dict)

    def begin(self, session: LiveSession, wire: Event) -> None:
        """A session has started."""
        self.open[wire["id"]] = session
        if wire["store"]:
            self.stored[wire["id"]] = wire
        if len(self.stored) > MAX_STORED:
            del self.stored[next(iter(self.stored))]


@frozen
class _Sound:
    """A piece of what is to be heard, and when in the session."""

    samples: bytes
    start_ms: int


class LiveSession(LiveDialogue):
    """
    The primary connection of a session.

    What the client says is said back once it pauses, unless it goes on. What it appends as
    commentary is beeped.
    """

    def __init__(
        self,
        sessions: LiveSessions,
        now: Callable[[], float],
        new_id: Callable[[str], str],
        wake: Callable[[], None],
        source: Event | None = None,
    ) -> None:
        """
        @param sessions: where the session can be found while it lasts.
        @param now: tells the time, in seconds since 1970.
        @param new_id: makes an unused id that begins with the given word.
        @param wake: is called when a sideband has made the session L{speaking}.
        @param source: the session object of the session that this is a fork of.
        """
        super().__init__(new_id)
        self._sessions = sessions
        self._now = now
        self._wake = wake
        self._source = source
        self._wire: Event | None = None
        self._began = 0.0
        self._over = False
        self._heard = InputAudio()
        self._muted = False
        self._output: deque[Event | _Sound] = deque()
        self._asides: deque[Event] = deque(maxlen=MAX_WAITING)
        self._sidebands: list[Sideband] = []

    @property
    def speaking(self) -> bool:
        """Whether something is to be heard, or a sideband has caused an event."""
        return bool(self._asides or self._output)

    @property
    def ended(self) -> bool:
        """Whether C{session.closed} is said."""
        return self._over and not self._asides

    @property
    def _form(self) -> Format:
        return self._heard.form

    def advance(self) -> list[Event]:
        """What sidebands have caused; or else the next piece of what is to be heard."""
        if self._asides:
            events = list(self._asides)
            self._asides.clear()
            return events
        return self._said(self._output.popleft()) if self._output else []

    def _said(self, piece: Event | _Sound) -> list[Event]:
        if not isinstance(piece, _Sound):
            return self._told(self._stamped([piece]))
        end_ms = piece.start_ms + self._form.milliseconds(len(piece.samples))
        heard = base64(converted(piece.samples, self._form, REFLECTED)) if self._sidebands else ""
        delta = {"type": "session.output_audio.delta", "delta": heard}
        self._reflect([{**delta, "start_ms": piece.start_ms, "end_ms": end_ms}])
        # Unlike all other events it has no id.
        return [{**delta, "delta": base64(piece.samples)}]

    def lost(self) -> None:
        """The client is gone, and the session with it."""
        if self._wire is not None and not self._over:
            self._reflect(self._stamped(self._end("connection_lost")))

    # Sidebands

    def attach(self, sideband: Sideband) -> None:
        """From now on, this sideband hears what happens."""
        self._sidebands.append(sideband)

    def detach(self, sideband: Sideband) -> None:
        """It hears nothing any more."""
        self._sidebands.remove(sideband)

    def command(self, event: Event) -> None:
        """
        Do what a sideband asks for. All connections are told.

        @raise ClientError: if it cannot be done.
        """
        self._asides.extend(self._told(self._stamped(self._answer(event))))
        self._wake()

    def _reflect(self, events: list[Event]) -> None:
        for sideband in list(self._sidebands):
            sideband.hear(events, self._over)

    def _told(self, events: list[Event]) -> list[Event]:
        self._reflect(events)
        return events

    # Answers

    def receive(self, payload: bytes, is_binary: bool = False) -> list[Event]:
        """Answer one message of the client; sidebands hear the answer too, if it is no error."""
        events = super().receive(payload, is_binary)
        return events if any(e["type"] == "error" for e in events) else self._told(events)

    def _answer(self, event: Event) -> list[Event]:
        if self._over:
            return []
        if self._wire is None and event.get("type") in self.answers.keys() - {"session.start"}:
            message = "Send session.start first, and wait for session.started."
            raise ClientError("session_not_started", message, "type")
        about = client_event_id(event.get("event_id"))
        return [
            answer if answer["type"].endswith(".delta") else {**answer, **about}
            for answer in super()._answer(event)
        ]

    def _start(self, event: Event) -> list[Event]:
        if self._wire is not None:
            raise ClientError("session_already_started", "Start a session once only.", "type")
        given = fields.required(event, "session", dict)
        self.fault = parse_model(live_settings.model_asked_for(given))
        if not isinstance(self.fault, Slow | ResetAfter | None):
            return []
        self._began = self._now()
        session_id = self._new_id("sess")
        self._wire = live_settings.started(given, self._source, session_id, self._began)
        self._heard.restart(live_settings.format_of(self._wire))
        self._sessions.begin(self, self._wire)
        return [{"type": "session.started", "session": self._wire}]

    def _update(self, event: Event) -> list[Event]:
        assert self._wire is not None
        given = fields.required(event, "session", dict)
        self._wire = live_settings.updated(self._wire, given)
        return [{"type": "session.updated", "session": self._wire}]

    def _close(self, event: Event) -> list[Event]:
        return self._end("close_requested")

    def _end(self, reason: str) -> list[Event]:
        assert self._wire is not None
        self._over = True
        self._output.clear()
        del self._sessions.open[self._wire["id"]]
        ending = {"reason": reason, "session": self._wire, "usage": self._usage()}
        return [{"type": "session.closed", **ending}]

    def _usage(self) -> Event:
        return {"seconds": float(int(self._now() - self._began))}

    # Audio

    def _append(self, event: Event) -> list[Event]:
        samples = fields.audio(event, "audio")
        if self._sidebands:
            audio = base64(converted(samples, self._form, REFLECTED))
            self._reflect([{"type": "session.input_audio.append", "audio": audio}])
        self._heard.append(bytes(len(samples)) if self._muted else samples)
        events = []
        while (mark := self._heard.scan(DETECTION)) is not None:
            events += self._noticed(mark)
        return events

    def _noticed(self, mark: Mark) -> list[Event]:
        if isinstance(mark, Started):
            # Who is interrupted falls silent.
            self._output.clear()
        if not isinstance(mark, Stopped):
            return []
        words = words_for(len(mark.audio), self._form.bytes_per_second)
        start_ms = mark.at_ms - self._form.milliseconds(len(mark.audio))
        self._say(mark.audio, words, mark.at_ms)
        heard = {"delta": words, "start_ms": start_ms, "end_ms": mark.at_ms}
        return [{"type": "session.input_transcript.delta", **heard}]

    def _say(self, audio: bytes, words: str, start_ms: int) -> None:
        times = {"start_ms": start_ms, "end_ms": start_ms + self._form.milliseconds(len(audio))}
        self._output.append({"type": "session.output_transcript.delta", "delta": words, **times})
        for at in range(0, len(audio), AUDIO_DELTA):
            begins = start_ms + self._form.milliseconds(at)
            self._output.append(_Sound(audio[at : at + AUDIO_DELTA], begins))
        self._output.append({"type": "session.usage.updated", "usage": self._usage()})

    def _mute(self, event: Event) -> list[Event]:
        self._muted = True
        return [{"type": "session.input_audio.muted"}]

    def _unmute(self, event: Event) -> list[Event]:
        self._muted = False
        return [{"type": "session.input_audio.unmuted"}]

    # Words

    def _context(self, event: Event) -> list[Event]:
        fields.required(event, "content", str)
        now_ms = self._heard.now_ms
        return [{"type": f"{event['type']}ed", "start_ms": now_ms, "end_ms": now_ms}]

    def _comment(self, event: Event) -> list[Event]:
        assert self._wire is not None
        acknowledged = self._context(event)
        voice = live_settings.voice_of(self._wire)
        audio = spoken(event["content"], self._form, voice)
        self._say(audio, event["content"], self._heard.now_ms)
        return acknowledged

    answers: ClassVar[Answers] = {
        "session.start": _start,
        "session.update": _update,
        "session.close": _close,
        "session.input_audio.append": _append,
        "session.input_audio.mute": _mute,
        "session.input_audio.unmute": _unmute,
        "session.instructions.append": _context,
        "session.thinking.append": _context,
        "session.commentary.append": _comment,
    }
