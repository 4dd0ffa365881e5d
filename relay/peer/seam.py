"""
Every name of Autobahn's that the relay overrides, uses, or sets, and what is relied on.

The relay touches no other name of Autobahn's. Many are private, so any release may change them. The
tests hold each row against the installed Autobahn, by its form and by what it does. They also find
a name that the relay touches without a row, and a row that nothing touches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from attrs import frozen

from relay.peer.autobahn import HANDSHAKE

Use = Literal["overridden", "called", "read", "set", "deleted"]
"""
What the relay does with a name. An override may also call Autobahn's own method. What is set may
also be read.
"""


@frozen
class Name:
    """
    One name.

    @ivar owner: Autobahn's class or module that has the name.
    @ivar form: a signature without C{self}, where C{...} stands for any default; or C{= } and the
        value of a constant; or C{option}, for what a factory would hand to its protocols; or
        C{attribute}, for what an instance has.
    @ivar relied: what the relay relies on.
    """

    owner: str
    name: str
    use: Use
    form: str
    relied: str

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"


_ADAPTER: list[tuple[str, Use, str, str]] = [
    ("log", "set", "attribute", "all that Autobahn logs goes through it"),
    (
        "connectionMade",
        "overridden",
        "()",
        "collects details of the transport, sets `TCP_NODELAY` and calls `_connectionMade`",
    ),
    ("connectionLost", "overridden", "(reason=...)", "logs, and calls `_connectionLost`"),
    ("dataReceived", "overridden", "(data)", "logs, and calls `_dataReceived`"),
    ("_onOpen", "overridden", "()", "reads details of the transport, and calls `onOpen`"),
]

_BOTH: list[tuple[str, Use, str, str]] = [
    ("__init__", "overridden", "()", "sets only what a new connection shares with all others"),
    ("STATE_CLOSED", "read", "= 0", "Autobahn parses nothing and sends no message"),
    ("STATE_CONNECTING", "read", "= 1", "the state of a new connection, until its 101"),
    ("STATE_CLOSING", "read", "= 2", "Autobahn parses frames and sends no message"),
    ("STATE_OPEN", "read", "= 3", "Autobahn parses frames and sends messages"),
    ("state", "set", "attribute", "decides alone whether Autobahn parses and sends"),
    ("data", "set", "attribute", "what came and is not parsed: after a head, just what followed"),
    ("current_frame", "read", "attribute", "is `None` between two frames, from the 101 on"),
    ("message_data", "set", "attribute", "a list of the parts of the message that comes in"),
    ("message_is_binary", "read", "attribute", "a `bool`, of the first frame's opcode"),
    (
        "_connectionMade",
        "overridden",
        "()",
        "copies options from the factory, and sets what a new connection has in common with others",
    ),
    ("_connectionLost", "overridden", "(reason)", "cancels timers, and calls `onClose` once"),
    ("_dataReceived", "called", "(data)", "appends to `data` and calls `consumeData`"),
    (
        "consumeData",
        "overridden",
        "()",
        "runs for each chunk and after a handshake if `data` is left; calls `processHandshake` "
        "while connecting, `processData` while it returns `True` once open, nothing when closed",
    ),
    (
        "processData",
        "called",
        "()",
        "takes one step, a frame's head or a part of its payload; `False` if it needs more bytes",
    ),
    ("onOpen", "overridden", "()", "is called once, when the state is open"),
    (
        "onMessageFrameBegin",
        "overridden",
        "(length)",
        "is called with each data frame's length before its payload; counts it, and calls "
        "`_fail_connection(1009, …)` above `maxMessagePayloadSize`",
    ),
    (
        "onMessageFrameData",
        "overridden",
        "(payload)",
        "is called with each unmasked part of a payload; keeps it for `message_data`",
    ),
    (
        "onMessageEnd",
        "overridden",
        "()",
        "is called once for each message, with all of it in `message_data`",
    ),
    ("onMessage", "overridden", "(payload, isBinary)", "is called by `onMessageEnd` alone"),
    ("onPing", "overridden", "(payload)", "is called with each Ping, between frames of a message"),
    ("onPong", "overridden", "(payload)", "is called with each Pong, asked for or not"),
    (
        "onCloseFrame",
        "overridden",
        "(code, reasonRaw)",
        "is called with any Close: any code, the reason's bytes; with `None` for what is missing",
    ),
    (
        "_fail_connection",
        "overridden",
        "(code=1001, reason='going away')",
        "is called at each limit, and alone logs, closes or drops",
    ),
    (
        "_protocol_violation",
        "overridden",
        "(reason)",
        "is called at each breach of framing; after `True`, `processData` returns `False`",
    ),
    ("_invalid_payload", "overridden", "(reason)", "calls `_fail_connection(1007, …)`"),
    (
        "sendData",
        "overridden",
        "(data, sync=False, chopsize=None)",
        "is given all that Autobahn writes: a whole frame or a whole head at once",
    ),
    (
        "sendFrame",
        "called",
        "(opcode, payload=b'', fin=True, rsv=0, mask=None, payload_len=None, chopsize=None, "
        "sync=False)",
        "writes one frame in any state, masked by a client, and changes no state",
    ),
    (
        "sendMessage",
        "called",
        "(payload, isBinary=False, fragmentSize=None, sync=False, doNotCompress=False)",
        "writes one frame; raises unless open, and above `maxMessagePayloadSize`",
    ),
    ("sendPing", "called", "(payload=None)", "writes one Ping, and none unless open"),
    ("logOctets", "set", "option", "`False`: no line for each chunk"),
    ("logFrames", "set", "option", "`False`: no line for each frame"),
    ("trackTimings", "set", "option", "`False`: no table of times"),
    ("utf8validateIncoming", "set", "option", "`False`: Autobahn checks no text"),
    ("applyMask", "set", "option", "`True`: payloads are masked and unmasked"),
    ("maxFramePayloadSize", "set", "option", "`0`: no limit for a frame"),
    ("maxMessagePayloadSize", "set", "option", "the limit of a message, in and out"),
    ("autoFragmentSize", "set", "option", "`0`: one frame for each message"),
    ("failByDrop", "set", "option", "`False`: a fault is answered with a Close"),
    ("echoCloseCodeReason", "set", "option", "`True`: a Close is answered with its own code"),
    ("openHandshakeTimeout", "set", "option", "`0`: no timer"),
    ("closeHandshakeTimeout", "set", "option", "`0`: no timer"),
    ("tcpNoDelay", "set", "option", "`True`: small frames go at once"),
    ("autoPingInterval", "set", "option", "`0`: no timer, no Ping of Autobahn's"),
    ("autoPingTimeout", "set", "option", "`0`: no timer"),
    ("autoPingRestartOnAnyTraffic", "set", "option", "`False`: no timer"),
]

_SERVER: list[tuple[str, Use, str, str]] = [
    ("CONFIG_ATTRS", "set", "attribute", "names what is copied from the factory and printed"),
    (
        "onConnect",
        "overridden",
        "(request)",
        "is called with a good upgrade request; may return a Deferred of the subprotocol and the "
        "headers of the 101",
    ),
    (
        "succeedHandshake",
        "overridden",
        "(res)",
        "is called with what `onConnect` gave, in any state; writes the 101, then is open, calls "
        "`_onOpen`, and parses what followed the head",
    ),
    (
        "failHandshake",
        "overridden",
        "(reason, code=400, responseHeaders=None)",
        "is called for each bad request, and with the code of a `ConnectionDeny`",
    ),
    ("versions", "set", "option", "`(13,)`: no other version is accepted"),
    ("webStatus", "set", "option", "`False`: no page, and no redirect"),
    ("requireMaskedClientFrames", "set", "option", "`True`: an unmasked frame is a violation"),
    ("maskServerFrames", "set", "option", "`False`: nothing is masked"),
    ("perMessageCompressionAccept", "set", "option", "gives `None`: no extension is selected"),
    ("serveFlashSocketPolicy", "set", "option", "`False`: no policy file"),
    ("allowedOriginsPatterns", "set", "option", "`*`: Autobahn passes any Origin"),
    ("maxConnections", "set", "option", "`0`: Autobahn counts no connections"),
    ("trustXForwardedFor", "set", "option", "`0`: Autobahn reads no such header"),
    *(
        (name, "deleted", "attribute", "is not read once open")
        for name in HANDSHAKE
        if name != "websocket_key"
    ),
]

_CLIENT: list[tuple[str, Use, str, str]] = [
    ("CONFIG_ATTRS", "set", "attribute", "names what is copied from the factory and printed"),
    (
        "_actuallyStartHandshake",
        "called",
        "(request_options)",
        "writes the whole request at once, from its argument alone",
    ),
    (
        "failHandshake",
        "overridden",
        "(reason)",
        "is called for a 101 that does not answer the request; then nothing else happens",
    ),
    ("websocket_protocol_in_use", "read", "attribute", "the subprotocol of the 101, or `None`"),
    ("websocket_key", "deleted", "attribute", "is not read once open"),
    ("version", "set", "option", "`18`: asks for version 13"),
    ("acceptMaskedServerFrames", "set", "option", "`False`: a masked frame is a violation"),
    ("maskClientFrames", "set", "option", "`True`: all frames are masked"),
    ("serverConnectionDropTimeout", "set", "option", "`0`: no timer"),
    ("perMessageCompressionOffers", "set", "option", "`()`: no extension is offered"),
    ("perMessageCompressionAccept", "set", "option", "gives `None`: an extension is a failure"),
]

_SERVER_FACTORY: list[tuple[str, Use, str, str]] = [
    (
        "__init__",
        "called",
        "(url=None, protocols=None, server=..., headers=None, externalPort=None)",
        "needs no URL, sets no timer, and without a server's name the 101 has none",
    ),
    ("isServer", "read", "= True", "is `True`, and tells which side masks"),
]

_CLIENT_FACTORY: list[tuple[str, Use, str, str]] = [
    ("isServer", "set", "= False", "tells which side masks"),
    ("proxy", "set", "attribute", "`None`: Autobahn asks no proxy"),
    ("protocols", "set", "attribute", "has the subprotocols that a 101 may select"),
]

_TYPES: list[tuple[str, Use, str, str]] = [
    (
        "ConnectingRequest",
        "called",
        "(host=None, port=None, resource=None, headers=None, useragent=None, origin=None, "
        "protocols=None)",
        "is what `_actuallyStartHandshake` takes",
    ),
    (
        "ConnectionDeny",
        "overridden",
        "(code, reason=None)",
        "raised in `onConnect`, it becomes a call of `failHandshake`",
    ),
]

_UTIL: list[tuple[str, Use, str, str]] = [
    ("wildcards2patterns", "called", "(wildcards)", "is what `allowedOriginsPatterns` is made by"),
]

_TABLES = {
    "WebSocketAdapterProtocol": _ADAPTER,
    "WebSocketProtocol": _BOTH,
    "WebSocketServerProtocol": _SERVER,
    "WebSocketClientProtocol": _CLIENT,
    "WebSocketServerFactory": _SERVER_FACTORY,
    "WebSocketClientFactory": _CLIENT_FACTORY,
    "autobahn.websocket.types": _TYPES,
    "autobahn.util": _UTIL,
}


def _rows() -> Iterator[Name]:
    for owner, table in _TABLES.items():
        for row in table:
            yield Name(owner, *row)


SEAM = tuple(_rows())
"""All rows."""
