"""Every row of the refusal table is driven over a socket here, by a real peer."""

from __future__ import annotations

from integration.broken_answers import BROKEN_ANSWERS
from integration.broken_connections import BROKEN_CONNECTIONS, NO_NAME, REFUSED_PORT
from integration.broken_openings import BROKEN_OPENINGS
from integration.broken_tls import BEHIND_TLS, BROKEN_HANDSHAKES, UNTRUSTED
from integration.refused_holds import BARRED, SITUATIONS, Barred, Situation
from integration.refused_requests import MALFORMED, NEVER_IN_BAND, NOT_SERVED, Wrong

from relay.rules.refusals import KINDS

DRIVEN_ALONE = {
    "internal_error": "test_refused_holds"
    ".test_a_bug_of_the_relay_is_500_and_its_text_stays_in_the_log",
    "head_too_large": "test_refused_requests.test_a_head_that_is_too_large_is_431",
    "request_timeout": "test_refused_requests.test_a_head_that_is_too_slow_is_408",
}
"""By a test without a table."""


def test_every_row_of_the_refusal_table_is_driven_over_a_socket() -> None:
    unreachable = [REFUSED_PORT, NO_NAME, *BROKEN_HANDSHAKES, UNTRUSTED, *BEHIND_TLS]
    upstreams = [*BROKEN_CONNECTIONS, *BROKEN_ANSWERS, *BROKEN_OPENINGS, *unreachable]
    relays_own: list[Wrong | Barred | Situation] = [
        *MALFORMED,
        *NOT_SERVED,
        *NEVER_IN_BAND,
        *BARRED,
        *SITUATIONS,
    ]
    tables = {case.code for case in upstreams} | {case.code for case in relays_own}
    assert tables | DRIVEN_ALONE.keys() == KINDS.keys()
