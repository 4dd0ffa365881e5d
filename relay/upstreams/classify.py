"""
What an upstream's refusal means: whose fault it is, and whether trying again may help.

Source: OpenAI's Realtime guide (WebSocket), and its answers as observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from relay.rules.closes import Close
from relay.rules.events import ServerEvent, error_in, parse_json
from relay.rules.refusals import Refusal, refuse
from relay.rules.scrub import scrub
from relay.upstreams.providers import Provider

MAX_RETRY_AFTER = 60
"""Most seconds that an upstream can make the relay's clients wait."""

UNREAD_RETRY_AFTER = 5
"""Seconds for a C{Retry-After} that is no number: a date, or nonsense."""

NOT_FOUND = frozenset({"model_not_found", "DeploymentNotFound"})
"""Error codes for a model that does not exist."""


def _retry_after(headers: Mapping[str, str]) -> int | None:
    text = headers.get("retry-after", "")
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        return UNREAD_RETRY_AFTER
    return max(1, min(int(text[:6]), MAX_RETRY_AFTER))


def _by_code(provider: Provider, code: str, text: str) -> Refusal | None:
    """The refusal that an error code alone decides, or L{None}."""
    meaning = provider.errors.get(code)
    if meaning is None:
        return None
    if meaning != "upstream_rejected_request":
        # Without upstream's text, which may quote the key.
        return refuse(meaning)
    status = 404 if code in NOT_FOUND else 400
    message = f"The upstream rejected the request ({code}): {text}" if text else None
    return refuse(meaning, message, status=status)


def _said(what: str, code: str, text: str) -> str:
    detail = ": ".join(part for part in (code, text) if part)
    return f"The upstream {what}" + (f" ({detail})." if detail else ".")


def refusal_of_answer(
    provider: Provider,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    secrets: Iterable[str],
) -> Refusal:
    """
    What an HTTP answer other than 101 means.

    @param headers: names in lower case.
    @param body: as much of the body as was read.
    @param secrets: what must not show in the message.
    """
    code, text = (scrub(part, secrets) for part in error_in(parse_json(body)))
    if status in (401, 403):
        text = ""  # it may quote the key, masked in a way that scrub does not know
    known = _by_code(provider, code, text)
    if known is None and status in (401, 403):
        known = refuse("upstream_unauthorized")
    if known is None and status == 429:
        known = refuse("upstream_rate_limited")
    if known is None:
        retryable = status >= 500 or status == 408
        said = _said(f"answered HTTP {status}", code, text)
        wait = _retry_after(headers) if retryable else None
        return refuse("upstream_refused", said, retryable=retryable, retry_after=wait)
    if known.code == "upstream_rate_limited":
        return refuse(known.code, retry_after=_retry_after(headers))
    return known


def refusal_of_opening(
    provider: Provider,
    error: ServerEvent | None,
    close: Close | None,
    secrets: Iterable[str],
) -> Refusal:
    """
    What it means if the first thing that an upstream sends is an C{error} event, a Close, or both.

    @param close: the Close as received; L{None} if none came.
    """
    # OpenAI's reasons read "invalid_request_error.invalid_model".
    reason = scrub(close.reason, secrets) if close else ""
    number = close.code if close else None
    code = scrub(error.code, secrets) if error else reason.rpartition(".")[2]
    text = scrub(error.message, secrets) if error and number != 3000 else ""
    known = _by_code(provider, code, text)
    if known is not None:
        return known
    if number == 3000:
        return refuse("upstream_unauthorized")
    with_code = "without a code" if number is None else f"with code {number}"
    what = "sent an error first" if error else f"closed at once {with_code}"
    said = _said(what, code if error else reason, text)
    return refuse("upstream_refused", said, retryable=number in (1011, 1012, 1013))
