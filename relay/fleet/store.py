"""
The connection to the store.

txredisapi speaks its protocol. Its own pools are not used, because they take the installed reactor,
wait ever longer before they connect again, and put their words into the log: here a relay is to
connect again at once, to whichever of two servers is the one that writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import txredisapi
from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from relay.fleet.scripts import SCRIPTS, Script
from relay.rules.errors import RelayError
from relay.timing.deadline import limit

_log = Logger()

CONNECT_SECONDS = 2.0
"""Until a connection has to be made, and the store has answered on it."""

RETRY_SECONDS = 0.5
"""Between two rounds of tries."""


class StoreFault(RelayError):
    """The store cannot do it; the text says why, for the operator."""


class Watcher(Protocol):
    """What is told of the connection."""

    def connected(self, run: str) -> None:
        """There is one, to a server that writes. C{run} is another after each start of it."""

    def lost(self, why: str) -> None:
        """It is gone, or could not be made."""

    def heard(self) -> None:
        """Something was said on the channel."""


class _Kept:
    """
    One connection, of either kind.

    @ivar why: why it was lost; else empty.
    @ivar lost: called when it is.
    """

    transport: Any
    execute_command: Any

    def __init__(self) -> None:
        super().__init__(charset=None, convertNumbers=False)  # type: ignore[call-arg]
        self.why = ""
        self.lost: Callable[[], None] = _nothing

    def connectionLost(self, why: Failure = connectionDone) -> None:
        """Fail what waits for an answer."""
        self.why = f"the connection was lost: {why.getErrorMessage().rstrip('.')}"
        super().connectionLost(why)  # type: ignore[misc]
        lost, self.lost = self.lost, _nothing
        lost()

    async def say(self, *words: Any) -> Any:
        """
        A command, and its answer.

        @raise StoreFault: if there is none, or it is an error.
        """
        try:
            return await self.execute_command(*words)
        except txredisapi.RedisError as error:
            raise StoreFault(self.why or str(error)) from None


class Connection(_Kept, txredisapi.RedisProtocol):  # type: ignore[misc]
    """One for commands."""


class Ear(_Kept, txredisapi.SubscriberProtocol):  # type: ignore[misc]
    """One on which the store tells what others have said. @ivar heard: called then."""

    heard: Callable[[], None]

    def messageReceived(self, pattern: object, channel: object, message: object) -> None:
        """Pass it on."""
        self.heard()


class _Quiet(Factory):
    noisy = False


def _nothing() -> None:
    """Stands in for L{_Kept.lost} while nobody waits for that."""


@frozen
class Link:
    """The two connections to one server, and what that calls its run."""

    connection: Connection
    ear: Ear
    run: str

    async def gone(self) -> str:
        """Wait until one of the two is lost, and close the other. @return: why it was."""
        both: list[_Kept] = [self.connection, self.ear]
        first: Deferred[None] = Deferred()

        def lost() -> None:
            if not first.called:
                first.callback(None)

        try:
            for each in both:
                each.lost = lost
            if not any(each.why for each in both):
                await first
            return self.connection.why or self.ear.why
        finally:
            for each in both:
                each.lost = _nothing
            _leave(*both)


def _leave(*connections: _Kept) -> None:
    for each in connections:
        each.transport.loseConnection()


class Store:
    """
    The one that can be written to, of the servers that there are.

    @param servers: where they are, in the order in which they are tried.
    @param login: the commands that come first on each connection.
    @param channel: what is listened to.
    @param watcher: is told of the connection.
    """

    def __init__(
        self,
        servers: Sequence[IStreamClientEndpoint],
        login: Callable[[], Sequence[Sequence[str]]],
        channel: str,
        watcher: Watcher,
        reactor: Any,
    ) -> None:
        self._servers = servers
        self._login = login
        self._channel = channel
        self._watcher = watcher
        self._reactor = reactor
        self._connection: Connection | None = None
        self._work: Deferred[None] | None = None

    def start(self) -> None:
        """Connect, and stay connected."""
        self._work = Deferred.fromCoroutine(self._stay())
        self._work.addErrback(_ended)

    def stop(self) -> None:
        """Close the connection, and make no other."""
        work, self._work = self._work, None
        if work is not None:
            work.cancel()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    def cut(self) -> None:
        """Give the connection up, and look for another."""
        connection = self._connection
        if connection is not None:
            connection.transport.abortConnection()

    def run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[object]
    ) -> Deferred[Any]:
        """
        Run a script. Scripts are run in the order of these calls, however many wait for an answer.

        @return: its answer; fails with L{StoreFault}.
        """
        return Deferred.fromCoroutine(self._run(script, keys, arguments))

    async def _run(self, script: Script, keys: Sequence[str], arguments: Sequence[object]) -> Any:
        connection = self._connection
        if connection is None:
            raise StoreFault("not connected")
        try:
            return await connection.say("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except StoreFault as fault:
            if not str(fault).startswith("NOSCRIPT"):
                if str(fault).startswith("READONLY"):
                    self.cut()
                raise
        return await connection.say("EVAL", script.text, len(keys), *keys, *arguments)

    # -- the connection --------------------------------------------------------------------

    async def _stay(self) -> None:
        while True:
            for server in self._servers:
                try:
                    why = await self._serve(server)
                except (StoreFault, ConnectError, DNSLookupError) as error:
                    why = str(error) or type(error).__name__
                except (CancelledError, ConnectingCancelledError):
                    raise
                except Exception as error:
                    _log.failure("exception while connected to the fleet's store")
                    why = f"{type(error).__name__}, an error of the relay's own"
                self._watcher.lost(why.rstrip("."))
            await deferLater(self._reactor, RETRY_SECONDS)

    async def _serve(self, server: IStreamClientEndpoint) -> str:
        """Connect, and use the connection until it is lost. @return: why it was."""
        opening = Deferred.fromCoroutine(self._opened(server))
        late = StoreFault(f"no answer within {CONNECT_SECONDS:g} s")
        limit(opening, CONNECT_SECONDS, self._reactor, lambda: late)
        link = await opening
        self._connection = link.connection
        try:
            self._watcher.connected(link.run)
            return await link.gone()
        finally:
            self._connection = None

    async def _opened(self, server: IStreamClientEndpoint) -> Link:
        """The connections to a server that writes."""
        made: list[Any] = []
        try:
            for kind in (Connection, Ear):
                made.append(await server.connect(_Quiet.forProtocol(kind)))
                for words in self._login():
                    await made[-1].say(*words)
            connection, ear = made
            run = await self._looked_at(connection)
            ear.heard = self._watcher.heard
            await ear.say("SUBSCRIBE", self._channel)
        except BaseException:
            _leave(*made)
            raise
        return Link(connection, ear, run)

    async def _looked_at(self, connection: Connection) -> str:
        """@raise StoreFault: if the server cannot do what is asked of it."""
        role, *_ = await connection.say("ROLE")
        if role != b"master":
            what = role.decode("ascii", "replace")
            raise StoreFault(f"the server is a {what}, which cannot be written to")
        for script in SCRIPTS:
            await connection.say("SCRIPT", "LOAD", script.text)
        return _run_of(await connection.say("INFO", "server"))


def _run_of(info: bytes) -> str:
    for line in info.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name == "run_id":
            return value
    raise StoreFault("it does not tell its run_id")


def _ended(failure: Failure) -> None:
    """It was stopped, or else failed by an error of the relay's own."""
    if not failure.check(CancelledError, ConnectingCancelledError):
        _log.failure("the connection to the store is made no more", failure)
