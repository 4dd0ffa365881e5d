"""
Audio formats: how loud, how long, and one as another.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from math import pi, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator.talk import silence, tone

from relay.simulator.audio import (
    DECODED,
    FORMATS,
    FRAME_MS,
    Format,
    at_speed,
    converted,
    decoded,
    encoded,
    loudness,
)
from relay.simulator.voice import CHARACTER_MS, LONGEST, spoken

PCM, MU_LAW, A_LAW = FORMATS.values()
TELEPHONE = Format("audio/pcm", 16_000, 2)
ALL = [PCM, MU_LAW, A_LAW, TELEPHONE]


def sine(form: Format, milliseconds: int, level: float) -> bytes:
    count = form.rate * milliseconds // 1000
    samples = (round(32_767 * level * sin(2 * pi * 300 * at / form.rate)) for at in range(count))
    return encoded(array("h", samples), form)


@pytest.mark.parametrize("form", ALL)
def test_a_size_is_a_time(form: Format) -> None:
    assert form.milliseconds(form.size(1_000)) == 1_000
    assert len(sine(form, 1_000, 1.0)) == form.bytes_per_second


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("level", [0.02, 0.3, 1.0])
def test_all_formats_are_equally_loud(form: Format, level: float) -> None:
    frame = sine(form, FRAME_MS, level)
    # The mean of a half wave is 2 / pi of its peak.
    assert loudness(frame, form) == pytest.approx(level * 2 / pi, rel=0.05)
    assert loudness(sine(form, FRAME_MS, 0.0), form) < 0.001


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("level", [-9_000, 300, 9_000])
def test_what_does_not_change_is_silence(form: Format, level: int) -> None:
    frame = encoded(array("h", [level] * (form.rate * FRAME_MS // 1000)), form)
    assert loudness(frame, form) == 0.0


def test_g711_is_that_of_the_itu() -> None:
    # The ends and the middle of the tables in G.711.
    assert [DECODED["audio/pcmu"][code] for code in (0x00, 0x80, 0x7F, 0xFF)] == [
        -32_124,
        32_124,
        0,
        0,
    ]
    assert [DECODED["audio/pcma"][code] for code in (0x2A, 0xAA, 0x55, 0xD5)] == [
        -32_256,
        32_256,
        -8,
        8,
    ]


@pytest.mark.parametrize("form", [MU_LAW, A_LAW])
def test_every_code_of_g711_is_its_own_sample(form: Format) -> None:
    codes = bytes(range(256))
    again = encoded(decoded(codes, form), form)
    assert decoded(again, form) == decoded(codes, form)


@pytest.mark.parametrize("source", ALL)
@pytest.mark.parametrize("target", ALL)
def test_converted_audio_is_as_long_and_as_loud(source: Format, target: Format) -> None:
    audio = converted(sine(source, 200, 0.3), source, target)
    assert len(audio) == target.size(200)
    frame = audio[target.size(100) : target.size(100 + FRAME_MS)]
    assert loudness(frame, target) == pytest.approx(0.3 * 2 / pi, rel=0.05)


RATES = st.sampled_from([8_000, 11_025, 16_000, 24_000, 44_100, 48_000])


@given(st.lists(st.integers(-32_768, 32_767), max_size=300), RATES, RATES)
def test_each_sample_is_the_one_that_sounds_at_its_time(
    samples: list[int], source: int, target: int
) -> None:
    before, after = Format("audio/pcm", source, 2), Format("audio/pcm", target, 2)
    found = decoded(converted(encoded(array("h", samples), before), before, after), after)
    wanted = [samples[at * source // target] for at in range(len(samples) * target // source)]
    assert [*found] == wanted


@pytest.mark.parametrize("form", [MU_LAW, A_LAW])
def test_every_sample_gets_the_nearest_code_of_g711(form: Format) -> None:
    samples = range(-32_768, 32_768)
    found = decoded(encoded(array("h", samples), form), form)
    codes = sorted(DECODED[form.name])
    for sample, level in zip(samples, found, strict=True):
        at = bisect_left(codes, sample)
        nearest = min(abs(sample - code) for code in codes[max(0, at - 1) : at + 1])
        assert abs(sample - level) <= nearest + 8


@given(st.binary(max_size=50), st.sampled_from(ALL), st.sampled_from(ALL))
def test_any_bytes_can_be_converted(audio: bytes, source: Format, target: Format) -> None:
    assert len(converted(audio, source, target)) % (1 if source == target else target.width) == 0


@pytest.mark.parametrize("form", ALL)
@pytest.mark.parametrize("speed", [0.25, 0.5, 1.0, 1.25, 1.5])
def test_speed_is_how_long_audio_lasts(form: Format, speed: float) -> None:
    audio = at_speed(sine(form, 3_000, 0.3), form, speed)
    assert form.milliseconds(len(audio)) == pytest.approx(3_000 / speed, abs=10)
    assert len(audio) % form.width == 0


def test_text_is_a_beep_for_each_letter_and_a_pause_for_each_space() -> None:
    audio = spoken("a b", PCM, "marin")
    size = PCM.size(CHARACTER_MS)
    assert audio[size : 2 * size] == silence(CHARACTER_MS)
    assert audio[:size] != audio[2 * size :]
    assert len(audio) == 3 * size


def test_a_beep_is_as_loud_as_speech() -> None:
    beep = spoken("a", PCM, "marin")
    assert loudness(beep[PCM.size(20) : PCM.size(40)], PCM) > loudness(tone(FRAME_MS, 0.1), PCM)


@pytest.mark.parametrize("form", ALL)
def test_each_voice_has_its_own_pitch(form: Format) -> None:
    assert spoken("Hi", form, "marin") != spoken("Hi", form, "cedar")
    assert spoken("Hi", form, "marin") == spoken("Hi", form, "marin")


def test_a_long_text_is_spoken_up_to_its_bound() -> None:
    assert len(spoken(" " * 2 * LONGEST, MU_LAW, "marin")) == MU_LAW.size(CHARACTER_MS * LONGEST)


def test_pcm_is_little_endian_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert encoded(array("h", [0x0102]), PCM) == int.to_bytes(0x0102, 2, "little")
    other = "little" if sys.byteorder == "big" else "big"
    monkeypatch.setattr("relay.simulator.audio.byteorder", other)
    assert encoded(array("h", [0x0102]), PCM) == int.to_bytes(0x0102, 2, "big")
