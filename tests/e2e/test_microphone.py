"""An app for the browser: a page streams its microphone to a session, and plays the answers."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import pytest
from e2e.pages import Seen, browse, lacking, serving
from processes import address_of, relay_command, running

CHIRP = Path(__file__).parent.parent / "data" / "chirp.wav"
PAGE = Path(__file__).parent / "browser" / "microphone.html"

PAUSE_SECONDS = 1.5
"""How long the microphone is silent behind each chirp; a turn ends after half a second."""

ANSWERS = 2


def speaking(path: Path) -> list[str]:
    """
    Make a recording of a turn.

    @return: the options that make it Chromium's microphone, over and over again.
    """
    with wave.open(str(CHIRP)) as chirp, wave.open(str(path), "wb") as file:
        file.setparams(chirp.getparams())
        file.writeframes(chirp.readframes(chirp.getnframes()))
        file.writeframes(bytes(2 * int(PAUSE_SECONDS * chirp.getframerate())))
    return [
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={path}",
        "--autoplay-policy=no-user-gesture-required",
    ]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What the page was told, and how the answers sounded."""
    lack = lacking()
    if lack:
        pytest.skip(lack)
    folder = tmp_path_factory.mktemp("microphone")
    with running(relay_command("--demo"), folder) as relay, serving() as pages:
        url = address_of(relay).replace("http", "ws") + "/v1/realtime?model=gpt-realtime"
        told = json.dumps({"relay": url, "answers": ANSWERS}).encode()
        pages.files = {
            "/microphone": ("text/html", PAGE.read_bytes()),
            "/microphone.json": ("application/json", told),
        }
        reports = browse(pages, "/microphone", folder, *speaking(folder / "turn.wav"))
    return reports["microphone"]["microphone"]


def test_the_relay_hears_where_each_turn_ends(seen: Seen) -> None:
    kinds = [kind.removeprefix("input_audio_buffer.") for kind, *_ in seen[:-1]]
    turn = ["speech_started", "speech_stopped", "committed", "answer"]
    assert kinds == turn * ANSWERS


def test_each_answer_is_heard(seen: Seen) -> None:
    for status, seconds, loudest in (told for kind, *told in seen if kind == "answer"):
        assert status == "completed"
        # The chirp and the pause that told its end.
        assert 1.0 < seconds < 1.0 + PAUSE_SECONDS
        assert loudest > 1000


def test_the_page_ends_the_session(seen: Seen) -> None:
    assert seen[-1] == ("close", 1000, "")
