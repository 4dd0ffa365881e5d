"""
What a worker and its parent say to each other: calls by name, in JSON, over a socket of their own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from relay.timing.deadline import limit

_log = Logger()

SECONDS = 5.0
"""How long an answer is waited for."""


class NoAnswer(Exception):
    """The other process gave no answer: it failed, is gone, or took longer than L{SECONDS}."""


@implementer(IPushProducer)
class Channel(Int32StringReceiver):
    """
    One end. What is told is on its way in order; an answer comes when it is ready.

    @param does: what the other end may call, by name; given and returning JSON's own types.
    @param lost: called when the other process is gone.
    @ivar is_full: whether what was told waits because the other process does not read.
    """

    MAX_LENGTH = 2**28

    def __init__(
        self,
        does: Mapping[str, Callable[..., object]],
        clock: IReactorTime,
        lost: Callable[[], object],
    ) -> None:
        self._does = does
        self._clock = clock
        self._lost = lost
        self._numbers = count(1)
        self._asked: dict[int, Deferred[Any]] = {}
        self.is_full = False

    def connectionMade(self) -> None:
        """Be told when the other process does not read."""
        self._line.registerProducer(self, True)

    @property
    def _line(self) -> Any:
        return self.transport

    def tell(self, name: str, *values: object) -> None:
        """Have the other end do something."""
        self._send({"do": name, "with": values})

    def ask(self, name: str, *values: object) -> Deferred[Any]:
        """
        Have the other end do something, and say what came of it.

        @return: fires with that; fails with L{NoAnswer}.
        """
        number = next(self._numbers)
        answer: Deferred[Any] = Deferred(lambda _: self._forget(number))
        self._asked[number] = answer
        limit(answer, SECONDS, self._clock, NoAnswer)
        self._send({"do": name, "with": values, "answer": number})
        return answer

    def _forget(self, number: int) -> None:
        self._asked.pop(number, None)

    def stringReceived(self, data: bytes) -> None:
        """A call, or the answer to one."""
        said = json.loads(data)
        if "do" in said:
            self._do(said["do"], said["with"], said.get("answer"))
        elif answer := self._asked.pop(said["to"], None):
            if "is" in said:
                answer.callback(said["is"])
            else:
                answer.errback(NoAnswer())

    def _do(self, name: str, values: list[Any], number: int | None) -> None:
        try:
            told = {"is": self._does[name](*values)}
        except Exception:
            _log.failure("{name} failed, which another process asked for", name=name)
            told = {}
        if number is not None:
            self._send({"to": number, **told})

    def _send(self, said: Mapping[str, object]) -> None:
        if self.transport is not None and self.connected:
            self.sendString(json.dumps(said).encode("ascii"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nothing more is answered."""
        asked, self._asked = self._asked, {}
        for answer in asked.values():
            answer.errback(NoAnswer())
        self._lost()

    def pauseProducing(self) -> None:
        """The other process does not read."""
        self.is_full = True

    def resumeProducing(self) -> None:
        """It reads."""
        self.is_full = False

    def stopProducing(self) -> None:
        """The other process is gone, which L{connectionLost} tells too."""


class Once(Factory):
    """Gives a channel to its one connection."""

    noisy = False

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def buildProtocol(self, addr: object) -> Channel:
        """The channel."""
        return self._channel
