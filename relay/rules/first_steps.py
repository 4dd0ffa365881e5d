"""What the operator does first about each code of a refusal: as in docs/runbook.md."""

from __future__ import annotations

from relay.rules.refusals import RefusalCode

FIRST: dict[RefusalCode, str] = {
    "bad_request": "Read that, and mend the client or the proxy that writes the request.",
    "unauthorized": (
        "See whether it is one client or all. For one, make it a new key; for all, look at "
        "keys_file and at the issuers in the settings."
    ),
    "origin_not_allowed": "Add the page's origin to origins, with its scheme and port.",
    "host_not_allowed": "Add the name that clients use for the relay to hosts.",
    "model_not_allowed": (
        "If clients should have it, add it to models of an upstream, or of the client's key."
    ),
    "not_found": "Compare the path with those that the relay serves, and with base_path.",
    "method_not_allowed": "Let the client open a WebSocket, by GET.",
    "upgrade_required": (
        "If it is a plain WebSocket client, look whether the proxy before the relay forwards "
        "Upgrade and Connection."
    ),
    "request_timeout": (
        "Nothing for single ones. If they are many, see whether a balancer probes with bare TCP "
        "connections, and let it ask for /healthz."
    ),
    "head_too_large": "Look for large cookies or tokens in the client's headers.",
    "body_too_large": "Let the client send only the session's settings.",
    "too_many_sessions": (
        "See who it is by GET /sessions?subject=NAME. If they are many people behind one address, "
        "raise that limit."
    ),
    "rate_limited": (
        "If it is short_sessions, look in the log why that client's sessions end within seconds. "
        "Otherwise look for a client that connects in a loop."
    ),
    "budget_exhausted": (
        "See in the log's lines of its sessions what that client spent. If it is to have more, "
        "raise the budget of its key, or for all."
    ),
    "internal_error": (
        "Read the traceback. If a hook of your own (admit, credential) raised, mend that; else "
        "report a bug with the traceback."
    ),
    "not_supported": "Let the client use its SDK's WebSocket transport; the page on SDKs says how.",
    "upstream_dns_failed": (
        "Look up the host of the upstream's url on the relay's machine, as by getent hosts "
        "api.openai.com."
    ),
    "upstream_connect_failed": (
        "Run realtime-relay check. If the stage is proxy, look at the proxy before the upstream."
    ),
    "upstream_tls_failed": (
        "Run realtime-relay check and do what its likely cause says, such as ca_file for a "
        "private authority."
    ),
    "upstream_unauthorized": (
        "Read what the upstream said in the log, then put a good key where key_file or key_env of "
        "the upstream points."
    ),
    "upstream_refused": (
        "Read the upstream's words in the log. With 5xx look at its status page, with 403 for a "
        "firewall, and with 404 at the url."
    ),
    "upstream_rejected_request": (
        "Compare the model in the log's line with those that the upstream has."
    ),
    "upstream_quota_exhausted": (
        "Look at the billing of the upstream's account, and raise its limit or pay."
    ),
    "upstream_rate_limited": (
        "Compare relay_sessions_active with the limits of the upstream's account, and ask for "
        "higher ones or set max_sessions of the upstream."
    ),
    "authorizer_unavailable": (
        "Look at the callback's service, at the issuer's jwks_url, or at the file or command that "
        "the upstream's key comes from."
    ),
    "limits_unavailable": (
        "Look at fleet in /readyz, which says why the store is away, and mend the store. Until "
        "then, mode local or open lets clients in."
    ),
    "upstream_unavailable": (
        "Read the cause in /readyz or in relay_breaker_cause, and go to the entry of that code."
    ),
    "relay_full": (
        "If there is such an error, raise that limit of the process or machine, as by "
        "LimitNOFILE. Otherwise raise sessions, max_sessions of the upstream, or the number of "
        "relays."
    ),
    "draining": (
        "Nothing, if you restart it. If it lasts, look why no other relay takes the clients."
    ),
    "upstream_timeout": (
        "Run realtime-relay check, and look at relay_failed_attempts_total for the stage."
    ),
}
"""By the code, without markup; the dashboard shows them beside a refusal."""
