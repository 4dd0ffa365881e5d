"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# No test decides on a timing, and hypothesis would: on a cold or busy machine.
settings.register_profile("relay", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("relay")
