"""What one who is let in may have: the one value that every kind of credential ends in."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import Attribute, field, frozen
from attrs.validators import optional

from relay.admission.quota import GrantLimits
from relay.policy.policy import Policy
from relay.rules.errors import InvalidValue, wanted
from relay.upstreams.credential import CREDENTIAL, is_credential
from relay.upstreams.passing import fault_of_header

SAFETY = "OpenAI-Safety-Identifier"
"""The header by which an app says whose session it is."""

_VALUE = re.compile(r"[\x20-\x7e]*")
"""What a header may hold: no line end, behind which another header would begin."""


def _text(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise wanted(f"{attribute.name} of a grant must be a printable string", value)


def _time(_: object, attribute: Attribute[Any], value: object) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):  # type: ignore[arg-type]
        raise wanted(f"{attribute.name} of a grant must be seconds since 1970", value)


def _truth(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise wanted(f"{attribute.name} of a grant must be a boolean", value)


def _names(_: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(name, str) and name for name in value):
        raise InvalidValue(f"{attribute.name} of a grant must be names, none of them empty")


def _as_names(names: Any) -> Any:
    # A string would else be taken for its letters. What is nothing of the kind is the validator's.
    if isinstance(names, str):
        return (names,)
    return tuple(names) if isinstance(names, Iterable) else names


def _of(kind: type) -> Callable[[object, Attribute[Any], object], None]:
    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise wanted(f"{attribute.name} of a grant must be a relay.{kind.__name__}", value)

    return check


def _secret(_: object, __: Attribute[Any], value: object) -> None:
    if not is_credential(value):
        raise InvalidValue(f"the credential of a grant must be a string of {CREDENTIAL}")


def _sendable(_: object, __: Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping):
        raise wanted("headers of a grant must be a mapping of names to values", value)
    for name, text in value.items():
        if not isinstance(name, str) or not isinstance(text, str) or not _VALUE.fullmatch(text):
            raise InvalidValue("headers of a grant must be of visible ASCII and spaces")
        if fault := fault_of_header(name):
            raise InvalidValue(f"headers of a grant: {fault}")


@frozen
class Grant:
    """
    This request may have a session.

    @ivar subject: the name, in the records, of the one whose session it is. The limits by subject
        are for all sessions of one name.
    @ivar limits: what is not as the settings say.
    @ivar policy: what the client may say, within what the settings allow.
    @ivar expires: from when on it is refused, in seconds since 1970 (UTC); L{None} for never.
    @ivar end_on_expiry: whether its sessions end then too, with 1008.
    @ivar models: the models that it may ask for; L{None} for all. The same as C{models} of the
        policy.
    @ivar upstream: the name of the one upstream that it may use; L{None} for any.
    @ivar credential: a key of its own for the upstream, instead of the relay's. If the upstream
        refuses it, that opens no breaker.
    @ivar headers: headers that go upstream with its requests, such as C{OpenAI-Safety-Identifier},
        before the client's own of the same name; none that carries a credential.
    @ivar mints: whether it may mint ephemeral secrets. They have all of its bounds, and its
        subject.
    @raise InvalidValue: for a value or a type that is none of these. The text never repeats the
        credential.
    """

    subject: str | None = field(default=None, validator=optional(_text))
    limits: GrantLimits = field(factory=GrantLimits, validator=_of(GrantLimits))
    policy: Policy = field(factory=Policy, validator=_of(Policy))
    expires: float | None = field(default=None, kw_only=True, validator=optional(_time))
    end_on_expiry: bool = field(default=False, kw_only=True, validator=_truth)
    models: tuple[str, ...] | None = field(
        default=None, kw_only=True, converter=_as_names, validator=optional(_names)
    )
    upstream: str | None = field(default=None, kw_only=True, validator=optional(_text))
    credential: str | None = field(
        default=None, kw_only=True, repr=False, validator=optional(_secret)
    )
    headers: Mapping[str, str] = field(
        factory=dict, kw_only=True, hash=False, validator=_sendable, repr=False
    )
    mints: bool = field(default=True, kw_only=True, validator=_truth)

    def has_expired(self, now: float) -> bool:
        """
        Whether it is over.

        @param now: seconds since 1970.
        """
        return self.expires is not None and self.expires <= now

    @property
    def bounds(self) -> Policy:
        """Its policy, with its models."""
        return Policy(models=self.models).within(self.policy)

    def seconds_left(self, now: float) -> float | None:
        """
        The seconds until its sessions end; L{None} if they do not end with it.

        @param now: seconds since 1970.
        """
        if self.expires is None or not self.end_on_expiry:
            return None
        return max(0.0, self.expires - now)
