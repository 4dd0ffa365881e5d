"""Three relays behind HAProxy with Redis, by the files of the page on fleets, as processes."""

from __future__ import annotations

import json
import re
import shutil
import socket
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from e2e.test_pressure import UPGRADE
from page_proxies import is_ready
from processes import SECONDS, TWISTD, closed_port, running, until
from redis_server import needed

from relay.config.access import hash_of

PAGE = (Path(__file__).parents[2] / "docs" / "fleet.md").read_text("utf-8")

RELAYS = ("10.0.0.11", "10.0.0.12", "10.0.0.13")
STORE, BALANCER = "10.0.0.20", "10.0.0.10"

KEY = "k" * 43
LIMIT, CLIENTS = 4, 12


def fence(beginning: str) -> str:
    """The file on the page that begins so."""
    found = re.findall(r"^```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (text,) = (each for each in found if each.startswith(beginning))
    return str(text)


def replaced(text: str, **others: str) -> str:
    """The text with each of these, which must be there, as something else."""
    for old, new in others.items():
        assert old in text, f"the page has no {old}"
        text = text.replace(old, new)
    return text


def told(admin: int) -> dict[str, object]:
    """What a relay's page on readiness says of its fleet."""
    url = f"http://127.0.0.1:{admin}/readyz"
    with suppress(URLError, ConnectionError), urlopen(url) as answer:
        return dict(json.loads(answer.read())["fleet"])
    return {}


def asked(port: int) -> tuple[int, socket.socket]:
    """The status of an upgrade, and its connection."""
    wire = socket.create_connection(("127.0.0.1", port))
    head = UPGRADE.replace(b"/v1/realtime", b"/v1/realtime?model=m").replace(
        b"\r\n\r\n", b"\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n\r\n"
    )
    wire.sendall(head)
    return int(wire.recv(4096).split()[1]), wire


def is_refused(port: int) -> bool:
    """Whether a relay does not take the key any more."""
    status, wire = asked(port)
    wire.close()
    return status == 401


def written(
    folder: Path, front: int, store: int, ports: Sequence[int], admins: Sequence[int]
) -> None:
    """The files of the page, and the secrets that they name, with these ports."""
    redis = replaced(fence("bind"), **{STORE: "127.0.0.1", "PASSWORD": "secret"})
    (folder / "redis.conf").write_text(f"{redis}port {store}\ndir {folder}\n")
    places = {f"{host}:8080": f"127.0.0.1:{port}" for host, port in zip(RELAYS, ports, strict=True)}
    places[":443 ssl crt /etc/haproxy/relay.example.com.pem"] = f"127.0.0.1:{front}"
    (folder / "haproxy.cfg").write_text(replaced(fence("defaults"), **places))
    for number, (port, admin) in enumerate(zip(ports, admins, strict=True)):
        own = folder / f"relay{number}"
        own.mkdir()
        for name, text in {"redis.password": "secret", "signing.key": "s" * 40}.items():
            (own / name).write_text(text)
            (own / name).chmod(0o600)
        (own / "keys.toml").write_text(f'[[key]]\nname = "shop"\nhash = "{hash_of(KEY)}"\n')
        settings = replaced(
            fence('listen = ["tcp:8080"]'),
            **{
                "tcp:8080": f"tcp:{port}:interface=127.0.0.1",
                f"{BALANCER}/32": "127.0.0.1/32",
                "/etc/realtime-relay": str(own),
                "subject_sessions = 500": f"subject_sessions = {LIMIT}",
                f"{STORE}:6379": f"127.0.0.1:{store}",
            },
        )
        admin_line = f'admin = "tcp:{admin}:interface=127.0.0.1"\n'
        (own / "relay.toml").write_text(admin_line + settings)


def test_three_relays_behind_haproxy_are_one(tmp_path: Path) -> None:
    needed()
    if shutil.which("haproxy") is None:
        pytest.skip("not installed: haproxy")
    front, store, *others = (closed_port() for _ in range(8))
    ports, admins = others[:3], others[3:]
    written(tmp_path, front, store, ports, admins)
    relay = [*TWISTD, "-n", "--pidfile=", "realtime-relay", "--demo", "--config"]
    commands = [
        ["redis-server", str(tmp_path / "redis.conf")],
        *([*relay, str(tmp_path / f"relay{number}" / "relay.toml")] for number in range(3)),
        ["haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")],
    ]
    with ExitStack() as stack:
        for command in commands:
            stack.enter_context(running(command, tmp_path))
        until(lambda: all(told(each).get("state") == "up" for each in admins))
        until(lambda: is_ready(front))
        answers = [asked(front) for _ in range(CLIENTS)]
        for _, wire in answers:
            stack.callback(wire.close)
        assert Counter(status for status, _ in answers) == {101: LIMIT, 429: CLIENTS - LIMIT}
        assert [told(each)["relays"] for each in admins] == [3, 3, 3]
        over = Request(f"http://127.0.0.1:{admins[0]}/sessions?subject=shop", method="DELETE")
        with urlopen(over) as answer:
            assert answer.status == 202
        for status, wire in answers:
            if status == 101:
                wire.settimeout(SECONDS)
                said = b""
                while b"revoked" not in said:  # at whichever relay it is
                    said += wire.recv(4096) or pytest.fail(f"it ended with {said!r}")
        # Taken out on one relay, the key is refused on those whose file still has it.
        (tmp_path / "relay0" / "keys.toml").write_text("")
        for port in ports:
            until(partial(is_refused, port))
