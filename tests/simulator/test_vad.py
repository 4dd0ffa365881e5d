"""
Voice activity detection, frame by frame.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.simulator.audio import FRAME_MS
from relay.simulator.vad import ONSET_FRAMES, Detector, sensitivity


def heard(frames: str, silence_ms: int) -> str:
    """What a detector says of each frame: L is loud, Q is quiet; + is a start, - an end."""
    detector = Detector()
    signs = {"started": "+", "stopped": "-", None: "."}
    return "".join(signs[detector.hear(frame == "L", silence_ms)] for frame in frames)


@pytest.mark.parametrize(
    ("frames", "silence_ms", "marks"),
    [
        ("LLLL", 60, "..+."),
        ("LLQLLQLLL", 60, "........+"),
        ("LLLQQQQ", 60, "..+..-."),
        ("LLLQQLQQQ", 60, "..+.....-"),
        ("LLLQQQLLL", 60, "..+..-..+"),
        ("LLLQ", 20, "..+-"),
        ("LLLQ", 0, "..+-"),
        ("LLLLLL", 0, "..+..."),
        ("QQQQ", 0, "...."),
        # So many frames as there is silence, and one more if it ends within a frame.
        ("LLLQQQ", 41, "..+..-"),
    ],
)
def test_speech_starts_and_stops(frames: str, silence_ms: int, marks: str) -> None:
    assert heard(frames, silence_ms) == marks


@given(st.text("LQ"), st.integers(0, 200))
def test_starts_and_stops_take_turns(frames: str, silence_ms: int) -> None:
    marks = heard(frames, silence_ms).replace(".", "")
    assert marks == ("+-" * len(marks))[: len(marks)]
    assert not marks or "L" * ONSET_FRAMES in frames


@pytest.mark.parametrize(("threshold", "decibels"), [(0.0, -60), (0.5, -40), (1.0, -20)])
def test_a_threshold_is_a_loudness(threshold: float, decibels: int) -> None:
    wanted = sensitivity(
        {
            "type": "server_vad",
            "threshold": threshold,
            "prefix_padding_ms": 1,
            "silence_duration_ms": 2,
        }
    )
    assert wanted.level == pytest.approx(10 ** (decibels / 20))
    assert (wanted.padding_ms, wanted.silence_ms) == (1, 2)


def test_a_frame_is_as_long_as_it_says() -> None:
    frames = "LLL" + "Q" * (500 // FRAME_MS)
    assert heard(frames, 500).endswith("-")
