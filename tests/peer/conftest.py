"""What is asserted outside of the tests' own files is told as well as within."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("peer")
