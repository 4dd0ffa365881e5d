"""Which subprotocols go upstream, which are selected, and that no credential is echoed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.rules.subprotocols import (
    REFUSALS_EVENT,
    credential_in,
    for_upstream,
    hides_status,
    looks_secret,
    refusal_is_in_band,
    select,
    select_for_refusal,
)

KEY = "openai-insecure-api-key.K1"
CREDENTIALS = [KEY, "openai-organization.O1", "openai-project.P1"]
NAMES = st.lists(
    st.sampled_from(["realtime", "x", REFUSALS_EVENT, "relay.other", *CREDENTIALS]), unique=True
)


@pytest.mark.parametrize(
    ("offered", "credential"),
    [
        ([], None),
        (["realtime", "openai-project.P1"], None),
        (["realtime", KEY, "openai-insecure-api-key.K2"], "K1"),
        (["openai-insecure-api-key.a.b"], "a.b"),
        (["realtime", "xai-client-secret.X1"], "X1"),
    ],
)
def test_a_browsers_credential_is_found_among_its_subprotocols(
    offered: list[str], credential: str | None
) -> None:
    assert credential_in(offered) == credential


def test_only_openais_subprotocols_and_listed_ones_go_upstream() -> None:
    offered = ["realtime", *CREDENTIALS, REFUSALS_EVENT, "relay.x", "openai-agents-sdk.1", "y"]
    assert for_upstream(offered) == ["realtime", "openai-agents-sdk.1"]
    assert for_upstream(offered, ["y"]) == ["realtime", "openai-agents-sdk.1", "y"]


SECRETS = [
    *CREDENTIALS,
    "xai-client-secret.X1",
    "base64url.bearer.authorization.k8s.io.abc",
    "access_token.abc",
    "api-key.abc",
    "Bearer.abc",
    "auth-abc",
    "my-provider-token.abc",
    "sk-abc",
    "ek_68af296e8e408191a1120ab6383263c2",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
    "openai-agents-sdk.sk-abc.1",
    "0123456789abcdef0123456789abcdef",
]
PLAIN = [
    "realtime",
    "openai-agents-sdk.0.4.12",
    "openai-beta.realtime-v1",
    REFUSALS_EVENT,
    "graphql-transport-ws",
    "v4.channel.k8s.io",
    "mqtt",
    "soap",
]


@pytest.mark.parametrize("name", SECRETS)
def test_what_looks_like_a_credential_is_neither_sent_upstream_nor_selected(name: str) -> None:
    assert looks_secret(name)
    assert for_upstream([name]) == []
    assert select_for_refusal([name]) is None
    assert select([name], None) is None


@pytest.mark.parametrize("name", PLAIN)
def test_an_ordinary_subprotocol_does_not_look_like_a_credential(name: str) -> None:
    assert not looks_secret(name)


@pytest.mark.parametrize(
    ("offered", "by_upstream", "selected"),
    [
        ([], None, None),
        (["realtime"], None, "realtime"),
        (["x", "realtime"], "x", "x"),
        (["x", "realtime"], None, "realtime"),
        (["x"], None, None),
        ([KEY, "realtime"], None, "realtime"),
        ([KEY], None, None),
        ([REFUSALS_EVENT], None, REFUSALS_EVENT),
        ([REFUSALS_EVENT, "realtime"], None, "realtime"),
        ([REFUSALS_EVENT, "x"], None, None),
        (["relay.other"], None, None),
    ],
)
def test_the_selected_subprotocol_is_upstreams_or_realtime_or_the_relays_own(
    offered: list[str], by_upstream: str | None, selected: str | None
) -> None:
    assert select(offered, by_upstream) == selected


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        ([], None),
        ([KEY], None),
        (CREDENTIALS, None),
        ([KEY, "x"], "x"),
        (["x", REFUSALS_EVENT, KEY], REFUSALS_EVENT),
        (["x", REFUSALS_EVENT, "realtime"], "realtime"),
        (["x", "y"], "x"),
    ],
)
def test_a_refusal_in_band_selects_an_offered_subprotocol(
    offered: list[str], selected: str | None
) -> None:
    assert select_for_refusal(offered) == selected


@given(NAMES)
def test_no_credential_is_echoed_and_nothing_unoffered_selected(offered: list[str]) -> None:
    for by_upstream in (None, *for_upstream(offered)):
        for selected in (select(offered, by_upstream), select_for_refusal(offered)):
            assert selected not in CREDENTIALS
            assert selected is None or selected in offered


@pytest.mark.parametrize(
    ("agent", "from_page", "hides"),
    [
        ("Mozilla/5.0 (X11)", True, True),
        ("Mozilla/5.0 (X11)", False, False),
        ("node", False, True),
        ("node", True, True),
        ("node-fetch", False, False),
        ("OpenAI/JS 7.57.0", False, False),
        ("", True, False),
    ],
)
def test_a_browser_and_nodes_own_websocket_hide_the_status(
    agent: str, from_page: bool, hides: bool
) -> None:
    assert hides_status(agent, from_page) is hides


@pytest.mark.parametrize(
    ("setting", "offered", "hidden", "in_band"),
    [
        ("auto", [], False, False),
        ("auto", ["realtime"], False, False),
        ("auto", [], True, True),
        ("auto", [REFUSALS_EVENT], False, True),
        ("http", [REFUSALS_EVENT], True, False),
        ("event", [], False, True),
    ],
)
def test_the_form_of_a_refusal_follows_setting_offer_and_client(
    setting: str, offered: list[str], hidden: bool, in_band: bool
) -> None:
    assert refusal_is_in_band(setting, offered, hidden) is in_band
