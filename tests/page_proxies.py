"""nginx and HAProxy, with the configurations of the page on proxies."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
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

HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
frontend in
    bind 127.0.0.1:PORT
    default_backend relay
"""


def _of_page(language: str, beginning: str, relays: tuple[int, int]) -> str:
    """The configuration on the page that begins so, with these relays."""
    text = PAGE.read_text("utf-8")
    fences = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    found: str = next(each for each in fences if each.startswith(beginning))
    for on_page, port in zip((8080, 8081), relays, strict=True):
        assert f"127.0.0.1:{on_page}" in found
        found = found.replace(f"127.0.0.1:{on_page}", f"127.0.0.1:{port}")
    return found


def nginx(
    folder: Path, port: int, relays: tuple[int, int], certified: Authority | None = None
) -> list[str]:
    """
    The command of nginx at this port.

    @param certified: its certificate; without one, TLS is left out.
    """
    text = _of_page("nginx", "upstream relay", relays)
    if certified is None:
        text = text.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
        text = re.sub(r"^ *ssl_certificate.*\n", "", text, flags=re.MULTILINE)
    else:
        text = text.replace("listen 443", f"listen 127.0.0.1:{port}")
        text = text.replace("/etc/ssl/relay.example.com.pem", str(certified.certificate))
        text = text.replace("/etc/ssl/relay.example.com.key", str(certified.key))
    config = folder / "nginx.conf"
    config.write_text(NGINX.replace("FOLDER", str(folder)) + text + "}\n", "utf-8")
    command = ["nginx", "-e", "stderr", "-p", str(folder), "-c", str(config)]
    return [*command, "-g", "daemon off; master_process off;"]


def haproxy(folder: Path, port: int, relays: tuple[int, int]) -> list[str]:
    """The command of HAProxy at this port."""
    text = _of_page("text", "backend relay", relays)
    config = folder / "haproxy.cfg"
    config.write_text(HAPROXY.replace("PORT", str(port)) + text, "utf-8")
    return ["haproxy", "-db", "-f", str(config)]


def is_ready(port: int) -> bool:
    """Whether a relay, or a proxy with one, answers here."""
    url = f"http://127.0.0.1:{port}/readyz"
    with suppress(URLError, ConnectionError), urlopen(url) as answer:
        return bool(answer.status == 200)
    return False
