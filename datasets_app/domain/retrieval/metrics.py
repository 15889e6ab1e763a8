"""Retrieval metrics of single queries, by ir_measures (that is trec_eval), and their means.

Names: ndcg@k · precision@k · recall@k · success@k · mrr (reciprocal rank, over all that was retrieved) or mrr@k ·
map (average precision, over all that was retrieved) or map@k · setprecision@k, which unlike precision@k divides by the
number of hits where fewer than k were retrieved, as some published evaluations do. Each is between 0 and 1.

Relevance is graded and counts as the gain in nDCG; for the others what is above 0 is relevant. A query without a
relevant chunk has no metrics: it is skipped and counted, never scored 0.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeVar

from datasets_app.errors import UnknownMetric

Id = TypeVar("Id", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)

SHARE_PASSED: Final = "pass_rate"
DEEP: Final = 100
MAX_CUTOFF: Final = 1000
_NEEDS_CUTOFF: Final = {
    "ndcg": "nDCG",
    "precision": "P",
    "recall": "R",
    "success": "Success",
    "setprecision": "P",
}
_MAY_HAVE_CUTOFF: Final = {"mrr": "RR", "map": "AP"}
_NAME: Final = re.compile(r"(?P<kind>[a-z]+)(?:@(?P<cutoff>[1-9][0-9]{0,3}))?")


def standard_metrics(k: int) -> tuple[str, ...]:
    """Return the names of what a run reports by default: all at k, and ndcg@10 and recall@100 to compare by."""
    at_k = (f"ndcg@{k}", f"precision@{k}", f"recall@{k}", f"success@{k}", "mrr", "map")
    return tuple(dict.fromkeys((*at_k, "ndcg@10", f"recall@{DEEP}")))


def cutoff_of(name: str) -> int | None:
    """Return how deep a metric looks, None for the whole ranking. Raises UnknownMetric."""
    match = _NAME.fullmatch(name)
    kind, text = (match["kind"], match["cutoff"]) if match else ("", None)
    known = kind in _NEEDS_CUTOFF or kind in _MAY_HAVE_CUTOFF
    if not known or (text is None and kind in _NEEDS_CUTOFF) or int(text or 1) > MAX_CUTOFF:
        raise UnknownMetric(
            f"Metric: found {name!r}, expected ndcg@k, precision@k, recall@k, success@k, mrr, mrr@k, map, map@k or "
            f"setprecision@k with k from 1 to {MAX_CUTOFF}."
        )
    return int(text) if text else None


def in_reading_order(names: Iterable[str]) -> list[str]:
    """Return names as a reader wants them: the pass rate, then by kind and cut-off; those of single legs last."""
    kinds = (SHARE_PASSED, "ndcg", "precision", "setprecision", "recall", "success", "mrr", "map")

    def place(name: str) -> tuple[bool, str, int, int, str]:
        leg, _, metric = name.rpartition(".")
        kind, _, cutoff = metric.partition("@")
        known = kinds.index(kind) if kind in kinds else len(kinds)
        return bool(leg), leg, known, int(cutoff) if cutoff.isdecimal() else 0, name

    return sorted(names, key=place)


def depth_for(names: Iterable[str]) -> int:
    """Return how many hits a query needs for these metrics; those without a cut-off get 100."""
    return max((cutoff_of(name) or DEEP for name in names), default=1)


@dataclass(frozen=True)
class Scores:
    """Metrics by query, in the order of the judgments, and the queries that have none."""

    by_query: dict[Any, dict[str, float]] = field(default_factory=dict)
    skipped: tuple[Any, ...] = ()


def score_queries(
    judgments: Mapping[Key, Mapping[Id, int]],
    rankings: Mapping[Key, Sequence[Id]],
    names: Sequence[str],
) -> Scores:
    """Return the metrics `names` of each query.

    `judgments` is relevance by id for each query, `rankings` ids best first, each once; a query that has no ranking
    found nothing and gets 0. A query without a relevance above 0 is skipped. Raises UnknownMetric for a name that is
    none, ValueError when a ranking holds an id twice.
    """
    import ir_measures

    measures = {name: _measure(name) for name in names}
    places = {str(place): key for place, key in enumerate(judgments)}
    qrels, runs, skipped = {}, {}, []
    for place, key in places.items():
        judged = _by_rank(judgments[key], rankings.get(key, ()))
        if not judged:
            skipped.append(key)
            continue
        qrels[place] = judged
        runs[place] = _descending(len(rankings.get(key, ())))
    values: dict[str, dict[Any, float]] = {place: {} for place in qrels}
    for found in ir_measures.iter_calc(list(set(measures.values())), qrels, runs) if qrels and names else ():
        values[found.query_id][found.measure] = float(found.value)
    by_query = {
        places[place]: {
            name: values[place][measure] * _share_of_k(name, len(runs[place]))
            for name, measure in measures.items()
        }
        for place in qrels
    }
    return Scores(by_query, tuple(skipped))


def _measure(name: str) -> Any:
    import ir_measures

    cutoff = cutoff_of(name)
    kind = name.partition("@")[0]
    measure = getattr(ir_measures, _NEEDS_CUTOFF.get(kind) or _MAY_HAVE_CUTOFF[kind])
    return measure if cutoff is None else measure @ cutoff


def _share_of_k(name: str, retrieved: int) -> float:
    """Return what a value of trec_eval is multiplied by: precision's divisor is k, setprecision's what was retrieved."""
    cutoff = cutoff_of(name)
    if not name.startswith("setprecision") or cutoff is None or not retrieved:
        return 1.0
    return cutoff / min(cutoff, retrieved)


def _by_rank(judgments: Mapping[Id, int], ranking: Sequence[Id]) -> dict[str, int]:
    """Return the relevant chunks by the rank they have, those not found under names that no rank has."""
    rank_of = {chunk: rank for rank, chunk in enumerate(ranking, start=1)}
    if len(rank_of) != len(ranking):
        raise ValueError("a ranking holds an id twice")
    relevant = ((chunk, relevance) for chunk, relevance in judgments.items() if relevance > 0)
    return {
        str(rank_of[chunk]) if chunk in rank_of else f"missing {number}": relevance
        for number, (chunk, relevance) in enumerate(relevant)
    }


@cache
def _descending(length: int) -> dict[str, float]:
    """Return a run of `length` hits named by their ranks. trec_eval sorts by score and breaks ties by name, so the
    scores fall strictly: its order is the ranking's own, whatever the ids are."""
    return {str(rank): float(-rank) for rank in range(1, length + 1)}


def means(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the queries; {} of none. The queries must have the same metrics."""
    columns: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    return {name: sum(values) / len(values) for name, values in columns.items()}
