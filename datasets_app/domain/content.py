"""What the content of an example is: the document that is hashed, and the fields that people see.

Parts that hold their default are left out, so an example has one content and one hash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from datasets_app.domain.canonical import canonical_text

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


REDACTED_KEY = "redacted"


def tombstone(blob_hash_hex: str, reason: str, at: str) -> str:
    """The text that stands in the place of a redacted content."""
    return canonical_text({REDACTED_KEY: True, "hash": blob_hash_hex, "reason": reason, "at": at})


def is_tombstone(document: Any) -> bool:
    return isinstance(document, dict) and document.get(REDACTED_KEY) is True and "type" not in document
