"""The ids of calls: which upstream has a call, and how that knows it itself."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from relay.upstreams.call_ids import marked, unmarked, upstream_in
from relay.upstreams.posts import VERBS, post_at

IDS = st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True)
NAMES = st.text(min_size=1, max_size=40).filter(str.isprintable)


@given(IDS, NAMES)
def test_a_marked_id_names_its_upstream_and_may_stand_in_a_path_and_in_a_query(
    call_id: str, name: str
) -> None:
    own = marked(call_id, name)
    assert upstream_in(own) == name
    assert unmarked(own, name) == call_id
    assert unmarked(own, name + "x") == own
    assert re.fullmatch(r"[A-Za-z0-9_~-]+", own)
    route = post_at(f"/v1/realtime/calls/{own}/hangup")
    assert route is not None
    assert route.parts["id"] == own


@given(st.text(max_size=60))
def test_any_other_id_names_none_or_some_upstream(call_id: str) -> None:
    name = upstream_in(call_id)
    assert unmarked(call_id, "openai") == call_id or name == "openai"


def test_only_what_can_be_done_to_a_call_is_posted_there() -> None:
    for path in ("/v1/realtime/calls", "/openai/v1/realtime/calls", "/v1/live/sessions"):
        assert post_at(path) is not None
        for verb in VERBS:
            assert post_at(f"{path}/x/{verb}/") is not None
        assert post_at(f"{path}/x/other") is None
        assert post_at(f"{path}/../accept") is None
    assert post_at("/v1/realtime/translations/calls") is not None
