"""
Which upstream is reached by a proxy, what the proxy is asked, and what its failures mean.

Source: RFC 9110, 9.3.6 (CONNECT) and 11.7.2 (Proxy-Authorization); RFC 7617 (Basic).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # not in typeshed

from attrs import field, frozen

from relay.rules.addresses import (
    DEFAULT_PORTS,
    bracketed,
    is_address,
    is_host,
    is_loopback,
    split_url,
)
from relay.rules.errors import InvalidValue
from relay.rules.refusals import Refusal, refuse

DIRECTLY = "none"
"""The setting for no proxy, whatever the environment says."""


@frozen
class Proxy:
    """
    An HTTP proxy that makes tunnels.

    @ivar host: its name or address, without brackets.
    @ivar port: its TCP port.
    @ivar credentials: C{USER:PASSWORD} for it, or none.
    @raise InvalidValue: for anything else; the text does not repeat it.
    """

    host: str = field()
    port: int = field(default=80)
    credentials: str | None = field(default=None, repr=False)

    @host.validator
    def _named(self, _: object, value: object) -> None:
        ok = isinstance(value, str) and (is_host(value) or is_address(value))
        if not ok:
            raise InvalidValue("host of a proxy must be a host name or an address, with no port")

    @port.validator
    def _numbered(self, _: object, value: object) -> None:
        if not isinstance(value, int) or not 0 < value < 65536:
            raise InvalidValue("port of a proxy must be a whole number, 1 to 65535")

    @credentials.validator
    def _paired(self, _: object, value: object) -> None:
        if value is not None and not (isinstance(value, str) and ":" in value):
            raise InvalidValue("credentials of a proxy must be a string, USER:PASSWORD")

    @classmethod
    def from_url(cls, url: str) -> Proxy:
        """
        The proxy at C{http://[USER:PASSWORD@]HOST[:PORT]}, where user and password may be
        percent-encoded.

        @raise InvalidValue: for any other URL; the text does not repeat it.
        """
        parts = split_url(url)
        if (
            parts is None
            or parts.scheme != "http"
            or parts[2:] not in (("", "", ""), ("/", "", ""))
        ):
            raise InvalidValue("must be http://HOST[:PORT]")
        user = parts.netloc.rpartition("@")[0]
        credentials = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        port = parts.port or DEFAULT_PORTS[parts.scheme]
        return cls(parts.hostname or "", port, credentials if user else None)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings that must not show anywhere."""
        if self.credentials is None:
            return ()
        return (self.credentials, self.credentials.partition(":")[2])

    @property
    def headers(self) -> dict[str, str]:
        """The headers that the proxy is sent besides C{Host}. They are secret."""
        if self.credentials is None:
            return {}
        basic = b64encode(self.credentials.encode("utf-8")).decode("ascii")
        return {"Proxy-Authorization": f"Basic {basic}"}

    def request(self, host: str, port: int) -> bytes:
        """
        The request for a tunnel to this host and port.

        @param host: the upstream's host, without brackets.
        """
        there = f"{bracketed(host)}:{port}"
        headers = {"Host": there, **self.headers}
        lines = [f"CONNECT {there} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"


def fault_of_setting(value: str) -> str | None:
    """What is wrong with the setting C{proxy}, which may hold no secret, or L{None}."""
    if "@" in value:
        return "user and password do not belong in this file; put the whole URL in HTTPS_PROXY"
    if value == DIRECTLY:
        return None
    try:
        Proxy.from_url(value)
    except ValueError as error:
        return f'{error} or "{DIRECTLY}"'
    return None


def proxy_for(setting: str | None, url: str, environ: Mapping[str, str]) -> Proxy | None:
    """
    The proxy for an upstream, or L{None}: that of its setting, else, for C{wss://}, that of the
    variable C{HTTPS_PROXY}. The variable is not used for hosts in C{NO_PROXY} or on loopback.

    @param setting: the upstream's C{proxy}; L{None} if it is not set.
    @param url: the upstream's URL.
    @raise InvalidValue: if the setting or variable is no URL of a proxy; the text does not repeat
        it.
    """
    if setting is not None:
        return None if setting == DIRECTLY else Proxy.from_url(setting)
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    name, value = _variable("HTTPS_PROXY", environ)
    if not value or parts.scheme != "wss" or is_loopback(host):
        return None
    if _is_excepted(host, port, _variable("NO_PROXY", environ)[1]):
        return None
    try:
        return Proxy.from_url(value)
    except ValueError as error:
        raise InvalidValue(f'{name}: {error}; proxy = "{DIRECTLY}" does without') from None


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """A variable's name and value. As elsewhere, the one in small letters is preferred."""
    name = name.lower() if name.lower() in environ else name
    return name, environ.get(name, "")


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    # The function takes the end of a bare IPv6 address for a port, and does not strip brackets. So
    # an IPv6 address is tried in both forms.
    with_port = f"{bracketed(host)}:{port}"
    forms = (host, with_port) if ":" in host else (with_port,)
    return any(proxy_bypass_environment(form, {"no": exceptions}) for form in forms)


class ProxyFault(Exception):
    """
    A proxy made no tunnel.

    @ivar error: what happened, for the log.
    @ivar refusal: what downstream is told.
    """

    def __init__(self, error: str, message: str, *, retryable: bool = True) -> None:
        super().__init__(error)
        self.error = error
        self.refusal: Refusal = refuse("upstream_connect_failed", message, retryable=retryable)


def unreachable(error: str) -> ProxyFault:
    """The proxy cannot be connected to."""
    return ProxyFault(error, "The relay's proxy cannot be reached; try again.")


def dropped(error: str) -> ProxyFault:
    """The proxy ended the connection before it answered."""
    return ProxyFault(error, "The relay's proxy dropped the connection; try again.")


def malformed() -> ProxyFault:
    """The proxy does not speak HTTP."""
    message = "The relay's proxy does not answer as one; its operator must correct its address."
    return ProxyFault("no HTTP", message)


def declined(status: int) -> ProxyFault:
    """The proxy did not answer with 2xx. A 4xx does not go away until an operator mends it."""
    ours = 400 <= status < 500
    do = "the relay's operator must correct that" if ours else "try again"
    return ProxyFault(
        f"HTTP {status}", f"The relay's proxy answered HTTP {status}; {do}.", retryable=not ours
    )
