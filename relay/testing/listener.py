"""A listener that keeps what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import Factory, define

from relay import AnsweredRecord, ClosedRecord, HoldRecord, Refusal, RelayListener


@define(eq=False)
class RecordingListener(RelayListener):
    """
    A L{relay.RelayListener} that keeps what it is told, each in order.

    @ivar holds: the records of all holds, however they ended.
    @ivar openings: the records of those that ended with a session.
    @ivar calls: the records of those that ended with a call.
    @ivar refusals: of the others, with L{None} for a downstream that left.
    @ivar events: what upstreams told.
    @ivar audio: how long responses took to their first audio, in seconds.
    @ivar ends: the records of sessions that ended.
    @ivar answers: the records of plain requests that were answered.
    """

    holds: list[HoldRecord] = Factory(list)
    openings: list[HoldRecord] = Factory(list)
    refusals: list[Refusal | None] = Factory(list)
    calls: list[HoldRecord] = Factory(list)
    events: list[Mapping[str, Any]] = Factory(list)
    audio: list[float] = Factory(list)
    ends: list[ClosedRecord] = Factory(list)
    answers: list[AnsweredRecord] = Factory(list)

    def opened(self, record: HoldRecord) -> None:
        """Keep it."""
        self.holds.append(record)
        self.openings.append(record)

    def called(self, record: HoldRecord) -> None:
        """Keep it."""
        self.holds.append(record)
        self.calls.append(record)

    def refused(self, record: HoldRecord, refusal: Refusal | None) -> None:
        """Keep it."""
        self.holds.append(record)
        self.refusals.append(refusal)

    def event(self, record: HoldRecord, event: Mapping[str, Any]) -> None:
        """Keep it."""
        self.events.append(event)

    def first_audio(self, record: HoldRecord, seconds: float) -> None:
        """Keep how long it took."""
        self.audio.append(seconds)

    def closed(self, record: ClosedRecord) -> None:
        """Keep it."""
        self.ends.append(record)

    def answered(self, record: AnsweredRecord) -> None:
        """Keep it."""
        self.answers.append(record)
