"""
What this process or machine has run out of when it cannot connect, which is no upstream's fault.

Source: getrlimit(2), connect(2), ip(7).
"""

from __future__ import annotations

import errno

from attrs import frozen


@frozen
class Shortage:
    """
    A shortage of this process or machine.

    @ivar error: its name in the log, which is the system's name of the error.
    @ivar message: what is short, and what the operator must raise.
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
    """
    A thread could not be started. It has no C{errno}, because the system's would be ambiguous.
    """


def shortage_in(error: Exception) -> Shortage | None:
    """
    The shortage that made a look-up or a connection fail; L{None} if it was none.

    @param error: an L{OSError}, or one of Twisted's errors, which have its number in C{osError}.
    """
    if isinstance(error, NoThread):
        return Shortage("NoThread", _NO_THREAD)
    number = getattr(error, "osError", None) or getattr(error, "errno", None)
    return Shortage(errno.errorcode[number], _LACKS[number]) if number in _LACKS else None
