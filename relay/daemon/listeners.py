"""The daemon's listeners: it listens everywhere, or says why not, until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IAddress, IListeningPort, IProtocolFactory
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

from relay.config.certificates import server_options
from relay.config.listeners import fault_of_access, is_public
from relay.config.settings import ListenerTable
from relay.daemon.descriptors import Accepting
from relay.daemon.listening import Adopting, Renewable, is_inherited, make_room, reason_of, url_of
from relay.rules.errors import InvalidValue
from relay.web.admin import AdminFactory

_log = Logger()

OTHER_ADMIN = (
    "name another endpoint by --admin or the key admin, or an empty one for no admin listener"
)
"""What the operator can do about an admin listener that cannot listen."""


def certificates_of(listeners: Iterable[ListenerTable]) -> dict[str, CertificateOptions]:
    """
    The certificates of listeners as their files are now, by the endpoint.

    @raise CertificateFault: if one cannot be used.
    """
    return {
        each.endpoint: server_options(each.certificate, each.key)
        for each in listeners
        if each.certificate is not None and each.key is not None
    }


class Listeners:
    """
    All listeners of one process.

    @param guarded: whether a public listener is no oversight (see L{fault_of_access}).
    @param base_path: what stands before the paths in the URLs that the log tells.
    @param fault: told, in a line, of a listener that cannot listen, or must not.
    """

    def __init__(
        self, reactor: Any, guarded: bool, base_path: str, fault: Callable[[str], None]
    ) -> None:
        self._reactor = reactor
        self._guarded = guarded
        self._base_path = base_path
        self._fault = fault
        self._ports: list[Any] = []
        self._inherited: list[IListeningPort] = []
        self._addresses: list[tuple[str, IAddress]] = []
        self._certificates: dict[str, Renewable] = {}
        self._accepting = Accepting(reactor)

    def listen(self, listener: ListenerTable, here: IProtocolFactory, where: str) -> None:
        """
        Listen at one of the settings' listeners.

        @param where: the endpoint string; another than the listener's own if its socket is handed
            over by another process, which has told of it.
        """
        reactor = Adopting(self._reactor) if is_inherited(where) else self._reactor
        endpoint = serverFromString(reactor, where)
        listening = endpoint.listen(self._with_tls(listener, here))
        listening.addCallback(self._listens, listener, is_told=where != listener.endpoint)
        listening.addErrback(self._cannot_listen, listener.endpoint)

    def listen_for_admin(self, endpoint: str, admin: AdminFactory) -> None:
        """Listen at the admin listener."""
        listening = serverFromString(self._reactor, endpoint).listen(admin)
        listening.addCallback(self._listens_for_admin, endpoint, admin)
        listening.addErrback(self._cannot_listen_for_admin, endpoint)

    def yield_when(self, is_ahead: Callable[[], bool]) -> None:
        """Let other processes, which listen on the same sockets, go first while this holds."""
        self._accepting.is_ahead = is_ahead

    def ports(self) -> list[Any]:
        """What listens, in the order in which it was asked for."""
        return [*self._ports]

    def adopt(self, port: IListeningPort, endpoint: str) -> None:
        """Care for a port that listens, as for the others."""
        self._ports.append(port)
        self._accepting.guard(port)
        make_room(port, endpoint)

    def check_access(self, guarded: bool) -> None:
        """
        Check that no listener would be open to all by an oversight.

        @raise InvalidValue: if one would.
        """
        for endpoint, address in self._addresses:
            if fault := fault_of_access(endpoint, guarded=guarded, address=address):
                raise InvalidValue(fault)

    def renew(self, certificates: Mapping[str, CertificateOptions]) -> None:
        """Show these certificates to new connections, by the endpoint."""
        for endpoint, options in certificates.items():
            self._certificates[endpoint].options = options

    @property
    def has_inherited(self) -> bool:
        """Whether a socket is systemd's, which keeps it when the relay ends."""
        return bool(self._inherited)

    def leave(self, every: bool) -> None:
        """
        Stop accepting on systemd's sockets.

        @param every: on all others too.
        """
        for port in [*self._ports] if every else self._inherited:
            self._ports.remove(port)
            port.stopListening()

    def stop(self) -> list[Deferred[None]]:
        """Stop listening; what is returned fires when that is done."""
        ports, self._ports = self._ports, []
        stopped = [port.stopListening() for port in ports]
        self._accepting.stop()
        return [each for each in stopped if isinstance(each, Deferred)]

    def _with_tls(self, listener: ListenerTable, here: IProtocolFactory) -> IProtocolFactory:
        """TLS around the factory, rather than in the endpoint, so that adopted sockets have it."""
        found = certificates_of([listener])
        if not found:
            return here
        renewable = Renewable(found[listener.endpoint])
        self._certificates[listener.endpoint] = renewable
        return TLSMemoryBIOFactory(renewable, False, here, clock=self._reactor)

    def _listens(self, port: IListeningPort, listener: ListenerTable, is_told: bool) -> None:
        self.adopt(port, listener.endpoint)
        if is_inherited(listener.endpoint):
            self._inherited.append(port)
        address = port.getHost()
        self._addresses.append((listener.endpoint, address))
        # The address of an adopted socket is known only now.
        if fault := fault_of_access(listener.endpoint, guarded=self._guarded, address=address):
            self._fault(fault)
            return
        if not is_told:
            url = url_of(listener, address, self._base_path)
            _log.info("listening on {url}", url=url, endpoint=listener.endpoint)

    def _cannot_listen(self, failure: Failure, endpoint: str) -> None:
        self._fault(f"cannot listen on {endpoint}: {reason_of(failure)}")

    def _listens_for_admin(self, port: IListeningPort, endpoint: str, admin: AdminFactory) -> None:
        self.adopt(port, endpoint)
        address = port.getHost()
        admin.set_public(is_public(address))
        url = url_of(ListenerTable(endpoint=endpoint), address, "")
        _log.info("admin listener at {url}", url=url)

    def _cannot_listen_for_admin(self, failure: Failure, endpoint: str) -> None:
        reason = reason_of(failure)
        self._fault(f"cannot listen on {endpoint} for admin: {reason}; {OTHER_ADMIN}")
