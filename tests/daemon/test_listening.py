"""What is known of a place where the relay listens."""

from __future__ import annotations

import attrs
from twisted.internet.address import IPv4Address, UNIXAddress

from relay.config.settings import ListenerTable
from relay.daemon.listening import url_of


def test_the_url_of_a_listener_says_where_it_is_found() -> None:
    v4 = IPv4Address("TCP", "10.0.0.1", 443)
    plain = ListenerTable(endpoint="systemd:domain=INET:index=0")
    assert url_of(plain, v4, "") == "http://10.0.0.1:443"
    assert url_of(attrs.evolve(plain, certificate="c", key="k"), v4, "") == "https://10.0.0.1:443"
    assert url_of(attrs.evolve(plain, endpoint="ssl:443"), v4, "") == "https://10.0.0.1:443"
    local = ListenerTable(endpoint="unix:/run/relay.sock")
    assert url_of(local, UNIXAddress("/run/relay.sock"), "/x") == "unix:/run/relay.sock"
