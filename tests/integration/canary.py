"""The upstream key of every test here: wherever it shows, it has leaked."""

from __future__ import annotations

import base64
from urllib.parse import quote

# The third character makes each form below begin differently.
CANARY = "sk?canary/Wq7+Jx2Vd9Zt4"

_RAW = CANARY.encode("ascii")

FORMS = {
    "raw": CANARY,
    "url-encoded": quote(CANARY, safe=""),
    "base64": base64.b64encode(_RAW).decode("ascii"),
    "url-safe base64": base64.urlsafe_b64encode(_RAW).decode("ascii"),
    "masked": f"{CANARY[:8]}*******{CANARY[-4:]}",
}
"""How an upstream may quote a key."""

# Eight characters already give a key away; its end tells which key it is.
_TRACES = {form[:8] for form in FORMS.values()} | {form[-6:] for form in FORMS.values()}


def traces_in(data: bytes, *secrets: str) -> list[str]:
    """
    What shows of the key, and of further secrets: of these any 12 characters behind the first 16,
    which may be the same in all of their kind.
    """
    own = {secret[at : at + 12] for secret in secrets for at in range(16, len(secret) - 11)}
    return sorted(trace for trace in _TRACES | own if trace.encode("ascii") in data)
