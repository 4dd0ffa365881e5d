"""Certificates of loopback."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificates:
    """
    For the relay's listener, and for upstreams.

    @ivar ca_file: of the authority.
    @ivar file: certificate and private key.
    @ivar server: has them.
    @ivar client: trusts them.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        self.ca_file, self.file = folder / "ca.pem", folder / "loopback.pem"
        authority.cert_pem.write_to_path(str(self.ca_file))
        issued.private_key_and_cert_chain_pem.write_to_path(str(self.file))
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issued.configure_cert(self.server)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)
