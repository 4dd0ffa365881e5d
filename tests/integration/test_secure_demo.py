"""A demo's TLS listener: trusted by who is told of its authority, and nothing is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from integration.logged import Logged
from integration.loopback import REACTOR, Loopback
from twisted.internet.defer import maybeDeferred

from relay.admission.asking import NoAnswer, asking
from relay.daemon import demo


@pytest_twisted.ensureDeferred
async def test_a_demo_by_tls_is_trusted_by_who_is_told_of_its_authority(
    loopback: Loopback, logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "PORT", 0)
    monkeypatch.setattr(demo, "mkdtemp", lambda prefix: str(tmp_path))
    relay = loopback.relay("ws://127.0.0.1:1")
    secure = demo.SecureDemo(REACTOR)
    port = secure.listen(relay.at(demo.ENDPOINT))
    assert port is not None
    address: Any = port.getHost()
    url = f"https://localhost:{address.port}/healthz"
    file = tmp_path / "ca.pem"
    answer = await asking(REACTOR, str(file), 5, 100)("GET", url, {}, b"")
    assert (answer.status, answer.body) == (200, b"alive\n")
    with pytest.raises(NoAnswer, match="certificate verify failed"):
        await asking(REACTOR, None, 5, 100)("GET", url, {}, b"")
    assert b"PRIVATE" not in file.read_bytes()
    await maybeDeferred(port.stopListening)
    secure.stop()
    assert not tmp_path.exists()
    tmp_path.mkdir()  # for pytest
