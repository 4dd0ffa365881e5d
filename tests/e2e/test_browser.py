"""What a page in a real browser, Chromium, sees of the relay: sessions, refusals, closes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from attrs import frozen
from e2e.listening_upstream import Heard, ListeningUpstream, listening_upstream
from e2e.pages import FOREIGN, Seen, Set, Visit, browse, require, serving
from e2e.relays import Record, Relay, authority, demo_command, listening
from processes import SECONDS, address_of, relay_command, running

KEY = "openai-insecure-api-key.x"
IN_BAND = "relay.refusals.event"
HIDDEN = [("error",), ("close", 1006, "", False)]
"""All that a browser shows of a handshake that was refused."""

FAULTS = {
    "fault-http-401": ("upstream_unauthorized", 4502),
    "fault-http-429": ("upstream_rate_limited", 1013),
    "fault-http-500": ("upstream_refused", 1013),
    "fault-quota": ("upstream_quota_exhausted", 4502),
    "fault-error-3000": ("upstream_unauthorized", 4502),
    "fault-error-4000": ("upstream_rejected_request", 4400),
    "fault-reset": ("upstream_connect_failed", 1013),
}
"""Each fault, and the code and close that tell it in band."""

OFFERS: dict[str, Sequence[str]] = {
    "only the relay's own": [IN_BAND],
    "realtime and the relay's own": ["realtime", IN_BAND],
    "realtime and a key": ["realtime", KEY],
    "an SDK's": ["realtime", KEY, "openai-agents-sdk.0.20.0"],
}
SELECTED = {name: "realtime" if "realtime" in offer else IN_BAND for name, offer in OFFERS.items()}


@frozen
class Relays:
    """
    Where the pages go.

    @ivar auto: a demo relay that tells refusals by C{refusals = "auto"}.
    @ivar http: one that tells them by status.
    @ivar own: one with an upstream of the test's.
    """

    auto: Relay
    http: Relay
    own: str


def _url(address: str, model: str) -> str:
    return f"{address.replace('http', 'ws')}/v1/realtime?model={model}"


ASKED = {
    ("GET", "/v1/models"): (200, None),
    ("GET", "/healthz"): (200, None),
    ("PUT", "/healthz"): (405, "method_not_allowed"),
    ("GET", "/v1/nothing"): (404, "not_found"),
    ("POST", "/v1/realtime/calls"): (400, "bad_request"),
    ("POST", "/v1/realtime/sessions"): (501, "not_supported"),
    ("POST", "/v1/realtime/client_secrets"): (200, None),
    ("GET", "/v1/realtime"): (426, "upgrade_required"),
    ("DELETE", "/v1/realtime"): (405, "method_not_allowed"),
}
"""What a page asks by C{fetch}, with an SDK's headers, and what it is answered."""


def _asking_visits(relay: Relay) -> Iterator[Visit]:
    for method, path in ASKED:
        yield Visit(f"{method} {path}", relay.plain + path, ask=method)


def _refused_visits(relays: Relays) -> Iterator[Visit]:
    for fault in FAULTS:
        yield Visit(f"auto {fault}", _url(relays.auto.plain, fault))
        yield Visit(f"http {fault}", _url(relays.http.plain, fault))
        yield Visit(f"after {fault}", _url(relays.auto.plain, "gpt-realtime"), close=[1000])
    for name, offer in OFFERS.items():
        yield Visit(f"refused {name}", _url(relays.auto.plain, "fault-http-401"), offer)
        yield Visit(f"opened {name}", _url(relays.auto.plain, "gpt-realtime"), offer, close=[1000])
    yield Visit("refused only a key", _url(relays.auto.plain, "fault-http-401"), [KEY])
    yield Visit("http asked in band", _url(relays.http.plain, "fault-quota"), [IN_BAND])


def _session_visits(relays: Relays) -> Iterator[Visit]:
    yield Visit("healthy", _url(relays.auto.plain, "gpt-realtime"), close=[1000, "bye"])
    closed = _url(relays.auto.plain, "fault-close-4321")
    yield Visit("closed by upstream", closed, say='{"type":"input_audio_buffer.clear"}')
    yield Visit("no code", _url(relays.own, "no-code"), close=[])
    yield Visit("3001", _url(relays.own, "3001"), ["realtime", KEY, IN_BAND], close=[3001, "why"])
    yield Visit("4999", _url(relays.own, "4999"), close=[4999, "grüß dich"])


@frozen
class Browsed:
    """
    What came of it.

    @ivar seen: what each page saw of each of its visits.
    @ivar heard: what the test's own upstream heard, by model.
    @ivar forbidden: the Origins that the relay's log calls not allowed.
    """

    seen: dict[str, dict[str, Seen]]
    heard: dict[str, Heard]
    forbidden: set[str]


@pytest.fixture(scope="module")
def relays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Relays, ListeningUpstream]]:
    """All of them, running."""
    require()
    folder = tmp_path_factory.mktemp("relays")
    trusted = authority(folder)
    with ExitStack() as stack:
        upstream = stack.enter_context(listening_upstream())
        auto, http = (
            stack.enter_context(listening(demo_command(folder, trusted, refusals=form), folder))
            for form in ("auto", "http")
        )
        command = relay_command("--upstream", upstream.url)
        own = address_of(stack.enter_context(running(command, folder)))
        yield Relays(auto, http, own), upstream


@pytest.fixture(scope="module")
def browsed(
    relays: tuple[Relays, ListeningUpstream], tmp_path_factory: pytest.TempPathFactory
) -> Browsed:
    """Everything, done by one Chromium."""
    to, upstream = relays
    asking = Visit("forbidden to ask", f"{to.auto.plain}/healthz", ask="GET")
    forbidden = Set([Visit("forbidden", _url(to.auto.plain, "fault-quota"), [IN_BAND]), asking])
    with serving() as pages:
        foreign = f"{pages.origin(FOREIGN)}/?foreign"
        visits = [*_session_visits(to), *_refused_visits(to), *_asking_visits(to.auto)]
        pages.sets = {
            "all": Set(visits, [(foreign, False), ("/?null", True)]),
            "foreign": forbidden,
            "null": forbidden,
        }
        seen = browse(pages, "/?all", tmp_path_factory.mktemp("chromium"), reports=3)
    heard = [upstream.sessions.get(timeout=SECONDS) for _ in range(3)]
    return Browsed(seen, {session.model: session for session in heard}, _forbidden(to.auto))


def _forbidden(relay: Relay) -> set[str]:
    """The Origins, without ports, of the first four requests that were refused for theirs."""
    records = [relay.log.take_until(_is_of_an_origin)[-1] for _ in range(4)]
    return {record["origin"].rpartition(":")[0] or record["origin"] for record in records}


def _is_of_an_origin(record: Record) -> bool:
    return bool(record.get("outcome") == "origin_not_allowed")


def _told_in_band(seen: Seen, protocol: str, code: str, close: int) -> None:
    (opened, (kind, event), (closed, *ending)) = seen
    assert opened == ("open", protocol)
    assert (kind, event["type"], event["error"]["code"]) == ("message", "error", code)
    assert event["error"]["retryable"] is (close == 1013)
    assert (closed, ending[0], ending[2]) == ("close", close, True)


def _opened(seen: Seen, protocol: str) -> None:
    (opened, (kind, event), closed) = seen
    assert opened == ("open", protocol)
    assert (kind, event["type"]) == ("message", "session.created")
    assert (closed[:2], closed[3]) == (("close", 1000), True)


def test_a_session_begins_with_its_first_event(browsed: Browsed) -> None:
    _opened(browsed.seen["all"]["healthy"], "")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_refusal_is_told_in_band(browsed: Browsed, fault: str) -> None:
    _told_in_band(browsed.seen["all"][f"auto {fault}"], "", *FAULTS[fault])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_page_sees_nothing_of_a_refusal_by_status(browsed: Browsed, fault: str) -> None:
    assert browsed.seen["all"][f"http {fault}"] == HIDDEN


def test_the_setting_http_refuses_even_a_browser_by_status(browsed: Browsed) -> None:
    assert browsed.seen["all"]["http asked in band"] == HIDDEN


@pytest.mark.parametrize("fault", FAULTS)
def test_the_session_after_a_refused_one_is_not_disturbed(browsed: Browsed, fault: str) -> None:
    _opened(browsed.seen["all"][f"after {fault}"], "")


@pytest.mark.parametrize("offer", OFFERS)
def test_subprotocols_are_selected_as_a_browser_wants_it(browsed: Browsed, offer: str) -> None:
    seen = browsed.seen["all"]
    _opened(seen[f"opened {offer}"], SELECTED[offer])
    refused = seen[f"refused {offer}"]
    _told_in_band(refused, SELECTED[offer], "upstream_unauthorized", 4502)


def test_a_key_is_not_selected_to_carry_a_refusal(browsed: Browsed) -> None:
    """A browser that offered only a key drops the connection, for nothing is selected."""
    assert browsed.seen["all"]["refused only a key"] == HIDDEN


@pytest.mark.parametrize("page", ["foreign", "null"])
def test_a_page_of_a_forbidden_origin_sees_nothing(browsed: Browsed, page: str) -> None:
    assert browsed.seen[page]["forbidden"] == HIDDEN
    assert browsed.seen[page]["forbidden to ask"] == [("error",)]
    assert browsed.forbidden == {f"http://{FOREIGN}", "null"}


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_a_page_reads_what_an_sdk_asks_for_by_http(
    browsed: Browsed, method: str, path: str
) -> None:
    status, code = ASKED[method, path]
    assert browsed.seen["all"][f"{method} {path}"] == [("answer", status, code, True)]


def test_a_close_of_upstream_reaches_the_page(browsed: Browsed) -> None:
    assert browsed.seen["all"]["closed by upstream"][-1] == ("close", 4321, "simulated", True)


@pytest.mark.parametrize(
    ("model", "code", "reason"), [("3001", 3001, "why"), ("4999", 4999, "grüß dich")]
)
def test_a_close_of_the_page_reaches_upstream(
    browsed: Browsed, model: str, code: int, reason: str
) -> None:
    close = browsed.heard[model].close
    assert close is not None
    assert (close.code, close.reason) == (code, reason)
    assert browsed.seen["all"][model][-1][:2] == ("close", code)


def test_a_close_without_a_code_reaches_upstream_without_one(browsed: Browsed) -> None:
    close = browsed.heard["no-code"].close
    assert close is not None
    assert close.code == 1005
    assert browsed.seen["all"]["no code"][-1] == ("close", 1005, "", True)


def test_nothing_of_the_page_goes_upstream(browsed: Browsed) -> None:
    head = {name.lower(): value for name, value in browsed.heard["3001"].head}
    assert head["sec-websocket-protocol"] == "realtime"
    assert not {"origin", "cookie", "authorization", "accept-language"} & head.keys()
    assert "Mozilla" not in head["user-agent"]


def test_a_browsers_own_webrtc_takes_the_answer_to_its_offer(tmp_path: Path) -> None:
    require()
    page = (Path(__file__).parent / "browser" / "call.html").read_text("utf-8")
    with running(relay_command("--demo"), tmp_path) as process, serving() as pages:
        text = page.replace("RELAY", address_of(process))
        pages.files = {"/call.html": ("text/html", text.encode())}
        answer, state = browse(pages, "/call.html", tmp_path)["call"]["call"]
    assert answer[:2] == ("answer", 201)
    assert answer[2].startswith("rtc_")
    assert state == ("state", "stable")
