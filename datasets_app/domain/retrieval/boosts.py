"""Boosts from a chunk's metadata: factors on the fused score, each switched on by a weight of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets_app.domain.retrieval.english import terms


@dataclass(frozen=True)
class Boosts:
    """Which metadata lifts a chunk, and how much. The default boosts nothing.

    `title` and `path` are weights ≥ 0: the factor is 1 + weight × share of the query's terms that stand there, so a
    weight of .5 lifts a chunk whose title has every term by half. `content_types` maps a content type to its factor,
    > 0: 1.2 lifts, .8 lowers.
    """

    title: float = 0.0
    path: float = 0.0
    content_types: Mapping[str, float] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        return bool(self.title or self.path or self.content_types)

    def violations(self) -> list[str]:
        """Return what is wrong with the weights, in words; empty when nothing is."""
        found = [
            f"the boost “{name}” is {value!r}; expected a number of 0 or more"
            for name, value in (("title", self.title), ("path", self.path))
            if not _number(value) or value < 0
        ]
        return found + [
            f"the boost of the content type “{name}” is {factor!r}; expected a number above 0"
            for name, factor in self.content_types.items()
            if not _number(factor) or factor <= 0
        ]

    def document(self) -> dict[str, Any]:
        """Return the boosts as plain JSON; `Boosts(**document)` makes them again."""
        return {"title": self.title, "path": self.path, "content_types": dict(self.content_types)}


@dataclass(frozen=True)
class Metadata:
    """What boosts look at of a chunk."""

    section_title: str
    section_path: str
    content_type: str


def factors(boosts: Boosts, query_terms: Sequence[str], chunk: Metadata) -> dict[str, float]:
    """Return the factors that apply to `chunk`, by the names title, path and content_type; those of 1 are left out."""
    wanted = frozenset(query_terms)
    found: dict[str, float] = {}
    if boosts.title:
        found["title"] = 1.0 + boosts.title * _share(wanted, chunk.section_title)
    if boosts.path:
        found["path"] = 1.0 + boosts.path * _share(wanted, _words_of_path(chunk.section_path))
    found["content_type"] = boosts.content_types.get(chunk.content_type, 1.0)
    return {name: factor for name, factor in found.items() if factor != 1.0}


def _share(wanted: frozenset[str], text: str) -> float:
    """Return which share of the wanted terms stands in `text`, 0 to 1; 0 when no term is wanted."""
    if not wanted or not text:
        return 0.0
    return len(wanted.intersection(terms(text))) / len(wanted)


def _words_of_path(path: str) -> str:
    """Take a path like library/json.html#json.dumps apart into words."""
    return "".join(c if c.isalnum() else " " for c in path)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
