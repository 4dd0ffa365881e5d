"""Who is measured: this relay, and what else can stand in its place."""

from __future__ import annotations

from bench.loads import WORKERS
from bench.peers.proxies import HAPROXY_PEER, NGINX_PEER
from bench.peers.pumps import AIOHTTP_PEER, NODE_PEER, PLAIN_PEER, WEBSOCKETS_PEER
from bench.peers.relays import POLICY, relay

PEERS = (
    relay("splice", {"plane": "splice", "admin": ""}),
    relay("message", {"plane": "message", "admin": ""}),
    relay(WORKERS, {"plane": "splice", "admin": "", "workers": 2}),
    PLAIN_PEER,
    NGINX_PEER,
    HAPROXY_PEER,
    NODE_PEER,
    AIOHTTP_PEER,
    WEBSOCKETS_PEER,
)
"""In the order they run."""

EXTRA = (
    relay("relay", {"admin": ""}),
    relay("policy", {"admin": ""}, policy=POLICY),
)
"""Not measured unless asked for: the relay with the plane it takes by itself; and with a policy."""
