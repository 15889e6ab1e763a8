"""What the content of an example is: the document that is hashed, and the fields that people see.

Parts that hold their default are left out, so an example has one content and one hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets_app.domain.canonical import canonical_text, same_json
from datasets_app.domain.json_path import MISSING, get_path

PENDING = "pending"


@dataclass(frozen=True)
class Content:
    """The content of an example. JSON values as Python holds them; `labels`, `metadata`, `provenance` are objects."""

    type: str
    input: Any
    output: Any = None
    labels: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    source: str | None = None
    status: str = PENDING

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"type": self.type, "input": self.input}
        if self.output is not None:
            document["output"] = self.output
        if self.labels:
            document["labels"] = self.labels
        if self.metadata:
            document["metadata"] = self.metadata
        if self.provenance:
            document["provenance"] = self.provenance
        if self.source is not None:
            document["source"] = self.source
        if self.status != PENDING:
            document["status"] = self.status
        return document

    def text(self) -> str:
        """The canonical text, whose SHA-256 is the content hash."""
        return canonical_text(self.document())

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Content:
        return cls(**document)


# Where the provenance of an example tells which labels gave it its answer, and of which part if not of all ("field").
LABEL_KEY = "label"


def provenance_after_edit(provenance: dict[str, Any], before: Any, after: Any) -> dict[str, Any]:
    """Return the provenance of an example whose output somebody edits: what labels gave and is gone is told no longer."""
    label = provenance.get(LABEL_KEY)
    if label is None:
        return provenance
    name = label.get("field") if isinstance(label, dict) else None
    path = tuple(name.split(".")) if name else ()
    old, new = (get_path(output, path) for output in (before, after))
    if old is new or (MISSING not in (old, new) and same_json(old, new)):
        return provenance
    return {key: value for key, value in provenance.items() if key != LABEL_KEY}


REDACTED_KEY = "redacted"


def tombstone(blob_hash_hex: str, reason: str, at: str) -> str:
    """The text that stands in the place of a redacted content."""
    return canonical_text({REDACTED_KEY: True, "hash": blob_hash_hex, "reason": reason, "at": at})


def is_tombstone(document: Any) -> bool:
    """Tell whether a JSON value is what a redaction left, and not somebody's own that looks a little like it."""
    return (
        isinstance(document, dict)
        and document.get(REDACTED_KEY) is True
        and document.keys() == {REDACTED_KEY, "hash", "reason", "at"}
    )
