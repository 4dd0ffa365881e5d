"""A relay that runs takes other settings, by SIGHUP, and files that have changed, by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import attrs
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.config.keys import mark_of
from relay.config.plan import Faults, Plan
from relay.config.settings import Settings
from relay.rules.errors import RelayError
from relay.timing.deadline import Deadline

_log = Logger()

LOOK_SECONDS = 0.5
"""Seconds between two looks at the files. One that is the same in two looks has been written."""

RESTART: Mapping[str, Callable[[Settings], object]] = {
    "listen": lambda settings: [
        (each.endpoint, each.certificate is None) for each in settings.listeners
    ],
    "admin": lambda settings: settings.admin,
    "workers": lambda settings: settings.workers,
    "log_format": lambda settings: settings.log_format,
    "plane": lambda settings: settings.plane,
    "fleet": lambda settings: settings.fleet,
}
"""What a relay that runs cannot change, by its key."""

Outcome = Literal["taken", "refused"]


def restart_for(before: Settings, after: Settings) -> list[str]:
    """The keys that differ, and that only a relay that starts can take."""
    return [key for key, part in RESTART.items() if part(before) != part(after)]


def changed(before: Settings, after: Settings) -> list[str]:
    """The keys that differ."""
    names = [attribute.name for attribute in attrs.fields(Settings)]
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def files_of(settings: Settings) -> Iterator[str]:
    """
    The files that are read once, when the settings are taken. Other files of keys are looked at
    with each request (see L{relay.config.keys.SecretFile}).
    """
    for listener in settings.listeners:
        yield from filter(None, (listener.certificate, listener.key))
    for upstream in settings.upstream:
        yield from filter(None, (upstream.ca_file, upstream.client_certificate))
    yield from settings.auth.signing_keys


class Reload:
    """
    Takes a new plan as a whole, or leaves all as it is and says why.

    @param plan: what the relay is now.
    @param find: finds what it is to be, given the settings; given L{None}, by those in the file.
    @param take: takes a plan.
    @param count: counts what became of each.
    @raise RelayError: what C{take} raises has changed nothing.
    """

    def __init__(
        self,
        plan: Plan,
        find: Callable[[Settings | None], Plan | Faults],
        take: Callable[[Plan], None],
        count: Callable[[Outcome], None],
        clock: IReactorTime,
    ) -> None:
        self._plan = plan
        self._find = find
        self._take = take
        self._count = count
        self._next = Deadline(clock)
        self._seen = self._last = self._marks()

    def start(self) -> None:
        """Look at the files from now on."""
        self._next.set(LOOK_SECONDS, self._look)

    def stop(self) -> None:
        """Look no more."""
        self._next.clear()

    def by_signal(self) -> None:
        """Take what the file says now."""
        self._reload("SIGHUP", None)

    def take(self, why: str, settings: Settings) -> None:
        """Take settings that somebody else has read."""
        self._reload(why, settings)

    def _look(self) -> None:
        self._next.set(LOOK_SECONDS, self._look)
        last, self._last = self._last, self._marks()
        if self._last != self._seen and self._last == last:
            self._reload("files have changed", self._plan.settings)

    def _marks(self) -> dict[str, object]:
        return {path: mark_of(Path(path)) for path in files_of(self._plan.settings)}

    def _reload(self, why: str, settings: Settings | None) -> None:
        before = self._marks()
        faults = self._taken(why, settings)
        for fault in faults:
            _log.error("{why}: {fault}", why=why, fault=fault)
        if faults:
            _log.error("{why}: nothing was taken; the relay goes on as it was", why=why)
        self._count("refused" if faults else "taken")
        self._last = self._marks()
        if settings is not None or not faults:  # else the files that have changed are still to take
            # A file may have changed again since it was read.
            self._seen = {path: before.get(path, mark) for path, mark in self._last.items()}

    def _taken(self, why: str, settings: Settings | None) -> Faults:
        """Take what there is to take, or return why not."""
        try:
            found = self._find(settings)
            if not isinstance(found, Plan):
                return found
            before = self._plan.settings
            if keys := restart_for(before, found.settings):
                return (f"{', '.join(keys)}: a restart is needed to change this",)
            self._take(found)
        except RelayError as error:
            return (str(error),)
        except Exception as error:
            _log.failure("{why}: exception while taking new settings", why=why)
            return (f"{type(error).__name__}, an error of the relay's own",)
        for line in found.advice:
            if line not in self._plan.advice:
                _log.warn("{why}: {line}", why=why, line=line)
        self._plan = found
        keys = changed(before, found.settings) or ["no settings"]
        text = "{why}: new requests get the new settings; changed: {keys}; keys and certificates"
        _log.info(text + " were read anew", why=why, keys=", ".join(keys))
        return ()
