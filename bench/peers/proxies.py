"""nginx and HAProxy: bytes from socket to socket, in C. One worker each."""

from __future__ import annotations

import resource
from functools import partial

from bench.peers.place import Peer, Place, first_line, lacks_program

# Who vouches for the upstream is not checked: it costs at the handshake only, and the handshakes
# that are measured are those without TLS.

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{
    worker_connections {connections};
}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass {scheme}://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
"""

HAPROXY = """\
global
    nbthread 1
    maxconn {sessions}
defaults
    mode http
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend downstream
    bind 127.0.0.1:{port}
    default_backend upstream
backend upstream
    server echo 127.0.0.1:{upstream}{tls}
"""


def _descriptors() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _nginx_command(place: Place) -> list[str]:
    text = NGINX.format(
        folder=place.folder,
        port=place.port,
        connections=_descriptors() - 50,
        scheme="https" if place.upstream.tls else "http",
        upstream=place.upstream.port,
    )
    return ["nginx", "-e", "stderr", "-p", str(place.folder), "-c", place.write("nginx.conf", text)]


def _haproxy_command(place: Place) -> list[str]:
    text = HAPROXY.format(
        port=place.port,
        sessions=(_descriptors() - 100) // 2,
        upstream=place.upstream.port,
        tls=" ssl verify none alpn http/1.1" if place.upstream.tls else "",
    )
    return ["haproxy", "-db", "-f", place.write("haproxy.cfg", text)]


NGINX_PEER = Peer(
    "nginx", _nginx_command, partial(lacks_program, "nginx"), partial(first_line, "nginx", "-v")
)
HAPROXY_PEER = Peer(
    "haproxy",
    _haproxy_command,
    partial(lacks_program, "haproxy"),
    partial(first_line, "haproxy", "-v"),
)
