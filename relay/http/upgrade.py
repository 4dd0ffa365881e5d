"""What a request for the WebSocket must be (RFC 6455, 4.2.1)."""

from __future__ import annotations

import base64
import binascii

from relay.http.head import TOKEN, Head
from relay.http.middlebox import explained, names_upgrade
from relay.rules.refusals import KINDS, Refusal, refuse


def _key_is_valid(key: str | None) -> bool:
    try:
        return key is not None and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def upgrade_refusal(head: Head) -> Refusal | None:
    """
    The refusal of a malformed request for the WebSocket (RFC 6455, 4.2.1), or L{None}.

    It names the fault that matters most: method, upgrade, version, then the details. A list
    may come in several fields (RFC 9110, 5.3), as subprotocols and extensions do (RFC 6455, 11.3).
    """
    if head.method != "GET":
        return refuse("method_not_allowed")
    if not head.wants_upgrade:
        said = KINDS["upgrade_required"].message
        return refuse("upgrade_required", explained(head, "removed the Upgrade header", said))
    if head.all("sec-websocket-version") != ["13"]:
        said = _lost(head, "Sec-WebSocket-Version", "Use WebSocket version 13.")
        return refuse("upgrade_required", said)
    fault = _detail(head)
    return refuse("bad_request", fault) if fault else None


def _lost(head: Head, name: str, fault: str) -> str:
    is_there = bool(head.all(name.lower()))
    return fault if is_there else explained(head, f"removed the {name} header", fault)


def _detail(head: Head) -> str | None:
    offered = head.subprotocols
    old = explained(head, "speaks HTTP/1.0 to the relay", "Use HTTP/1.1.")
    hop = explained(head, "removed Upgrade from the Connection header", "Send Connection: Upgrade.")
    keyless = _lost(head, "Sec-WebSocket-Key", "Send one valid Sec-WebSocket-Key.")
    checks = (
        (head.version == 1, old),
        (names_upgrade(head), hop),
        (_key_is_valid(head.one("sec-websocket-key")), keyless),
        (head.body_length == 0, "Send no body with an upgrade."),
        (len(head.all("origin")) <= 1, "Send one Origin at most."),
        # Of two credentials, one might count here and the other to another reader of the head.
        (len(head.all("authorization")) <= 1, "Send one Authorization at most."),
        ("#" not in head.target, "Send no fragment."),
        (
            all(TOKEN.fullmatch(name) for name in offered) and len(set(offered)) == len(offered),
            "Send each subprotocol once, as a token.",
        ),
    )
    return next((message for holds, message in checks if not holds), None)
