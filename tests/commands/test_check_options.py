"""What C{realtime-relay check} takes for a fault of the settings."""

from __future__ import annotations

import pytest

from relay.commands.main import CheckOptions
from relay.daemon.tap import Options

ADOPTED = ["--demo", "--listen", "systemd:domain=INET:name=relay", "--admin", ""]


def test_a_check_does_not_need_the_sockets_that_the_relay_does() -> None:
    CheckOptions().parseOptions(ADOPTED)
    with pytest.raises(SystemExit, match="start its socket unit first"):
        Options().parseOptions(ADOPTED)
