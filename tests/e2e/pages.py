"""A web page in a headless Chromium, which opens WebSockets and reports what it saw of them."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import asdict, frozen
from processes import SECONDS, running

PAGE = Path(__file__).parent / "browser" / "page.html"

FOREIGN = "pages.example"
"""A host name that Chromium takes for this machine, and the relay for a foreign one."""

OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

Seen = list[tuple[Any, ...]]
"""
What a page saw of one WebSocket: open, message, error and close, each with what it told. Or of one
request: its answer's status, its error's code, and whether it has an id; or an error.
"""


@frozen
class Visit:
    """
    One WebSocket that a page opens, once the one before is closed; or a request by C{fetch}.

    @ivar ask: the method of that request, whose headers are an SDK's; L{None} for a WebSocket.
    @ivar protocols: the subprotocols it offers; L{None} to name none.
    @ivar say: what it sends at each message.
    @ivar close: what it closes with at the first message, unless it says something.
    """

    name: str
    url: str
    protocols: Sequence[str] | None = None
    say: str | None = None
    close: Sequence[int | str] | None = None
    ask: str | None = None


@frozen
class Set:
    """
    What one page does.

    @ivar frames: further pages that it embeds, each with whether it is sandboxed, so that its
        Origin is C{null}.
    """

    visits: Sequence[Visit]
    frames: Sequence[tuple[str, bool]] = ()

    def told(self) -> dict[str, Any]:
        """As the page reads it."""
        frames = [{"src": src, "sandbox": sandbox} for src, sandbox in self.frames]
        return {"visits": [asdict(visit) for visit in self.visits], "frames": frames}


class Pages(ThreadingHTTPServer):
    """
    Serves the page, tells it what to do, and takes its report.

    @ivar sets: what the page C{/?NAME} does, by its name.
    @ivar files: what else there is: the type and the content of each path.
    @ivar reports: the names of the sets that were done, and what was seen of each visit.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.sets: Mapping[str, Set] = {}
        self.files: Mapping[str, tuple[str, bytes]] = {}
        self.reports: Queue[tuple[str, dict[str, Seen]]] = Queue()

    def origin(self, host: str = "127.0.0.1") -> str:
        """Where it is found by this name."""
        return f"http://{host}:{self.server_port}"


class _Request(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        """Send the page, or what it shall do."""
        path, name = urlsplit(self.path).path, urlsplit(self.path).query
        if path == "/":
            self._answer("text/html", PAGE.read_bytes())
        elif path == "/visits":
            told = self.server.sets[name].told()
            self._answer("application/json", json.dumps(told).encode())
        elif path in self.server.files:
            self._answer(*self.server.files[path])
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Take a report."""
        report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen = {visit: [tuple(event) for event in events] for visit, events in report.items()}
        self._answer("text/plain", b"")
        self.server.reports.put((urlsplit(self.path).query, seen))

    def _answer(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        # For the sandboxed page, whose origin is none.
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def lacking() -> str | None:
    """What there must be and is not."""
    return None if shutil.which("chromium") else "not installed: chromium"


def require() -> None:
    """Skip and say why, if there is no browser."""
    lack = lacking()
    if lack:
        pytest.skip(lack)


@contextmanager
def serving() -> Iterator[Pages]:
    """The pages' server, running."""
    with Pages() as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        try:
            yield pages
        finally:
            pages.shutdown()
            thread.join(SECONDS)


def browse(
    pages: Pages, path: str, folder: Path, *options: str, reports: int = 1
) -> dict[str, dict[str, Seen]]:
    """
    Have one Chromium open a page.

    @param options: more of Chromium's.
    @param reports: how many the page and those that it embeds give.
    @return: what each saw.
    """
    url = f"{pages.origin()}{path}"
    command = ["chromium", *OPTIONS, *options, f"--user-data-dir={folder}/profile", url]
    with running(command, folder):
        return dict(pages.reports.get(timeout=SECONDS) for _ in range(reports))
