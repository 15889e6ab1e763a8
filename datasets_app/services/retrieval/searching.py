"""Hybrid search over the chunks of a corpus: a lexical and a vector leg, fused, with boosts, each hit explained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from datasets_app.domain.retrieval.boosts import Boosts
from datasets_app.domain.retrieval.fusion import RRF_K
from datasets_app.errors import InvalidSearch
from datasets_app.models import Chunk, Corpus

LEXICAL, VECTOR = "lexical", "vector"
LEGS = (LEXICAL, VECTOR)
FUSIONS = ("rrf", "convex")
MAX_CANDIDATES = 1000


@dataclass(frozen=True)
class SearchOptions:
    """How to search. Raises InvalidSearch, naming everything that is wrong.

    `limit` hits of `candidates` per leg (a bigger limit raises the candidates). `legs` are lexical and vector, one or
    both; `weights` count in both fusions; `model` is the name of an embedding model (None: the current one); `exact`
    compares with every vector instead of asking the HNSW index.
    """

    limit: int = 10
    candidates: int = 100
    legs: tuple[str, ...] = LEGS
    fusion: str = "rrf"
    rrf_k: int = RRF_K
    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(LEGS, 1.0))
    boosts: Boosts = field(default_factory=Boosts)
    model: str | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "legs", tuple(self.legs))
        if found := self._violations():
            raise InvalidSearch(f"The search cannot be done: {'; '.join(found)}.", found=found)

    @property
    def depth(self) -> int:
        """How many candidates each leg is asked for."""
        return max(self.limit, self.candidates)

    def document(self) -> dict[str, Any]:
        """Return the options as plain JSON; `SearchOptions.from_document` makes them again."""
        return {
            "limit": self.limit,
            "candidates": self.candidates,
            "legs": list(self.legs),
            "fusion": self.fusion,
            "rrf_k": self.rrf_k,
            "weights": dict(self.weights),
            "boosts": self.boosts.document(),
            "model": self.model,
            "exact": self.exact,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> SearchOptions:
        """Return the options that `document` describes; what it leaves out is as by default. Raises InvalidSearch."""
        values = dict(document)
        try:
            boosts = Boosts(**values.pop("boosts", {}))
            return cls(boosts=boosts, **values)
        except TypeError as error:
            raise InvalidSearch(f"The search options {document!r} are not understood: {error}.") from error

    def _violations(self) -> list[str]:
        found = [
            f"{name} is {value!r}; expected a whole number from 1 to {most:,}"
            for name, value, most in (
                ("limit", self.limit, MAX_CANDIDATES),
                ("candidates", self.candidates, MAX_CANDIDATES),
                ("rrf_k", self.rrf_k, 1_000_000),
            )
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most
        ]
        if not self.legs or set(self.legs) - set(LEGS) or len(set(self.legs)) < len(self.legs):
            found.append(f"legs are {list(self.legs)}; expected lexical, vector or both")
        if self.fusion not in FUSIONS:
            found.append(f"fusion is {self.fusion!r}; expected rrf or convex")
        for name, weight in self.weights.items():
            if name not in LEGS:
                found.append(f"there is a weight for {name!r}; expected lexical or vector")
            elif isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1e6:
                found.append(f"the weight of {name} is {weight!r}; expected a number from 0 to 1,000,000")
        return found + self.boosts.violations()


@dataclass(frozen=True)
class Hit:
    """A chunk that was found, and why: rank (from 1) and score of each leg that found it, factors of boosts.

    `score` is the fused score times the boosts; `vector_score` is the cosine similarity, `lexical_score` BM25.
    """

    chunk_id: UUID
    score: float
    lexical_rank: int | None = None
    lexical_score: float | None = None
    vector_rank: int | None = None
    vector_score: float | None = None
    boosts: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchAnswer:
    """What was found, best first; what the reader must know of how; how long each part took, in milliseconds.

    Timings: lexical, embed (the query), vector, fuse, total; of a query among many, its share of the batch.
    """

    hits: list[Hit]
    warnings: list[str]
    timings: dict[str, float]


@dataclass(frozen=True)
class ShownHit:
    """A hit with what a page shows of its chunk and of the analysis that the chunk belongs to."""

    hit: Hit
    chunk: Chunk


def search(*, corpus: Corpus, text: str, options: SearchOptions | None = None) -> SearchAnswer:
    """Return what `corpus` holds on `text`. A text without a word finds nothing. Raises InvalidSearch, UnknownModel."""
    raise NotImplementedError


def search_many(
    *, corpus: Corpus, texts: Sequence[str], options: SearchOptions | None = None
) -> Iterator[SearchAnswer]:
    """Yield the answer to each of `texts`, in their order, as `search` gives it; the queries are embedded in batches."""
    raise NotImplementedError


def with_chunks(hits: Sequence[Hit]) -> list[ShownHit]:
    """Return the hits with their chunks (and `chunk.analysis`); a chunk that is gone meanwhile is left out."""
    chunks = Chunk.objects.select_related("analysis").in_bulk([hit.chunk_id for hit in hits])
    return [ShownHit(hit, chunks[hit.chunk_id]) for hit in hits if hit.chunk_id in chunks]
