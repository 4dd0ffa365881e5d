"""
What every test here gets: a loopback of its own, and an ear for what is logged meanwhile. Some ask
for an authority, too.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import trustme
from integration.logged import Logged, listening
from integration.loopback import Loopback
from twisted.logger import LogEvent, eventAsText, globalLogPublisher


@pytest.fixture(scope="session", autouse=True)
def _no_failure_is_forgotten() -> Iterator[None]:
    """A Deferred that failed unheard says so when it is collected, in whatever test that is."""
    forgotten: list[str] = []

    def keep(event: LogEvent) -> None:
        text = eventAsText(event, includeTimestamp=False, includeSystem=False)
        if "Unhandled error in Deferred" in text:
            forgotten.append(text)

    observer: Any = keep
    globalLogPublisher.addObserver(observer)
    yield
    gc.collect()
    globalLogPublisher.removeObserver(observer)
    assert not forgotten, "\n".join(forgotten)


@pytest.fixture
def logged() -> Iterator[Logged]:
    """What is logged during the test, and looked at behind it."""
    with listening() as logged:
        yield logged
    logged.check()


@pytest_twisted.async_yield_fixture
async def loopback(logged: Logged) -> AsyncIterator[Loopback]:
    """Sockets, and a time that only the test moves."""
    loopback = Loopback()
    yield loopback
    await loopback.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The one authority that is trusted."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    """Its certificate, as settings name it."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)
