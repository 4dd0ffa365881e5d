"""What an C{admit} callable is given, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import field, frozen

from relay.http.head import Head
from relay.rules.refusals import Refusal
from relay.rules.subprotocols import credential_in

_BEARER = "bearer "


@frozen
class Request:
    """
    A client's request for a session.

    @ivar id: the request's id, as in the records.
    @ivar peer: the address of the connection's other end, without port.
    @ivar head: the whole request head.
    """

    id: str
    peer: str
    head: Head = field(repr=False)

    @property
    def credential(self) -> str | None:
        """The Bearer token, or the one that a browser sent as a subprotocol."""
        authorization = self.head.one("authorization") or ""
        if authorization[: len(_BEARER)].lower() == _BEARER:
            return authorization[len(_BEARER) :].strip()
        return credential_in(self.head.subprotocols)

    @property
    def origin(self) -> str | None:
        """The Origin header, which names a browser's page; L{None} without one."""
        return self.head.one("origin")

    @property
    def model(self) -> str | None:
        """The model that the request asks for; L{None} if it names none."""
        return dict(self.head.query).get("model")


@frozen
class Grant:
    """
    This request may have a session.

    @ivar subject: the name, in the records, of the one whose session it is.
    """

    subject: str | None = None


Verdict = Grant | Refusal
Admit = Callable[[Request], Verdict | Awaitable[Verdict]]
"""Decides on a request, at once or by an awaitable such as a Deferred."""
