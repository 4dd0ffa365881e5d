"""
What an error's text carries of another error: a gateway that stands behind the relay reports its
own upstream's answer that way, as in C{Error code: 404 - {'error': {'code': 'no_such_voice'}}} or
C{litellm.BadRequestError: …}.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from attrs import evolve

from relay.rules.said import Said
from relay.upstreams.meanings import status_of_close

MAX_SEARCHED = 2000
"""Characters of a text that are searched."""

_NUMBER = r"([45][0-9][0-9])(?![0-9]|\.[0-9])"
_AFTER_A_WORD = re.compile(
    r"(?i)(?<![a-z])(?:http(?:/[0-9.]+)?|status(?:[ _]?code)?|code|error|response"
    rf"""|returned|responded|answered)["']?(?: is| of| with)?[ :=(\[]{{1,3}}{_NUMBER}"""
)
_AT_THE_BEGINNING = re.compile(rf"(?:[\w.]+: ){{0,3}}[(\[]?{_NUMBER}(?=[)\]]|:| -| [A-Z]|$)")
_QUOTED_CODE = re.compile(r"""["'](?:code|type|status)["']: ?["']([A-Za-z_][\w.-]{0,99})["']""")
_EXCEPTION = re.compile(r"(?<![A-Za-z])((?:[A-Z]+[a-z]+){1,8})(?:Error|Exception)(?![A-Za-z])")

_REASON = re.compile(r"(?<![\w.])([a-z]+(?:_[a-z]+)*_error)\.([a-z]+(?:_[a-z]+){1,8})(?!\w)")
_CLOSE = re.compile(
    r"(?i)(?<![a-z])(?:received (?=[0-9]{4} \()"
    r"|(?:closed?|close[ _]code)(?: with)?(?: code)?[ :=]{1,2})([134][0-9]{3})(?![0-9])"
)

_PLAIN = (
    (r"model [^ ]{1,100} (?:was |is )?not found|model not found", "model_not_found"),
    (r"model [^ ]{1,100} (?:does not|doesn't) exist|no such model", "model_not_found"),
    (r"(?:invalid|unknown|unsupported) model", "invalid_model"),
    (r"model [^ ]{1,100} is not (?:supported|available|installed|allowed)", "invalid_model"),
    (
        r"not (?:have access|allowed to access|allowed to use)(?: to)?(?: the)? model",
        "invalid_model",
    ),
    (r"(?:limit|quota|exceeded)[a-z ]{0,40} per[ -](?:second|minute)", "rate_limit"),
    (r"(?:exceeded|out of|insufficient|not enough)(?: [a-z]+){0,3} (?:quota|credits?)", "quota"),
    (r"(?:incorrect|invalid|wrong|missing|no) (?:api|access)[ _-]?key", "invalid_api_key"),
)
"""What texts say in plain words, and the code for that; the first that fits counts."""

_PHRASES = [(re.compile(f"(?i)(?<![a-z]){words}(?![a-z])"), code) for words, code in _PLAIN]
_WORD = re.compile(r"\w+")


def statuses_in(text: str) -> list[int]:
    """The HTTP statuses that a text carries, 400 to 599, and those that Close codes in it mean."""
    text = text[:MAX_SEARCHED]
    begins = _AT_THE_BEGINNING.match(text)
    found = [begins] if begins else []
    statuses = [int(match[1]) for match in (*found, *_AFTER_A_WORD.finditer(text))]
    closes = (status_of_close(int(match[1])) for match in _CLOSE.finditer(text))
    return [*statuses, *filter(None, closes)]


def codes_in(text: str) -> tuple[str, ...]:
    """
    The error codes that a text quotes, then those in a Close's reason that it quotes, then the
    names of the exceptions in it, then the code for what it says in plain words.
    """
    text = text[:MAX_SEARCHED]
    quoted = (match[1] for match in _QUOTED_CODE.finditer(text))
    raised = (match[1] for match in _EXCEPTION.finditer(text))
    reasons = (code for match in _REASON.finditer(text) for code in (match[2], match[1]))
    plain = [code for phrase, code in _PHRASES if phrase.search(text)]
    return (*quoted, *reasons, *raised, *plain[:1])


def words_of(texts: Iterable[str]) -> frozenset[str]:
    """The words of some texts, in lower case."""
    return frozenset(word.lower() for text in texts for word in _WORD.findall(text))


def without(said: Said, words: frozenset[str]) -> Said:
    """What an error says apart from these words, whatever it says by them."""

    def cut(text: str) -> str:
        kept = text[:MAX_SEARCHED]
        return _WORD.sub(lambda word: "?" if word[0].lower() in words else word[0], kept)

    return evolve(said, codes=tuple(map(cut, said.codes)), message=cut(said.message))
