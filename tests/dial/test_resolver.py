"""Look-ups: shared, kept for a while, and never in the reactor's way."""

from __future__ import annotations

import errno
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.task import Clock
from zope.interface import implementer

from relay.dial.resolver import KEEP_SECONDS, Addresses, Resolver, in_thread, look_up
from relay.rules.shortage import NoThread

FOUND = ("192.0.2.1", "2001:db8::1")


@implementer(IReactorFromThreads)
class FakeReactor(Clock):
    """A clock that takes calls from threads, and runs them when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.from_threads: list[Callable[[], object]] = []

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        self.from_threads.append(lambda: callable(*args, **kwargs))


@dataclass
class Names:
    """A resolver whose look-ups run when a test says so."""

    reactor: FakeReactor = field(default_factory=FakeReactor)
    answers: dict[str, Addresses | Exception] = field(default_factory=lambda: {"a": FOUND})
    begun: list[Callable[[], None]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.resolver = Resolver(self.reactor, self.look_up, self.begun.append)

    def look_up(self, name: str) -> Addresses:
        self.asked.append(name)
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def resolve(self, name: str) -> tuple[list[object], Deferred[None]]:
        """Ask; what comes of it is put into the list."""
        results: list[object] = []
        asking = Deferred.fromCoroutine(self.resolver.resolve(name))
        return results, asking.addCallbacks(results.append, lambda f: results.append(f.value))

    def answer(self) -> None:
        """Let all look-ups end."""
        for work in self.begun[:]:
            self.begun.remove(work)
            work()
        while self.reactor.from_threads:
            self.reactor.from_threads.pop(0)()


def test_a_name_is_looked_up() -> None:
    names = Names()
    results, _ = names.resolve("a")
    assert (results, names.asked) == ([], [])
    names.answer()
    assert results == [FOUND]


def test_the_answer_comes_in_the_reactors_thread() -> None:
    names = Names()
    results, _ = names.resolve("a")
    names.begun[0]()
    assert (names.asked, results) == (["a"], [])
    names.reactor.from_threads[0]()
    assert results == [FOUND]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "2001:db8::1"])
def test_an_address_needs_no_look_up(address: str) -> None:
    names = Names()
    assert names.resolve(address)[0] == [(address,)]
    assert names.begun == []


def test_callers_for_one_name_share_one_look_up() -> None:
    names = Names()
    waiting = [names.resolve("a")[0] for _ in range(3)]
    assert len(names.begun) == 1
    names.answer()
    assert waiting == [[FOUND]] * 3


def test_each_name_has_its_own_look_up() -> None:
    names = Names(answers={"a": ("192.0.2.1",), "b": ("192.0.2.2",)})
    first, second = names.resolve("a")[0], names.resolve("b")[0]
    names.begun.pop()()
    names.reactor.from_threads.pop()()
    assert (first, second) == ([], [("192.0.2.2",)])
    names.answer()
    assert first == [("192.0.2.1",)]


def test_an_answer_is_kept_for_a_while() -> None:
    names = Names()
    names.resolve("a")
    names.reactor.advance(5)
    names.answer()
    names.reactor.advance(KEEP_SECONDS - 0.1)
    assert names.resolve("a")[0] == [FOUND]
    names.reactor.advance(0.1)
    names.answers["a"] = ("192.0.2.9",)
    results, _ = names.resolve("a")
    assert results == []
    names.answer()
    assert results == [("192.0.2.9",)]
    assert names.resolve("a")[0] == [("192.0.2.9",)]


def test_an_answer_is_kept_for_30_seconds() -> None:
    assert KEEP_SECONDS == 30


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
def test_a_failure_reaches_all_that_wait_and_is_not_kept(error: Exception) -> None:
    names = Names(answers={"a": error})
    waiting = [names.resolve("a")[0] for _ in range(2)]
    names.answer()
    assert waiting == [[error]] * 2
    names.answers["a"] = FOUND
    results, _ = names.resolve("a")
    names.answer()
    assert results == [FOUND]
    assert names.asked == ["a", "a"]


def test_a_failed_look_up_replaces_an_old_answer() -> None:
    names = Names()
    names.resolve("a")
    names.answer()
    names.reactor.advance(KEEP_SECONDS)
    names.answers["a"] = OSError("gone")
    results, _ = names.resolve("a")
    names.answer()
    assert [type(result) for result in results] == [OSError]


def test_a_cancelled_wait_leaves_the_others_waiting() -> None:
    names = Names()
    first, asking = names.resolve("a")
    second, _ = names.resolve("a")
    asking.cancel()
    assert [type(result) for result in first] == [CancelledError]
    assert len(names.begun) == 1
    names.answer()
    assert second == [FOUND]


def test_a_look_up_that_nobody_waits_for_is_still_the_only_one_and_kept() -> None:
    names = Names()
    _, asking = names.resolve("a")
    asking.cancel()
    results, asking = names.resolve("a")
    asking.cancel()
    assert [type(result) for result in results] == [CancelledError]
    assert len(names.begun) == 1
    names.answer()
    assert names.resolve("a")[0] == [FOUND]
    assert names.begun == []


@pytest.fixture
def no_descriptors() -> Iterator[None]:
    """None can be had."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestTheSystems:
    @pytest.mark.usefixtures("no_descriptors")
    def test_a_look_up_without_descriptors_says_too_many_open_files(self) -> None:
        with pytest.raises(OSError, match="Too many open files") as caught:
            look_up("localhost")
        assert caught.value.errno == errno.EMFILE

    def test_a_look_up_without_a_thread_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(thread: object) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", fail)
        with pytest.raises(NoThread, match="can't start new thread"):
            in_thread(lambda: None)

    def test_each_address_is_told_once_and_in_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def getaddrinfo(host: str, port: object, **kwargs: object) -> list[tuple[Any, ...]]:
            assert (host, port, kwargs) == ("a", None, {"type": socket.SOCK_STREAM})
            sockaddrs = [("2001:db8::1", 0, 0, 0), ("192.0.2.1", 0), ("192.0.2.1", 0)]
            return [(socket.AF_INET, 1, 6, "", sockaddr) for sockaddr in sockaddrs]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        assert look_up("a") == ("2001:db8::1", "192.0.2.1")

    def test_an_address_is_found_without_asking_a_name_server(self) -> None:
        assert look_up("127.0.0.1") == ("127.0.0.1",)

    def test_the_thread_ends_with_the_process(self) -> None:
        seen: list[threading.Thread] = []
        done = threading.Event()

        def work() -> None:
            seen.append(threading.current_thread())
            done.set()

        in_thread(work)
        assert done.wait(10)
        assert seen[0] is not threading.current_thread()
        assert seen[0].daemon
        seen[0].join(10)


def test_a_caller_with_its_answer_may_cancel_another_one() -> None:
    names = Names()
    first, answered = names.resolve("a")
    second, waiting = names.resolve("a")
    answered.addCallback(lambda _: waiting.cancel())
    names.answer()
    assert first == [FOUND]
    assert isinstance(second[0], CancelledError)


def test_a_thread_that_cannot_start_leaves_nobody_waiting() -> None:
    begun: list[object] = []

    def begin(work: object) -> None:
        begun.append(work)
        raise RuntimeError("can't start new thread")

    resolver = Resolver(FakeReactor(), look_up, begin)
    for _ in range(2):
        asked = Deferred.fromCoroutine(resolver.resolve("host"))
        asked.addErrback(lambda failure: failure.trap(RuntimeError))
    assert len(begun) == 2
