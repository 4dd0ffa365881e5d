"""The command line: what is checked before anything runs, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.application.service import IService
from twisted.python import usage

from relay import Proxy, Upstream
from relay.config.settings import Settings
from relay.daemon import tap
from relay.daemon.logs import JSONObserver, TextObserver
from relay.daemon.tap import Options, makeService

KEY = {"OPENAI_API_KEY": "sk-hunter2"}
NO_KEY = (
    "upstream openai has no key: set OPENAI_API_KEY (or key_file in the configuration),"
    " or use --demo for the built-in simulator"
)
OPEN = (
    "can be reached from other machines without authentication; set token_env or token_file in"
    " [auth], or allow_anonymous = true"
)
NO_ENDPOINT = "is no endpoint that can be used here; one is tcp:8080:interface=127.0.0.1"


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


def test_without_flags_openai_is_relayed_on_loopback() -> None:
    options = parse()
    assert options.settings == Settings()
    (upstream,) = options.upstreams
    assert (upstream.name, upstream.url) == ("openai", "wss://api.openai.com/v1/realtime")
    assert upstream.credential == KEY["OPENAI_API_KEY"]
    assert options.tokens == ()


def test_a_demo_needs_no_key_and_uses_none() -> None:
    assert parse("--demo", environ={}).upstreams == ()
    assert parse("--demo").upstreams == ()


def test_the_file_is_read(config: Path) -> None:
    config.write_text('hold_seconds = 3\n[auth]\ntoken_env = "TOKEN"')
    options = parse("--config", str(config), environ={**KEY, "TOKEN": "t"})
    assert options.settings.hold_seconds == 3
    assert options.tokens == ("t",)


def test_flags_go_over_the_file(config: Path) -> None:
    config.write_text(
        """
        listen = ["tcp:1:interface=127.0.0.1"]
        admin = "tcp:3:interface=127.0.0.1"
        log_format = "text"
        hold_seconds = 3
        [[upstream]]
        name = "file"
        key_env = "NOT_SET"
        """
    )
    options = parse(
        *("--config", str(config), "--log-format", "json", "--admin", "tcp:4"),
        *("--listen", "tcp:2:interface=127.0.0.1", "--listen", "unix:/tmp/relay.sock"),
        *("--upstream", "wss://a.example/v1", "--upstream", "wss://b.example/v1"),
    )
    assert options.settings.listen == ("tcp:2:interface=127.0.0.1", "unix:/tmp/relay.sock")
    assert options.settings.log_format == "json"
    assert options.settings.admin == "tcp:4"
    assert options.settings.hold_seconds == 3
    named = [(upstream.name, upstream.url) for upstream in options.upstreams]
    assert named == [("openai", "wss://a.example/v1"), ("openai-2", "wss://b.example/v1")]


def test_the_admin_listener_may_be_left_out_and_needs_no_tokens_anywhere(config: Path) -> None:
    config.write_text('admin = "tcp:9090"')
    assert parse("--config", str(config)).settings.admin == "tcp:9090"
    assert parse("--config", str(config), "--admin", "").settings.admin == ""


def test_no_key_names_both_ways_out() -> None:
    assert faults(environ={}) == [NO_KEY]


def test_nor_does_another_provider_start_without_one(config: Path) -> None:
    config.write_text('[[upstream]]\nprovider = "xai"\n')
    said = "upstream xai has no key: name it by key_file or key_env in the configuration"
    assert faults("--config", str(config), environ={}) == [said]
    config.write_text('[[upstream]]\nprovider = "generic"\nurl = "wss://a.example/"\n')
    assert parse("--config", str(config), environ={}).upstreams[0].credential is None


@pytest.mark.parametrize("url", ["ws://127.0.0.1:9000/v1/realtime", "ws://localhost:9000"])
def test_an_upstream_on_loopback_may_do_without_a_key(url: str) -> None:
    (upstream,) = parse("--upstream", url, environ={}).upstreams
    assert upstream.credential is None


def test_a_generic_upstream_may_do_without_a_key(config: Path) -> None:
    config.write_text('[[upstream]]\nurl = "wss://models.example/v1"\nprovider = "generic"')
    assert parse("--config", str(config), environ={}).upstreams[0].credential is None


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--bogus"], "option --bogus not recognized"),
        (["--demo=1"], "option --demo must not have an argument"),
        (["--config"], "option --config requires argument"),
        (["start"], 'unexpected argument "start"'),
        (["--log-format", "xml"], '--log-format: must be one of "text", "json", not "xml"'),
        (["--config", "/nowhere/relay.toml"], "/nowhere/relay.toml: No such file or directory"),
        (["--listen", ""], "--listen: #1: must be printable, and not empty"),
        (["--listen", "nonsense"], f'listen: "nonsense" {NO_ENDPOINT}'),
        (["--listen", "tcp"], f'listen: "tcp" {NO_ENDPOINT}'),
        (["--admin", "nonsense"], f'admin: "nonsense" {NO_ENDPOINT}'),
        (["--admin", "\n"], "--admin: must be printable, and not empty"),
        (["--listen", "tcp:http-alt"], f'listen: "tcp:http-alt" {NO_ENDPOINT}'),
        (["--listen", "systemd:domain=INET:index=7"], None),
        (["--upstream", "http://a"], '--upstream: "http://a" is not a ws:// or wss:// URL'),
        (
            ["--upstream", "wss://hunter2@a"],
            "--upstream: a URL here has no user or fragment",
        ),
        (
            ["--upstream", "ws://models.example"],
            "upstream openai: a key is not sent over ws:// to models.example; use wss://",
        ),
        (["--listen", "tcp:8080"], f"tcp:8080 {OPEN}"),
    ],
)
def test_a_fault_is_one_line(arguments: list[str], fault: str | None) -> None:
    expected = fault or f'listen: "{arguments[-1]}" {NO_ENDPOINT}'
    assert faults(*arguments) == [expected]


def test_several_faults_are_several_lines(config: Path) -> None:
    config.write_text('[auth]\ntoken_env = "NOT_SET"\n[[upstream]]\nkey_env = "NOT_SET_EITHER"')
    assert faults("--config", str(config), "--listen", "nonsense") == [
        "upstream openai: key_env: the environment variable NOT_SET_EITHER is not set or empty",
        "[auth] token_env: the environment variable NOT_SET is not set or empty",
        f'listen: "nonsense" {NO_ENDPOINT}',
    ]
    (only,) = faults("--upstream", "x", environ={})
    assert only.startswith("--upstream: "), "nothing is said of an upstream that nobody named"
    assert faults("--upstream", "x", "--upstream", "y", "--log-format", "z") == [
        '--upstream: "x" is not a ws:// or wss:// URL',
        '--upstream: "y" is not a ws:// or wss:// URL',
        '--log-format: must be one of "text", "json", not "z"',
    ]


def test_every_fault_of_the_file_names_it(config: Path) -> None:
    config.write_text("hold_seconds = 0\ncolour = 1")
    assert faults("--config", str(config)) == [
        f"{config}: hold_seconds: must be more than 0, not 0",
        f"{config}: colour: unknown key",
    ]


def test_a_file_that_is_no_text(config: Path) -> None:
    config.write_bytes(b"\xff")
    assert faults("--config", str(config)) == [f"{config}: not UTF-8 text"]


PUBLIC = [
    "tcp:80",
    "tcp:80:0.0.0.0",
    "tcp:80:interface=10.0.0.1",
    "tcp6:80",
    r"tcp6:80:interface=\:\:",
]
PRIVATE = [
    "tcp:80:127.0.0.1",
    "tcp:80:interface=127.0.0.1",
    "tcp:80:backlog=5:interface=localhost",
    r"tcp6:80:interface=\:\:1",
    "unix:/run/relay.sock",
]


@pytest.mark.parametrize("endpoint", PUBLIC)
def test_a_public_listener_needs_authentication(endpoint: str, config: Path) -> None:
    assert faults("--listen", endpoint) == [f"{endpoint} {OPEN}"]
    parse("--listen", endpoint, "--demo", environ={})
    config.write_text("allow_anonymous = true")
    parse("--listen", endpoint, "--config", str(config))
    config.write_text('[auth]\ntoken_env = "TOKEN"')
    parse("--listen", endpoint, "--config", str(config), environ={**KEY, "TOKEN": "t"})


@pytest.mark.parametrize("endpoint", PRIVATE)
def test_a_private_listener_needs_none(endpoint: str) -> None:
    assert parse("--listen", endpoint).settings.listen == (endpoint,)


def upstream_with(ca_file: Path, config: Path) -> list[str]:
    config.write_text(f'[[upstream]]\nname = "own"\nca_file = "{ca_file}"')
    return ["--config", str(config)]


def test_the_authorities_of_an_upstream_are_read(config: Path, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    assert faults(*upstream_with(ca_file, config)) == [
        f"upstream own: ca_file: {ca_file}: No such file or directory"
    ]
    ca_file.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    assert faults(*upstream_with(ca_file, config)) == [
        f"upstream own: ca_file: {ca_file}: not a PEM certificate"
    ]
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    assert parse(*upstream_with(ca_file, config)).upstreams[0].ca_file == str(ca_file)


def test_the_certificate_for_an_upstream_is_read(config: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    config.write_text(f'[[upstream]]\nname = "own"\nclient_certificate = "{own}"')
    assert faults("--config", str(config)) == [
        f"upstream own: client_certificate: {own}: No such file or directory"
    ]
    trustme.CA().issue_cert("relay").private_key_and_cert_chain_pem.write_to_path(str(own))
    assert parse("--config", str(config)).upstreams[0].client_certificate == str(own)


def test_what_the_file_says_of_an_upstream_is_what_it_is(config: Path) -> None:
    config.write_text(
        """
        [[upstream]]
        name = "near"
        url = "wss://near.example/v1"
        provider = "generic"
        priority = 7
        weight = 3
        models = { "theirs" = "ours" }
        max_sessions = 9
        breaker = false
        """
    )
    assert parse("--config", str(config), environ={}).upstreams == (
        Upstream(
            "wss://near.example/v1",
            "near",
            "generic",
            priority=7,
            weight=3,
            models={"theirs": "ours"},
            max_sessions=9,
            breaker=False,
        ),
    )


def test_upstreams_that_flags_name_are_tried_in_that_order() -> None:
    upstreams = parse("--upstream", "wss://b.example", "--upstream", "wss://a.example").upstreams
    first, second = sorted(upstreams, key=lambda upstream: upstream.priority)
    assert (first.host, second.host) == ("b.example", "a.example")
    assert first.priority < second.priority


@pytest.mark.parametrize("host", ["a_b.example", "a" * 64 + ".example"])
def test_a_host_that_no_certificate_can_be_for_is_a_fault(host: str, config: Path) -> None:
    config.write_text(f'[[upstream]]\nurl = "wss://{host}/"')
    said = host if len(host) <= 60 else host[:60] + "…"
    assert faults("--config", str(config)) == [
        f'upstream openai: url: no certificate can be for "{said}"'
    ]


PASSWORD = {"https_proxy": "http://user:hunter2@proxy.example"}


def test_the_environments_proxy_is_for_who_names_none(config: Path) -> None:
    config.write_text(
        """
        [[upstream]]
        [[upstream]]
        name = "near"
        url = "wss://localhost/v1/realtime"
        [[upstream]]
        name = "own"
        proxy = "http://own.example:3128"
        [[upstream]]
        name = "direct"
        proxy = "none"
        """
    )
    upstreams = parse("--config", str(config), environ={**KEY, **PASSWORD}).upstreams
    assert [upstream.proxy for upstream in upstreams] == [
        Proxy("proxy.example", 80, "user:hunter2"),
        None,
        Proxy("own.example", 3128),
        None,
    ]


def test_a_proxy_that_is_none_is_one_line() -> None:
    environ = {**KEY, "HTTPS_PROXY": "socks5://user:hunter2@proxy.example"}
    assert faults(environ=environ) == [
        'upstream openai: HTTPS_PROXY: must be http://HOST[:PORT]; proxy = "none" does without'
    ]


def test_a_password_in_the_file_is_one_line(config: Path) -> None:
    config.write_text('[[upstream]]\nproxy = "http://user:hunter2@proxy.example"')
    assert faults("--config", str(config)) == [
        f"{config}: [[upstream]] #1: proxy: user and password do not belong in this file;"
        " put the whole URL in HTTPS_PROXY"
    ]


def test_a_key_file_is_read_anew(config: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("first")
    config.write_text(f'[[upstream]]\nkey_file = "{tmp_path}/key"')
    key = parse("--config", str(config)).upstreams[0].credential
    assert callable(key)
    (tmp_path / "key").write_text("second-key")
    assert key() == "second-key"


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
    assert first == (Settings(), (), ())
    assert first_named["demo"] is True
    assert isinstance(first_named["observer"], TextObserver)
    assert second[1][0].name == "openai"
    assert second_named["demo"] is False
    assert isinstance(second_named["observer"], JSONObserver)


@pytest.mark.usefixtures("clocked")
def test_what_goes_to_syslog_is_left_to_twistd(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(tap, "RelayService", lambda *given, **named: made.append(named))
    options = parse("--demo")
    options.parent = usage.Options()
    options.parent["syslog"] = 1
    makeService(options)
    assert made[0]["observer"] is None


@pytest.mark.usefixtures("clocked")
def test_the_service_is_one() -> None:
    assert IService.providedBy(makeService(parse("--demo")))


def test_the_reactors_time_only_goes_forward(clocked: list[Any]) -> None:
    from twisted.internet import reactor

    makeService(parse("--demo"))
    assert clocked == [reactor]


def test_the_certificate_of_a_listener_is_read(config: Path, tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    files = f'certificate = "{tmp_path}/both.pem"\nkey = "{tmp_path}/%s.pem"\n'
    listener = '[[listener]]\nendpoint = "tcp:1:interface=127.0.0.1"\n' + files
    config.write_text(listener % "both")
    assert parse("--config", str(config)).settings.listeners[0].certificate is not None
    config.write_text(listener % "none")
    assert faults("--config", str(config)) == [
        f"[[listener]] tcp:1:interface=127.0.0.1: {tmp_path}/none.pem: No such file or directory"
    ]


def test_the_flag_goes_over_every_listener_of_the_file(config: Path) -> None:
    config.write_text('listen = ["tcp:1"]\n[[listener]]\nendpoint = "tcp:2"\n')
    options = parse("--config", str(config), "--listen", "unix:/tmp/relay.sock")
    assert [each.endpoint for each in options.settings.listeners] == ["unix:/tmp/relay.sock"]
