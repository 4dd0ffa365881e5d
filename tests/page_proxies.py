"""nginx, HAProxy and Caddy, with the configurations of the page on proxies."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from textwrap import dedent
from urllib.error import URLError
from urllib.request import urlopen

from e2e.relays import Authority

PAGE = Path(__file__).parents[1] / "docs" / "behind.md"

NGINX = """
pid FOLDER/nginx.pid;
error_log stderr;
events { worker_connections 4096; }
http {
    access_log off;
    client_body_temp_path FOLDER/1; proxy_temp_path FOLDER/2; fastcgi_temp_path FOLDER/3;
    uwsgi_temp_path FOLDER/4; scgi_temp_path FOLDER/5;
"""

CADDY = """
{
    admin off
    auto_https disable_redirects
    default_bind 127.0.0.1
    storage file_system FOLDER
}
"""

PATIENT = "1h"
"""The page's time-out of what is silent."""


def _of_page(language: str, beginning: str, relays: tuple[int, int]) -> str:
    """The configuration on the page that begins so, with these relays."""
    found = next(each for each in fences(language) if each.startswith(beginning))
    for on_page, port in zip((8080, 8081), relays, strict=True):
        assert f"127.0.0.1:{on_page}" in found
        found = found.replace(f"127.0.0.1:{on_page}", f"127.0.0.1:{port}")
    return found


def fences(language: str) -> list[str]:
    """What stands on the page in this language, also within a list."""
    text = PAGE.read_text("utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    return [dedent(each) for _, each in found]


def _changed(text: str, *changes: tuple[str, str]) -> str:
    """The text with each of these in place of what it names, which must be there."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx(
    folder: Path,
    port: int,
    relays: tuple[int, int],
    certified: Authority | None = None,
    idle: str = PATIENT,
    more: str = "",
) -> list[str]:
    """
    The command of nginx at this port.

    @param certified: its certificate; without one, TLS is left out.
    @param idle: how long a session may be silent.
    @param more: what else it does at the page's location.
    """
    text = _of_page("nginx", "upstream relay", relays)
    text = _changed(text, (f"read_timeout {PATIENT}", f"read_timeout {idle}"))
    text = _changed(text, ("proxy_pass http", f"{more} proxy_pass http"))
    if certified is None:
        text = _changed(text, ("listen 443 ssl", f"listen 127.0.0.1:{port}"))
        text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    else:
        text = _changed(
            text,
            ("listen 443", f"listen 127.0.0.1:{port}"),
            ("/etc/ssl/relay.example.com.pem", str(certified.certificate)),
            ("/etc/ssl/relay.example.com.key", str(certified.key)),
        )
    config = folder / "nginx.conf"
    config.write_text(NGINX.replace("FOLDER", str(folder)) + text + "}\n", "utf-8")
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]
    return [*command, "-g", "daemon off; master_process off;"]


def haproxy(
    folder: Path,
    port: int,
    relays: tuple[int, int],
    certified: Authority | None = None,
    idle: str = PATIENT,
) -> list[str]:
    """The command of HAProxy at this port; the parameters are those of L{nginx}."""
    at, secure = f"127.0.0.1:{port}", ":443 ssl crt /etc/haproxy/relay.example.com.pem"
    text = _of_page("text", "frontend relay_in", relays)
    text = _changed(text, (f"timeout tunnel {PATIENT}", f"timeout tunnel {idle}"))
    if certified is None:
        text = _changed(text, (secure, at))
    else:
        pem = folder / "haproxy.pem"
        pem.write_bytes(certified.certificate.read_bytes() + certified.key.read_bytes())
        text = _changed(text, (secure, f"{at} ssl crt {pem}"))
    config = folder / "haproxy.cfg"
    config.write_text(text, "utf-8")
    return ["haproxy", "-db", "-f", str(config)]


def caddy(
    folder: Path, port: int, relays: tuple[int, int], certified: Authority | None = None
) -> list[str]:
    """The command of Caddy at this port; the parameters are those of L{nginx}."""
    site = f"http://:{port} {{"
    if certified is not None:
        site = f"https://:{port} {{\ntls {certified.certificate} {certified.key}\n"
    text = _changed(_of_page("text", "relay.example.com {", relays), ("relay.example.com {", site))
    config = folder / "Caddyfile"
    config.write_text(CADDY.replace("FOLDER", str(folder)) + text, "utf-8")
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]


def is_ready(port: int) -> bool:
    """Whether a relay, or a proxy with one, answers here."""
    url = f"http://127.0.0.1:{port}/readyz"
    with suppress(URLError, ConnectionError), urlopen(url) as answer:
        return bool(answer.status == 200)
    return False
