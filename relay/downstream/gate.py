"""What a listener looks at before anything else: Host, Origin, and whence a change comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import frozen
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory

from relay.admission.client import LOCAL, UNKNOWN
from relay.admission.origins import (
    host_is_allowed,
    host_name,
    is_change_from_elsewhere,
    origin_is_allowed,
)
from relay.config import checks
from relay.config.forms import form_for
from relay.downstream.hold import HoldContext
from relay.downstream.plain import Asked
from relay.downstream.protocol import DownstreamFactory
from relay.http.head import ONE_HOST, Head
from relay.rules.addresses import is_address, is_loopback, plain_address
from relay.rules.refusals import Refusal, refuse
from relay.rules.subprotocols import hides_status, refusal_is_in_band
from relay.timing.turns import Turns
from relay.upstreams.endpoints import Served

NOT_OWN = "only a page of this listener's own origin, or no page, may change anything here"

PROBES = ("/healthz", "/readyz")
"""Paths below the base path that orchestrators ask for, with any Host."""


class OwnSite(Protocol):
    """Pages of the relay's own."""

    def serve(self, address: IAddress, asked: Asked) -> IProtocol:
        """A protocol that answers the one plain request, whose bytes it is given."""


@frozen
class FrontContext:
    """
    What all connections of a factory share.

    @ivar holds: what the holds share.
    @ivar websocket: the factory of the WebSocket protocols; L{None} if there is only a site.
    @ivar served: what the WebSockets are for, and where.
    @ivar own: the relay's own pages, under the relay's Host and Origin rules.
    @ivar site: a site of the host's instead of these. It gets also the upgrades that are not for
        the relay.
    @ivar heads: shares turns between request heads.
    @ivar probes: whether L{PROBES} are the relay's own though there is a C{site}.
    @ivar administers: whether it is an admin listener: no page of another origin may change
        anything there (see L{is_change_from_elsewhere}).
    @ivar probed: whether this is an admin listener that other machines can reach. Then L{PROBES}
        are answered whatever the Host is, and other paths if the Host is an IP address, which no
        page can have as its own name.
    @ivar listener: what the settings' rules call the listener; L{None} if no rule can name it.
    """

    holds: HoldContext
    websocket: DownstreamFactory | None
    served: Served
    own: OwnSite
    site: IProtocolFactory | None
    heads: Turns
    probes: bool = True
    administers: bool = False
    probed: bool = False
    listener: str | None = None


def address_of(address: IAddress | None) -> str:
    """
    The IP address in one of Twisted's; L{LOCAL} for a local socket, which has none; L{UNKNOWN} for
    anything else, because behind the PROXY protocol it is what the proxy wrote.
    """
    host = getattr(address, "host", None)
    try:
        return LOCAL if host is None else plain_address(host)
    except ValueError:
        return UNKNOWN


def barred(
    context: FrontContext, head: Head, here: str, secure: bool
) -> tuple[Refusal, str] | None:
    """
    Why this request may not come in, and what its record says about that; L{None} if it may.

    @param here: the listener's address.
    @param secure: whether the client came by TLS, to the relay or to a trusted proxy.
    """
    host = head.one("host")
    if host is None:
        # No browser leaves it out, so no page asks; the relay's other pages need to know it.
        is_probe = head.path.removeprefix(context.holds.settings.base_path) in PROBES
        return None if is_probe else (refuse("bad_request", ONE_HOST), ONE_HOST)
    if not _host_is_allowed(context, host, head.path):
        return refuse("host_not_allowed"), _how_to_allow("hosts", host_name(host), checks.host)
    for origin in head.all("origin"):
        is_allowed = origin_is_allowed(
            origin,
            host=host,
            secure=secure,
            loopback=here == LOCAL or is_loopback(here),
            origins=context.holds.settings.origins,
        )
        if not is_allowed:
            risk = "; but any page can have it, in a frame" if origin == "null" else ""
            told = _how_to_allow("origins", origin, checks.origin)
            return refuse("origin_not_allowed"), told + risk
    if context.administers and is_change_from_elsewhere(head, secure):
        return refuse("origin_not_allowed", "Ask for this outside a web page."), NOT_OWN
    return None


def _how_to_allow(key: str, value: str, fault: Callable[[str], str | None]) -> str:
    """What to put into the settings, as it stands there; or why nothing can be."""
    why = fault(value)
    return f"{key} cannot allow it: {why}" if why else f"to allow it, add {value!r} to {key}"


def _host_is_allowed(context: FrontContext, host: str, path: str) -> bool:
    if context.holds.guarded or host_is_allowed(host, context.holds.settings.hosts):
        return True
    return context.probed and (path in PROBES or is_address(host_name(host)))


def is_told_in_band(context: FrontContext, head: Head) -> bool:
    """
    Whether this request's refusal is told in band.

    @param head: its Origin, if it has one, is an allowed one.
    """
    agent = head.one("user-agent") or ""
    hidden = hides_status(agent, from_page=bool(head.all("origin")))
    form = form_for(context.holds.settings.refusals, context.listener, agent)
    return refusal_is_in_band(form, head.subprotocols, hidden)
