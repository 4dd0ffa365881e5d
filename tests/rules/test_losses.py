"""What the end of a connection without a Close looks like, in words."""

from __future__ import annotations

import pytest

from relay.rules.losses import Loss


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (Loss("end"), "the connection ended without a Close"),
        (Loss("end", 0.2), "the connection ended without a Close, 0.2 s after the last byte"),
        (
            Loss("end", 5.0),
            "the connection ended without a Close, 5.0 s after the last byte,"
            " as a proxy ends what is silent",
        ),
        (
            Loss("break", 60.04),
            "the connection broke without a Close, 60.0 s after the last byte,"
            " as a proxy ends what is silent",
        ),
        (Loss("silence", 40.0), "no answer came to a Ping, 40.0 s after the last byte"),
    ],
)
def test_only_an_end_after_a_long_silence_may_be_a_proxys(loss: Loss, told: str) -> None:
    assert loss.told() == told
