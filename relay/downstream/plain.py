"""A plain request on its way to a page of the relay's own, and back to its record."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from relay.admission.request import Request
from relay.telemetry.records import AnsweredRecord, shown


@frozen
class Asked:
    """
    A plain request.

    @ivar headers: what the answer must have besides the page's own headers.
    @ivar is_preflight: whether a browser only asks what it may send; the headers say all of that.
    @ivar secure: whether the client came by TLS, to the relay or to a trusted proxy.
    @ivar listener: what the settings' rules call the listener that it came to.
    @ivar tell: is told the record of the answer.
    """

    request: Request
    headers: tuple[tuple[str, str], ...]
    is_preflight: bool
    secure: bool
    tell: Callable[[AnsweredRecord], None]
    listener: str | None = None

    def answered(self, status: int, subject: str | None) -> None:
        """The answer to C{subject} is written."""
        request = self.request
        head = request.head
        record = AnsweredRecord(
            request.id,
            request.peer,
            head.trace_id,
            request.origin,
            shown(head.method),
            shown(head.path),
            status,
            subject,
        )
        self.tell(record)
