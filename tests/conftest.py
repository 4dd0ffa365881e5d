"""What holds for every test."""

from __future__ import annotations

import attrs
from hypothesis import HealthCheck, settings
from twisted.python.reflect import safe_repr

# No test decides on a timing, and hypothesis would: on a cold or busy machine.
settings.register_profile("relay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relay")

_ID_LENGTH = 60


def pytest_make_parametrize_id(val: object) -> str | None:
    """A case is called by its values. pytest itself only numbers lists, tables and objects."""
    if not (isinstance(val, list | tuple | dict | Exception) or attrs.has(type(val))):
        return None
    text = safe_repr(val).encode("ascii", "backslashreplace").decode()
    # An address or a set's order would be another in each run.
    changes = " at 0x" in text or ("{" in text and not isinstance(val, dict))
    return None if changes else text[:_ID_LENGTH]
