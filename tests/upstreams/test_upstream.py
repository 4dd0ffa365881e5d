"""What an upstream is, and what goes to it."""

from __future__ import annotations

import pytest

from relay.upstreams.providers import PROVIDERS
from relay.upstreams.upstream import Upstream

OPENAI, GENERIC = PROVIDERS["openai"], PROVIDERS["generic"]
KEY = "Zq7/canary+K3Y-0f=an?upstream"


class TestUpstream:
    @pytest.mark.parametrize(
        ("url", "secure", "host", "port", "target"),
        [
            ("wss://api.openai.com/v1/realtime", True, "api.openai.com", 443, "/v1/realtime"),
            ("ws://127.0.0.1:8000", False, "127.0.0.1", 8000, "/"),
            ("ws://[::1]/", False, "::1", 80, "/"),
            ("WSS://Host.Test:1/", True, "host.test", 1, "/"),
        ],
    )
    def test_an_upstreams_url_says_where_it_is(
        self, url: str, secure: bool, host: str, port: int, target: str
    ) -> None:
        upstream = Upstream(url)
        assert (upstream.secure, upstream.host, upstream.port) == (secure, host, port)
        assert upstream.target([]) == target

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
        assert Upstream("ws://h/").traits is OPENAI
        assert Upstream("ws://h/", provider="generic").traits is GENERIC
        assert (OPENAI.first_event, GENERIC.first_event) == (True, False)


class TestQuery:
    def test_only_what_the_provider_knows_goes_upstream(self) -> None:
        query = [("model", "m"), ("api_key", "x"), ("intent", "i"), ("foo", "x"), ("call_id", "c")]
        assert Upstream("ws://h/p").target(query) == "/p?model=m&intent=i&call_id=c"

    def test_a_query_without_known_parameters_leaves_no_question_mark(self) -> None:
        assert Upstream("ws://h/p").target([("Model", "m")]) == "/p"

    def test_to_a_generic_upstream_all_goes_but_credentials(self) -> None:
        secret = ["api_key", "api-key", "key", "token", "access_token", "Token", "API_KEY"]
        query = [("voice", "v"), *((name, "x") for name in secret), ("voice", "")]
        assert Upstream("ws://h", provider="generic").target(query) == "/?voice=v&voice="

    def test_query_values_are_encoded_anew(self) -> None:
        target = Upstream("ws://h/p", provider="generic").target([("a&b", "c d/é=\r\n#?")])
        assert target == "/p?a%26b=c%20d%2F%C3%A9%3D%0D%0A%23%3F"

    def test_a_caller_cannot_change_the_query_of_the_url(self) -> None:
        upstream = Upstream("ws://h/p?model=mine&api-version=1")
        query = [("model", "theirs"), ("intent", "i")]
        assert upstream.target(query) == "/p?model=mine&api-version=1&intent=i"

    def test_a_model_goes_by_its_name_upstream(self) -> None:
        models = {"gpt-realtime": "my deployment"}
        query = [("model", "gpt-realtime")]
        azure = Upstream("wss://r.test/openai/v1/realtime", "a", "azure", models=models)
        assert azure.target(query) == "/openai/v1/realtime?model=my%20deployment"
        url = "wss://r.test/openai/realtime?api-version=2025-04-01-preview"
        preview = Upstream(url, "p", "azure-preview", models=models)
        assert preview.target(query) == (
            "/openai/realtime?api-version=2025-04-01-preview&deployment=my%20deployment"
        )

    def test_of_gemini_nothing_goes_in_the_query(self) -> None:
        assert Upstream("wss://g.test/ws", "g", "gemini").target([("model", "m")]) == "/ws"


class TestModels:
    def test_without_a_table_an_upstream_takes_all_models(self) -> None:
        assert Upstream("ws://h/").takes("any")

    def test_with_a_table_an_upstream_takes_only_its_models(self) -> None:
        upstream = Upstream("ws://h/", models={"a": "b"})
        assert upstream.takes("a")
        assert upstream.takes(None)
        assert not upstream.takes("b")


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
        assert upstream.headers(KEY, ()) == dict([header])

    DOWNSTREAM = (
        ("host", "h"),
        ("authorization", "Bearer theirs"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "1.2.3.4"),
        ("openai-beta", "realtime=v1"),
        ("openai-safety-identifier", "user-1"),
    )

    def test_the_key_is_sent_as_a_bearer_token(self) -> None:
        headers = Upstream("ws://h").headers(KEY, self.DOWNSTREAM)
        assert headers == {
            "Openai-Safety-Identifier": "user-1",
            "Authorization": f"Bearer {KEY}",
        }

    def test_without_a_key_there_is_no_authorization(self) -> None:
        assert Upstream("ws://h").headers(None, ()) == {}
        assert Upstream("ws://h").headers("", self.DOWNSTREAM[:2]) == {}

    def test_to_other_providers_no_header_of_downstream_goes(self) -> None:
        upstream = Upstream("ws://h", provider="generic")
        assert upstream.headers(KEY, self.DOWNSTREAM) == {"Authorization": f"Bearer {KEY}"}


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
    target = Upstream("ws://h/", provider="generic").target([(name, "x"), ("a", "b")])
    assert target == "/?a=b"
