"""The text of an example: what an embedding model reads of it. Defined here and nowhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from datasets_app.domain.canonical import canonical_text


def example_text(input_data: Any) -> str:
    """Return the strings and numbers of an input, a line each, in the order of its canonical JSON (RFC 8785).

    Names of fields, true, false and null say nothing about what an example is about, so they are left out; so are
    strings of blanks. Numbers are written canonically: 75.0 is 75. An input without any text gives "".
    """
    return "\n".join(_leaves(input_data))


def text_hash(text: str) -> bytes:
    """Return the SHA-256 of an example's text: 32 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if text := value.strip():
            yield text
    elif isinstance(value, dict):
        for key in sorted(value, key=_canonical_order):
            yield from _leaves(value[key])
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield canonical_text(value)


def _canonical_order(key: str) -> bytes:
    """Order keys by their UTF-16 code units, as RFC 8785 does."""
    return key.encode("utf-16-be", "surrogatepass")
