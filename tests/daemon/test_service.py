"""The service: where it listens, when it refuses to start, and how it stops."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from processes import SECONDS
from twisted.application.service import Application, IServiceCollection, MultiService
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import ILogObserver, LogEvent, Logger, formatEvent, globalLogPublisher
from zope.interface import implementer

from relay.config.access import Access, ClientKey, digest_of
from relay.config.listeners import OPEN_TO_ALL
from relay.config.plan import Plan
from relay.config.settings import Limits, ListenerTable, Settings
from relay.daemon import base, demo, listeners
from relay.daemon import service as module
from relay.daemon.base import CannotStart
from relay.daemon.listeners import OTHER_ADMIN
from relay.daemon.logfile import LogWriter, WatchedFile
from relay.daemon.logs import TextObserver
from relay.daemon.notify import Notify
from relay.daemon.service import RelayService
from relay.daemon.signals import IDLE, RELOADS, Signals
from relay.downstream.fronts import FrontFactory, FrontsOfListener
from relay.factory import RelayFactory
from relay.recording.recordings import Recordings
from relay.rules.errors import InvalidValue
from relay.simulator import SimulatorFactory
from relay.upstreams.upstream import Upstream
from relay.web.admin import AdminFactory

LOOPBACK = "tcp:8080:interface=127.0.0.1"
DEMO = Plan(Settings(), demo=True)


@attrs.define
class Port:
    """What listening gives."""

    address: IAddress
    stopped: Deferred[None] | None = None
    listening: bool = True

    def getHost(self) -> IAddress:
        return self.address

    def stopListening(self) -> Deferred[None] | None:
        self.listening = False
        return self.stopped


class Reactor(MemoryReactorClock):
    """Listens nowhere, and says the address it was asked for; the ports in C{taken} are."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: set[int] = set()
        self.ports: list[Port] = []
        self.factories: list[Any] = []

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        if port in self.taken:
            taken = OSError(errno.EADDRINUSE, "Address already in use")
            raise CannotListenError(interface, port, taken)
        kind = IPv6Address if ":" in interface else IPv4Address
        self.ports.append(Port(kind("TCP", interface or "0.0.0.0", port or 40000)))
        self.factories.append(factory)
        return self.ports[-1]


@attrs.define
class Stage:
    """A reactor, and services on it."""

    reactor: Reactor = attrs.field(factory=Reactor)

    def service(
        self, *listen: str, tokens: Sequence[str] = (), demo: bool = False, **named: Any
    ) -> RelayService:
        settings = Settings(listen=listen or (LOOPBACK,), **{"admin": "", **named})
        upstreams = (Upstream("wss://api.openai.com/v1/realtime"),)
        keys = tuple(ClientKey(token, digest_of(token)) for token in tokens)
        access = Access((lambda: keys) if keys else None)
        plan = Plan(settings, upstreams, access, demo=demo)
        return RelayService(plan, reactor=self.reactor)


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A service that starts ignores signals; children of later tests would inherit that."""
    numbers = (RELOADS, *IDLE)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, was in zip(numbers, before, strict=True):
        signal.signal(number, was)


@pytest.fixture(autouse=True)
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What services log."""
    found: list[str] = []

    @implementer(ILogObserver)
    def observer(event: LogEvent) -> None:
        found.append(event["log_format"].format(**event))

    for each in (module, base, listeners):
        monkeypatch.setattr(each, "_log", Logger(each.__name__, observer=observer))
    return found


@pytest.mark.parametrize(
    ("demo", "wanted", "most"), [(False, 1000, 480), (True, 1000, 320), (False, 480, None)]
)
def test_more_sessions_than_there_are_descriptors_for_are_told_and_not_taken(
    stage: Stage,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    demo: bool,
    wanted: int,
    most: int | None,
) -> None:
    monkeypatch.setattr(module, "raise_limit", lambda: 1024)
    service = stage.service(demo=demo, limits=Limits(sessions=wanted))
    service.privilegedStartService()
    said = [line for line in lines if line.startswith("sessions is ")]
    factory = service._factory
    assert factory is not None
    capacity = factory.context().holds.settings.limits.sessions
    if most is None:
        assert (said, capacity) == ([], wanted)
    else:
        assert capacity == most
        assert said[0].startswith(f"sessions is {wanted}, but 1024 descriptors suffice for {most}")


def test_recordings_have_descriptors_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "raise_limit", lambda: 1024)
    service = stage.service(record=str(tmp_path), record_files=100)
    service.privilegedStartService()
    assert service._factory is not None
    assert service._factory.sessions_limit == 430


def test_the_end_waits_for_what_is_recorded_last(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[float] = []
    monkeypatch.setattr(Recordings, "flush", lambda self, seconds: flushed.append(seconds))
    service = stage.service()
    service.startService()
    assert not flushed
    service.stopService()
    assert flushed == [module.FLUSH_SECONDS]


def test_advice_is_told_at_the_start(stage: Stage, lines: list[str]) -> None:
    plan = Plan(Settings(admin=""), advice=("one", "two"), demo=True)
    RelayService(plan, reactor=stage.reactor).privilegedStartService()
    assert lines[:2] == ["one", "two"]


def fails(service: RelayService, capfd: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(CannotStart) as caught:
        service.privilegedStartService()
    assert caught.value.code == 1
    err = capfd.readouterr().err
    assert str(caught.value) in err
    return err


def test_the_service_listens_everywhere_from_its_privileged_start(
    stage: Stage, lines: list[str]
) -> None:
    service = stage.service(LOOPBACK, r"tcp6:443:interface=\:\:1", base_path="/relay")
    service.privilegedStartService()
    service.startService()
    assert lines == [
        "listening on http://127.0.0.1:8080/relay",
        "listening on http://[::1]:443/relay",
    ]
    assert all(isinstance(factory, FrontFactory) for factory in stage.reactor.factories)
    names = [factory.context().listener for factory in stage.reactor.factories]
    assert names == [LOOPBACK, r"tcp6:443:interface=\:\:1"], "what rules of refusals call them"


def test_the_service_listens_even_if_only_started(stage: Stage) -> None:
    stage.service().startService()
    assert len(stage.reactor.ports) == 1


def test_a_taken_port_is_one_line(
    stage: Stage, capfd: pytest.CaptureFixture[str], lines: list[str]
) -> None:
    stage.reactor.taken = {8080}
    line = f"cannot listen on {LOOPBACK}: Address already in use"
    assert fails(stage.service(), capfd) == f"realtime-relay: {line}\n"
    assert lines == [line], "standard error of a daemon is closed, its log is not"


def test_every_listener_that_fails_is_told_and_the_others_stop(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    stage.reactor.taken = {1, 2}
    listen = [f"tcp:{port}:interface=127.0.0.1" for port in (1, 8080, 2)]
    err = fails(stage.service(*listen, demo=True), capfd)
    assert [line.split(":")[2] for line in err.splitlines()] == ["1", "2"]
    assert [port.listening for port in stage.reactor.ports] == [False, False]


def test_a_failed_start_is_a_failure_to_twistd_and_an_exit_to_python() -> None:
    error = CannotStart("cannot listen")
    assert isinstance(error, Exception), "twistd then removes the pid file and tells the parent"
    assert isinstance(error, SystemExit), "Python then prints no traceback"


def test_an_error_that_is_no_socket_error_is_told_in_its_own_words(
    stage: Stage, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OverflowError("port must be 0-65535.\nreally")

    monkeypatch.setattr(stage.reactor, "listenTCP", refuse)
    err = fails(stage.service(), capfd)
    assert err == f"realtime-relay: cannot listen on {LOOPBACK}: port must be 0-65535.\n"


class Late:
    """An endpoint that takes its time."""

    def __init__(self) -> None:
        self.listening: Deferred[Any] = Deferred()

    def listen(self, factory: object) -> Deferred[Any]:
        return self.listening


def test_a_listener_that_fails_late_ends_the_reactor(
    stage: Stage, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late()
    monkeypatch.setattr(listeners, "serverFromString", lambda *_: late)
    stage.service("late:1").startService()
    assert not stage.reactor.hasStopped
    late.listening.errback(OSError(errno.EIO, "Input/output error"))
    assert lines == ["cannot listen on late:1: Input/output error"]
    assert stage.reactor.hasStopped


def test_a_public_address_without_authentication_does_not_start(
    stage: Stage, capfd: pytest.CaptureFixture[str]
) -> None:
    err = fails(stage.service("tcp:8080"), capfd)
    assert err == f"realtime-relay: tcp:8080 {OPEN_TO_ALL}\n"
    assert [port.listening for port in stage.reactor.ports] == [False]


@pytest.mark.parametrize("named", [{"tokens": ("t",)}, {"demo": True}, {"allow_anonymous": True}])
def test_tokens_a_demo_or_allow_anonymous_let_a_public_address_start(
    stage: Stage, named: dict[str, Any]
) -> None:
    stage.service("tcp:8080", **named).privilegedStartService()
    assert all(port.listening for port in stage.reactor.ports)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What factories are made of."""
    calls: list[Any] = []

    def make(**named: Any) -> RelayFactory:
        calls.append(named)
        return RelayFactory(**named)

    monkeypatch.setattr(module, "RelayFactory", make)
    return calls


def test_a_demo_relays_to_the_simulator_on_loopback_only(stage: Stage, given: list[Any]) -> None:
    stage.service(demo=True).privilegedStartService()
    simulator, relay, secure = stage.reactor.factories
    assert isinstance(simulator, SimulatorFactory)
    assert isinstance(relay, FrontFactory)
    assert isinstance(secure.wrappedFactory, FrontFactory)
    assert stage.reactor.ports[2].getHost() == IPv4Address("TCP", "127.0.0.1", 8443)
    address = stage.reactor.ports[0].getHost()
    assert address == IPv4Address("TCP", "127.0.0.1", 40000)
    (upstream,) = given[0]["upstreams"]
    assert (upstream.name, upstream.url) == ("simulator", "ws://127.0.0.1:40000/v1/realtime")
    assert (upstream.provider, upstream.credential) == ("openai", None)


def test_a_demo_whose_tls_port_is_taken_goes_on_without(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    warns = Logger("relay.daemon.demo", observer=lambda event: said.append(formatEvent(event)))  # type: ignore[arg-type]
    monkeypatch.setattr(demo, "_log", warns)
    stage.reactor.taken.add(8443)
    stage.service(demo=True).privilegedStartService()
    assert len(stage.reactor.ports) == 2
    assert said == ["no TLS in this demo: cannot listen on 8443: Address already in use"]


def test_a_demo_that_says_where_to_listen_listens_nowhere_else(stage: Stage) -> None:
    stage.service("tcp:9000:interface=127.0.0.1", demo=True).privilegedStartService()
    addresses: list[Any] = [port.getHost() for port in stage.reactor.ports]
    assert [address.port for address in addresses] == [40000, 9000]


def test_a_service_with_tokens_demands_one(stage: Stage, given: list[Any]) -> None:
    stage.service().privilegedStartService()
    stage.service(tokens=("t",)).privilegedStartService()
    assert given[0]["admit"] is None
    assert callable(given[1]["admit"])
    assert given[0]["reactor"] is stage.reactor


def test_the_service_drains_then_stops_listening_then_ends_the_simulator(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    drained: Deferred[None] = Deferred()
    asked: list[RelayFactory] = []

    def drain(factory: RelayFactory, shut: object) -> Deferred[None]:
        assert shut is None, "who comes is to be told that it drains"
        asked.append(factory)
        return drained

    monkeypatch.setattr(RelayFactory, "drain", drain)
    service = stage.service(demo=True)
    service.startService()
    simulator, port, _ = stage.reactor.ports
    port.stopped = Deferred()
    ended: list[object] = []
    service.stopService().addCallback(ended.append)
    assert len(asked) == 1
    assert port.listening
    drained.callback(None)
    assert not port.listening
    assert simulator.listening, "it is the last, for the sessions need it"
    assert not ended
    port.stopped.callback(None)
    assert not simulator.listening
    assert ended == [None]


def test_on_a_socket_of_systemds_the_service_stops_listening_when_it_lets_nobody_in(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted = Late()
    own = serverFromString

    def endpoint(reactor: Any, said: str) -> Any:
        return adopted if said.startswith("systemd:") else own(reactor, said)

    monkeypatch.setattr(listeners, "serverFromString", endpoint)
    service = stage.service("systemd:domain=INET:index=0", LOOPBACK, drain_delay_seconds=5)
    service.startService()
    inherited = Port(IPv4Address("TCP", "127.0.0.1", 8081))
    adopted.listening.callback(inherited)
    ended: list[object] = []
    service.stopService().addCallback(ended.append)
    stage.reactor.advance(4)
    assert inherited.listening, "in the delay it goes on accepting"
    session = FrontFactory.buildProtocol(stage.reactor.factories[0], inherited.getHost())
    session.makeConnection(StringTransport())
    stage.reactor.pump([1, 0])
    assert [inherited.listening, stage.reactor.ports[0].listening] == [False, True]
    stage.reactor.pump([0.01] * 200)
    assert ended == [None]
    assert not stage.reactor.ports[0].listening


ADMIN = "tcp:9090:interface=127.0.0.1"


def test_the_service_listens_for_admin_last(stage: Stage, lines: list[str]) -> None:
    stage.service(admin=ADMIN).startService()
    kinds = [type(factory) for factory in stage.reactor.factories]
    assert kinds == [FrontsOfListener, AdminFactory]
    assert lines[-1] == "admin listener at http://127.0.0.1:9090"


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1"])
def test_the_admin_listener_is_told_who_can_reach_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    told: list[bool] = []
    monkeypatch.setattr(AdminFactory, "set_public", lambda _, is_public: told.append(is_public))
    stage.service(admin=f"tcp:9090:interface={host}").privilegedStartService()
    assert told == [host == "10.0.0.1"]


def test_a_taken_admin_port_is_one_line_that_says_what_to_do(
    stage: Stage, capfd: pytest.CaptureFixture[str], lines: list[str]
) -> None:
    stage.reactor.taken = {9090}
    err = fails(stage.service(admin=ADMIN), capfd)
    taken = f"cannot listen on {ADMIN} for admin: Address already in use; {OTHER_ADMIN}"
    assert err == f"realtime-relay: {taken}\n"
    assert lines[-1] == taken
    assert "--admin" in taken
    assert [port.listening for port in stage.reactor.ports] == [False]


def test_asked_to_end_the_service_stops_the_reactor_if_it_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = stage.service()
    service.startService()
    service.end()
    assert stage.reactor.hasStopped

    def stop() -> None:
        raise ReactorNotRunning

    monkeypatch.setattr(stage.reactor, "stop", stop)
    service.end()


def test_signals_are_taken_once_the_reactor_runs(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[Signals] = []
    monkeypatch.setattr(Signals, "install", lambda signals: installed.append(signals))
    service = stage.service()
    service.startService()
    assert installed == [], "Twisted would set its own over these"
    for hook, _, _ in stage.reactor.whenRunningHooks:
        hook()
    assert len(installed) == 1


def test_systemd_is_told_when_the_reactor_runs_and_when_the_end_begins(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(Notify, "ready", lambda notify: told.append(notify._status()))
    monkeypatch.setattr(Notify, "stop", lambda _: told.append("the end"))
    monkeypatch.setattr(Notify, "stopping", lambda notify, s: told.extend((s, notify._status())))
    service = stage.service(drain_delay_seconds=5, drain_seconds=20)
    service.startService()
    assert told == [], "it listens, but nothing is accepted yet"
    for hook, _, _ in stage.reactor.whenRunningHooks:
        hook()
    assert told == ["serving, sessions: 0, holds: 0"]
    service.stopService()
    assert told[1:] == [26, "draining, sessions: 0, holds: 0"]
    stage.reactor.advance(5)
    assert told[3:] == ["the end"]


def test_a_service_that_never_started_can_be_stopped(stage: Stage) -> None:
    ended: list[object] = []
    stage.service().stopService().addCallback(ended.append)
    assert ended == [None]


def test_the_services_log_observer_becomes_the_applications() -> None:
    service = RelayService(DEMO, reactor=Reactor(), observer=globalLogPublisher)
    application = Application("realtime-relay")
    service.setServiceParent(application)
    assert application.getComponent(ILogObserver) is globalLogPublisher
    assert list(IServiceCollection(application)) == [service]


def test_the_log_is_written_from_the_start_after_a_daemon_has_forked(tmp_path: Path) -> None:
    log = LogWriter(WatchedFile(str(tmp_path / "log")).descriptor, TextObserver)
    log.write("line\n")
    service = RelayService(DEMO, reactor=Reactor(), log=log)
    assert (tmp_path / "log").read_text() == ""
    service.privilegedStartService()
    log.flush(SECONDS)
    assert (tmp_path / "log").read_text() == "line\n"


def test_without_a_log_observer_the_application_keeps_its_own(stage: Stage) -> None:
    application = Application("realtime-relay")
    stage.service().setServiceParent(application)
    assert application.getComponent(ILogObserver) is None


def test_the_service_may_be_part_of_another(stage: Stage) -> None:
    parent = MultiService()
    stage.service().setServiceParent(parent)
    parent.privilegedStartService()
    parent.startService()
    assert len(stage.reactor.ports) == 1
    assert isinstance(parent.stopService(), Deferred)
    assert not stage.reactor.ports[0].listening


def test_a_port_that_stops_at_once_does_not_hinder_the_end(stage: Stage) -> None:
    service = stage.service()
    service.startService()
    stage.reactor.ports[0].stopped = succeed(None)
    ended: list[object] = []
    service.stopService().addCallback(ended.append)
    assert ended == [None]


def scraped(service: RelayService) -> str:
    assert service._factory is not None
    return service._metrics.scrape(service._factory).decode()


def test_the_metrics_know_the_listeners_and_until_when_their_certificates_are_valid(
    stage: Stage, tmp_path: Path
) -> None:
    leaf = trustme.CA().issue_cert("127.0.0.1", not_after=datetime(2031, 2, 3, tzinfo=UTC))
    path = tmp_path / "both.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(str(path))
    endpoint = "tcp:8443:interface=127.0.0.1"
    table = ListenerTable(endpoint=endpoint, certificate=str(path), key=str(path))
    service = stage.service(listener=(table,))
    service.privilegedStartService()
    text = scraped(service)
    expiry = f'relay_certificate_expiry_timestamp_seconds{{listener="{endpoint}"}} 1.9278432e+09'
    assert expiry in text
    for listener in (LOOPBACK, endpoint):
        assert f'relay_listener_sessions_active{{listener="{listener}"}} 0.0' in text
    renewed = trustme.CA().issue_cert("127.0.0.1", not_after=datetime(2032, 2, 3, tzinfo=UTC))
    renewed.private_key_and_cert_chain_pem.write_to_path(str(path))
    service._take(service._plan)
    assert expiry not in scraped(service)
    assert expiry.replace("1.9278432e+09", "1.9593792e+09") in scraped(service)


def test_the_metrics_know_how_late_the_reactor_is(stage: Stage) -> None:
    service = stage.service()
    service.startService()
    stage.reactor.advance(1.75)
    assert "relay_event_loop_lag_seconds_sum 0.75" in scraped(service)
    service.stopService()
    assert "relay_event_loop_lag_seconds_count 1.0" in scraped(service)


def test_a_reload_does_not_open_a_public_socket_of_systemds_to_all(
    stage: Stage, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    adopted = Late()
    monkeypatch.setattr(listeners, "serverFromString", lambda *_: adopted)
    service = stage.service("systemd:domain=INET:index=0", tokens=("t",))
    service.privilegedStartService()
    adopted.listening.callback(Port(IPv4Address("TCP", "0.0.0.0", 8080)))
    factory = service._factory
    assert factory is not None
    assert factory.context().holds.guarded
    service._take(service._plan)
    opened = attrs.evolve(service._plan, access=Access())
    with pytest.raises(InvalidValue, match=OPEN_TO_ALL[:20]):
        service._take(opened)
    assert factory.context().holds.guarded
