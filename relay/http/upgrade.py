"""What a request for the WebSocket must be (RFC 6455, 4.2.1)."""

from __future__ import annotations

import base64
import binascii

from relay.http.head import TOKEN, Head
from relay.rules.refusals import Refusal, refuse


def _key_is_valid(key: str | None) -> bool:
    try:
        return key is not None and len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def upgrade_refusal(head: Head) -> Refusal | None:
    """
    The refusal of a malformed request for the WebSocket (RFC 6455, 4.2.1), or L{None}.

    It names the fault that matters most: method, upgrade, version, then the details.
    """
    if head.method != "GET":
        return refuse("method_not_allowed")
    if not head.wants_upgrade:
        return refuse("upgrade_required")
    if head.all("sec-websocket-version") != ["13"]:
        return refuse("upgrade_required", "Use WebSocket version 13.")
    fault = _detail(head)
    return refuse("bad_request", fault) if fault else None


def _detail(head: Head) -> str | None:
    offered = head.subprotocols
    checks = (
        (head.version == 1, "Use HTTP/1.1."),
        (
            "upgrade" in (option.lower() for option in head.elements("connection")),
            "Send Connection: Upgrade.",
        ),
        (_key_is_valid(head.one("sec-websocket-key")), "Send one valid Sec-WebSocket-Key."),
        (head.body_length == 0, "Send no body with an upgrade."),
        (len(head.all("origin")) <= 1, "Send one Origin at most."),
        # Of two credentials, one might count here and the other to another reader of the head.
        (len(head.all("authorization")) <= 1, "Send one Authorization at most."),
        (len(head.all("sec-websocket-extensions")) <= 1, "Send one Sec-WebSocket-Extensions."),
        ("#" not in head.target, "Send no fragment."),
        (sum(name == "model" for name, _ in head.query) <= 1, "Ask for one model."),
        (
            all(TOKEN.fullmatch(name) for name in offered) and len(set(offered)) == len(offered),
            "Send each subprotocol once, as a token.",
        ),
    )
    return next((message for holds, message in checks if not holds), None)
