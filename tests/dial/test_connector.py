"""What the connector notes of an upstream that is open."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock

from relay import Limits, Upstream
from relay.dial.connector import Connector
from relay.dial.opened import OpenUpstream
from relay.dial.resolver import Resolver
from relay.upstreams.endpoints import REALTIME
from relay.wire.choice import Lines


@pytest.mark.parametrize("url", ["ws://127.0.0.1/", "wss://127.0.0.1/"])
def test_an_upstream_that_was_lost_before_its_first_event_was_read_has_no_session_to_resume(
    url: str,
) -> None:
    upstream, reactor = Upstream(url), MemoryReactorClock()
    connector = Connector([upstream], Limits(), reactor, Resolver(reactor), Lines(reactor))
    protocol: Any = SimpleNamespace(transport=SimpleNamespace(getHandle=lambda: None))
    connector.opened(OpenUpstream(protocol, upstream, REALTIME, [], None, ()))
