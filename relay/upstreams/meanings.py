"""
What the error codes of upstreams mean: exact codes, by kind of upstream.

Source: OpenAI's Realtime guide (WebSocket), and its answers as observed; the guide to the same of
Azure OpenAI.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.rules.refusals import RefusalCode

COMMON: Mapping[str, RefusalCode] = {
    **dict.fromkeys(
        ("invalid_api_key", "account_deactivated", "invalid_organization"), "upstream_unauthorized"
    ),
    **dict.fromkeys(
        ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active"),
        "upstream_quota_exhausted",
    ),
    "rate_limit_exceeded": "upstream_rate_limited",
}
"""What a code means at every upstream."""

OPENAI: Mapping[str, RefusalCode] = {
    **COMMON,
    **dict.fromkeys(
        (
            "invalid_model",
            "missing_model",
            "model_not_found",
            "invalid_intent",
            "missing_intent",
            "invalid_call_id",
            "beta_api_shape_disabled",
        ),
        "upstream_rejected_request",
    ),
}

AZURE: Mapping[str, RefusalCode] = {
    **OPENAI,
    **dict.fromkeys(("DeploymentNotFound", "OperationNotSupported"), "upstream_rejected_request"),
}
