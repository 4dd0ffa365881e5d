"""What works as it is set, but hardly as it is wanted: a line for each, told when it starts."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from relay.config.checks import shown
from relay.config.files import secrets_in
from relay.config.listeners import BY_TABLE, has_tls
from relay.config.settings import Settings

PATIENCE = 10.0
"""Seconds after which the SDKs give up a handshake."""


def advice_on(settings: Settings) -> Iterator[str]:
    """The lines. They name keys and files, and hold no secret."""
    if settings.hold_seconds >= PATIENCE:
        yield (
            f"hold_seconds: {settings.hold_seconds:g}: SDKs give up at {PATIENCE:g}, before they"
            " are told anything; make it less"
        )
    if settings.fleet.url is not None and settings.fleet.relays == 1:
        yield (
            "[fleet]: relays: 1: say how many there are, because after a restart of the store its"
            " counts are not whole before all have told it of their sessions"
        )
    for listener in settings.listeners:
        if has_tls(listener.endpoint):
            where = f"listen: {shown(listener.endpoint)}"
            yield f"{where}: its certificate is never read anew: {BY_TABLE}"
    if settings.record is not None and settings.record_payloads:
        yield (
            f"record_payloads: the files in {settings.record} hold what users say, and what they"
            " are told; delete each when it is no longer needed"
        )
    for key, path in secrets_in(settings):
        if _is_for_all(path):
            yield f"{key}: all users of this machine can read {path}; take that from them: chmod o="


def _is_for_all(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False  # which is a fault, told by who reads the file
    return stat.S_ISREG(mode) and bool(mode & stat.S_IROTH)
