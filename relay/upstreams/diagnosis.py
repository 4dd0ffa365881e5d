"""
What C{realtime-relay check} says of an upstream: how far the dial came, how fast, and what is
likely wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import get_args

from attrs import frozen

from relay.rules.refusals import Refusal, Stage

STAGES: tuple[Stage, ...] = tuple(each for each in get_args(Stage) if each != "response")

_BY_ERROR = {
    "ConnectionRefusedError": "Nothing listens there; look at the port in the URL.",
    "NoRouteError": "This machine has no route to that address; look at its network.",
    "EMFILE": "This process may not open more files; look at its limit, as by ulimit -n.",
    "NoThread": "This process may not start more threads; look at its limit, as by ulimit -u.",
    "EADDRNOTAVAIL": "No local port is left; look at net.ipv4.ip_local_port_range.",
    "certificate has expired": "Its certificate has expired; its operator must renew it.",
    "certificate is not yet valid": "Its certificate is not yet valid; look at this clock too.",
    "self-signed certificate": "Its certificate is self-signed; name it in ca_file.",
    "self-signed certificate in certificate chain": "Its authority is private; name it in ca_file.",
    "unable to get local issuer certificate": "Its authority is unknown; name it in ca_file.",
    "VerificationError": "Its certificate is for another host; look at the host in the URL.",
    "wrong version number": "It does not speak TLS there; is the URL ws://, or the port wrong?",
    "packet length too long": "It does not speak TLS there; is the URL ws://, or the port wrong?",
    "record layer failure": "It does not speak TLS there; is the URL ws://, or the port wrong?",
}

_NOT_OURS = "It does not accept the relay's certificate; look at client_certificate and its issuer."

_BY_ALERT = {
    "certificate required": "It wants a certificate; name the relay's in client_certificate.",
    "handshake failure": "It finds no common TLS version or cipher, or wants a client_certificate.",
    "unknown ca": _NOT_OURS,
    "bad certificate": _NOT_OURS,
    "certificate expired": _NOT_OURS,
    "certificate revoked": _NOT_OURS,
    "certificate unknown": _NOT_OURS,
    "unsupported certificate": _NOT_OURS,
}
"""By the end of the error's text: its beginning differs between releases of OpenSSL."""

_BY_CODE = {
    "relay_full": "This process or machine has no room for another connection; see the error.",
    "authorizer_unavailable": "The key cannot be had; see the log.",
    "upstream_dns_failed": "Its name does not resolve; look at the host in the URL and at the DNS.",
    "upstream_connect_failed": "It is down, or something between cuts the connection.",
    "upstream_tls_failed": "TLS failed; see the error.",
    "upstream_unauthorized": "The key is wrong, revoked, or may not use this API or model.",
    "upstream_quota_exhausted": "The account has no quota left; look at its billing.",
    "upstream_rate_limited": "Too many sessions or requests on this account; wait.",
    "upstream_rejected_request": "The model is wrong, or not for this API; look at its name.",
}

_BY_WORDS = {
    "incorrect_hostname": "The key is for another host, which it names; put that into url.",
}
"""By the beginning of what the upstream said: a code that tells more than the refusal's."""

_BY_STATUS = {
    400: "It is not a Realtime API, or wants TLS there; look at the URL.",
    403: "A firewall or a rule of the service keeps this machine out; ask its operator.",
    404: "There is no Realtime API at that path; look at the URL.",
    405: "There is no WebSocket at that path; look at the URL.",
    426: "There is no WebSocket at that path; look at the URL.",
}

_BY_PROXY = {
    "HTTP 407": "The proxy wants a user and password; give them in the URL in HTTPS_PROXY.",
    "HTTP 4": "The proxy does not let the relay connect to that host and port; look at its rules.",
    "HTTP ": "The proxy cannot connect to the upstream; look at the URL, and at the proxy's log.",
    "no HTTP": "No HTTP proxy answers there; look at proxy, or at HTTPS_PROXY.",
    "ConnectionDone": "The proxy hangs up; is it one, and does it know this machine?",
    "ConnectionLost": "The proxy hangs up; is it one, and does it know this machine?",
    "": "The proxy cannot be reached; look at proxy, or at HTTPS_PROXY.",
}
"""By the beginning of the error's text; the first row that fits counts."""

_BY_SILENCE: dict[Stage | None, str] = {
    "dns": "The DNS does not answer.",
    "proxy": "The proxy does not answer, or waits in vain for the upstream.",
    "tcp": "The address does not answer; a firewall may drop the packets.",
    "tls": "It accepts connections but does not speak TLS; look at the port.",
    "upgrade": "It accepts connections but does not answer HTTP; look at the port.",
    "first_event": "It opens WebSockets but says nothing; is provider right?",
    "response": "It takes a request and does not answer it; see its operator's status page.",
}


@frozen
class Finding:
    """
    The result of dialling one upstream.

    @ivar stages: seconds that each completed stage took.
    @ivar refusal: why it did not open; L{None} if it opened.
    @ivar stage: the stage at which it was refused; L{None} if it opened.
    @ivar error: the name of the error below.
    @ivar path: the path that was asked for, if the URL does not say it in whole.
    """

    upstream: str
    url: str
    stages: dict[Stage, float]
    refusal: Refusal | None = None
    stage: Stage | None = None
    error: str | None = None
    path: str | None = None

    @property
    def cause(self) -> str | None:
        """The likely cause in one sentence."""
        if self.refusal is None:
            return None
        status = self.refusal.upstream.status if self.refusal.upstream else None
        if self.refusal.code == "upstream_timeout":
            return _BY_SILENCE.get(self.stage)
        if self.stage == "proxy" and self.refusal.code == "upstream_connect_failed":
            return next(_BY_PROXY[at] for at in _BY_PROXY if (self.error or "").startswith(at))
        if self.error in _BY_ERROR:
            return _BY_ERROR[self.error]
        alert = (self.error or "").rpartition(" alert ")[2]
        if alert in _BY_ALERT:
            return _BY_ALERT[alert]
        by_words = (_BY_WORDS[at] for at in _BY_WORDS if self.refusal.said.startswith(at))
        if (cause := next(by_words, None)) is not None:
            return cause
        if (self.error or "").startswith("a 101 "):
            return "It speaks HTTP, but no WebSocket as it was asked for; see the message."
        if self.refusal.code in _BY_CODE:
            return _BY_CODE[self.refusal.code]
        if status in _BY_STATUS:
            return _BY_STATUS[status]
        if self.refusal.retryable:
            return "It is failing; see its operator's status page."
        if self.stage == "first_event":
            return "It is a Realtime API, and says itself what it wants; see the message."
        return "It is not a Realtime API; look at the URL."


def as_json(finding: Finding) -> dict[str, object]:
    """The finding for programs; times are in milliseconds."""
    return {
        "upstream": finding.upstream,
        "url": finding.url,
        "ok": finding.refusal is None,
        "stages": {stage: round(1000 * took, 1) for stage, took in finding.stages.items()},
        **failure_as_json(finding),
        "said": (finding.refusal and finding.refusal.said) or None,
    }


def failure_as_json(finding: Finding) -> dict[str, object]:
    """The failure alone, for programs; all is L{None} if there is none."""
    refusal = finding.refusal
    facts = refusal.upstream if refusal else None
    return {
        "stage": finding.stage,
        "code": refusal and refusal.code,
        "status": facts and facts.status,
        "message": refusal and refusal.message,
        "cause": finding.cause,
        "error": finding.error,
    }


def _columns(findings: Iterable[Finding]) -> list[Stage]:
    """All stages; the proxy's only if an upstream has one."""
    by_proxy = any("proxy" in (*finding.stages, finding.stage) for finding in findings)
    return [stage for stage in STAGES if stage != "proxy" or by_proxy]


def _cells(finding: Finding, columns: Iterable[Stage]) -> list[str]:
    times = (
        f"{1000 * finding.stages[stage]:.0f} ms"
        if stage in finding.stages
        else ("failed" if stage == finding.stage else "")
        for stage in columns
    )
    result = finding.refusal.code if finding.refusal else "open"
    return [finding.upstream, *times, result]


def _aligned(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()


def as_table(findings: Sequence[Finding]) -> str:
    """The findings for people: a line each, then what is wrong with those that failed."""
    columns = _columns(findings)
    header = ["upstream", *(stage.replace("_", " ") for stage in columns), "result"]
    lines = [*_aligned([header, *(_cells(finding, columns) for finding in findings)])]
    for finding in findings:
        if finding.refusal is not None:
            error = f" ({finding.error})" if finding.error else ""
            asked = f" (asked for {finding.path})" if finding.path else ""
            lines += ["", f"{finding.upstream}: {finding.url}{asked}"]
            lines.append(f"  {finding.refusal.message}{error}")
            if finding.refusal.said:
                lines.append(f"  It said: {finding.refusal.said}")
            lines.append(f"  Likely cause: {finding.cause}")
    return "\n".join(lines)
