"""The command line: what it comes to, and how its faults are printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.application.service import IService
from twisted.python import usage

from relay.config.plan import Flags, plan
from relay.daemon import tap
from relay.daemon.logs import JSONObserver
from relay.daemon.sparing import Sparing
from relay.daemon.tap import Options, makeService

KEY = {"OPENAI_API_KEY": "sk-hunter2"}


def parse(*arguments: str, environ: dict[str, str] | None = None) -> Options:
    options = Options(KEY if environ is None else environ)
    options.parseOptions(list(arguments))
    return options


def faults(*arguments: str, environ: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(SystemExit) as caught:
        parse(*arguments, environ=environ)
    assert isinstance(caught.value.code, str), "a text: Python prints it and exits with status 1"
    assert "hunter2" not in caught.value.code
    lines = caught.value.code.split("\n")
    assert all(line.startswith("realtime-relay: ") for line in lines)
    return [line.removeprefix("realtime-relay: ") for line in lines]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "relay.toml"


def test_without_flags_the_plan_is_of_the_environment_alone() -> None:
    assert parse().plan == plan(None, Flags(), KEY)


def test_every_flag_is_in_the_plan(config: Path) -> None:
    config.write_text('hold_seconds = 3\n[auth]\ntoken_env = "TOKEN"')
    environ = {**KEY, "TOKEN": "t"}
    options = parse(
        *("--config", str(config), "--log-format", "json", "--admin", "tcp:4"),
        *("--listen", "tcp:2", "--listen", "unix:/tmp/relay.sock"),
        *("--upstream", "wss://a.example/v1", "--upstream", "wss://b.example/v1"),
        environ=environ,
    )
    flags = Flags(
        listen=("tcp:2", "unix:/tmp/relay.sock"),
        upstream=("wss://a.example/v1", "wss://b.example/v1"),
        admin="tcp:4",
        log_format="json",
    )
    assert options.plan == plan(str(config), flags, environ)
    assert parse("--demo", environ={}).plan.demo


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--bogus"], "option --bogus not recognized"),
        (["--demo=1"], "option --demo must not have an argument"),
        (["--config"], "option --config requires argument"),
        (["start"], 'unexpected argument "start"'),
        (["--config", "/nowhere/relay.toml"], "/nowhere/relay.toml: No such file or directory"),
        (["--log-format", "xml"], '--log-format: must be one of "text", "json", not "xml"'),
    ],
)
def test_a_fault_of_the_options_is_one_line(arguments: list[str], fault: str) -> None:
    assert faults(*arguments) == [fault]


def test_several_faults_of_the_options_are_several_lines() -> None:
    assert faults("--upstream", "x", "--upstream", "y") == [
        '--upstream: "x" is not a ws:// or wss:// URL',
        '--upstream: "y" is not a ws:// or wss:// URL',
    ]


def test_the_version_is_the_relays(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse("--version")
    assert caught.value.code == 0
    assert capsys.readouterr().out.startswith("realtime-relay 0.")


def test_the_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    out = capsys.readouterr().out
    for option in ("config", "demo", "listen", "log-format", "upstream"):
        assert f"--{option}" in out


def test_json_lines_do_not_go_to_syslog() -> None:
    options = Options(KEY)
    options.parent = usage.Options()
    options.parent["syslog"] = 1
    with pytest.raises(SystemExit) as caught:
        options.parseOptions(["--log-format", "json"])
    assert caught.value.code == (
        "realtime-relay: --log-format json does not go with twistd's --syslog"
    )


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Reactors whose clock was chosen; the tests' own runs already."""
    found: list[Any] = []
    monkeypatch.setattr(tap, "use_monotonic_clock", found.append)
    return found


@pytest.mark.usefixtures("clocked")
def test_the_service_is_made_of_the_options(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tap, "RelayService", lambda *given, **named: made.append((given, named)))
    makeService(parse("--demo"))
    makeService(parse("--log-format", "json"))
    (first, first_named), (second, second_named) = made
    assert first == (plan(None, Flags(demo=True), KEY),)
    assert isinstance(first_named["observer"], Sparing)
    assert second == (plan(None, Flags(log_format="json"), KEY),)
    assert isinstance(second_named["observer"], JSONObserver)


@pytest.mark.usefixtures("clocked")
def test_a_log_to_syslog_is_left_to_twistd(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(tap, "RelayService", lambda *given, **named: made.append(named))
    options = parse("--demo")
    options.parent = usage.Options()
    options.parent["syslog"] = 1
    makeService(options)
    assert made[0]["observer"] is None


@pytest.mark.usefixtures("clocked")
def test_the_plugin_makes_one_service() -> None:
    assert IService.providedBy(makeService(parse("--demo")))


def test_the_daemons_reactor_keeps_monotonic_time(clocked: list[Any]) -> None:
    from twisted.internet import reactor

    makeService(parse("--demo"))
    assert clocked == [reactor]
