"""The fields of each kind of session, held against the types of OpenAI's package."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from openai.types.realtime import (
    RealtimeSessionCreateRequest,
    RealtimeTranscriptionSessionCreateRequest,
    RealtimeTranslationSessionUpdateRequest,
)
from pydantic import BaseModel

from relay.rules.session_kinds import FIELDS, lacks

TYPES: dict[str, type[BaseModel]] = {
    "realtime": RealtimeSessionCreateRequest,
    "transcription": RealtimeTranscriptionSessionCreateRequest,
    "translation": RealtimeTranslationSessionUpdateRequest,
}
NOT_LISTED = {"type", "model"}


def fields(model: Any) -> dict[str, Any]:
    """The fields of a model, also of one that may be L{None}."""
    for each in (model, *get_args(model)):
        if isinstance(each, type) and issubclass(each, BaseModel):
            return {name: field.annotation for name, field in each.model_fields.items()}
    return {}


@pytest.mark.parametrize("kind", TYPES)
def test_each_kind_has_the_fields_of_its_type(kind: str) -> None:
    above = fields(TYPES[kind])
    listed = set(above) - {"audio"} - NOT_LISTED
    for name, side in fields(above["audio"]).items():
        listed |= {f"audio.{name}.{field}" for field in fields(side)}
    assert listed == FIELDS[kind]


@pytest.mark.parametrize(
    ("kind", "path", "is_lacking"),
    [
        ("transcription", ("prompt", "id"), True),
        ("transcription", ("audio", "output", "voice"), True),
        ("transcription", ("audio", "output", "own"), False),
        ("transcription", ("mood",), False),
        ("realtime", ("instructions",), False),
        ("live", ("instructions",), False),
        ("", ("instructions",), False),
    ],
)
def test_a_kind_lacks_what_others_have(kind: str, path: tuple[str, ...], is_lacking: bool) -> None:
    assert lacks(kind, path) == is_lacking
