"""The UUID of an example, for life: from its id from outside, or else from its input and how often that came before."""

from __future__ import annotations

import hashlib
import uuid


def _uuid5(namespace: uuid.UUID, name: bytes) -> uuid.UUID:
    """As uuid.uuid5 (RFC 9562, version 5), from bytes."""
    digest = hashlib.sha1(namespace.bytes + name, usedforsecurity=False).digest()
    return uuid.UUID(bytes=digest[:16], version=5)


def uuid_of_external_id(dataset: uuid.UUID, external_id: str) -> uuid.UUID:
    return _uuid5(dataset, b"id:" + external_id.encode())


def uuid_of_input(dataset: uuid.UUID, canonical_input: bytes, occurrence: int = 0) -> uuid.UUID:
    """`occurrence` counts equal inputs before this one, so the same file twice names the same examples."""
    if occurrence:
        return _uuid5(dataset, b"input:%d:" % occurrence + canonical_input)
    return _uuid5(dataset, b"input:" + canonical_input)
