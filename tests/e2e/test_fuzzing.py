"""What the Autobahn testsuite says of the relay, as a server and as a client, in both planes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from typing import Any, get_args

import pytest
from e2e.fuzzing import MAX_FRAGMENTS, WHOLE, Lacking, Plane, Suite, complaints, fuzz

from relay.rules.closes import Side

Reports = dict[str, dict[str, Any]]
Combination = tuple[Side, Plane]

COMBINATIONS: list[Combination] = list(product(get_args(Side), get_args(Plane)))

CASES = 301 if WHOLE else 255
"""As many as there are to run, so that none is left out unseen."""


@pytest.fixture(scope="module")
def runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[Combination, Future[Reports]]]:
    """All of them at once, because most of their time is spent in waiting."""
    try:
        suite = Suite.install()
    except Lacking as lack:
        pytest.skip(str(lack))
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(len(COMBINATIONS)) as pool:
        patch.setattr(MAX_FRAGMENTS, 100_000)
        yield {
            (side, plane): pool.submit(fuzz, suite, side, plane, tmp_path_factory.mktemp(plane))
            for side, plane in COMBINATIONS
        }


@pytest.mark.parametrize(("side", "plane"), COMBINATIONS)
def test_the_autobahn_testsuite_has_no_complaint(
    runs: dict[Combination, Future[Reports]], side: Side, plane: Plane
) -> None:
    reports = runs[side, plane].result()
    told = Counter(report["behavior"] for report in reports.values())
    print(f"\n{side}, {plane}: {dict(told)}")
    assert len(reports) == CASES
    found = {case: complaints(report) for case, report in reports.items()}
    assert {case: what for case, what in found.items() if what} == {}
