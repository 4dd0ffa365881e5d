"""
The models that the settings name, in the shape of OpenAI's C{GET /v1/models}.

Source: OpenAI's API reference, "Models": "List models" and "Retrieve model".
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import unquote

from relay.admission.grant import Grant
from relay.rules.refusals import refuse
from relay.upstreams.upstream import Upstream
from relay.web.page import Page, PlainRequest, refused

UNNAMED = "The settings name no such model; ask for {base}/v1/models to see those."

Model = dict[str, str | int]


def named_by(upstreams: Iterable[Upstream]) -> dict[str, Model]:
    """
    Each model that an upstream's C{models} name, as an object of OpenAI's shape, by its name.

    The relay does not know when a model was made, so C{created} is 0. The first upstream that
    serves it owns it.
    """
    found: dict[str, Model] = {}
    for upstream in upstreams:
        for name in upstream.models:
            model: Model = {"object": "model", "created": 0, "owned_by": upstream.name}
            found.setdefault(name, {"id": name, **model})
    return found


def models_page(
    models: dict[str, Model], grant: Grant, name: str | None, base_path: str = ""
) -> Page:
    """
    The page of all models that the grant allows, or of one.

    @param name: the model's, as it stands in the path.
    @param base_path: what stands before the path that a refusal names.
    """

    def answer(request: PlainRequest) -> bytes:
        if request.method not in (b"GET", b"HEAD"):
            return refused(request, refuse("method_not_allowed", "Ask for this with GET."))
        own = {name: model for name, model in models.items() if grant.bounds.allows_model(name)}
        found = own.get(unquote(name)) if name else {"object": "list", "data": [*own.values()]}
        if found is None:
            return refused(request, refuse("not_found", UNNAMED.format(base=base_path)))
        request.setHeader("Content-Type", "application/json")
        request.setHeader("Cache-Control", "no-store")
        return json.dumps(found).encode("ascii") + b"\n"

    return Page(answer)
