"""
What all lines of the log go through, whoever logs them: no upstream's key passes, nor anything that
looks like a credential.

The relay itself logs none. Another library in the process might, as Autobahn does at debug, or a
traceback that quotes what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from relay.config.keys import SecretFile
from relay.config.plan import Plan
from relay.daemon.logfile import Writable
from relay.rules.scrub import mask, starts_of, without


def keys_of(plan: Plan) -> tuple[str, ...]:
    """The upstreams' keys as they were read last."""
    found: list[str] = []
    for upstream in plan.upstreams:
        key = upstream.credential
        last = key.last if isinstance(key, SecretFile) else key
        found += upstream.secrets(last if isinstance(last, str) else None)
    return tuple(found)


class Redaction:
    """
    Stands before the writer of the log.

    @ivar keys: what the keys are now; to be set once they are known.
    """

    def __init__(self, writer: Writable) -> None:
        self._writer = writer
        self.keys: Callable[[], tuple[str, ...]] = tuple
        self._of: tuple[str, ...] = ()
        self._starts: Collection[str] = ()

    def write(self, text: str, /) -> None:
        """Write it without secrets."""
        keys = self.keys()
        if keys != self._of:
            self._of, self._starts = keys, starts_of(keys)
        self._writer.write(mask(without(text, self._starts)))
