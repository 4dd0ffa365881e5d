"""The table of the store that a fleet shares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relay.config import fleet as module
from relay.config.advice import advice_on
from relay.config.fleet import fleet_source
from relay.config.fleet_table import FleetTable, StoreAddress
from relay.config.keys import KeyFault
from relay.config.load import SettingsError, load
from relay.config.plan import Flags, Plan, plan


def faults(text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(f"[fleet]\n{text}")
    return caught.value.faults


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://store.example", StoreAddress("store.example", 6379, False, None, 0)),
        ("rediss://[::1]:7000/3", StoreAddress("::1", 7000, True, None, 3)),
        ("redis://re%40lay@10.0.0.1/", StoreAddress("10.0.0.1", 6379, False, "re@lay", 0)),
    ],
)
def test_a_url_says_where_the_store_is(url: str, address: StoreAddress) -> None:
    assert FleetTable(url=url).addresses == (address,)
    both = FleetTable(url=url, url_replica="redis://second").addresses
    assert both == (address, StoreAddress("second", 6379, False, None, 0))


@pytest.mark.parametrize(
    "url",
    [
        *("http://store.example", "redis://", "store.example:6379", "redis://store/one"),
        *(
            "redis://store:port",
            "redis://store?db=1",
            "redis://store#1",
            "redis://a b",
            "redis://[",
        ),
    ],
)
def test_anything_else_is_no_url(url: str) -> None:
    form = "must be redis:// or rediss://, as in redis://[USER@]HOST[:PORT][/NUMBER]"
    assert faults(f'url = "{url}"') == (f"[fleet]: url: {form}",)


def test_a_password_in_the_url_is_not_repeated() -> None:
    (fault,) = faults('url = "redis://relay:hunter2@store.example"')
    assert fault.startswith("[fleet]: url: keep the password out of the URL")
    assert "hunter2" not in fault


@pytest.mark.parametrize("key", ["url_replica", "password_file", "ca_file"])
def test_what_is_about_a_store_needs_one(key: str) -> None:
    (fault,) = faults(f'{key} = "redis://second"')
    assert fault == "[fleet]: url: must be set, because the rest is about the store there"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("mode = 'off'", 'mode: must be one of "closed", "open", "local", not "off"'),
        ("relays = 0", "relays: must be at least 1, not 0"),
        ("lease_seconds = 2", "lease_seconds: must be at least 3, not 2"),
    ],
)
def test_a_wrong_value_is_one_line(line: str, fault: str) -> None:
    assert faults(line) == (f"[fleet]: {fault}",)


def test_without_a_url_there_is_no_store() -> None:
    assert fleet_source(FleetTable()) is None


def test_the_password_is_that_of_the_file_at_each_time(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("first\n")
    source = fleet_source(FleetTable(url="redis://h", password_file=str(path)))
    assert source is not None
    assert source.password is not None
    assert source.password() == "first"
    path.write_text("another\n")
    assert source.password() == "another"
    assert "another" not in repr(source)


def test_without_txredisapi_a_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(KeyFault, match=r"needs txredisapi; install realtime-relay\[fleet\]"):
        fleet_source(FleetTable(url="redis://h"))


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("password_file", "[fleet] password_file: cannot be read"),
        ("ca_file", "[fleet] ca_file: "),
    ],
)
def test_a_file_that_is_not_there_is_a_fault_of_the_plan(
    key: str, line: str, tmp_path: Path
) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(f'[fleet]\nurl = "rediss://h"\n{key} = "nowhere"\n')
    found: Any = plan(str(config), Flags(demo=True), {})
    assert not isinstance(found, Plan)
    (fault,) = found
    assert fault.startswith(line)


def test_one_relay_alone_in_its_fleet_is_hardly_meant() -> None:
    text = '[fleet]\nurl = "redis://h"\n'
    (advice,) = advice_on(load(text))
    assert advice.startswith("[fleet]: relays: 1: say how many there are")
    assert not [*advice_on(load(f"{text}relays = 2\n"))]


def test_txredisapi_is_imported_only_where_a_store_is_named() -> None:
    code = "import sys, relay, relay.daemon.service; sys.exit('txredisapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
