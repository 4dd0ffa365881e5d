"""What may stand in a header as a credential, whatever it comes from."""

from __future__ import annotations

import re

_CREDENTIAL = re.compile(r"[\x21-\x7e]+")

CREDENTIAL = "visible ASCII characters, with no space, line end or control character among them"
"""What a credential consists of, in words."""


def is_credential(value: object) -> bool:
    """
    Whether it is one word of visible ASCII. Anything else could end the header it is put in, and
    begin another.
    """
    return isinstance(value, str) and _CREDENTIAL.fullmatch(value) is not None
