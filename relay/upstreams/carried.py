"""
What an error's text carries of another error: a gateway that stands behind the relay reports its
own upstream's answer that way, as in C{Error code: 404 - {'error': {'code': 'no_such_voice'}}} or
C{litellm.BadRequestError: …}.
"""

from __future__ import annotations

import re

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

_WRONG_KEY = re.compile("(?i)(?:incorrect|invalid|wrong|missing|no) (?:api|access)[ _-]?key")


def statuses_in(text: str) -> list[int]:
    """The HTTP statuses that a text carries, 400 to 599."""
    text = text[:MAX_SEARCHED]
    begins = _AT_THE_BEGINNING.match(text)
    found = [begins] if begins else []
    return [int(match[1]) for match in (*found, *_AFTER_A_WORD.finditer(text))]


def codes_in(text: str) -> tuple[str, ...]:
    """
    The error codes that a text quotes, then the names of the exceptions in it, then the code for
    what it says of a key in plain words.
    """
    text = text[:MAX_SEARCHED]
    quoted = (match[1] for match in _QUOTED_CODE.finditer(text))
    raised = (match[1] for match in _EXCEPTION.finditer(text))
    return (*quoted, *raised, *(("invalid_api_key",) if _WRONG_KEY.search(text) else ()))
