"""An answer as a labeler sent it, checked for itself before anything is locked."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from datasets_app.domain.canonical import canonical_text
from datasets_app.domain.strict_json import check_value
from goldenproject.kit.errors import BadInput
from labeling_app.models import Source
from labeling_app.services.keeping import checked_key, checked_text

_MAX_DURATION_MS = 2**31 - 1
_GIVEN = (Source.HUMAN, Source.ACCEPTED)


@dataclass(frozen=True)
class GivenAnswer:
    """What a labeler sent, checked for itself."""

    lease_id: uuid.UUID
    labeler: Any
    value: Any
    text: str
    confidence: float | None
    notes: str
    duration_ms: int | None
    key: str | None
    content_hash: bytes | None
    schema_digest: str | None
    source: str


def checked_answer(
    lease_id: uuid.UUID,
    labeler: Any,
    value: Any,
    confidence: float | None,
    notes: str,
    duration_ms: int | None,
    key: str | None,
    shown: str | bytes | None,
    schema_digest: str | None,
    source: str,
) -> GivenAnswer:
    """Return the answer with what it says checked. Raises InvalidJson, BadInput. `shown`: the input's hash, hexadecimal or not."""
    check_value({"value": value})
    if confidence is not None and not (
        isinstance(confidence, int | float) and not isinstance(confidence, bool) and 0 <= confidence <= 1
    ):
        raise BadInput(f"Confidence: found {confidence!r}, expected a number from 0 to 1, or none.")
    if duration_ms is not None and not 0 <= duration_ms <= _MAX_DURATION_MS:
        raise BadInput(
            f"duration_ms: found {duration_ms}, expected milliseconds from 0 to {_MAX_DURATION_MS}."
        )
    if source not in _GIVEN:
        raise BadInput(f"Source: found “{source}”, expected one of {', '.join(_GIVEN)}.")
    if isinstance(shown, str):
        try:
            shown = bytes.fromhex(shown)
        except ValueError as error:
            raise BadInput(
                "content_hash: expected the hexadecimal digits that the task came with."
            ) from error
    return GivenAnswer(
        lease_id=lease_id,
        labeler=labeler,
        value=value,
        text=canonical_text(value),
        confidence=None if confidence is None else round(float(confidence), 4),
        notes=checked_text("Notes", notes),
        duration_ms=duration_ms,
        key=checked_key(key),
        content_hash=shown,
        schema_digest=schema_digest,
        source=source,
    )
