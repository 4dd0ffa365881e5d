"""
What an upstream's refusal means: whose fault it is, and whether trying again may help.

The meaning is looked for in the error's code, then in its type, then in the status or close code.

Source: OpenAI's Realtime guide (WebSocket), and its answers as observed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from attrs import evolve

from relay.rules.closes import Close
from relay.rules.refusals import Refusal, refuse
from relay.rules.said import NOTHING, Said, error_in_body, error_in_text, merged
from relay.rules.scrub import scrub
from relay.upstreams.carried import codes_in, statuses_in, without
from relay.upstreams.meanings import (
    DENIED,
    KEY,
    REFUSED,
    Meaning,
    is_about_the_key,
    meaning_of_code,
    meaning_of_status,
    status_of_close,
    status_of_code,
)
from relay.upstreams.providers import Provider
from relay.upstreams.relayed import refusal_of_relay

MAX_RETRY_AFTER = 60
"""Most seconds that an upstream can make the relay's clients wait."""

UNREAD_RETRY_AFTER = 5
"""Seconds for a C{Retry-After} that is no number: a date, or nonsense."""

_SHORT = 123
"""Most characters of a text that is itself taken for a code: those of a Close's reason."""

_FORBIDDEN = frozenset({"", "Forbidden", "forbidden", "FORBIDDEN", "403 Forbidden"})
"""What an error says that says no more than its status 403."""


def refusal_of_answer(
    provider: Provider,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Collection[str],
    asked: frozenset[str] = frozenset(),
) -> Refusal:
    """
    What an HTTP answer other than 101 means.

    @param headers: names in lower case.
    @param body: as much of the body as was read.
    @param secrets: what must not show in any text of the refusal.
    @param asked: the words of the caller, in lower case, which the upstream may repeat.
    """
    said, wait = error_in_body(body), _retry_after(headers)
    if said.relayed is not None:
        refusal = refusal_of_relay(said, status, wait, secrets)
    else:
        meaning = _meaning(provider, said, asked, answered=status)
        if meaning == REFUSED and status == 403 and _says_nothing(said):
            words = "The upstream refused with 403 and gave no reason."
        else:
            words = _told(f"The upstream answered HTTP {status}", _quotable(said, status))
        refusal = _refusal(meaning, _quotable(said, status), words, wait, secrets)
    return evolve(refusal, said=scrub(str(said), secrets))


def refusal_of_opening(
    provider: Provider,
    error: Said | None,
    close: Close | None,
    secrets: Collection[str],
    asked: frozenset[str] = frozenset(),
) -> Refusal:
    """
    What it means if the first thing that an upstream sends is an C{error} event, a Close, or both.

    @param error: what the event says.
    @param close: the Close as received; L{None} if none came.
    @param asked: see L{refusal_of_answer}.
    """
    number, reason = (close.code, close.reason) if close else (None, "")
    both = merged(error or NOTHING, error_in_text(reason))
    status = status_of_close(number)
    shown = error or Said(message=reason)
    if both.relayed is not None:
        refusal = refusal_of_relay(both, status, None, secrets)
    else:
        meaning = _meaning(provider, _in_few_words(both), asked, closed=status)
        quoted = _quotable(shown, status)
        with_code = "without a code" if number is None else f"with code {number}"
        what = "sent an error first" if error else f"closed at once {with_code}"
        words = _told(f"The upstream {what}", quoted)
        refusal = _refusal(meaning, quoted, words, None, secrets)
    return evolve(refusal, said=scrub(str(shown), secrets))


def _in_few_words(said: Said) -> Said:
    """A service may say in a few words what others say by a code."""
    text = said.message
    is_code = not said.codes and len(text) <= _SHORT and not statuses_in(text)
    return evolve(said, codes=(text,)) if is_code else said


def _meaning(
    provider: Provider,
    said: Said,
    asked: frozenset[str],
    answered: int | None = None,
    closed: int | None = None,
) -> Meaning:
    """
    What an error means. If it blames the upstream, the caller's own words in it do not count: else
    a model of the name "no api key" could keep all other callers out.

    @param answered: the status of the answer that it is in.
    @param closed: the status that the Close behind it means.
    """
    meaning = _read(provider, said, answered, closed)
    told = without(said, asked)
    if told != said and meaning.code != "upstream_rejected_request":
        meaning = _read(provider, told, answered, closed)
        if meaning == REFUSED and answered == 403:
            return evolve(REFUSED, of_request=True)
    return KEY if meaning == DENIED and answered == 401 else meaning


def _read(provider: Provider, said: Said, answered: int | None, closed: int | None) -> Meaning:
    codes = (*said.codes, *codes_in(said.message))
    for code in codes:
        known = meaning_of_code(provider.errors, code)
        if known is not None:
            return known
    carried = _carried(said, codes)
    if answered is None or not 400 <= answered < 500:
        # Else the answer's own status counts: only a 5xx or a Close may be a gateway's wrapping.
        status = carried or closed
        if status is not None:
            return meaning_of_status(status, said.message, is_carried=True)
    return REFUSED if answered is None else meaning_of_status(answered, said.message)


def _carried(said: Said, codes: Iterable[str]) -> int | None:
    """
    The status that an error carries, in a field, in its text or by a code that says no more. A 4xx
    counts first, because a gateway wraps a caller's mistake into a failure of its own, and hardly
    the other way round.
    """
    by_code = filter(None, map(status_of_code, codes))
    found = [*filter(None, [said.status]), *statuses_in(said.message), *by_code]
    return next((status for status in found if status < 500), found[0] if found else None)


def _says_nothing(said: Said) -> bool:
    """Whether an error says no more than "Forbidden"."""
    return said.code in _FORBIDDEN and said.message in _FORBIDDEN


def _quotable(said: Said, status: int | None) -> Said:
    """What may be quoted: a text on the key may show it, masked in a way that nobody foresaw."""
    about_key = status == 401 or (status == 403 and is_about_the_key(said.message))
    return evolve(said, message="") if about_key else said


def _told(what: str, said: Said) -> str:
    return f"{what} ({said})." if str(said) else f"{what}."


def _refusal(
    meaning: Meaning, said: Said, words: str, wait: int | None, secrets: Collection[str]
) -> Refusal:
    """
    The refusal that says this.

    @param said: what may be quoted of the error.
    @param words: what to tell of an upstream that refused for no known reason.
    @param wait: its C{Retry-After}.
    """
    message = None
    if meaning.code == "upstream_refused":
        message = scrub(words, secrets)
    elif meaning.code == "upstream_rejected_request" and said.message:
        name = f" ({said.code})" if said.code else ""
        message = scrub(f"The upstream rejected the request{name}: {said.message}", secrets)
    refusal = refuse(meaning.code, message, status=meaning.status, retryable=meaning.retryable)
    refusal = evolve(refusal, of_request=meaning.of_request)
    return (
        evolve(refusal, retry_after=wait or refusal.retry_after) if refusal.retryable else refusal
    )


def _retry_after(headers: Mapping[str, str]) -> int | None:
    text = headers.get("retry-after", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        return UNREAD_RETRY_AFTER
    return max(1, min(int(text[:6]), MAX_RETRY_AFTER))
