"""An upstream that opens every session, and keeps what came to it."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue

from attrs import define, field
from processes import SECONDS
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.server import ServerConnection, serve


@define
class Heard:
    """
    What came of one session.

    @ivar head: its request's header fields.
    @ivar close: L{None} for a Close without a code, or none at all.
    """

    model: str
    head: list[tuple[str, str]]
    messages: list[str | bytes] = field(factory=list)
    close: Close | None = None


class ListeningUpstream:
    """
    Sends a first event, then only listens.

    @ivar sessions: those that ended.
    """

    def __init__(self) -> None:
        self.sessions: Queue[Heard] = Queue()
        self.url = ""

    def __call__(self, websocket: ServerConnection) -> None:
        """Serve one session."""
        request = websocket.request
        assert request is not None
        heard = Heard(request.path.partition("model=")[2], list(request.headers.raw_items()))
        websocket.send('{"type":"session.created"}')
        try:
            while True:
                heard.messages.append(websocket.recv())
        except ConnectionClosed as closed:
            heard.close = closed.rcvd
        self.sessions.put(heard)


@contextmanager
def listening_upstream(tls: ssl.SSLContext | None = None) -> Iterator[ListeningUpstream]:
    """
    It, running.

    @param tls: to speak TLS with; its C{url} does not say so.
    """
    upstream = ListeningUpstream()
    with serve(upstream, "127.0.0.1", 0, ssl=tls, compression=None, ping_interval=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        upstream.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v1/realtime"
        try:
            yield upstream
        finally:
            server.shutdown()
            thread.join(SECONDS)
