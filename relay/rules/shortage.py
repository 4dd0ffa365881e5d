"""
What this process or machine has run out of, when it cannot connect: no fault of any upstream's.

Source: getrlimit(2), connect(2), ip(7).
"""

from __future__ import annotations

import errno

from attrs import frozen


@frozen
class Shortage:
    """
    @ivar error: its name in the log: that of the system's error.
    @ivar message: what whoever runs the relay must raise.
    """

    error: str
    message: str


_LACKS = {
    errno.EMFILE: "The relay may open no more files; its operator must raise that limit.",
    errno.ENFILE: "The relay's machine may open no more files; its operator must raise"
    " fs.file-max.",
    errno.EADDRNOTAVAIL: "The relay's machine has no local port left to connect from; its operator"
    " must widen ip_local_port_range.",
    errno.ENOBUFS: "The relay's machine has no buffers left; its operator must raise its memory.",
    errno.ENOMEM: "The relay has no memory left; its operator must raise its memory.",
}
_NO_THREAD = "The relay may start no more threads; its operator must raise that limit."


class NoThread(OSError):
    """A thread could not be started. Its number could be mistaken for that of another error."""


def shortage_in(error: Exception) -> Shortage | None:
    """
    What lacks here, if that is why a look-up or a connection failed.

    @param error: an L{OSError}, or one of Twisted's, which have its number as C{osError}.
    """
    if isinstance(error, NoThread):
        return Shortage("NoThread", _NO_THREAD)
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    return Shortage(errno.errorcode[number], _LACKS[number]) if number in _LACKS else None
