"""
Ephemeral secrets: what an app's backend mints with its key and hands to a browser.

A secret has all that it grants in itself, signed, so that no relay has to remember it: any that has
the signing key takes it. It is encrypted too, because whoever holds it shall not read the
instructions, nor a tenant's key, that are in it.

Its form is C{ek_v1.} and a Fernet token without the padding: AES-128-CBC and HMAC-SHA256 in
base64url. In the token are the claims, as JSON, deflated. A browser can send it as a subprotocol,
because it has only characters of a token (RFC 9110, 5.6.2).

Source: the Fernet specification, 0x80; RFC 2104; RFC 1950.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Awaitable, Mapping, Sequence
from secrets import token_bytes

from attrs import evolve, frozen
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from relay.admission.claims import claims_of, grant_of
from relay.admission.evenly import evenly
from relay.admission.grant import Grant
from relay.admission.origins import same_origin
from relay.admission.request import EPHEMERAL, Admit, Request, Verdict
from relay.admission.revoked import Revoked
from relay.rules.refusals import refuse
from relay.rules.session_kinds import SessionKind
from relay.timing.clock import epoch

_log = Logger()

FORM = f"{EPHEMERAL}v1."
"""How the secrets begin that a relay mints; another format has another number."""

ELSEWHERE = (
    "This ephemeral secret was minted elsewhere, or is no longer valid; mint one here with"
    " POST {base}/v1/realtime/client_secrets."
)
UNLASTING = (
    "ephemeral secrets are signed by a key that was made at this start, so they end with this"
    " process, and no other relay takes them: name files by signing_keys in [auth]"
)

ANOTHER_KIND = "This ephemeral secret is for {}; it opens nothing else."
PLACES: Mapping[SessionKind, str] = {
    "realtime": "{base}/v1/realtime",
    "transcription": "{base}/v1/realtime?intent=transcription",
    "translation": "{base}/v1/realtime/translations",
    "live": "{base}/v1/live/sessions",
    "gemini": "Gemini's path",
}
"""The kinds that a secret may be for, and where a client opens each, below a base path."""


@frozen
class Minted:
    """
    What a secret says.

    @ivar grant: what who sends it may have; it expires, and mints nothing.
    @ivar kind: the kind of session that it opens.
    @ivar origin: the Origin of the one page that may send it; L{None} for whoever holds it.
    @ivar id: of this secret alone.
    @ivar at: when it was minted, in seconds since 1970; 0 in one that does not say.
    """

    grant: Grant
    kind: SessionKind
    origin: str | None
    id: str
    at: int = 0


class Mint:
    """
    Makes ephemeral secrets, and reads them.

    @param keys: what signs: the first of them; all are accepted. Without any, one is made now, and
        the first secret is one warning in the log.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._signs = MultiFernet([_fernet(key) for key in keys or (token_bytes(32),)])
        self._warns = not keys

    def mint(self, minted: Minted) -> str:
        """A secret that says this."""
        if self._warns:
            self._warns = False
            _log.warn(UNLASTING)
        claims = json.dumps(_claims(minted), separators=(",", ":")).encode("ascii")
        return FORM + self._signs.encrypt(zlib.compress(claims)).decode("ascii").rstrip("=")

    def read(self, secret: str) -> Minted | None:
        """What a secret says; L{None} if none of the keys has signed it."""
        token = secret.removeprefix(FORM)
        token += "=" * (-len(token) % 4)
        if not _is_canonical(token):
            return None
        try:
            claims = self._signs.decrypt(token.encode("ascii"))
        except InvalidToken:
            return None
        return _minted(claims)


def _fernet(key: bytes) -> Fernet:
    # The key may sign other things too, and those of another format; none of them is a secret here.
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(FORM.encode("ascii") + key).digest()))


def _is_canonical(token: str) -> bool:
    """Whether it is as it would be written: Python's reader skips what is no base64url."""
    try:
        return base64.urlsafe_b64encode(base64.urlsafe_b64decode(token)).decode("ascii") == token
    except ValueError:
        return False


def _claims(minted: Minted) -> dict[str, object]:
    claims = claims_of(minted.grant) | {"kind": minted.kind, "id": minted.id, "at": minted.at}
    return claims if minted.origin is None else claims | {"origin": minted.origin}


def _minted(claims: bytes) -> Minted | None:
    """What good claims say; L{None} for what a later version says otherwise."""
    try:
        said = json.loads(zlib.decompress(claims))
        kind, origin, name = said.pop("kind"), said.pop("origin", None), said.pop("id")
        at = int(said.pop("at", 0))
        return Minted(grant_of(said), kind, origin, name, at)
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error):
        return None


def with_secrets(
    admit: Admit | None,
    mint: Mint,
    clock: IReactorTime,
    revoked: Revoked | None = None,
    base_path: str = "",
) -> Admit:
    """
    What decides on each request: a secret of the mint's, or else C{admit}. Without C{admit}
    everybody is let in, but for a secret that is not the mint's: the client that sends it means
    another relay, or OpenAI.

    @param revoked: the subjects whose secrets are no longer good.
    @param base_path: what stands before the paths that a refusal names.
    """
    forms = EPHEMERAL if admit is None else FORM

    def by_secret(request: Request) -> Verdict:
        verdict = _verdict(mint, request, revoked or Revoked(), base_path)
        if admit is None and not isinstance(verdict, Grant) and verdict.status == 401:
            return evolve(verdict, message=ELSEWHERE.format(base=base_path))
        return verdict

    by_secret_evenly = evenly(by_secret, clock)

    def decide(request: Request) -> Verdict | Awaitable[Verdict]:
        if (request.credential or "").startswith(forms):
            return by_secret_evenly(request)
        return Grant() if admit is None else admit(request)

    return decide


def _verdict(mint: Mint, request: Request, revoked: Revoked, base_path: str) -> Verdict:
    secret = request.credential or ""
    minted = mint.read(secret) if secret.startswith(FORM) else None
    if minted is None:
        why = "the ephemeral secret was minted elsewhere, or before a restart"
    elif minted.grant.has_expired(epoch()):
        why = f"the ephemeral secret {minted.id} has expired"
    elif revoked.bars(minted.grant.subject, minted.at):
        why = f"the ephemeral secret {minted.id} was minted before its subject was revoked"
    elif minted.origin is not None and not same_origin(minted.origin, request.origin or ""):
        why = f"the ephemeral secret {minted.id} is for the origin {minted.origin} only"
    elif not request.may_open(minted.kind):
        place = PLACES[minted.kind].format(base=base_path)
        return refuse("unauthorized", ANOTHER_KIND.format(place), status=403)
    else:
        return minted.grant
    return refuse("unauthorized", detail=why)
