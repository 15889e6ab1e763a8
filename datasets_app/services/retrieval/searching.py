"""Hybrid search over the chunks of a corpus: a lexical and a vector leg, fused, with boosts, each hit explained."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db import connection

from datasets_app.domain.retrieval.bm25 import Scored
from datasets_app.domain.retrieval.boosts import Boosts, Metadata, factors
from datasets_app.domain.retrieval.english import terms
from datasets_app.domain.retrieval.fusion import RRF_K, convex, ranked, rrf
from datasets_app.errors import EmbeddingTrouble, InvalidSearch, NoCurrentModel
from datasets_app.models import Chunk, Corpus, EmbeddingModel
from datasets_app.services.retrieval.embedders import embedder_for
from datasets_app.services.retrieval.embedding_models import get_model
from datasets_app.services.retrieval.index_reading import IndexRead, VectorFacts, read_index
from datasets_app.services.retrieval.lexical_index import refresh_if_few
from datasets_app.services.retrieval.lexical_search import distinct_terms, scored_in
from datasets_app.services.retrieval.vector_search import (
    EXACT_CHUNKS,
    MOST_MISSING,
    counted,
    missing_vectors,
    scored_many,
    still_missing,
)

LEXICAL, VECTOR = "lexical", "vector"
LEGS = (LEXICAL, VECTOR)
FUSIONS = ("rrf", "convex")
MAX_CANDIDATES = 1000
_BATCH, _SMALL_BATCH = 256, 32


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


@dataclass(frozen=True, slots=True)
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
    """Return what `corpus` holds on `text`; a text without a letter or digit finds nothing.

    What was edited before is found. Without a current model, its vectors or its endpoint the lexical leg answers alone,
    with a warning. Raises UnknownEmbeddingModel for a model that `options` names.
    """
    return next(search_many(corpus=corpus, texts=[text], options=options))


def search_many(
    *, corpus: Corpus, texts: Sequence[str], options: SearchOptions | None = None
) -> Iterator[SearchAnswer]:
    """Yield the answer to each of `texts`, in their order, as `search` gives it; read and embedded in batches."""
    searcher = _Searcher(corpus, options or SearchOptions())
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    start = 0
    step = _SMALL_BATCH  # until the size of the corpus is known
    while start < len(texts):
        yield from searcher.answers(texts[start : start + step])
        start += step
        step = _BATCH if searcher.chunks <= EXACT_CHUNKS else _SMALL_BATCH


def with_chunks(hits: Sequence[Hit]) -> list[ShownHit]:
    """Return the hits with their chunks (and `chunk.analysis`); a chunk that is gone meanwhile is left out."""
    chunks = Chunk.objects.select_related("analysis").in_bulk([hit.chunk_id for hit in hits])
    return [ShownHit(hit, chunks[hit.chunk_id]) for hit in hits if hit.chunk_id in chunks]


# --- one batch ------------------------------------------------------------------------------------------------------
_MOST_LACKING = 100
_lacking: OrderedDict[tuple[str, UUID, int, tuple[int, int]], list[bytes]] = OrderedDict()
"""The texts without vectors, by corpus and model and the state of the corpus' index: [] when all have theirs.

So that a search need not look for them among all chunks; whether those found once have their vectors by now is asked
each time. Small: what was looked for longest ago is forgotten.
"""

_Found = list[list[Scored]]
"""What a leg found for each text of a batch."""


class _Searcher:
    """Answers the batches of one search; all of them by the model that the first one met."""

    def __init__(self, corpus: Corpus, options: SearchOptions) -> None:
        self._corpus = corpus
        self._options = options
        self._model_name = options.model
        self._missing: str | None = None  # what to say of missing vectors, once it was asked
        self.chunks = 0

    def answers(self, texts: Sequence[str]) -> Iterator[SearchAnswer]:
        options = self._options
        warnings: list[str] = []
        clock = _Clock()
        legs: dict[str, _Found] = {}
        terms_of = [terms(text) for text in texts] if LEXICAL in options.legs else []
        index = self._read(distinct_terms(terms_of), warnings)
        if LEXICAL in options.legs:
            legs[LEXICAL] = scored_in(index, terms_of, options.depth)
            clock.lap("lexical")
        if VECTOR in options.legs and (model := self._model(index, warnings)) is not None:
            found = self._nearest(texts, model, index.facts, warnings, clock)
            if found is not None:
                legs[VECTOR] = found
        rankings = [
            _Ranking({name: found[place] for name, found in legs.items()}, options)
            for place in range(len(texts))
        ]
        boosting = _Boosting(options.boosts, rankings)
        hits = [ranking.hits(boosting, text) for ranking, text in zip(rankings, texts, strict=True)]
        clock.lap("fuse")
        timings = clock.shares(len(texts))
        for of_text in hits:
            yield SearchAnswer(of_text, list(warnings), dict(timings))

    def _read(self, wanted: Sequence[str], warnings: list[str]) -> IndexRead:
        """Return the index; where chunks changed since it last looked, it looks before that."""
        with_model = VECTOR in self._options.legs
        index = read_index(self._corpus, wanted, with_model=with_model, model_name=self._model_name)
        if index.waiting and LEXICAL in self._options.legs:
            if warning := refresh_if_few(self._corpus):
                warnings.append(warning)
            else:
                index = read_index(self._corpus, wanted, with_model=with_model, model_name=self._model_name)
        return index

    def _model(self, index: IndexRead, warnings: list[str]) -> EmbeddingModel | None:
        """Return the model of the vector leg; None, and a warning, when there is none."""
        model = index.model
        if model is None:
            try:
                model = get_model(self._model_name)
            except NoCurrentModel as error:
                warnings.append(f"{error.message} {_lexical_alone(self._options)}")
                return None
        self._model_name = model.name
        if self._missing is None:
            self._missing = self._about_missing(model, index.facts)
        if self._missing:
            warnings.append(self._missing)
        return model

    def _about_missing(self, model: EmbeddingModel, facts: VectorFacts) -> str:
        """Return what to say of chunks without vectors; "" when there are none."""
        name = (str(connection.settings_dict["NAME"]), self._corpus.pk, model.pk, facts.state)
        hashes = _lacking.get(name)
        missing = still_missing(model, hashes) if hashes else 0
        if hashes is None or missing < len(hashes):
            hashes = missing_vectors(self._corpus, model)
            missing = len(hashes)
            if facts.state != (0, 0):  # else there is no index that would change with the chunks
                _lacking[name] = hashes
                while len(_lacking) > _MOST_LACKING:
                    _lacking.popitem(last=False)
        if not missing:
            return ""
        return (
            f"{missing:,}{' or more' if missing >= MOST_MISSING else ''} of the chunks have no vector of the model "
            f"“{model.name}” yet, so the vector leg does not see them. Run: golden_embed --model {model.name}"
        )

    def _nearest(
        self,
        texts: Sequence[str],
        model: EmbeddingModel,
        facts: VectorFacts,
        warnings: list[str],
        clock: _Clock,
    ) -> _Found | None:
        """Return what the vector leg finds for each text; None, and a warning, when the texts cannot be embedded."""
        facts = counted(self._corpus, facts)
        self.chunks = facts.chunks
        clock.lap("vector")
        asked = [place for place, text in enumerate(texts) if any(map(str.isalnum, text))]
        found: _Found = [[] for _ in texts]
        if not asked:
            return found
        try:
            vectors = embedder_for(model).embed_queries([texts[place] for place in asked])
        except EmbeddingTrouble as error:
            warnings.append(
                f"The model “{model.name}” could not embed the query: {error.message} {_lexical_alone(self._options)}"
            )
            return None
        finally:
            clock.lap("embed")
        options = self._options
        hits = scored_many(self._corpus, model, vectors, options.depth, exact=options.exact, facts=facts)
        clock.lap("vector")
        for place, of_text in zip(asked, hits, strict=True):
            found[place] = of_text
        return found


def _lexical_alone(options: SearchOptions) -> str:
    if LEXICAL in options.legs:
        return "The lexical leg answers alone."
    return "Nothing can be found by the vector leg alone."


class _Ranking:
    """What the legs found for one text, fused."""

    def __init__(self, legs: dict[str, list[Scored]], options: SearchOptions) -> None:
        self._legs = legs
        self._options = options
        self._places = {
            name: {chunk_id: (rank, score) for rank, (chunk_id, score) in enumerate(found, start=1)}
            for name, found in legs.items()
        }
        self.scores = self._fused()

    def _fused(self) -> dict[bytes, float]:
        options = self._options
        if len(options.legs) == 1:  # nothing to fuse: the leg's own scores say more
            return {chunk_id: score for found in self._legs.values() for chunk_id, score in found}
        if options.fusion == "convex":
            return convex(self._legs, weights=options.weights)
        ranks = {name: list(places) for name, places in self._places.items()}
        return rrf(ranks, weights=options.weights, k=options.rrf_k)

    def hits(self, boosting: _Boosting, text: str) -> list[Hit]:
        """Return the best hits, boosted, best first; equal ones in the order of their ids."""
        boosts = boosting.factors(self.scores, text)
        scores = {
            chunk_id: _boosted(score, boosts[chunk_id]) if chunk_id in boosts else score
            for chunk_id, score in self.scores.items()
        }
        return [
            self._hit(chunk_id, score, boosts.get(chunk_id, {}))
            for chunk_id, score in ranked(scores)[: self._options.limit]
        ]

    def _hit(self, chunk_id: bytes, score: float, boosts: Mapping[str, float]) -> Hit:
        lexical_rank, lexical_score = self._places.get(LEXICAL, {}).get(chunk_id, (None, None))
        vector_rank, vector_score = self._places.get(VECTOR, {}).get(chunk_id, (None, None))
        return Hit(
            UUID(bytes=chunk_id), score, lexical_rank, lexical_score, vector_rank, vector_score, boosts
        )


class _Boosting:
    """The boosts of a batch: the metadata of all its candidates is read at once, if there is a boost at all."""

    def __init__(self, boosts: Boosts, rankings: Sequence[_Ranking]) -> None:
        self._boosts = boosts
        self._metadata: dict[bytes, Metadata] = {}
        if boosts.active:
            wanted = [UUID(bytes=key) for key in set().union(*(ranking.scores for ranking in rankings))]
            rows = Chunk.objects.filter(pk__in=wanted).values_list(
                "pk", "section_title", "section_path", "content_type"
            )
            self._metadata = {pk.bytes: Metadata(*columns) for pk, *columns in rows}

    def factors(self, candidates: Iterable[bytes], text: str) -> dict[bytes, dict[str, float]]:
        """Return the factors of those candidates that have any."""
        if not self._metadata:
            return {}
        query_terms = terms(text)
        found = {
            chunk_id: factors(self._boosts, query_terms, self._metadata[chunk_id])
            for chunk_id in candidates
            if chunk_id in self._metadata
        }
        return {chunk_id: of_chunk for chunk_id, of_chunk in found.items() if of_chunk}


def _boosted(score: float, boosts: Mapping[str, float]) -> float:
    factor = math.prod(boosts.values())
    return score * factor if score >= 0 else score / factor  # a lift lifts a negative similarity too


class _Clock:
    """Tells how long each part of a batch took."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + now - self._last
        self._last = now

    def shares(self, texts: int) -> dict[str, float]:
        """Return the milliseconds of each part and in all, for one of `texts`."""
        laps = {**self._laps, "total": self._last - self._started}
        return {name: round(1000 * seconds / texts, 3) for name, seconds in laps.items()}
