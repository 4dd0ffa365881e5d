"""Connections of the Live API in memory, without a network."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from itertools import count

from openai.types.live import ConnectServerEvent, ServerEvent
from simulator.talk import Event, check_as, models_of

from relay.simulator.dialogue import Dialogue
from relay.simulator.live import LiveSession, LiveSessions
from relay.simulator.sideband import Sideband

PRIMARY, SIDEBAND = models_of(ServerEvent), models_of(ConnectServerEvent)

RATE = 24_000
LOUD = b"\x00\x40\x00\xc0" * (RATE // 2)
"""A second of noise."""

PAUSE = bytes(RATE)
"""Half a second of silence, which ends a turn."""


class Service:
    """All the sessions there are, and what time it is."""

    def __init__(self) -> None:
        self.ids = count(1)
        self.time = 1000.0
        self.sessions = LiveSessions()
        self.woken: list[Client] = []

    def new_id(self, kind: str) -> str:
        return f"{kind}_{next(self.ids)}"

    def primary(self, source: Event | None = None) -> Client:
        client = Client()
        client.dialogue = LiveSession(
            self.sessions,
            lambda: self.time,
            self.new_id,
            lambda: self.woken.append(client),
            source,
        )
        return client

    def started(self, **settings: object) -> Client:
        client = self.primary()
        client.send("session.start", session={"model": "m", **settings})
        return client

    def sideband(self) -> Client:
        """One of the newest session."""
        client = Client()
        session = list(self.sessions.open.values())[-1]
        client.dialogue = Sideband(session, self.new_id, lambda: self.woken.append(client))
        return client


class Client:
    """One connection."""

    dialogue: Dialogue

    def check(self, events: list[Event]) -> list[Event]:
        for event in events:
            check_as(event, SIDEBAND if isinstance(self.dialogue, Sideband) else PRIMARY)
        return events

    def send(self, kind: str, **more: object) -> list[Event]:
        return self.check(self.dialogue.receive(json.dumps({"type": kind, **more}).encode()))

    def say(self, samples: bytes) -> list[Event]:
        return self.send("session.input_audio.append", audio=b64encode(samples).decode())

    def rest(self) -> list[Event]:
        """All that is said by itself."""
        events: list[Event] = []
        while self.dialogue.speaking:
            events += self.dialogue.advance()
        return self.check(events)


def kinds(events: list[Event]) -> list[str]:
    return [event["type"].removeprefix("session.") for event in events]


def heard(events: list[Event]) -> bytes:
    sounds = (e["delta"] for e in events if e["type"] == "session.output_audio.delta")
    return b"".join(map(b64decode, sounds))
