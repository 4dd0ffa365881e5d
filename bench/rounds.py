"""Starts a peer and a load, again and again; nothing that goes wrong is passed over."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from attrs import asdict, define, field

from bench.children import ROOT, Child, ChildFailed, free_port, running
from bench.figures import Outcome
from bench.loads import Load
from bench.peers.place import Peer, Place, Upstream

STARTS = 2
"""Attempts to start a peer: somebody may take the free port in between."""

PATIENCE = 90.0
"""Seconds that a load may take above what it measures."""


def raise_descriptors() -> int:
    """Take all file descriptors that this user may have, children too; returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        yield Path(name)


def _own(module: str, argument: str, folder: Path) -> AbstractContextManager[Child]:
    return running([sys.executable, "-m", module, argument], folder, {"PYTHONPATH": str(ROOT)})


@define
class Stage:
    """
    Where loads and peers meet: an upstream, and what is known of the peers.

    @ivar descriptors: file descriptors that each process may have.
    @ivar tell: takes what a failed process said.
    @ivar broken: why a peer will not start here, by its name; it is not tried again.
    """

    descriptors: int
    tell: Callable[[str], None] = print
    broken: dict[str, str] = field(factory=dict)
    _upstreams: Mapping[bool, Upstream] = field(factory=dict)

    @contextmanager
    def upstream(self) -> Iterator[None]:
        """While this is entered, there is an upstream."""
        with scratch() as folder, _own("bench.upstream", str(folder), folder) as child:
            ports = json.loads(child.line())
            authority = folder / "ca.pem"
            self._upstreams = {
                False: Upstream(ports["plain"], False, authority),
                True: Upstream(ports["tls"], True, authority),
            }
            yield

    def measure(self, load: Load, peer: Peer) -> Outcome:
        """One load on one peer, freshly started."""
        reason = self.broken.get(peer.name) or peer.lacks() or self._too_few(load)
        if reason:
            return Outcome(not_run=reason)
        with scratch() as folder, ExitStack() as stack:
            try:
                child, port = self._start(peer, load.tls, folder, stack)
            except ChildFailed as failed:
                self._show(peer.name, failed)
                self.broken[peer.name] = _without(folder, failed.line)
                return Outcome(not_run=self.broken[peer.name])
            return self._under(load, child, port, folder)

    def _too_few(self, load: Load) -> str | None:
        if load.descriptors <= self.descriptors:
            return None
        return f"needs {load.descriptors:,} file descriptors, the limit is {self.descriptors:,}"

    def _start(self, peer: Peer, tls: bool, folder: Path, stack: ExitStack) -> tuple[Child, int]:
        for attempt in range(STARTS):
            place = Place(folder, free_port(), self._upstreams[tls])
            child = stack.enter_context(running(peer.command(place), folder, peer.environ))
            try:
                child.listening(place.port)
                return child, place.port
            except ChildFailed:
                if attempt == STARTS - 1:
                    raise
        raise AssertionError("unreachable")

    def _under(self, load: Load, peer: Child, port: int, folder: Path) -> Outcome:
        url = f"ws://127.0.0.1:{port}/v1/realtime?model=m"
        said = json.dumps({"load": asdict(load), "url": url, "pid": peer.pid})
        with _own("bench.load", said, folder) as child:
            try:
                found = json.loads(child.ended(PATIENCE + load.warm_up + load.seconds))
                return Outcome(found["metrics"], found["failures"])
            except ChildFailed as failed:
                self._show("the load generator", failed)
                self.tell(f"the peer said:\n{_tail(peer.output)}")
                died = "" if peer.alive else "; the peer died"
                return Outcome(not_run=_without(folder, failed.line) + died)

    def _show(self, who: str, failed: ChildFailed) -> None:
        self.tell(f"{who} {failed}, and said:\n{_tail(failed.output)}")


def _tail(output: str, lines: int = 15) -> str:
    return "\n".join("    " + line for line in output.splitlines()[-lines:]) or "    nothing"


def _without(folder: Path, text: str) -> str:
    """A reason goes into tables, where the name of a temporary folder says nothing."""
    return text.replace(f"{folder}/", "")


def one_run(
    stage: Stage,
    loads: Sequence[Load],
    peers: Sequence[Peer],
    done: Callable[[Load, Peer, Outcome], None],
) -> dict[str, dict[str, Outcome]]:
    """Every load, on all its peers one after the other, so that they share the moment's noise."""
    run: dict[str, dict[str, Outcome]] = {}
    with stage.upstream():
        for load in loads:
            for peer in peers:
                if load.concerns(peer.name):
                    outcome = stage.measure(load, peer)
                    run.setdefault(load.name, {})[peer.name] = outcome
                    done(load, peer, outcome)
    return run
