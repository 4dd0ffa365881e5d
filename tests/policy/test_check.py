"""What crosses under a policy, and what does not; also for one who tries to smuggle."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.policy.check import APPENDS, Check, Rejected
from relay.policy.denials import DENIALS
from relay.policy.policy import Policy

SECRET = "Speak like a pirate."
POLICY = Policy(
    models=("gpt-realtime",),
    events=("session.*", "input_audio_buffer.*", "response.create", "conversation.item.create"),
    force={"instructions": SECRET, "audio": {"output": {"voice": "marin"}}},
    default={"output_modalities": ["audio"]},
    lock=("tools",),
)


def check(policy: Policy = POLICY) -> Check:
    return Check(policy, "r")


def sent(event: object, policy: Policy = POLICY) -> dict[str, Any]:
    """What upstream gets, or what the client does."""
    payload = event if isinstance(event, bytes) else json.dumps(event).encode()
    _, got = check(policy).sent(payload, False)
    made: dict[str, Any] = json.loads(got)
    return made


def code(event: object, policy: Policy = POLICY) -> str | None:
    """By which code the event is denied; L{None} if it crosses."""
    got = sent(event, policy)
    if got["type"] != "error":
        return None
    assert got["error"]["type"] == "relay_error"
    assert got["error"]["code"] in DENIALS
    return str(got["error"]["code"])


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": session}


# -- events ----------------------------------------------------------------------------------


def test_an_event_that_is_not_allowed_is_told_by_its_id() -> None:
    told = sent({"type": "conversation.item.delete", "event_id": "mine", "item_id": "i"})
    assert told == {
        "type": "error",
        "event_id": "event_r_1",
        "client_event_id": "mine",
        "error": {
            "type": "relay_error",
            "code": "event_not_allowed",
            "message": "This relay does not allow the event conversation.item.delete in this"
            " session.",
            "param": "type",
            "request_id": "r",
            "retryable": False,
            "event_id": "mine",
            "client_event_id": "mine",
        },
    }


def test_each_denial_has_an_id_of_its_own() -> None:
    session = check()
    told = [json.loads(session.sent(b"[]", False)[1]) for _ in range(2)]
    assert [each["event_id"] for each in told] == ["event_r_1", "event_r_2"]


def test_an_event_that_is_allowed_crosses_anew() -> None:
    goes = check().sent(b'{ "type" : "input_audio_buffer.commit" , "event_id" : "\\u0061" }', False)
    assert goes == ("upstream", b'{"type":"input_audio_buffer.commit","event_id":"a"}')


@pytest.mark.parametrize("kind", [None, 1, ["session.update"], {}])
def test_an_event_has_a_type(kind: object) -> None:
    assert code({"type": kind}) == "invalid_event"
    assert code({}) == "invalid_event"


def test_binary_is_no_event() -> None:
    goes_to, told = check().sent(b'{"type":"session.update"}', True)
    assert goes_to == "downstream"
    assert json.loads(told)["error"]["code"] == "invalid_event"


def test_an_event_over_the_cap_is_told_of() -> None:
    assert code(update(x="x" * 262_144)) == "event_too_large"
    assert code(update(x="x" * 262_000)) is None


def test_an_id_that_is_too_long_or_no_string_is_not_repeated() -> None:
    ids: list[object] = ["x" * 513, 7, None, {}]
    for event_id in ids:
        assert sent({"type": "x", "event_id": event_id})["error"]["event_id"] is None


# -- audio alone -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", APPENDS)
@pytest.mark.parametrize(
    "form",
    [
        '{"type":"%s","audio":"UklG+/=="}',
        '{"audio": "UklG", "type": "%s"}',
        '{"event_id":"event_1-a","type":"%s","audio":"UklG"}',
        '{"type":"%s","audio":"","event_id":"e"}',
    ],
)
def test_audio_alone_crosses_as_it_came(kind: str, form: str) -> None:
    payload = (form % kind).encode()
    policy = Policy(events=(kind,))
    assert check(policy)._plain(payload)
    assert check(policy).sent(payload, False) == ("upstream", payload)
    assert code(payload, Policy(events=("x",))) == "event_not_allowed"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"type":"input_audio_buffer.append","audio":"UklG"}\n',
        b'{"type":"input_audio_buffer.append","audio":"UklG"}{}',
        b'{"type":"input_audio_buffer.append","audio":"Ukl\\u0047"}',
        b'{"type":"input_audio_buffer.append","audio":"a","audio":"b"}',
        b'{"type":"input_audio_buffer.append","type":"session.update","audio":"a"}',
        b'{"type":"input_audio_buffer.append","audio":"a","session":{}}',
        b'{"type":"input_audio_bufferXappend","audio":"a"}',
        b'{"type":"input_audio_buffer.append","audio":"a=a"}',
        b'{"type":"input_audio_buffer.append","audio":7}',
        b'{"type":"input_audio_buffer.append"}',
        b'{"\\u0074ype":"input_audio_buffer.append","audio":"a"}',
        b'{"type":"input_audio_buffer.append","audio":"a","event_id":"\xff"}',
    ],
)
def test_nothing_else_crosses_unparsed(payload: bytes) -> None:
    assert not check(Policy(lock=("x",)))._plain(payload)


# -- fields ----------------------------------------------------------------------------------


def test_what_is_forced_stands_in_each_update_that_says_something_of_it() -> None:
    said = update(instructions="Mine.", audio={"output": {"voice": "ash", "speed": 1.2}}, speed=1)
    assert sent(said)["session"] == {
        "instructions": SECRET,
        "audio": {"output": {"voice": "marin", "speed": 1.2}},
        "speed": 1,
    }
    assert sent(update(output_modalities=["text"]))["session"] == {"output_modalities": ["text"]}


@pytest.mark.parametrize("audio", [None, "x", {"output": None}, {"output": []}, {}])
def test_what_is_forced_cannot_be_cut_off_above(audio: object) -> None:
    assert sent(update(audio=audio))["session"]["audio"]["output"]["voice"] == "marin"


def test_a_response_has_nothing_of_what_is_forced() -> None:
    response = {"instructions": "Mine.", "audio": {"output": {"voice": "ash"}}, "metadata": {}}
    assert sent({"type": "response.create", "response": response})["response"] == {
        "audio": {"output": {}},
        "metadata": {},
    }
    assert sent({"type": "response.create", "response": {"audio": 1}})["response"] == {}
    assert sent({"type": "response.create"}) == {"type": "response.create"}


@pytest.mark.parametrize("name", ["session", "response"])
def test_what_is_locked_is_not_said(name: str) -> None:
    kind = "session.update" if name == "session" else "response.create"
    told = sent({"type": kind, name: {"tools": []}})
    assert (told["error"]["code"], told["error"]["param"]) == ("field_not_allowed", f"{name}.tools")


@pytest.mark.parametrize(
    "session",
    [
        {"voice": "ash"},
        {"audio": {"output": {"voice": "ash"}}},
        {"audio": {"output": None}},
        {"audio": None},
    ],
)
def test_nor_by_another_name_or_above(session: dict[str, object]) -> None:
    policy = Policy(lock=("audio.output.voice",))
    assert code(update(**session), policy) == "field_not_allowed"
    assert code(update(audio={"output": {"speed": 1}}), policy) is None


def test_what_is_locked_above_is_locked_below() -> None:
    said: list[dict[str, Any]] = [{"voice": "ash"}, {"turn_detection": None}, {"audio": {}}]
    for session in said:
        assert code(update(**session), Policy(lock=("audio",))) == "field_not_allowed"


def test_what_is_forced_is_dropped_by_another_name() -> None:
    forcing = Policy(force=POLICY.force)
    assert sent(update(voice="ash", prompt={"id": "p"}), forcing)["session"] == {}
    policy = Policy(force={"turn_detection": {"type": "server_vad"}})
    said = update(audio={"input": {"turn_detection": {"type": "semantic_vad"}}})
    assert sent(said, policy)["session"] == {"audio": {"input": {"turn_detection": {}}}}


@pytest.mark.parametrize(
    "event",
    [
        {"TYPE": "session.update"},
        {"type": "session.update", "Session": {"instructions": "x"}},
        update(Instructions="x"),
        update(audio={"Output": {"voice": "ash"}}),
        update(audio={"output": {"Voice": "ash"}}),
        update(Model="other"),
        {"type": "response.create", "response": {"Tools": []}},
        {"type": "conversation.item.create", "item": {"Role": "system"}},
        {"type": "response.create", "response": {"Input": []}},
        {"type": "session.update", "session": []},
        {"type": "session.update", "session": "x"},
        {"type": "response.create", "response": [1]},
    ],
)
def test_nor_spelt_with_other_letters_or_of_another_kind(event: object) -> None:
    assert code(event) == "invalid_event"


def test_where_instructions_are_forced_nobody_else_gives_some() -> None:
    system = {"type": "message", "role": "system", "content": []}
    assert code({"type": "conversation.item.create", "item": system}) == "field_not_allowed"
    asks = {"type": "response.create", "response": {"input": [{"role": "user"}, system]}}
    assert code(asks) == "field_not_allowed"
    assert code({"type": "session.instructions.append", "content": "x"}) == "event_not_allowed"
    for role in ("user", "assistant"):
        said = {"type": "conversation.item.create", "item": {**system, "role": role}}
        assert code(said) is None
    assert code({"type": "conversation.item.create", "item": system}, Policy(models=("m",))) is None


def test_a_model_is_one_of_the_allowed() -> None:
    assert code(update(model="gpt-realtime")) is None
    for event in (
        update(model="other"),
        update(model=None),
        {"type": "session.start", "session": {"model": "other"}},
        {"type": "session.update", "model": "other"},
        {"type": "response.create", "response": {"model": ["gpt-realtime"]}},
    ):
        assert code(event) == "model_not_allowed"


def test_a_live_session_starts_with_all_values() -> None:
    said = {"type": "session.start", "session": {"model": "gpt-realtime", "instructions": "x"}}
    values = {
        "model": "gpt-realtime",
        "instructions": SECRET,
        "audio": {"output": {"voice": "marin"}},
        "output_modalities": ["audio"],
    }
    assert sent(said)["session"] == values
    del values["model"]
    assert sent({"type": "session.start"})["session"] == values
    chosen = {"type": "session.start", "session": {"output_modalities": ["text"]}}
    assert sent(chosen)["session"]["output_modalities"] == ["text"]


# -- what upstream answers -------------------------------------------------------------------


def test_the_values_go_first() -> None:
    first = check().first(b'{"type":"session.created","session":{"type":"realtime"}}')
    assert first is not None
    assert json.loads(first) == {
        "type": "session.update",
        "event_id": "event_r",
        "session": {
            "type": "realtime",
            "output_modalities": ["audio"],
            "instructions": SECRET,
            "audio": {"output": {"voice": "marin"}},
        },
    }
    assert check(Policy(lock=("tools",))).first(b"{}") is None


@pytest.mark.parametrize("said", [b"", b"x", b"[]", b'{"session":{"type":7}}'])
def test_a_session_whose_kind_is_unknown_is_told_all_and_no_kind(said: bytes) -> None:
    first = check().first(said)
    assert first is not None
    assert "type" not in json.loads(first)["session"]
    assert json.loads(first)["session"]["instructions"] == SECRET


def test_a_translation_is_not_told_its_kind() -> None:
    policy = Policy(force={"audio": {"output": {"language": "de"}}})
    first = check(policy).first(b'{"session":{"type":"translation"}}')
    assert first is not None
    assert json.loads(first)["session"] == policy.force


def created(kind: str) -> bytes:
    return json.dumps({"type": "session.created", "session": {"type": kind}}).encode()


FORCED = Policy(
    force={"instructions": SECRET, "audio": {"input": {"format": "x"}, "output": {"voice": "ash"}}},
    default={"include": [], "tools": []},
)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("transcription", {"include": [], "audio": {"input": {"format": "x"}}}),
        ("translation", None),
    ],
)
def test_a_kind_of_session_is_told_only_of_fields_that_it_has(kind: str, values: object) -> None:
    first = check(FORCED).first(created(kind))
    told = json.loads(first)["session"] if first else None
    assert told == (values and {"type": kind, **values})  # type: ignore[dict-item]


def test_a_session_of_its_kind_is_forced_only_what_it_has_and_becomes_no_other() -> None:
    session = check(FORCED)
    session.first(created("transcription"))
    goes, told = session.sent(json.dumps(update(audio={"input": {"format": "y"}})).encode(), False)
    assert (goes, json.loads(told)["session"]) == (
        "upstream",
        {"audio": {"input": {"format": "x"}}},
    )
    goes, told = session.sent(json.dumps(update(type="realtime", audio={})).encode(), False)
    assert (goes, json.loads(told)["error"]["param"]) == ("downstream", "session.type")
    answer = {"type": "response.create", "response": {"instructions": "Mine."}}
    _, told = session.sent(json.dumps(answer).encode(), False)
    assert json.loads(told)["response"] == {}


@pytest.mark.parametrize("kind", ["transcription", "realtime"])
@pytest.mark.parametrize(
    "fields",
    [
        {"audio": {"input": {"transcription": {"model": "other"}}}},
        {"input_audio_transcription": {"model": "other"}},
    ],
)
def test_what_writes_down_a_transcription_is_its_model(kind: str, fields: dict[str, Any]) -> None:
    session = check(Policy(models=("m",)))
    session.first(created(kind))
    goes, told = session.sent(json.dumps(update(**fields)).encode(), False)
    assert goes == ("downstream" if kind == "transcription" else "upstream")
    assert (b"model_not_allowed" in told) == (kind == "transcription")


def test_an_error_before_they_are_taken_is_of_them() -> None:
    session = check()
    session.first(b"{}")
    assert session.received(b'{"type":"response.output_text.delta","delta":"error"}')
    with pytest.raises(Rejected) as rejected:
        session.received(b'{"type":"error","error":{"code":"invalid_value","message":"No."}}')
    assert rejected.value.said.code == "invalid_value"


def test_an_error_after_that_is_the_clients() -> None:
    session = check()
    session.first(b"{}")
    session.received(b'{"type":"session.updated"}')
    error = b'{"type":"error","error":{}}'
    assert session.received(error) == error


@pytest.mark.parametrize("kind", ["session.created", "session.updated", "session.started"])
def test_forced_instructions_are_hidden(kind: str) -> None:
    said = {"type": kind, "session": {"instructions": SECRET, "voice": "marin"}}
    told = check().received(json.dumps(said).encode())
    assert told is not None
    assert json.loads(told) == {"type": kind, "session": {"voice": "marin"}}
    nested = {"type": "response.event", "event": {"response": {"instructions": SECRET}}}
    told = check().received(json.dumps(nested).encode())
    assert told is not None
    assert json.loads(told)["event"] == {"response": {}}


def test_what_cannot_be_read_is_not_shown_where_instructions_are_hidden() -> None:
    assert check().received(b'{"instructions": "x') is None
    assert check().received(b'["instructions"]') is None
    assert check().received(b"{") == b"{"


def test_a_clients_own_instructions_are_shown() -> None:
    said = b'{"type":"session.updated","session":{"instructions":"Mine."}}'
    assert check(Policy(lock=("tools",))).received(said) == said


# -- smuggling -------------------------------------------------------------------------------

WS = st.text(" \t\r\n", max_size=2)
NAMES = st.sampled_from(
    [
        "type",
        "session",
        "instructions",
        "prompt",
        "tools",
        "audio",
        "output",
        "voice",
        "item",
        "response",
        "input",
        "role",
        "model",
        "event_id",
    ]
)
STRINGS = st.sampled_from(
    [
        "session.update",
        "session.start",
        "response.create",
        "conversation.item.create",
        *APPENDS,
        "conversation.item.delete",
        "evil",
        "system",
        "gpt-realtime",
        "\ud800",
        "AAAA",
    ]
)


@st.composite
def written(draw: st.DrawFn, text: st.SearchStrategy[str]) -> str:
    """A JSON string, some of whose characters are escaped, or of the other case."""
    made = []
    for letter in draw(text):
        how = draw(st.sampled_from("pppppppueU")) if ord(letter) < 0xD800 else "e"
        made.append(
            f"\\u{ord(letter):04x}" if how == "e" else letter.upper() if how == "U" else letter
        )
    return '"' + "".join(made) + '"'


def _object(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.builds("{1}{0}{1}:{2}{3}".format, written(NAMES), WS, WS, inner)
    return st.lists(member, max_size=4).map(lambda members: "{" + ",".join(members) + "}")


JSON = st.recursive(
    written(STRINGS) | st.sampled_from(["1", "null", "NaN", "1e999"]),
    lambda inner: _object(inner) | st.lists(inner, max_size=2).map(lambda x: f"[{','.join(x)}]"),
    max_leaves=12,
)
MESSAGES = _object(JSON) | st.builds(
    '{{"type":{},"{}":{}}}'.format,
    written(STRINGS),
    st.sampled_from(["session", "response", "item", "audio"]),
    JSON,
)


def first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """How a reader takes an object that takes the first of two keys, whatever their case."""
    return {key.casefold(): value for key, value in reversed(pairs)}


def last_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key.casefold(): value for key, value in pairs}


def values_of(value: Any, name: str) -> list[Any]:
    return [value[name]] if isinstance(value, dict) and name in value else []


@given(MESSAGES.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_whoever_reads_what_crosses_reads_nothing_that_is_forbidden(payload: bytes) -> None:
    goes_to, got = check().sent(payload, False)
    if goes_to == "downstream":
        return
    for reader in (first_wins, last_wins):
        event = json.loads(got, object_pairs_hook=reader)
        assert POLICY.allows_event(event["type"])
        session, response = event.get("session"), event.get("response")
        assert all(each == SECRET for each in values_of(session, "instructions"))
        assert not values_of(response, "instructions")
        for table in (session, response):
            assert not values_of(table, "tools")
            assert not values_of(table, "prompt")
            assert not values_of(table, "voice")
            assert all(each == "gpt-realtime" for each in values_of(table, "model"))
        for audio in values_of(session, "audio"):
            assert audio["output"]["voice"] == "marin"
        for audio in values_of(response, "audio"):
            for output in values_of(audio, "output"):
                assert not values_of(output, "voice")
        items = values_of(event, "item") + [
            item
            for input_ in values_of(response, "input")
            if isinstance(input_, list)
            for item in input_
        ]
        assert all(role != "system" for item in items for role in values_of(item, "role"))
