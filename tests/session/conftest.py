"""The planes that what is said of sessions holds in."""

from __future__ import annotations

import pytest
from memory import World


@pytest.fixture(params=["splice", "message"])
def plane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What uses this holds in either plane."""
    name: str = request.param
    monkeypatch.setattr(World, "plane", name)
    return name
