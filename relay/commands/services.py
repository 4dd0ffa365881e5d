"""Ask the services that decide who may come in, and tell how that went."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from relay.admission.asking import NoAnswer, asking
from relay.config.access import Access
from relay.config.authorizers import CallbackTable
from relay.config.issuers import JwtSource

SECONDS = 5.0
"""How long an answer is waited for."""


@frozen
class Service:
    """
    How it went.

    @ivar name: its table in the settings.
    @ivar fault: why it cannot be used; L{None} if it can.
    @ivar said: what it answered.
    """

    name: str
    url: str
    fault: str | None
    said: str

    def as_json(self) -> dict[str, object]:
        """For C{--json}."""
        return {
            "service": self.name,
            "url": self.url,
            "ok": self.fault is None,
            "said": self.said,
            "fault": self.fault,
        }

    def as_line(self) -> str:
        """For people."""
        return f"{self.name}: {self.url}\n  {self.fault or self.said}"


async def ask_services(access: Access, reactor: Any) -> list[Service]:
    """Ask each of them once. A callback is asked about nobody."""
    asked = [
        await _issuer(f"[[auth.jwt]] #{number}", source, reactor)
        for number, source in enumerate(access.jwt, 1)
        if source.key is None
    ]
    if access.callback.url is not None:
        asked.append(await _callback(access.callback.url, access.callback, reactor))
    return asked


async def _issuer(name: str, source: JwtSource, reactor: Any) -> Service:
    # Imported only here, because PyJWT is an extra.
    from relay.admission.keyset import MOST_BYTES, keys_in

    table, url = source.table, source.table.jwks_url or ""
    ask = asking(reactor, table.ca_file, SECONDS, MOST_BYTES)
    try:
        answer = await ask("GET", url, {"Accept": "application/json"}, b"")
        count = len(keys_in(answer, table.algorithms))
    except NoAnswer as fault:
        return Service(name, url, f"The keys cannot be had: {fault}.", "")
    return Service(name, url, None, f"It has {count} {'key' if count == 1 else 'keys'} to use.")


async def _callback(url: str, table: CallbackTable, reactor: Any) -> Service:
    name = "[auth.callback]"
    try:
        answer = await asking(reactor, table.ca_file, table.seconds, 0)("HEAD", url, {}, b"")
    except NoAnswer as fault:
        return Service(name, url, f"It cannot be asked: {fault}.", "")
    return Service(name, url, None, f"It answers HTTP (HEAD: {answer.status}).")
