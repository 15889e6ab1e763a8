"""What an evaluation is asked to do: which queries, how to search, what to measure. Plain values, kept with the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from datasets_app.domain.retrieval.metrics import depth_for, standard_metrics
from datasets_app.models import TestQuery
from datasets_app.services.retrieval.searching import MAX_CANDIDATES, SearchOptions
from goldenproject.kit.errors import BadInput

DEFAULT_K: Final = 10
LEG_METRIC: Final = "ndcg@10"


def _texts(name: str, given: Any) -> tuple[str, ...]:
    """Return a list of texts as a tuple. Raises BadInput, also for a single text, whose letters are not meant."""
    if not isinstance(given, list | tuple) or not all(isinstance(text, str) for text in given):
        raise BadInput(f"{name}: found {given!r}, expected a list of texts.")
    return tuple(_text(name, text) for text in given)


def _text(name: str, given: Any) -> str:
    if not isinstance(given, str) or "\x00" in given:
        raise BadInput(f"{name}: found {given!r}, expected a text.")
    return given


@dataclass(frozen=True)
class QueryFilter:
    """Which test queries to take: those with all of `tags`, this difficulty, this category, these ids; all by default.

    `ids` are UUIDs or external ids as text; None takes any. Raises BadInput for a difficulty that does not exist.
    """

    tags: tuple[str, ...] = ()
    difficulty: str = ""
    category: str = ""
    ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", _texts("tags", self.tags))
        object.__setattr__(
            self, "ids", None if self.ids is None else tuple(dict.fromkeys(_texts("ids", self.ids)))
        )
        _text("difficulty", self.difficulty)
        _text("category", self.category)
        if self.difficulty and self.difficulty not in TestQuery.Difficulty.values:
            raise BadInput(
                f"Queries by difficulty: found {self.difficulty!r}, expected one of "
                f"{', '.join(TestQuery.Difficulty.values)}."
            )

    def document(self) -> dict[str, Any]:
        return {
            "tags": list(self.tags),
            "difficulty": self.difficulty,
            "category": self.category,
            "ids": None if self.ids is None else list(self.ids),
        }

    def __str__(self) -> str:
        parts = [f"tag {tag}" for tag in self.tags]
        parts += [f"difficulty {self.difficulty}"] if self.difficulty else []
        parts += [f"category {self.category}"] if self.category else []
        parts += [f"{len(self.ids):,} given ids"] if self.ids is not None else []
        return ", ".join(parts) or "all queries"


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate. `metrics` are measured besides the standard ones. Raises BadInput, UnknownMetric.

    `search.limit` is of no matter here: the evaluation asks for as many hits as `k`, the queries' own rules and the
    metrics need, but never for more candidates than `search` does unless k itself is greater.
    """

    search: SearchOptions = field(default_factory=SearchOptions)
    k: int = DEFAULT_K
    query_filter: QueryFilter = field(default_factory=QueryFilter)
    name: str = ""
    metrics: tuple[str, ...] = ()
    seed: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", _texts("metrics", self.metrics))
        _text("name", self.name)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise BadInput(f"seed: found {self.seed!r}, expected a whole number of 0 or more.")
        if isinstance(self.k, bool) or not isinstance(self.k, int) or not 1 <= self.k <= MAX_CANDIDATES:
            raise BadInput(f"k: found {self.k!r}, expected a whole number from 1 to {MAX_CANDIDATES:,}.")
        if len(self.name) > 200 or not (self.name == "" or self.name.isprintable()):
            raise BadInput("A run's name has at most 200 characters, none of them a control character.")
        depth_for(self.metrics)

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of all metrics of the fused ranking, without the pass rate."""
        return tuple(dict.fromkeys((*standard_metrics(self.k), *self.metrics)))

    def searched_as(self, deepest_rule: int, model: str) -> SearchOptions:
        """Return the search that is made: deep enough, with the model's name fixed so that no switch comes between."""
        needed = max(self.k, deepest_rule)
        wanted = max(depth_for(self.measured), self.search.candidates)
        limit = max(needed, min(wanted, self.search.candidates))
        return replace(self.search, limit=limit, model=model or self.search.model)

    def document(self) -> dict[str, Any]:
        """Return the options as plain JSON; `EvaluationOptions.from_document` makes them again."""
        return {
            "search": self.search.document(),
            "k": self.k,
            "queries": self.query_filter.document(),
            "name": self.name,
            "metrics": list(self.metrics),
            "seed": self.seed,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> EvaluationOptions:
        """Return the options that `document` describes (also that of a run); what it leaves out is as by default."""
        for name in ("search", "queries"):
            if not isinstance(document.get(name, {}), Mapping):
                raise BadInput(f"{name}: found {document[name]!r}, expected an object.")
        known = {name: document[name] for name in ("k", "name", "metrics", "seed") if name in document}
        try:
            return cls(
                search=SearchOptions.from_document(document.get("search", {})),
                query_filter=QueryFilter(**document.get("queries", {})),
                **known,
            )
        except TypeError as error:
            raise BadInput(f"The evaluation's options are not understood: {error}.") from error
