"""What the file, the flags and the environment come to, and in which words they are refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme
from processes import SECONDS

from relay import Proxy, Upstream
from relay.config.listeners import OPEN_TO_ALL
from relay.config.plan import Faults, Flags, Plan, plan
from relay.config.settings import Settings

KEY = {"OPENAI_API_KEY": "sk-hunter2"}
NO_KEY = (
    "upstream openai has no key: set OPENAI_API_KEY (or key_file in the configuration),"
    " or use --demo for the built-in simulator"
)
NO_ENDPOINT = "is no endpoint that can be used here; one is tcp:8080:interface=127.0.0.1"


def made(config: Path | None, environ: Mapping[str, str], flags: Any) -> Plan | Faults:
    return plan(None if config is None else str(config), Flags(**flags), environ)


def planned(config: Path | None = None, *, environ: Mapping[str, str] = KEY, **flags: Any) -> Plan:
    found = made(config, environ, flags)
    assert isinstance(found, Plan), found
    return found


def faults(config: Path | None = None, *, environ: Mapping[str, str] = KEY, **flags: Any) -> Faults:
    found = made(config, environ, flags)
    assert isinstance(found, tuple)
    assert found
    assert all(line.isprintable() and "hunter2" not in line for line in found)
    return found


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "relay.toml"


def test_without_file_and_flags_openai_is_relayed_on_loopback() -> None:
    found = planned()
    assert found.settings == Settings()
    (upstream,) = found.upstreams
    assert (upstream.name, upstream.url) == ("openai", "wss://api.openai.com/v1/realtime")
    assert upstream.credential == KEY["OPENAI_API_KEY"]
    assert found.access.client_keys is None


def test_flags_override_the_file(config: Path) -> None:
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
    found = planned(
        config,
        log_format="json",
        admin="tcp:4",
        listen=("tcp:2:interface=127.0.0.1", "unix:/tmp/relay.sock"),
        upstream=("wss://a.example/v1", "wss://b.example/v1"),
    )
    assert found.settings.listen == ("tcp:2:interface=127.0.0.1", "unix:/tmp/relay.sock")
    assert found.settings.log_format == "json"
    assert found.settings.admin == "tcp:4"
    assert found.settings.hold_seconds == 3
    named = [(upstream.name, upstream.url) for upstream in found.upstreams]
    assert named == [("openai", "wss://a.example/v1"), ("openai-2", "wss://b.example/v1")]


def test_a_demo_needs_no_key_and_uses_none() -> None:
    assert planned(demo=True, environ={}).upstreams == ()
    assert planned(demo=True).upstreams == ()


def test_a_demo_does_not_go_with_an_upstream_of_the_command_line() -> None:
    said = "--demo relays to the built-in simulator only; leave out --demo or --upstream"
    assert faults(demo=True, upstream=("wss://a.example/v1",)) == (said,)


def test_what_works_but_is_hardly_wanted_is_in_the_plan(config: Path) -> None:
    config.write_text("hold_seconds = 30")
    (line,) = planned(config).advice
    assert line.startswith("hold_seconds: 30: ")
    assert planned().advice == ()


def test_the_settings_of_the_file_are_in_the_plan(config: Path) -> None:
    config.write_text('hold_seconds = 3\n[auth]\ntoken_env = "TOKEN"')
    found = planned(config, environ={**KEY, "TOKEN": "t"})
    assert found.settings.hold_seconds == 3
    assert found.access.client_keys is not None
    assert [key.subject for key in found.access.client_keys()] == ["token_env"]


def test_the_admin_listener_may_be_left_out_and_needs_no_tokens_anywhere(config: Path) -> None:
    config.write_text('admin = "tcp:9090"')
    assert planned(config).settings.admin == "tcp:9090"
    assert planned(config, admin="").settings.admin == ""


def test_no_key_names_both_ways_out() -> None:
    assert faults(environ={}) == (NO_KEY,)


def test_another_provider_than_openai_without_a_key_names_the_one_way_out(config: Path) -> None:
    config.write_text('[[upstream]]\nprovider = "xai"\n')
    said = "upstream xai has no key: name it by key_file or key_env in the configuration"
    assert faults(config, environ={}) == (said,)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:9000/v1/realtime", "ws://localhost:9000"])
def test_an_upstream_on_loopback_may_do_without_a_key(url: str) -> None:
    (upstream,) = planned(upstream=(url,), environ={}).upstreams
    assert upstream.credential is None


def test_a_generic_upstream_may_do_without_a_key(config: Path) -> None:
    config.write_text('[[upstream]]\nurl = "wss://models.example/v1"\nprovider = "generic"')
    assert planned(config, environ={}).upstreams[0].credential is None


def test_every_fault_of_the_file_names_it(config: Path) -> None:
    config.write_text("hold_seconds = 0\ncolour = 1")
    assert faults(config) == (
        f"{config}: hold_seconds: must be more than 0, not 0",
        f"{config}: colour: unknown key",
    )


def test_a_file_that_is_no_text_is_a_fault(config: Path) -> None:
    config.write_bytes(b"\xff")
    assert faults(config) == (f"{config}: not UTF-8 text",)


@pytest.mark.parametrize("endpoint", ["tcp:80", "tcp6:80"])
def test_a_public_listener_needs_authentication(endpoint: str, config: Path) -> None:
    assert faults(listen=(endpoint,)) == (f"{endpoint} {OPEN_TO_ALL}",)
    planned(listen=(endpoint,), demo=True, environ={})
    config.write_text("allow_anonymous = true")
    planned(config, listen=(endpoint,))
    config.write_text('[auth]\ntoken_env = "TOKEN"')
    planned(config, listen=(endpoint,), environ={**KEY, "TOKEN": "t"})


@pytest.mark.parametrize("endpoint", ["tcp:80:interface=127.0.0.1", "unix:/run/relay.sock"])
def test_a_private_listener_needs_no_authentication(endpoint: str) -> None:
    assert planned(listen=(endpoint,)).settings.listen == (endpoint,)


def upstream_with(ca_file: Path, config: Path) -> Path:
    config.write_text(f'[[upstream]]\nname = "own"\nca_file = "{ca_file}"')
    return config


def test_a_plan_has_the_authorities_of_each_upstream(config: Path, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    assert faults(upstream_with(ca_file, config)) == (
        f"upstream own: ca_file: {ca_file}: No such file or directory",
    )
    ca_file.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n")
    assert faults(upstream_with(ca_file, config)) == (
        f"upstream own: ca_file: {ca_file}: not a PEM certificate",
    )
    trustme.CA().cert_pem.write_to_path(str(ca_file))
    assert planned(upstream_with(ca_file, config)).upstreams[0].ca_file == str(ca_file)


def test_a_plan_has_the_client_certificate_of_each_upstream(config: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.pem"
    config.write_text(f'[[upstream]]\nname = "own"\nclient_certificate = "{own}"')
    assert faults(config) == (
        f"upstream own: client_certificate: {own}: No such file or directory",
    )
    trustme.CA().issue_cert("relay").private_key_and_cert_chain_pem.write_to_path(str(own))
    assert planned(config).upstreams[0].client_certificate == str(own)


def test_an_upstream_is_as_the_file_says(config: Path) -> None:
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
    assert planned(config, environ={}).upstreams == (
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


RULES = """
    listen = ["tcp:1:interface=127.0.0.1"]
    [[listener]]
    endpoint = "tcp:2:interface=127.0.0.1"
    [[refusals]]
    listener = "tcp:1:interface=127.0.0.1"
    [[refusals]]
    listener = "tcp:2:interface=127.0.0.1"
    [[refusals]]
    listener = "%s"
"""


def test_a_rule_of_refusals_names_a_listener_that_there_is(config: Path) -> None:
    config.write_text(RULES % "tcp:3")
    assert faults(config) == (
        '[[refusals]] #3: listener: "tcp:3" is neither in listen nor in [[listener]]',
    )


def test_a_flag_may_replace_the_listeners_that_rules_of_refusals_name(config: Path) -> None:
    config.write_text(RULES % "tcp:3")
    assert len(planned(config, listen=("unix:/tmp/relay.sock",)).settings.refusals) == 3


def test_upstreams_of_flags_are_tried_in_their_order() -> None:
    upstreams = planned(upstream=("wss://b.example", "wss://a.example")).upstreams
    first, second = sorted(upstreams, key=lambda upstream: upstream.priority)
    assert (first.host, second.host) == ("b.example", "a.example")
    assert first.priority < second.priority


@pytest.mark.parametrize("host", ["a_b.example", "a" * 64 + ".example"])
def test_a_host_that_no_certificate_can_name_is_a_fault(host: str, config: Path) -> None:
    config.write_text(f'[[upstream]]\nurl = "wss://{host}/"')
    said = host if len(host) <= 60 else host[:60] + "…"
    assert faults(config) == (f'upstream openai: url: no certificate can be for "{said}"',)


PASSWORD = {"https_proxy": "http://user:hunter2@proxy.example"}


def test_the_environments_proxy_is_used_if_an_upstream_names_none(config: Path) -> None:
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
    upstreams = planned(config, environ={**KEY, **PASSWORD}).upstreams
    assert [upstream.proxy for upstream in upstreams] == [
        Proxy("proxy.example", 80, "user:hunter2"),
        None,
        Proxy("own.example", 3128),
        None,
    ]


def test_a_proxy_with_a_wrong_url_is_one_line() -> None:
    environ = {**KEY, "HTTPS_PROXY": "socks5://user:hunter2@proxy.example"}
    assert faults(environ=environ) == (
        'upstream openai: HTTPS_PROXY: must be http://HOST[:PORT]; proxy = "none" does without',
    )


def test_a_proxys_password_in_the_file_is_one_line_that_hides_it(config: Path) -> None:
    config.write_text('[[upstream]]\nproxy = "http://user:hunter2@proxy.example"')
    assert faults(config) == (
        f"{config}: [[upstream]] #1: proxy: user and password do not belong in this file;"
        " put the whole URL in HTTPS_PROXY",
    )


def test_the_key_file_of_a_plan_is_read_anew(config: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("first")
    config.write_text(f'[[upstream]]\nkey_file = "{tmp_path}/key"')
    key = planned(config).upstreams[0].credential
    assert callable(key)
    (tmp_path / "key").write_text("second-key")
    assert key() == "second-key"


def test_a_plan_has_the_certificate_of_each_listener(config: Path, tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    files = f'certificate = "{tmp_path}/both.pem"\nkey = "{tmp_path}/%s.pem"\n'
    listener = '[[listener]]\nendpoint = "tcp:1:interface=127.0.0.1"\n' + files
    config.write_text(listener % "both")
    assert planned(config).settings.listeners[0].certificate is not None
    config.write_text(listener % "none")
    assert faults(config) == (
        f"[[listener]] tcp:1:interface=127.0.0.1: {tmp_path}/none.pem: No such file or directory",
    )


def test_a_certificate_does_not_go_with_an_endpoint_that_has_one(
    config: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(own)
    endpoint = f"ssl:1:interface=127.0.0.1:privateKey={own}:certKey={own}"
    files = 'certificate = "own.pem"\nkey = "own.pem"\n'
    config.write_text(f'[[listener]]\nendpoint = "{endpoint}"\n')
    planned(config)
    config.write_text(f'[[listener]]\nendpoint = "{endpoint}"\n{files}')
    (fault,) = faults(config)
    assert fault.startswith("[[listener]] ")
    assert "would speak TLS twice: name certificate and key in a [[listener]]" in fault


def test_the_flag_listen_replaces_every_listener_of_the_file(config: Path) -> None:
    config.write_text('listen = ["tcp:1"]\n[[listener]]\nendpoint = "tcp:2"\n')
    found = planned(config, listen=("unix:/tmp/relay.sock",))
    assert [each.endpoint for each in found.settings.listeners] == ["unix:/tmp/relay.sock"]


FLAGGED = [
    ({"log_format": "xml"}, '--log-format: must be one of "text", "json", not "xml"'),
    ({"listen": ("",)}, "--listen: #1: must be printable, and not empty"),
    ({"listen": ("nonsense",)}, f'listen: "nonsense" {NO_ENDPOINT}'),
    ({"listen": ("tcp",)}, f'listen: "tcp" {NO_ENDPOINT}'),
    ({"admin": "nonsense"}, f'admin: "nonsense" {NO_ENDPOINT}'),
    ({"admin": "\n"}, "--admin: must be printable, and not empty"),
    ({"upstream": ("http://a",)}, '--upstream: "http://a" is not a ws:// or wss:// URL'),
    ({"upstream": ("wss://hunter2@a",)}, "--upstream: a URL here has no user or fragment"),
    (
        {"upstream": ("ws://models.example",)},
        "upstream openai: a key is not sent over ws:// to models.example; use wss://",
    ),
    ({"listen": ("tcp:8080",)}, f"tcp:8080 {OPEN_TO_ALL}"),
]


@pytest.mark.parametrize(("flags", "fault"), FLAGGED)
def test_a_fault_of_a_flag_is_one_line_that_names_it(flags: dict[str, Any], fault: str) -> None:
    assert faults(**flags) == (fault,)


def test_a_file_that_is_not_there_is_the_only_fault(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    assert faults(path, listen=("nonsense",)) == (f"{path}: No such file or directory",)


def test_the_faults_of_every_part_are_told_in_one_go(config: Path) -> None:
    config.write_text('[auth]\ntoken_env = "NOT_SET"\n[[upstream]]\nkey_env = "NOT_SET_EITHER"')
    assert faults(config, listen=("nonsense",), admin="nonsense") == (
        "upstream openai: key_env: the environment variable NOT_SET_EITHER is not set or empty",
        "[auth] token_env: the environment variable NOT_SET is not set or empty",
        f'listen: "nonsense" {NO_ENDPOINT}',
        f'admin: "nonsense" {NO_ENDPOINT}',
    )


def test_every_fault_of_the_flags_is_told_in_one_go() -> None:
    assert faults(upstream=("x", "y"), log_format="z") == (
        '--upstream: "x" is not a ws:// or wss:// URL',
        '--upstream: "y" is not a ws:// or wss:// URL',
        '--log-format: must be one of "text", "json", not "z"',
    )


def test_after_a_wrong_upstream_flag_no_other_upstream_is_judged() -> None:
    assert faults(upstream=("x",), listen=("tcp:80",), environ={}) == (
        '--upstream: "x" is not a ws:// or wss:// URL',
        f"tcp:80 {OPEN_TO_ALL}",
    )


def test_a_listener_whose_tokens_cannot_be_had_is_not_said_to_have_none(config: Path) -> None:
    config.write_text('listen = ["tcp:80"]\n[auth]\ntoken_env = "NOT_SET"')
    assert faults(config) == (
        "[auth] token_env: the environment variable NOT_SET is not set or empty",
    )


def test_the_faults_of_one_upstream_are_told_beside_those_of_another(config: Path) -> None:
    config.write_text(
        """
        [[upstream]]
        provider = "xai"
        ca_file = "/nowhere"
        [[upstream]]
        key_env = "NOT_SET"
        """
    )
    assert faults(config) == (
        "upstream xai has no key: name it by key_file or key_env in the configuration",
        "upstream xai: ca_file: /nowhere: No such file or directory",
        "upstream openai: key_env: the environment variable NOT_SET is not set or empty",
    )


def test_a_plan_shows_no_secret(config: Path) -> None:
    config.write_text('[auth]\ntoken_env = "TOKEN"')
    found = planned(config, environ={**KEY, **PASSWORD, "TOKEN": "hunter2"})
    assert found.access.client_keys is not None
    assert "hunter2" not in repr(found.access.client_keys())
    assert "hunter2" not in repr(found)


def test_the_same_process_plans_again_and_sees_what_has_changed(config: Path) -> None:
    config.write_text("hold_seconds = 3")
    first = planned(config)
    assert planned(config) == first
    config.write_text("hold_seconds = 0")
    assert faults(config) == (f"{config}: hold_seconds: must be more than 0, not 0",)
    config.write_text("hold_seconds = 4")
    assert (planned(config).settings.hold_seconds, first.settings.hold_seconds) == (4, 3)


ALONE = """
import os, sys
# As systemd says that the descriptor 3 is a listening socket; it is not looked at here.
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="relay")
from relay.config.plan import Flags, Plan, plan
listen = ("tcp:80", "systemd:domain=INET:index=0", "systemd:domain=INET:name=relay")
for _ in range(2):
    found = plan(None, Flags(demo=True, listen=listen), {})
    assert isinstance(found, Plan), found
assert "twisted.internet.reactor" not in sys.modules
"""


def test_no_reactor_is_installed_not_even_for_adopted_sockets() -> None:
    subprocess.run([sys.executable, "-c", ALONE], check=True, timeout=SECONDS)
