"""What a path asks for, and what is said of a path that nothing serves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.upstreams.endpoints import ENDPOINTS, EndpointPath, Served, pattern, route_of
from relay.upstreams.posts import POSTS
from relay.upstreams.providers import PROVIDERS

GOOGLE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


def asks_for(path: str) -> str | None:
    route = route_of(path)
    return None if route is None else route.endpoint.name


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        ("/v1/realtime", "realtime"),
        ("/v1/realtime/", "realtime"),
        ("//v1/realtime", "realtime"),
        ("/v1/realtime/translations", "translations"),
        ("/v1/live/sessions", "live"),
        ("/v1/live/sessions/", "live"),
        ("/v1/live/sessions/live_1-a/attach", "live-attach"),
        ("/v1/live/sessions/live_1/fork/", "live-fork"),
        ("/openai/v1/realtime", "realtime"),
        ("/openai/v1/realtime/translations", "translations"),
        ("/openai/realtime", "realtime"),
        (GOOGLE, "gemini"),
        ("/" + GOOGLE, "gemini"),
        (GOOGLE.replace("v1beta", "v1alpha") + "Constrained", "gemini"),
        ("/", None),
        ("", None),
        ("/v1", None),
        ("/v1/realtimes", None),
        ("/V1/realtime", None),
        ("/v1/realtime/calls", None),
        ("/v1/live/sessions/live_1", None),
        ("/v1/live/sessions/a/b/attach", None),
        ("/v1/live/sessions/../attach", None),
        ("/v1/live/sessions/%2e%2e/attach", None),
        ("/v1/live/sessions/a%2f..%2fb/attach", None),
        ("/v1/live/sessions/a%5Cb/attach", None),
        ("/v1/live/sessions/a%0d%0ab/attach", None),
        ("/v1/live/sessions/a%2/attach", None),
        ("/v1/live/sessions/sess_a:b.c%20d~e/attach", "live-attach"),
        ("/openai/v1/live/sessions", "live"),
        ("/openai/v1/live/sessions/s/fork", "live-fork"),
        ("/openai/realtime/translations", "translations"),
        ("/v1/live/sessions/{id}/attach", None),
    ],
)
def test_a_path_asks_for_an_endpoint(path: str, endpoint: str | None) -> None:
    assert asks_for(path) == endpoint


def test_every_endpoint_has_a_provider_and_a_name_of_its_own() -> None:
    served = {name for provider in PROVIDERS.values() for name in provider.endpoints}
    assert served == {*ENDPOINTS, *POSTS}
    assert not ENDPOINTS.keys() & POSTS.keys()


@given(st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True))
def test_what_stands_in_a_path_goes_into_upstreams_path(name: str) -> None:
    route = route_of(f"/v1/live/sessions/{name}/attach")
    assert route is not None
    assert route.endpoint.upstream.format(**route.parts) == f"/live/sessions/{name}/attach"


def test_a_template_matches_only_the_whole_of_a_name() -> None:
    assert pattern("/a.b/{id}").fullmatch("/a.b/x")
    assert not pattern("/a.b/{id}").fullmatch("/aXb/x")
    assert not pattern("/a.b/{id}").fullmatch("/a.b/")


def test_parameters_are_called_as_openai_calls_them() -> None:
    route = route_of("/openai/realtime")
    assert route is not None
    assert route.named([("deployment", "m"), ("x", "y")]) == [("model", "m"), ("x", "y")]
    assert route.path == EndpointPath(
        "/openai/realtime", {"deployment": "model"}, parameters=("api-key",)
    )


class TestServed:
    SERVED = Served(["translations", "realtime"], "/voice")

    @pytest.mark.parametrize(
        "path", ["/voice/v1/realtime", "/voice//v1/realtime/", "//voice/openai/v1/realtime"]
    )
    def test_a_path_below_the_base_path_is_served(self, path: str) -> None:
        assert self.SERVED.route(path) is not None

    @pytest.mark.parametrize(
        "path", ["/v1/realtime", "/voicev1/realtime", "/voice", "/voice/v1/live/sessions", "/x"]
    )
    def test_nothing_else_is(self, path: str) -> None:
        assert self.SERVED.route(path) is None

    def test_a_post_for_something_else_is_no_websocket(self) -> None:
        served = Served(["live", "realtime"], "")
        assert served.route("/v1/live/sessions", "POST") is None
        assert served.route("/v1/live/sessions", "GET") is not None
        assert served.route("/v1/realtime", "POST") is not None

    def test_it_says_what_is_served_and_where(self) -> None:
        assert self.SERVED.nothing_at("/v1/realtime") == (
            "Nothing is served at /v1/realtime. WebSockets are served here: realtime at"
            " /voice/v1/realtime, translations at /voice/v1/realtime/translations."
        )

    def test_a_long_path_is_not_repeated_whole(self) -> None:
        assert "/" + 99 * "a" + "…. WebSockets" in self.SERVED.nothing_at("/" + 100 * "a")
