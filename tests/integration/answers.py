"""What a downstream gets to read: a whole HTTP answer, or a WebSocket that carries a refusal."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from integration.loopback import RawClient, until
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.typing import Origin, Subprotocol
from websockets.uri import parse_uri

ERROR_FIELDS = [
    "type",
    "code",
    "message",
    "param",
    "request_id",
    "retryable",
    "attempts",
    "upstream",
]
OF_AN_OPEN_BREAKER = ["cause", "since"]
TO_WAIT = "retry_after"
"""Stands behind all others, if the client is to wait."""
UPSTREAM_FIELDS = ["name", "stage", "status", "request_id"]


@dataclass(frozen=True)
class Answer:
    """
    One HTTP answer.

    @ivar headers: names in lower case.
    """

    status: int
    headers: dict[str, str]
    error: dict[str, Any]


def parse_answer(received: bytes) -> Answer:
    """The one whole answer that was received; anything before or behind it is a failure."""
    head, blank, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    status = int(first.split(" ")[1])
    assert blank, f"no whole head: {received!r}"
    assert first == f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    assert len(headers) == len(lines), "a header is repeated"
    assert len(body) == int(headers["content-length"])
    return Answer(status, headers, json.loads(body)["error"])


def assert_complete(answer: Answer) -> None:
    """The answer is what the design promises of each."""
    headers, error = answer.headers, answer.error
    assert headers["connection"].split(",")[0].lower() == "close"
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == error["request_id"]
    assert str(error.get(TO_WAIT)) == headers.get("retry-after", "None")
    assert headers["x-should-retry"] == ("true" if error["retryable"] else "false")
    assert_error_shape(error)


def assert_error_shape(error: dict[str, Any]) -> None:
    """The error object has OpenAI's fields and the relay's, and no others."""
    fields = [name for name in error if name != TO_WAIT]
    assert fields in (ERROR_FIELDS, ERROR_FIELDS + OF_AN_OPEN_BREAKER)
    assert error["type"] == "relay_error"
    assert error["param"] is None
    assert error["request_id"].startswith("req_")
    assert error["message"].isprintable()
    assert error["upstream"] is None or list(error["upstream"]) == UPSTREAM_FIELDS


@dataclass
class WebSocketClient(RawClient):
    """
    A downstream that speaks WebSocket by an implementation that is not the relay's.

    @ivar response: the answer to its upgrade.
    @ivar frames: what came on the WebSocket.
    """

    subprotocols: tuple[str, ...] = ()
    origin: str | None = None
    agent: str | None = None
    target: str = "/v1/realtime?model=gpt-realtime"
    response: Response | None = None
    frames: list[Frame] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.protocol = ClientProtocol(
            parse_uri(f"ws://127.0.0.1{self.target}"),
            origin=None if self.origin is None else Origin(self.origin),
            subprotocols=[Subprotocol(name) for name in self.subprotocols] or None,
        )

    def connectionMade(self) -> None:
        """Ask for the upgrade."""
        request = self.protocol.connect()
        if self.agent is not None:
            request.headers["User-Agent"] = self.agent
        self.protocol.send_request(request)
        self._flush()

    def dataReceived(self, data: bytes) -> None:
        """Read the answer and the frames; answer what must be."""
        super().dataReceived(data)
        self.protocol.receive_data(data)
        self._flush()
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.response = event
            elif isinstance(event, Frame):
                self.frames.append(event)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing more comes."""
        super().connectionLost(reason)
        self.protocol.receive_eof()

    def _flush(self) -> None:
        for data in self.protocol.data_to_send():
            self.send(data)

    async def open(self) -> None:
        """Wait for the 101."""
        await until(lambda: self.response is not None, f"an answer; got {self.received!r}")
        assert self.response is not None
        assert self.response.status_code == 101, self.received

    async def hears(self, count: int) -> list[Frame]:
        """Wait for this many frames."""
        await until(lambda: len(self.frames) >= count, f"{count} frames; got {self.frames}")
        return self.frames


async def refused_in_band(client: WebSocketClient) -> tuple[dict[str, Any], Frame]:
    """The error object and the Close of a refusal told in band, and nothing else."""
    await client.open()
    await client.closed()
    assert client.response is not None
    event_frame, close = client.frames
    assert (event_frame.opcode, close.opcode) == (Opcode.TEXT, Opcode.CLOSE)
    event = json.loads(bytes(event_frame.data))
    assert list(event) == ["type", "event_id", "error"]
    assert event["type"] == "error"
    assert event["error"]["request_id"] == client.response.headers["X-Request-Id"]
    assert_error_shape(event["error"])
    error: dict[str, Any] = event["error"]
    return error, close
