"""
Function calls: when the parrot calls, what it calls, and what it says of what came back.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator.talk import SECOND, Event, Talk, done, heard_text, in_writing, of, transcript, types

from relay.simulator.tools import Call, chosen

WEATHER: Event = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
            "days": {"type": "integer"},
        },
        "required": ["city", "unit"],
    },
}
TIME: Event = {"type": "function", "name": "get_time"}

_words = st.sampled_from(["type", "properties", "enum", "required", "default", "object", "x"])
_schemas: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | _words,
    lambda inner: st.lists(inner) | st.dictionaries(_words, inner),
)


def equipped(**session: object) -> Talk:
    talk = in_writing()
    talk.update(tools=[WEATHER, TIME], **session)
    return talk


def call(events: list[Event]) -> Event:
    (item,) = done(events)["output"]
    assert item["type"] == "function_call"
    assert isinstance(item, dict)
    return item


class TestCall:
    def test_a_tool_that_is_named_is_called(self) -> None:
        talk = equipped()
        user = talk.type("Please use get_weather for Paris.")
        events = talk.answer()
        kinds = types(events)
        assert kinds[:3] == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
        ]
        assert set(kinds[3:-5]) == {"response.function_call_arguments.delta"}
        assert kinds[-5:] == [
            "response.function_call_arguments.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
            "rate_limits.updated",
        ]
        added = events[1]["item"]
        assert (added["status"], added["arguments"]) == ("in_progress", "")
        assert events[2]["previous_item_id"] == user
        item = call(events)
        assert item["id"] == added["id"]
        assert (item["name"], item["status"]) == ("get_weather", "completed")
        arguments = {"city": "Please use get_weather for Paris.", "unit": "celsius"}
        assert json.loads(item["arguments"]) == arguments
        deltas = of(events, "response.function_call_arguments.delta")
        (finished,) = of(events, "response.function_call_arguments.done")
        assert "".join(e["delta"] for e in deltas) == finished["arguments"] == item["arguments"]
        assert {e["call_id"] for e in (*deltas, finished, item)} == {added["call_id"]}
        assert done(events)["usage"]["output_token_details"]["text_tokens"] > 0

    def test_json_behind_the_name_is_the_arguments(self) -> None:
        talk = equipped()
        talk.type('get_weather {"city": "Oslo"} please')
        assert call(talk.answer())["arguments"] == '{"city": "Oslo"}'

    @pytest.mark.parametrize(
        ("choice", "text", "name"),
        [
            ("required", "Hi.", "get_weather"),
            ("required", "What does get_time say?", "get_time"),
            ({"type": "function", "name": "get_time"}, "get_weather", "get_time"),
            ("auto", "get_time", "get_time"),
            ("auto", "Hi.", None),
            ("auto", "forget_time get_times get_time-out", None),
            ("none", "get_time", None),
            ({"type": "function", "name": "unknown"}, "get_time", None),
        ],
    )
    @pytest.mark.parametrize("where", ["session", "response"])
    def test_tool_choice_decides(
        self, where: str, choice: Any, text: str, name: str | None
    ) -> None:
        talk = equipped(**({"tool_choice": choice} if where == "session" else {}))
        talk.type(text)
        events = talk.answer(**({"tool_choice": choice} if where == "response" else {}))
        if name is None:
            assert heard_text(events) == text
        else:
            assert call(events)["name"] == name

    def test_a_response_may_have_tools_of_its_own(self) -> None:
        talk = equipped()
        talk.type("get_weather")
        assert heard_text(talk.answer(tools=[])) == "get_weather"
        talk.type("other")
        other = {"type": "function", "name": "other"}
        assert call(talk.answer(tools=[other]))["name"] == "other"

    @pytest.mark.parametrize("speaks", [True, False])
    def test_a_call_may_answer_audio_or_nothing_at_all(self, speaks: bool) -> None:
        talk = equipped(tool_choice="required")
        if speaks:
            talk.speak(SECOND)
        assert json.loads(call(talk.answer())["arguments"]) == {"city": "", "unit": "celsius"}

    def test_a_call_can_be_cancelled(self) -> None:
        talk = equipped()
        talk.type("get_weather " + "x" * 1_000)
        talk.say("response.create")
        talk.check(talk.conversation.advance())
        item = call(talk.say("response.cancel"))
        assert item["status"] == "incomplete"
        assert len(item["arguments"]) == 64


class TestOutput:
    def test_the_output_is_said_by_the_next_answer(self) -> None:
        talk = equipped(tool_choice="required")
        talk.type("Hi.")
        item = call(talk.answer())
        output = {"type": "function_call_output", "call_id": item["call_id"], "output": "Sunny."}
        talk.say("conversation.item.create", item=output)
        assert heard_text(talk.answer()) == "Sunny."
        # Once; and then it is the client's turn again.
        talk.type("And now?")
        assert call(talk.answer())["call_id"] != item["call_id"]

    def test_the_output_is_spoken_where_answers_are(self) -> None:
        talk = Talk()
        output = {"type": "function_call_output", "call_id": "c", "output": "Sunny."}
        talk.say("conversation.item.create", item=output)
        assert transcript(talk.answer()) == "Sunny."


class TestArguments:
    @pytest.mark.parametrize(
        ("schema", "value"),
        [
            ({"type": "string"}, "said"),
            ({}, "said"),
            ({"type": "number"}, 1.5),
            ({"type": "integer"}, 1),
            ({"type": "boolean"}, True),
            ({"type": "array", "items": {"type": "string"}}, []),
            ({"type": "null"}, None),
            ({"type": ["integer", "null"]}, 1),
            ({"type": "integer", "default": 7}, 7),
            ({"const": "x"}, "x"),
            ({"enum": [3, 4]}, 3),
            ({"type": "object"}, {}),
            ({"properties": {"a": {"type": "integer"}}}, {"a": 1}),
            ({"type": "string", "enum": []}, "said"),
            ("nonsense", None),
        ],
    )
    def test_they_fit_the_schema(self, schema: Any, value: object) -> None:
        tool = {"name": "f", "parameters": {"properties": {"x": schema}}}
        found = chosen([tool], "required", "said")
        assert found is not None
        assert json.loads(found.arguments) == {"x": value}

    def test_only_required_ones_are_made_up(self) -> None:
        properties = {"a": {"type": "integer"}, "b": {"type": "integer"}}
        schema = {"type": "object", "properties": properties, "required": ["b", "c"]}
        tool = {"name": "f", "parameters": schema}
        assert chosen([tool], "required", "") == Call("f", '{"b": 1}')

    @pytest.mark.parametrize("behind", ["{", "{no}", "[1]", "{" * 5_000 + '"a":'])
    def test_what_is_no_object_is_no_arguments(self, behind: str) -> None:
        assert chosen([TIME], "auto", f"get_time {behind}") == Call("get_time", "{}")

    @given(_schemas)
    def test_any_schema_has_arguments(self, schema: object) -> None:
        tool = {"name": "f", "parameters": {"properties": {"x": schema}}}
        found = chosen([tool], "required", "")
        assert found is not None
        assert isinstance(json.loads(found.arguments), dict)


@pytest.mark.parametrize(
    ("settings", "code", "param"),
    [
        ({"tools": {}}, "invalid_type", "tools"),
        ({"tools": [1]}, "invalid_type", "tools[0]"),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "tools[0].name"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "invalid_value", "tools[0].type"),
        ({"tools": [{**TIME, "x": 1}]}, "unknown_parameter", "tools[0].x"),
        ({"tools": [{**TIME, "parameters": "x"}]}, "invalid_type", "tools[0].parameters"),
        ({"tool_choice": "maybe"}, "invalid_value", "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "missing_required_parameter", "tool_choice.name"),
    ],
)
@pytest.mark.parametrize("where", ["session", "response"])
def test_wrong_tools_are_refused(where: str, settings: Event, code: str, param: str) -> None:
    if where == "session":
        error = Talk().refused("session.update", session={"type": "realtime", **settings})
    else:
        error = Talk().refused("response.create", response=settings)
    assert (error["code"], error["param"]) == (code, f"{where}.{param}")
