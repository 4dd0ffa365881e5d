"""What the operator can set, and every way to get it wrong."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.auth import Auth
from relay.config.forms import RefusalRule
from relay.config.load import SettingsError, load
from relay.config.settings import Limits, Settings
from relay.config.upstream_table import UpstreamTable

FORMS = 'one of "auto", "http", "event", or tables written [[refusals]]'


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(text)
    assert str(caught.value) == "\n".join(caught.value.faults)
    return caught.value.faults


def test_an_empty_file_says_the_defaults() -> None:
    assert load("") == Settings()


def test_each_setting_has_its_default() -> None:
    settings = Settings()
    assert [each.endpoint for each in settings.listeners] == ["tcp:8080:interface=127.0.0.1"]
    assert settings.hold_seconds < 10, "SDKs give up at 10"
    assert settings.refusals == (RefusalRule(form="auto"),)
    assert not settings.allow_anonymous
    assert (settings.auth, settings.limits, settings.upstream) == (Auth(), Limits(), ())
    assert settings.limits.message_bytes == 24 * 2**20
    assert UpstreamTable().url == "wss://api.openai.com/v1/realtime"


def test_the_defaults_of_a_drain() -> None:
    settings = Settings()
    assert (settings.drain_delay_seconds, settings.drain_seconds) == (0, 30)
    assert settings.drain_spread == 10
    assert settings.admin == "tcp:9090:interface=127.0.0.1"


@pytest.mark.parametrize(
    ("text", "spread"),
    [
        ("drain_seconds = 4", 2),
        ("drain_seconds = 20", 10),
        ("drain_seconds = 0", 0),
        ("drain_seconds = 60", 10),
        ("drain_seconds = 60\ndrain_spread_seconds = 60", 60),
        ("drain_spread_seconds = 0", 0),
    ],
)
def test_at_least_half_of_a_drain_is_unspread_unless_told_otherwise(
    text: str, spread: float
) -> None:
    assert load(text).drain_spread == spread


def test_an_empty_admin_means_no_admin_listener() -> None:
    assert load('admin = ""').admin == ""


def test_a_file_with_every_setting_is_read() -> None:
    text = """
        listen = ["tcp:80", "unix:/run/relay.sock"]
        hold_seconds = 5
        refusals = "event"
        allow_anonymous = true
        hosts = ["Relay.Example."]
        origins = ["HTTPS://App.Example:443"]
        base_path = "/relay"
        log_format = "json"
        [auth]
        token_env = "RELAY_TOKEN"
        [limits]
        sessions = 5
        head_seconds = 2.5
        [[upstream]]
        name = "first"
        url = "wss://api.x.ai/v1/realtime"
        key_file = "/run/keys/first"
        [[upstream]]
        name = "local"
        url = "ws://127.0.0.1:9000/v1/realtime"
        provider = "generic"
    """
    assert load(text) == Settings(
        listen=("tcp:80", "unix:/run/relay.sock"),
        hold_seconds=5,
        refusals="event",
        allow_anonymous=True,
        hosts=("relay.example",),
        origins=("https://app.example",),
        base_path="/relay",
        log_format="json",
        auth=Auth(token_env="RELAY_TOKEN"),
        limits=Limits(sessions=5, head_seconds=2.5),
        upstream=(
            UpstreamTable(
                name="first", url="wss://api.x.ai/v1/realtime", key_file="/run/keys/first"
            ),
            UpstreamTable(name="local", url="ws://127.0.0.1:9000/v1/realtime", provider="generic"),
        ),
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("holdseconds = 1", "holdseconds: unknown key (did you mean hold_seconds?)"),
        ("zzz = 1", "zzz: unknown key"),
        ('"a\\nb" = 1', '"a?b": unknown key'),
        ("hold_seconds = 0", "hold_seconds: must be more than 0, not 0"),
        ("hold_seconds = 601", "hold_seconds: must be at most 600, not 601"),
        ("hold_seconds = nan", "hold_seconds: must be more than 0, not nan"),
        ("hold_seconds = inf", "hold_seconds: must be at most 600, not inf"),
        ("hold_seconds = true", "hold_seconds: must be a number, not a boolean"),
        ('hold_seconds = "8"', "hold_seconds: must be a number, not a string"),
        ("hold_seconds = 1979-05-27", "hold_seconds: must be a number, not a date or time"),
        ("drain_seconds = -1", "drain_seconds: must be at least 0, not -1"),
        ("drain_seconds = nan", "drain_seconds: must be at least 0, not nan"),
        ("drain_seconds = 86401", "drain_seconds: must be at most 86400, not 86401"),
        ("drain_delay_seconds = 601", "drain_delay_seconds: must be at most 600, not 601"),
        ("drain_spread_seconds = -1", "drain_spread_seconds: must be at least 0, not -1"),
        (
            "drain_seconds = 5\ndrain_spread_seconds = 5.5",
            "drain_spread_seconds: must be at most drain_seconds, 5, not 5.5",
        ),
        (
            "drain_spread_seconds = 31",
            "drain_spread_seconds: must be at most drain_seconds, 30, not 31",
        ),
        ("admin = 9090", "admin: must be a string, not a whole number"),
        ('admin = "tcp:9090\\n"', "admin: must be printable, and not empty"),
        ("listener = 3", "listener: must be a list of tables, written [[listener]]"),
        ('[[listener]]\ncertificate = "c"', "listener: #1 needs both certificate and key"),
        (
            "[[listener]]\nendpoint = 3",
            "[[listener]] #1: endpoint: must be a string, not a whole number",
        ),
        ('listen = "tcp:80"', "listen: must be a list (in Python a tuple), not a string"),
        ('listen = ["tcp:80", 3]', "listen: #2: must be a string, not a whole number"),
        ("allow_anonymous = 1", "allow_anonymous: must be true or false, not a whole number"),
        ('refusals = "x"', f'refusals: must be {FORMS}, not "x"'),
        ("refusals = 3", f"refusals: must be {FORMS}, not a whole number"),
        ("[refusals]", f"refusals: must be {FORMS}, not a table"),
        ('refusals = ["http"]', "[[refusals]] #1: must be a table, not a string"),
        (
            '[[refusals]]\nform = "x"',
            '[[refusals]] #1: form: must be one of "auto", "http", "event", not "x"',
        ),
        (
            "[[refusals]]\nuser_agent = 3",
            "[[refusals]] #1: user_agent: must be a string, not a whole number",
        ),
        (
            '[[refusals]]\nuseragent = "x"',
            "[[refusals]] #1: useragent: unknown key (did you mean user_agent?)",
        ),
        (
            '[[refusals]]\nform = "http"\n[[refusals]]\nuser_agent = "x"',
            "refusals: #1 is for all, so nobody gets to #2",
        ),
        ('origins = ["nil"]', 'origins: #1: "nil" is not an origin like https://app.example'),
        ('hosts = ["a:1"]', 'hosts: #1: "a:1" is not a host name without a port'),
        ("hosts = [[1]]", "hosts: #1: must be a string, not a list"),
        ("base_path = 3", "base_path: must be a string, not a whole number"),
        ("limits = 3", "limits: must be a table, not a whole number"),
        ("[limits]\nmessage_bytes = 0", "[limits]: message_bytes: must be at least 1024, not 0"),
        ("[limits]\nsessions = 1.5", "[limits]: sessions: must be a whole number, not a number"),
        ("[limits]\nsessions = true", "[limits]: sessions: must be a whole number, not a boolean"),
        (
            f"[limits]\nsessions = 0x{'f' * 5000}",
            "[limits]: sessions: must be at most 1000000, not that",
        ),
        (
            '[auth]\ntoken_env = "secret"',
            "[auth]: token_env: must be the name of a variable, in capitals",
        ),
        ("auth.token_file = 1", "[auth]: token_file: must be a string, not a whole number"),
        ('auth.token_file = ""', "[auth]: token_file: must be printable, and not empty"),
        ("upstream = 3", "upstream: must be a list of tables, written [[upstream]]"),
        ("[upstream]", "upstream: must be a list of tables, written [[upstream]]"),
        ("upstream = [3]", "[[upstream]] #1: must be a table, not a whole number"),
        (
            '[[upstream]]\nurl = "http://x"',
            '[[upstream]] #1: url: "http://x" is not a ws:// or wss:// URL',
        ),
        ("[[upstream]]\n[[upstream]]", 'upstream: two are named "openai"'),
    ],
)
def test_a_fault_is_one_line_that_names_the_key(text: str, fault: str) -> None:
    assert faults(text) == (fault,)


def test_all_faults_are_told_in_every_table() -> None:
    text = """
        hold_seconds = 0
        colour = "red"
        [limits]
        sessions = 0
        head_bytes = 1
        [[upstream]]
        name = "A"
        [[upstream]]
        url = "x"
        provider = "y"
    """
    found = faults(text)
    starts = [
        "hold_seconds:",
        "colour:",
        "[limits]: sessions:",
        "[limits]: head_bytes:",
        "[[upstream]] #1: name:",
        "[[upstream]] #2: url:",
        "[[upstream]] #2: provider:",
    ]
    assert len(found) == len(starts)
    assert all(any(fault.startswith(start) for fault in found) for start in starts)


@pytest.mark.parametrize("key", ["key", "api_key", "token"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(key: str) -> None:
    (fault,) = faults(f'[[upstream]]\n{key} = "sk-hunter2"')
    assert fault == (
        f"[[upstream]] #1: {key}: unknown key; secrets stay out of this file,"
        " name one with key_env or key_file"
    )
    (fault,) = faults(f'[auth]\n{key} = "sk-hunter2"')
    assert fault.endswith("name one with keys_file, token_env or token_file")


@pytest.mark.parametrize(
    "text",
    ["a =", "hold_seconds = 8 sk-hunter2", 'a = "sk-hunter2', "a = 1\na = 2", "\0", "a = [[[["],
)
def test_a_syntax_error_names_the_place_and_nothing_of_the_text(text: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith("not TOML: ")
    assert "(at " in fault
    assert "hunter2" not in fault
    assert fault.isprintable()


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, "a = " + "9" * 5000])
def test_a_file_that_breaks_the_toml_reader_is_one_line(text: str) -> None:
    assert faults(text) == ("not TOML: nested too deeply, or a number too long",)


def test_a_byte_order_mark_before_the_text_is_no_part_of_it() -> None:
    assert load("\ufeffhold_seconds = 3") == load("hold_seconds = 3")


def test_rules_of_refusals_stand_in_the_order_of_the_file() -> None:
    text = """
        [[refusals]]
        user_agent = "*websockets/*"
        listener = "tcp:8443"
        form = "event"
        [[refusals]]
        form = "http"
    """
    assert load(text).refusals == (
        RefusalRule(user_agent="*websockets/*", listener="tcp:8443", form="event"),
        RefusalRule(form="http"),
    )


def test_a_word_for_refusals_is_one_rule_for_all() -> None:
    assert load('refusals = "http"') == load('[[refusals]]\nform = "http"')


def test_values_are_checked_in_code_too() -> None:
    with pytest.raises(ValueError, match=r"^sessions: must be at least 1, not 0$"):
        Limits(sessions=0)
    with pytest.raises(ValueError, match=r"^sessions: must be a whole number, not a boolean$"):
        attrs.evolve(Limits(), sessions=True)
    with pytest.raises(
        ValueError, match=r"^origins: must be a list \(in Python a tuple\), not a string$"
    ):
        Settings(origins="https://a.example")  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", [Settings, Limits, Auth, RefusalRule, UpstreamTable])
def test_every_field_is_documented(cls: type) -> None:
    for attribute in attrs.fields(cls):
        assert attribute.metadata["doc"].endswith("."), attribute.name


def names(cls: type) -> list[str]:
    return [attribute.name for attribute in attrs.fields(cls)]


SCALARS = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["auto", "json", "generic", "ws://a", "https://a:443", "[::1]", "/a", "A"])
)
KEYS = st.sampled_from(
    sorted({n for c in (Settings, Limits, RefusalRule, UpstreamTable) for n in names(c)})
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


def toml(value: Any) -> str:
    """The value as TOML writes it in line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def loaded(text: str) -> Settings | SettingsError:
    try:
        return load(text)
    except SettingsError as error:
        return error


def is_well_told(error: SettingsError) -> bool:
    return bool(error.faults) and all(fault.isprintable() for fault in error.faults)


@given(st.dictionaries(KEYS, VALUES, max_size=6))
def test_nonsense_gives_settings_or_faults(table: dict[str, Any]) -> None:
    found = loaded("\n".join(f"{key} = {toml(value)}" for key, value in table.items()))
    if isinstance(found, Settings):
        assert attrs.evolve(found) == found
    else:
        assert is_well_told(found)


@given(st.text())
def test_any_text_gives_settings_or_faults(text: str) -> None:
    found = loaded(text)
    assert isinstance(found, Settings) or is_well_told(found)
