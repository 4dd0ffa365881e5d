"""
What is wrong with a 101: it does not open the WebSocket that was asked for.

Autobahn finds the same faults, but its reasons quote headers, which may hold a key. Here each fault
is told in words of its own. The value of C{Sec-WebSocket-Accept} is left to Autobahn, which knows
the key that it sent.

Source: RFC 6455, 4.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

WRONG_ACCEPT = "a 101 with a wrong Sec-WebSocket-Accept"
"""The fault that is left where L{fault_of} finds none."""

_SINGLE = ("Sec-WebSocket-Accept", "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol")


def fault_of(head: bytes, offered: Collection[str]) -> str | None:
    """
    What is wrong with a 101, or L{None}.

    @param head: the head of the answer, which is UTF-8, and perhaps what follows it.
    @param offered: the subprotocols that were offered. No extension ever is.
    @return: the fault. It may quote the subprotocol or extension that was selected, so it is to be
        scrubbed.
    """
    first, *lines = head.partition(b"\r\n\r\n")[0].decode("utf-8").split("\r\n")
    return next(_faults(first, _joined(lines), offered), None)


def _joined(lines: list[str]) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), []).append(value.strip())
    return fields


def _faults(first: str, fields: dict[str, list[str]], offered: Collection[str]) -> Iterator[str]:
    def value(name: str) -> str:
        return ", ".join(fields.get(name.lower(), ()))

    if not first.startswith("HTTP/1.1 "):
        yield "a 101 of HTTP/1.0"
    if value("Upgrade").lower() != "websocket":
        yield "a 101 without Upgrade: websocket"
    if "upgrade" not in [option.strip() for option in value("Connection").lower().split(",")]:
        yield "a 101 without Connection: Upgrade"
    if not value("Sec-WebSocket-Accept"):
        yield "a 101 without Sec-WebSocket-Accept"
    for name in _SINGLE:
        if len(fields.get(name.lower(), ())) > 1:
            yield f"a 101 with more than one {name}"
    if value("Sec-WebSocket-Extensions").strip(" ,"):
        yield f"a 101 with an extension that was not offered: {value('Sec-WebSocket-Extensions')}"
    if value("Sec-WebSocket-Protocol") not in ("", *offered):
        yield f"a 101 with a subprotocol that was not offered: {value('Sec-WebSocket-Protocol')}"
