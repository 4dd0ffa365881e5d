"""
What the error codes and statuses of upstreams mean: exact codes by kind of upstream, families of
codes by the words in them, and HTTP statuses.

Source: OpenAI's Realtime guide (WebSocket), and its answers as observed; the guides to the same of
Azure OpenAI, xAI and Gemini; LiteLLM's and vLLM's exceptions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from relay.rules.refusals import RefusalCode


@frozen
class Meaning:
    """
    What an error is to the relay's client.

    @ivar code: the code of the refusal.
    @ivar status: the refusal's status, if it is not the code's usual one.
    @ivar retryable: whether it may be tried again, if that is not the code's usual answer.
    @ivar of_request: whether it is about the request alone, though the code is not.
    """

    code: RefusalCode
    status: int | None = None
    retryable: bool | None = None
    of_request: bool = False


KEY = Meaning("upstream_unauthorized")
DENIED = Meaning("upstream_unauthorized", of_request=True)  # it may be for one model only
QUOTA = Meaning("upstream_quota_exhausted")
RATE = Meaning("upstream_rate_limited")
REJECTED = Meaning("upstream_rejected_request")
MISSING = Meaning("upstream_rejected_request", status=404)
REFUSED = Meaning("upstream_refused")
FAILING = Meaning("upstream_refused", retryable=True)

COMMON: Mapping[str, Meaning] = {
    "account_deactivated": KEY,
    "full": FAILING,
    "incorrect_hostname": KEY,  # a key of another region; the text names its host
    "invalid_organization": KEY,
    "unsupported_country_region_territory": REFUSED,  # it is the relay's country
}
"""What a code means at every upstream, where no family (below) tells it."""

OPENAI: Mapping[str, Meaning] = {
    **COMMON,
    **dict.fromkeys(
        (
            "invalid_intent",
            "missing_intent",
            "invalid_call_id",
            "beta_api_shape_disabled",
        ),
        REJECTED,
    ),
}

AZURE: Mapping[str, Meaning] = {
    **OPENAI,
    "OperationNotSupported": REJECTED,
    "OpperationNotSupported": REJECTED,  # so spelt by Azure
}

FAMILIES: tuple[tuple[str, Meaning], ...] = (
    ("per_minute per_second", RATE),
    ("quota billing payment credit credits balance budget insufficient_funds", QUOTA),
    ("spend_limit spending_limit usage_limit cost_limit", QUOTA),
    ("rate_limit rate_limits rate_limited ratelimit* too_many throttl* concurren*", RATE),
    ("resource_exhausted", RATE),
    ("invalid_model missing_model unknown_model unsupported_model model_access", REJECTED),
    ("auth authentication authenticated authorization authorized unauth*", KEY),
    ("credential credentials api_key api_keys apikey access_key subscription_key", KEY),
    ("invalid_token expired_token token_expired token_not_found key_not_found", KEY),
    ("permission permissions access_denied", DENIED),
    ("content_policy content_filter safety_policy safety_filter moderation", REJECTED),
    ("not_found notfound does_not_exist no_such", MISSING),
    ("overload* unavailable slow_down capacity busy try_again temporar*", FAILING),
    ("is_full server_full queue_full", FAILING),
    ("bad_gateway timeout timed_out deadline*", FAILING),
    ("draining maintenance shutdown shutting_down restart*", FAILING),
)
"""
Words, and what a code with one of them means; the first family that fits counts. A code is compared
in lower case, with C{_} between its words: C{PermissionDeniedError} is C{permission_denied_error}.
C{*} stands for any end of a word.
"""

_NO_MORE_THAN: tuple[tuple[str, int], ...] = (
    ("bad_request invalid missing malformed validation unprocessable", 400),
    ("unsupported not_supported context_window_exceeded context_length_exceeded", 400),
    ("server_error internal internal_error internal_server api_error api_connection", 500),
)
"""The same for codes that say no more than a status does: a gateway gives them to every error."""

_ABOUT_THE_KEY = re.compile(
    "(?i)(?<![a-z])((api-?)?keys?|credentials?|tokens?|permissions?|scopes?|(un)?auth[eo][a-z]+)"
    "(?![a-z])"
)
"""Words of a text that says that a key is not good enough."""

_BY_STATUS: Mapping[int, Meaning] = {401: KEY, 402: QUOTA, 408: FAILING, 422: REJECTED, 429: RATE}
_CLOSES: Mapping[int, int] = {
    1001: 503,
    1011: 500,
    1012: 503,
    1013: 503,
    1014: 502,
    3000: 401,
    3003: 403,
    3008: 408,
}
"""Close codes that mean an HTTP status (IANA, WebSocket Close Code Number Registry)."""


def _words(code: str) -> str:
    """A code in lower case with C{_} between its words."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", code)
    return re.sub(r"[\W_]+", "_", spaced).strip("_").lower()


def _pattern(words: str) -> re.Pattern[str]:
    any_of = "|".join(words.replace("*", "[a-z0-9]*").split())
    return re.compile(f"(?:^|_)(?:{any_of})(?:_|$)")


_MEANINGS = [(_pattern(words), meaning) for words, meaning in FAMILIES]
_STATUSES = [(_pattern(words), status) for words, status in _NO_MORE_THAN]


def meaning_of_code(errors: Mapping[str, Meaning], code: str) -> Meaning | None:
    """
    What a code means, whatever comes with it; L{None} if that cannot be told.

    @param errors: the exact codes of this kind of upstream.
    """
    words = _words(code)
    found = (meaning for pattern, meaning in _MEANINGS if pattern.search(words))
    return errors.get(code) or next(found, None)


def status_of_code(code: str) -> int | None:
    """The status, if a code says no more than that."""
    words = _words(code)
    return next((status for pattern, status in _STATUSES if pattern.search(words)), None)


def status_of_close(code: int | None) -> int | None:
    """
    The HTTP status that a Close code means, if it means one: by the registry, or as 4000 and the
    status, which is how the relay itself and many services say it.
    """
    if code is not None and 4400 <= code < 4600:
        return code - 4000
    return _CLOSES.get(code or 0)


def is_about_the_key(text: str) -> bool:
    """Whether a text says something of a key, a credential or a permission."""
    return _ABOUT_THE_KEY.search(text) is not None


def meaning_of_status(status: int, text: str, *, is_carried: bool = False) -> Meaning:
    """
    What an HTTP status means.

    @param text: what the error says; it decides on a 403, which many a firewall answers.
    @param is_carried: whether the status stands in an error, not in the answer: then the upstream
        understood the request. An answer 404 may come from a wrong URL.
    """
    if status == 403:
        return DENIED if is_about_the_key(text) else REFUSED
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return FAILING
    if is_carried:
        return MISSING if status == 404 else REJECTED
    return REFUSED
