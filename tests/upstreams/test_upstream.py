"""What an upstream is, and what goes to it."""

from __future__ import annotations

from typing import Any

import pytest

from relay.rules.errors import InvalidValue
from relay.upstreams.endpoints import ENDPOINTS, REALTIME, Query, route_of
from relay.upstreams.providers import PROVIDERS
from relay.upstreams.upstream import Upstream

OPENAI, GENERIC = PROVIDERS["openai"], PROVIDERS["generic"]
KEY = "Zq7/canary+K3Y-0f=an?upstream"


def asked(upstream: Upstream, query: Query = (), path: str = "/v1/realtime") -> str:
    """What is asked of an upstream for a request by this path with this query."""
    route = route_of(path)
    assert route is not None
    return upstream.target(route, query)


class TestUpstream:
    @pytest.mark.parametrize(
        ("url", "secure", "host", "port", "target"),
        [
            ("wss://api.openai.com/v1/realtime", True, "api.openai.com", 443, "/v1/realtime"),
            ("wss://api.openai.com/v1", True, "api.openai.com", 443, "/v1/realtime"),
            ("wss://h/v1/", True, "h", 443, "/v1/realtime"),
            ("wss://h/v1/realtime/", True, "h", 443, "/v1/realtime"),
            ("wss://h/v1/realtime/translations", True, "h", 443, "/v1/realtime"),
            ("wss://h/gateway", True, "h", 443, "/gateway/realtime"),
            ("ws://127.0.0.1:8000", False, "127.0.0.1", 8000, "/v1/realtime"),
            ("ws://[::1]/", False, "::1", 80, "/v1/realtime"),
            ("WSS://Host.Test:1/", True, "host.test", 1, "/v1/realtime"),
        ],
    )
    def test_an_upstreams_url_says_where_it_is(
        self, url: str, secure: bool, host: str, port: int, target: str
    ) -> None:
        upstream = Upstream(url)
        assert (upstream.secure, upstream.host, upstream.port) == (secure, host, port)
        assert asked(upstream) == target

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "http://h/",
            "https://h/",
            "h:80",
            "ws://",
            "ws:///path",
            "ws://[::1",
            "ws://h/?api_key=b",
            "ws://h/#a",
            "ws://user@h/",
            "ws://user:password@h/",
            "ws://:password@h/",
        ],
    )
    def test_a_url_that_is_no_upstreams_is_an_error(self, url: str) -> None:
        with pytest.raises(ValueError, match=r"URL"):
            Upstream(url)

    def test_an_unknown_provider_is_an_error(self) -> None:
        with pytest.raises(
            ValueError, match="provider of an upstream must be one of openai, azure,"
        ):
            Upstream("ws://h/", provider="acme")

    def test_an_upstreams_credential_does_not_show(self) -> None:
        assert KEY not in repr(Upstream("wss://h/", credential=KEY))

    def test_an_upstream_has_the_traits_of_its_provider(self) -> None:
        assert Upstream("ws://h/").traits == OPENAI
        assert Upstream("ws://h/", provider="generic").traits == GENERIC
        assert (OPENAI.first_event, GENERIC.first_event) == (True, False)


GOOGLE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
CONSTRAINED = (
    "/ws/google.ai.generativelanguage.v1alpha.GenerativeService.BidiGenerateContentConstrained"
)
PLACES = [
    ("wss://h", "openai", "/v1/realtime/translations", "/v1/realtime/translations"),
    ("wss://h/v1/realtime", "openai", "/v1/realtime/translations", "/v1/realtime/translations"),
    ("wss://h/v1", "openai", "/openai/realtime", "/v1/realtime"),
    ("wss://h/v1", "openai", "/v1/live/sessions", "/v1/live/sessions"),
    ("wss://h/v1", "openai", "/v1/live/sessions/live_1/attach", "/v1/live/sessions/live_1/attach"),
    ("wss://h/v1", "openai", "/v1/live/sessions/live_1/fork", "/v1/live/sessions/live_1/fork"),
    ("wss://r.test", "azure", "/v1/realtime", "/openai/v1/realtime"),
    (
        "wss://r.test/openai/v1/realtime",
        "azure",
        "/v1/realtime/translations",
        "/openai/v1/realtime/translations",
    ),
    ("wss://r.test", "azure-preview", "/v1/realtime", "/openai/realtime"),
    ("wss://h", "xai", "/v1/realtime", "/v1/realtime"),
    ("wss://g.test", "gemini", GOOGLE, GOOGLE),
    ("wss://g.test" + GOOGLE, "gemini", CONSTRAINED, CONSTRAINED),
    ("wss://g.test/proxy/", "gemini", "/v1/realtime", "/proxy" + GOOGLE),
    ("wss://h/any/where", "generic", "/v1/realtime", "/any/where"),
    ("wss://h/any/realtime", "generic", "/openai/v1/realtime", "/any/realtime"),
]


@pytest.mark.parametrize(("url", "provider", "path", "place"), PLACES)
def test_an_endpoints_path_is_put_behind_the_base(
    url: str, provider: str, path: str, place: str
) -> None:
    assert asked(Upstream(url, provider=provider), path=path) == place


class TestQuery:
    def test_only_what_the_endpoint_has_goes_upstream(self) -> None:
        query = [("model", "m"), ("api_key", "x"), ("foo", "x")]
        assert asked(Upstream("ws://h/p"), query) == "/p/realtime?model=m"

    def test_an_endpoint_may_have_no_query(self) -> None:
        query = [("model", "m"), ("intent", "transcription")]
        assert asked(Upstream("ws://h"), query, "/v1/live/sessions") == "/v1/live/sessions"

    def test_a_translation_has_no_intent(self) -> None:
        query = [("model", "m"), ("intent", "transcription")]
        place = "/v1/realtime/translations"
        assert asked(Upstream("ws://h"), query, place) == place + "?model=m"

    @pytest.mark.parametrize(
        ("names", "wins"),
        [
            ("model intent", "intent"),
            ("intent model", "intent"),
            ("model call_id", "call_id"),
            ("intent call_id model", "call_id"),
            ("model", "model"),
        ],
    )
    def test_of_parameters_that_exclude_each_other_one_wins_at_a_strict_upstream(
        self, names: str, wins: str
    ) -> None:
        query = [(name, "x") for name in names.split()]
        assert asked(Upstream("ws://h/v1"), query) == f"/v1/realtime?{wins}=x"

    def test_at_other_upstreams_all_of_them_go(self) -> None:
        query = [("model", "m"), ("intent", "transcription")]
        azure = Upstream("wss://h/openai/v1", provider="azure")
        assert asked(azure, query) == "/openai/v1/realtime?model=m&intent=transcription"
        gateway = Upstream("ws://h/v1", query=("model",))
        assert asked(gateway, query) == "/v1/realtime?model=m&intent=transcription"

    def test_a_parameter_goes_that_is_listed_for_the_upstream(self) -> None:
        query = [("language", "de"), ("model", "m"), ("other", "x")]
        upstream = Upstream("ws://h/v1", query=("language",))
        assert asked(upstream, query) == "/v1/realtime?language=de&model=m"

    def test_xais_own_parameters_go_to_xai(self) -> None:
        query = [(name, "x") for name in ("agent_id", "conversation_id", "reasoning.effort")]
        said = "agent_id=x&conversation_id=x&reasoning.effort=x"
        assert asked(Upstream("ws://h", provider="xai"), query) == f"/v1/realtime?{said}"
        assert asked(Upstream("ws://h"), query) == "/v1/realtime"

    def test_a_query_without_known_parameters_leaves_no_question_mark(self) -> None:
        assert asked(Upstream("ws://h/p"), [("Model", "m")]) == "/p/realtime"

    def test_to_a_generic_upstream_all_goes_but_credentials(self) -> None:
        secret = ["api_key", "api-key", "key", "token", "access_token", "Token", "API_KEY"]
        query = [("voice", "v"), *((name, "x") for name in secret), ("voice", "")]
        assert asked(Upstream("ws://h", provider="generic"), query) == "/?voice=v&voice="

    def test_query_values_are_encoded_anew(self) -> None:
        query = [("a&b", "c d/é=\r\n#?")]
        target = asked(Upstream("ws://h/p", provider="generic"), query)
        assert target == "/p?a%26b=c%20d%2F%C3%A9%3D%0D%0A%23%3F"

    def test_a_caller_cannot_change_the_query_of_the_url(self) -> None:
        upstream = Upstream("ws://h/realtime?model=mine&api-version=1")
        query = [("model", "theirs"), ("intent", "i")]
        assert asked(upstream, query) == "/realtime?model=mine&api-version=1&intent=i"

    def test_a_model_goes_by_its_name_upstream(self) -> None:
        models = {"gpt-realtime": "my deployment"}
        query = [("model", "gpt-realtime")]
        azure = Upstream("wss://r.test/openai/v1/realtime", "a", "azure", models=models)
        assert asked(azure, query) == "/openai/v1/realtime?model=my%20deployment"
        url = "wss://r.test/openai/realtime?api-version=2025-04-01-preview"
        preview = Upstream(url, "p", "azure-preview", models=models)
        assert asked(preview, query) == (
            "/openai/realtime?api-version=2025-04-01-preview&deployment=my%20deployment"
        )

    def test_a_model_may_be_called_a_deployment(self) -> None:
        query = [("api-version", "1"), ("deployment", "m")]
        assert asked(Upstream("ws://h"), query, "/openai/realtime") == "/v1/realtime?model=m"

    def test_of_gemini_nothing_goes_in_the_query(self) -> None:
        gemini = Upstream("wss://g.test", "g", "gemini")
        assert asked(gemini, [("model", "m"), ("key", "k")], GOOGLE) == GOOGLE


class TestTakes:
    def test_without_a_table_an_upstream_takes_all_models(self) -> None:
        assert Upstream("ws://h/").takes(REALTIME, "any")

    def test_with_a_table_an_upstream_takes_only_its_models(self) -> None:
        upstream = Upstream("ws://h/", models={"a": "b"})
        assert upstream.takes(REALTIME, "a")
        assert upstream.takes(REALTIME, None)
        assert not upstream.takes(REALTIME, "b")

    def test_an_upstream_takes_only_its_providers_endpoints(self) -> None:
        assert Upstream("ws://h/").takes(ENDPOINTS["live"], None)
        assert not Upstream("ws://h/", provider="xai").takes(ENDPOINTS["live"], None)

    @pytest.mark.parametrize(
        ("options", "endpoint", "first"),
        [
            ({}, "realtime", True),
            ({}, "translations", True),
            ({}, "live", False),
            ({"first_event": False}, "realtime", False),
            ({"first_event": True}, "live", False),
            ({"provider": "generic"}, "realtime", False),
            ({"provider": "generic", "first_event": True}, "realtime", True),
        ],
    )
    def test_who_speaks_first_is_the_endpoints_and_the_upstreams_to_say(
        self, options: dict[str, Any], endpoint: str, first: bool
    ) -> None:
        assert Upstream("ws://h/", **options).speaks_first(ENDPOINTS[endpoint]) is first

    def test_an_upstream_that_sends_a_first_event_sends_events_of_openais_form(self) -> None:
        assert Upstream("ws://h/", provider="generic", first_event=True).traits.shaped
        assert not Upstream("ws://h/", provider="generic").traits.shaped


class TestHeaders:
    @pytest.mark.parametrize(
        ("provider", "header"),
        [
            ("openai", ("Authorization", f"Bearer {KEY}")),
            ("xai", ("Authorization", f"Bearer {KEY}")),
            ("azure", ("api-key", KEY)),
            ("azure-preview", ("api-key", KEY)),
            ("gemini", ("x-goog-api-key", KEY)),
            ("generic", ("Authorization", f"Bearer {KEY}")),
        ],
    )
    def test_the_key_goes_where_the_provider_wants_it(
        self, provider: str, header: tuple[str, str]
    ) -> None:
        upstream = Upstream("wss://h/", provider=provider)
        assert upstream.request_headers(KEY, ()) == dict([header])

    DOWNSTREAM = (
        ("host", "h"),
        ("authorization", "Bearer theirs"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "1.2.3.4"),
        ("openai-beta", "realtime=v1"),
        ("openai-safety-identifier", "user-1"),
    )

    def test_the_key_is_sent_as_a_bearer_token(self) -> None:
        headers = Upstream("ws://h").request_headers(KEY, self.DOWNSTREAM)
        assert headers == {
            "Openai-Safety-Identifier": "user-1",
            "Authorization": f"Bearer {KEY}",
        }

    def test_without_a_key_there_is_no_authorization(self) -> None:
        assert Upstream("ws://h").request_headers(None, ()) == {}
        assert Upstream("ws://h").request_headers("", self.DOWNSTREAM[:2]) == {}

    def test_a_header_goes_that_is_listed_for_the_upstream(self) -> None:
        upstream = Upstream("ws://h", headers=("X-User", "x-tenant"))
        downstream = [("x-tenant", "t"), ("x-user", "u\xe9"), ("x-other", "o")]
        assert upstream.request_headers(None, downstream) == {"X-Tenant": "t"}

    @pytest.mark.parametrize(
        ("what", "name"),
        [
            ("headers", "Authorization"),
            ("headers", "Cookie"),
            ("headers", "sec-websocket-key"),
            ("headers", "X-Api-Key"),
            ("headers", "a b"),
            ("query", "api_key"),
            ("query", ""),
            ("subprotocols", "openai-insecure-api-key.x"),
            ("subprotocols", "a b"),
        ],
    )
    def test_no_credential_can_be_listed(self, what: str, name: str) -> None:
        options: dict[str, Any] = {what: [name]}
        with pytest.raises(InvalidValue, match=f"^{what} of an upstream"):
            Upstream("ws://h", **options)

    def test_a_list_has_strings(self) -> None:
        wrong: Any = [1]
        with pytest.raises(InvalidValue, match="must be strings, not an int"):
            Upstream("ws://h", query=wrong)

    def test_to_other_providers_no_header_of_downstream_goes(self) -> None:
        upstream = Upstream("ws://h", provider="generic")
        assert upstream.request_headers(KEY, self.DOWNSTREAM) == {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "url", ["ws://h:99999/", "ws://h:0/", "ws://h/a b", "ws://h/\u00e9", "ws://h/\n"]
)
def test_a_url_that_cannot_be_dialled_is_an_error(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|[Pp]ort"):
        Upstream(url)


def test_the_error_of_a_url_does_not_repeat_its_password() -> None:
    with pytest.raises(ValueError, match="user") as caught:
        Upstream("ws://user:pa55word@h/")
    assert "pa55word" not in str(caught.value)


@pytest.mark.parametrize("name", ["API_KEY", "apiKey", "subscription_key", "token"])
def test_credentials_in_the_query_never_go_upstream(name: str) -> None:
    target = asked(Upstream("ws://h/", provider="generic"), [(name, "x"), ("a", "b")])
    assert target == "/?a=b"


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("openai", "/v1/realtime"),
        ("xai", "/v1/realtime"),
        ("azure", "/openai/v1/realtime"),
        ("azure-preview", "/openai/realtime"),
        ("generic", "/"),
    ],
)
def test_a_url_without_a_path_gets_its_providers(provider: str, path: str) -> None:
    assert Upstream("wss://h", provider=provider).path == path
    assert Upstream(f"wss://h{path}", provider=provider).path == path
