"""What the operator can say of those who vouch for clients: issuers of JWTs, and a callback."""

from __future__ import annotations

from urllib.parse import urlsplit

from attrs import frozen

from relay.config import checks
from relay.config.fields import documented, file, seconds, secret_file, wait
from relay.http.head import TOKEN
from relay.rules.addresses import is_loopback
from relay.rules.errors import InvalidValue
from relay.upstreams.credential import is_credential

FAMILIES = {
    "HS": ("HS256", "HS384", "HS512"),
    "RS": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "ES": ("ES256", "ES384", "ES512"),
    "Ed": ("EdDSA",),
}
"""
Algorithms by the kind of key that they use. A key must be for one kind: a public RSA key that is
taken for a secret would let everybody sign. Source: RFC 7518, 3.1; RFC 8725, 3.1.
"""


def _url(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "must be an https:// URL"
    if not host or not is_credential(value) or parts.username is not None:
        return "must be an https:// URL, without a user"
    if checks.has_secret(value):
        return "keep keys and tokens out of the URL, because it is logged"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return None
    return "must be an https:// URL; http:// is for loopback only"


@frozen(kw_only=True)
class JwtTable:
    """Who issues JWTs that clients may send."""

    issuer: str = documented(
        "The claim `iss` that its tokens have. Needed.", "", checks.text(checks.printable)
    )
    audience: str = documented(
        "The claim `aud` that they have for this relay. Needed.", "", checks.text(checks.printable)
    )
    algorithms: tuple[str, ...] = documented(
        "How they are signed: HS256 to HS512, RS256 to PS512, ES256 to ES512, or EdDSA; of one of"
        " these four kinds only.",
        ("RS256",),
        checks.each(lambda name: None if kind_of(name) else "is no algorithm that is known here"),
    )
    jwks_url: str | None = documented(
        "Where the issuer's public keys are: https://, or http:// on loopback.",
        None,
        checks.optional(_url),
    )
    key_file: str | None = file(
        "File with the one key instead: PEM of a public key, or for HS… the secret, one line of 32"
        " characters or more. Read anew when it has changed.",
        secret=lambda table: table.is_secret,
    )
    ca_file: str | None = file(
        "PEM file of the authorities that jwks_url is checked by, instead of the machine's.",
    )
    leeway_seconds: float = wait(
        "How much the clocks of the issuer and the relay may differ.", 30.0, 600
    )
    subject_claim: str = documented(
        "The claim that is the subject.", "sub", checks.text(checks.printable)
    )
    models_claim: str | None = documented(
        "The claim that lists the models. A token without it is then refused.",
        None,
        checks.optional(checks.printable),
    )
    limits_claim: str | None = documented(
        "The claim that has limits, by the names of [key.limits].",
        None,
        checks.optional(checks.printable),
    )
    policy_claim: str | None = documented(
        "The claim that has a policy, by the names of [policy]. A token without it is refused.",
        None,
        checks.optional(checks.printable),
    )
    upstream_claim: str | None = documented(
        "The claim that names the one upstream. A token without it is refused.",
        None,
        checks.optional(checks.printable),
    )
    safety_claim: str | None = documented(
        "The claim that goes upstream as OpenAI-Safety-Identifier.",
        None,
        checks.optional(checks.printable),
    )
    end_on_expiry: bool = documented(
        "Whether a session ends when its token expires.", False, checks.true_or_false
    )
    mints: bool = documented(
        "Whether who has a token may mint ephemeral secrets with it.", False, checks.true_or_false
    )

    def __attrs_post_init__(self) -> None:
        """@raise InvalidValue: for what does not go together."""
        if len({kind_of(name) for name in self.algorithms}) != 1:
            raise InvalidValue("algorithms: must be of one kind, because one key serves them all")
        if (self.jwks_url is None) is (self.key_file is None):
            raise InvalidValue("jwks_url: must be set, or key_file, and not both")
        if self.is_secret and self.jwks_url is not None:
            raise InvalidValue("algorithms: HS… needs key_file, because a secret is not published")

    @property
    def is_secret(self) -> bool:
        """Whether the key is a secret that the issuer and the relay share."""
        return self.kind == "HS"

    @property
    def kind(self) -> str:
        """The kind of key that it uses: one of L{FAMILIES}."""
        return kind_of(self.algorithms[0]) or ""


def kind_of(algorithm: str) -> str | None:
    """The kind of key that an algorithm uses; L{None} if it is none of L{FAMILIES}."""
    for kind, names in FAMILIES.items():
        if algorithm in names:
            return kind
    return None


def _header(name: str) -> str | None:
    return None if TOKEN.fullmatch(name) else "must be the name of a header"


@frozen(kw_only=True)
class CallbackTable:
    """A service of the operator's own that is asked about each client."""

    url: str | None = documented(
        "Where it is asked, by POST: https://, or http:// on loopback. Without it nobody is.",
        None,
        checks.optional(_url),
    )
    token_file: str | None = secret_file(
        "File with the token that it is sent as Bearer. Read anew when it has changed."
    )
    headers: tuple[str, ...] = documented(
        "Headers of the client's request that it is shown, such as cookie.",
        (),
        checks.each(_header),
    )
    ca_file: str | None = file(
        "PEM file of the authorities that url is checked by, instead of the machine's.",
    )
    seconds: float = seconds("How long its answer is waited for.", 3.0, 60)
