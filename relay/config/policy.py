"""What the operator can say of what clients say: the table C{[policy]}."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from relay.config import checks
from relay.config.fields import count, documented
from relay.policy.policy import Policy, fault_of_fields, fault_of_name


def _event(value: str) -> str | None:
    name = value[:-1] if value.endswith("*") else value
    if not name.isprintable() or "*" in name or not value:
        return "must be the type of an event, with no * but at its end"
    return None


@frozen(kw_only=True)
class PolicyTable:
    """What clients may say in every session."""

    models: tuple[str, ...] | None = documented(
        "Models that clients may ask for; all if it is not set.",
        None,
        checks.unless_unset(checks.each(checks.printable)),
    )
    events: tuple[str, ...] | None = documented(
        'Types of the events that clients may send; "input_audio_buffer.*" is all that begin so.'
        " All if it is not set.",
        None,
        checks.unless_unset(checks.each(_event)),
    )
    force: dict[str, Any] = field(
        factory=dict,
        validator=checks.named(fault_of_fields),
        metadata={
            "doc": "Fields of the session that have these values, whatever clients say. Its"
            " instructions are hidden from them.",
            "default": "`{}`",
        },
    )
    default: dict[str, Any] = field(
        factory=dict,
        validator=checks.named(fault_of_fields),
        metadata={
            "doc": "Fields of the session that have these values until a client says otherwise.",
            "default": "`{}`",
        },
    )
    lock: tuple[str, ...] = documented(
        'Fields, like "audio.output.voice", that no event of a client may say.',
        (),
        checks.each(fault_of_name),
    )
    event_bytes: int = count(
        "Bytes of a client's event, apart from one that is nothing but audio, in a session with a"
        " policy.",
        262_144,
        1024,
        2**24,
    )

    @property
    def policy(self) -> Policy:
        """The policy that it describes."""
        return Policy(
            models=self.models,
            events=self.events,
            force=self.force,
            default=self.default,
            lock=self.lock,
            event_bytes=self.event_bytes,
        )
