"""No secret in foreign text, in any form an upstream may quote it."""

from __future__ import annotations

import base64
import string
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.scrub import MAX_TEXT, PREFIX, redact, scrub

KEY = "sk-proj-Abc/Def+123?4567=ghij"
RAW = KEY.encode()
FORMS = {
    "as it is": KEY,
    "base64": base64.b64encode(RAW).decode(),
    "urlsafe base64": base64.urlsafe_b64encode(RAW).decode(),
    "base64 unpadded": base64.b64encode(RAW).decode().rstrip("="),
    "URL-encoded": quote(KEY, safe=""),
    "URL-encoded but /": quote(KEY),
    "masked": KEY[:PREFIX] + "*****",
    "masked but its end": KEY[:PREFIX] + "****" + KEY[-4:],
    "first 8": KEY[:PREFIX],
    "doubled": KEY * 2,
    "inside a word": f"key={KEY},",
}

each_form = pytest.mark.parametrize("shown", FORMS.values(), ids=FORMS)


@each_form
def test_the_whole_word_is_redacted(shown: str) -> None:
    assert redact(f"Incorrect key {shown} given", [KEY]) == "Incorrect key [redacted] given"


@each_form
def test_each_secret_is_redacted_each_time(shown: str) -> None:
    text = f"{shown} and second-key-2 and ({shown})"
    assert redact(text, ["second-key-1", KEY]) == "[redacted] and [redacted] and [redacted]"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_both_base64_alphabets_are_known(encode: Callable[[bytes], bytes]) -> None:
    secret = "~~~???-a-key"  # its first letters are "fn5+Pz8/" or "fn5-Pz8_"
    assert redact(encode(secret.encode()).decode(), [secret]) == "[redacted]"


def test_eight_characters_of_a_secret_are_redacted() -> None:
    assert redact("sk-proj-***", ["sk-proj-abcdefgh"]) == "[redacted]"


def test_a_secret_of_less_than_eight_characters_is_not_redacted() -> None:
    assert redact("there are none, nobody", ["none", "nobody", "x" * (PREFIX - 1)]) == (
        "there are none, nobody"
    )
    assert redact("x" * PREFIX, ["x" * PREFIX]) == "[redacted]"


def test_seven_characters_of_a_secret_are_not_redacted() -> None:
    assert redact(KEY[: PREFIX - 1], [KEY]) == KEY[: PREFIX - 1]


def test_a_secret_is_not_read_as_a_pattern() -> None:
    assert redact("aaaaaaaaaaaa .*.*.*.*.*", [".*.*.*.*.*"]) == "aaaaaaaaaaaa [redacted]"


@pytest.mark.parametrize("secrets", [[], ["another-key-of-somebody"]])
def test_text_without_a_secret_stays(secrets: list[str]) -> None:
    assert redact("model not found: x", secrets) == "model not found: x"


def test_text_becomes_one_line_without_controls() -> None:
    assert scrub("a\r\nb\tc\x00d\x1b[31me\u2028f\ud800g", []) == "a  b c d [31me f g"


def test_a_key_over_a_line_end_is_redacted_as_far_as_it_goes() -> None:
    assert scrub(f"see:\n{KEY}\nend", [KEY]) == "see: [redacted] end"


@pytest.mark.parametrize(
    "shown", ["sk-abc***xyz", "***ghij", "(sk-p••••ghij).", "sk-...ghij", "sk-pr…hij", "key=s####j"]
)
def test_a_masked_key_is_redacted_whosever_it_is(shown: str) -> None:
    for secrets in ([], [KEY], ["sk-abcdefghijklmnopqrstuvwxyz"]):
        text = scrub(f"Incorrect API key provided: {shown}", secrets)
        assert text == "Incorrect API key provided: [redacted]"


@pytest.mark.parametrize(
    "text", ["Wait ... then go.", "Loading…", "**no** such voice", "a..b", "…"]
)
def test_an_ellipsis_at_the_end_of_a_word_masks_nothing(text: str) -> None:
    assert scrub(text, [KEY]) == text


@pytest.mark.parametrize("size", [MAX_TEXT - 1, MAX_TEXT, MAX_TEXT + 1])
def test_text_has_a_limit(size: int) -> None:
    assert scrub("é" * size, []) == "é" * min(size, MAX_TEXT)


def test_the_limit_cuts_no_secret_to_a_harmless_looking_piece() -> None:
    for room in range(len(KEY)):
        text = "x" * (MAX_TEXT - room - 1) + f" {KEY}"
        assert KEY[:PREFIX] not in scrub(text, [KEY])


KEYS = st.text(string.ascii_letters + string.digits + "-_.+/=~", min_size=PREFIX, max_size=60)


@given(KEYS, st.text(max_size=60), st.text(max_size=60))
def test_no_form_of_a_key_shows_in_any_text(key: str, before: str, after: str) -> None:
    raw = key.encode()
    forms = [key, quote(key, safe=""), base64.b64encode(raw).decode(), key[:PREFIX] + "***"]
    forms.append(base64.urlsafe_b64encode(raw).decode())
    for form in forms:
        shown = scrub(before + form + after, [key])
        assert form[:PREFIX] not in shown.replace("[redacted]", " ")
        assert shown.isprintable()
        assert len(shown) <= MAX_TEXT


@given(st.text(st.characters(codec=None), max_size=400), st.lists(st.text(max_size=12), max_size=3))
def test_any_scrubbed_text_is_printable_and_short(text: str, secrets: list[str]) -> None:
    shown = scrub(text, secrets)
    assert shown.isprintable()
    assert len(shown) <= MAX_TEXT


def test_every_word_is_looked_at_once() -> None:
    """A pattern with the secret in its middle took seconds for a long word without it."""
    word = "x" * 250_000
    assert redact(f"{word} sk-proj-ABCDEFG", ["sk-proj-ABCDEFG"]) == f"{word} [redacted]"
