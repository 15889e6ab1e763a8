"""What searches found, judged query by query and summed up; holds per query what is stored of it, not all hits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from datasets_app.domain.retrieval.leg_weights import SHARES, Candidate, Weighing, ndcg_by_share
from datasets_app.domain.retrieval.metrics import SHARE_PASSED, score_queries
from datasets_app.domain.retrieval.pass_rules import passes
from datasets_app.domain.retrieval.significance import bootstrap_means, share_estimate
from datasets_app.services.evaluation.chosen_queries import ChosenQuery
from datasets_app.services.evaluation.options import LEG_METRIC, EvaluationOptions
from datasets_app.services.retrieval.searching import LEGS, Hit, SearchAnswer, SearchOptions

_NAMED_WARNINGS: Final = 20
_SCORE_DIGITS: Final = 9  # of what is shown of a hit's score
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """What is stored of one query: JSON texts are as RetrievalResult has them."""

    query: ChosenQuery
    passed: bool
    metrics: bytes
    expected: bytes
    found: bytes


class Measurement:
    """Collects judged queries. `search` is the search as it is made."""

    def __init__(self, options: EvaluationOptions, search: SearchOptions) -> None:
        self._options = options
        self._names = options.measured
        self._weighing = Weighing(search.fusion, search.rrf_k)
        self._limit = search.limit
        self._both_legs = set(search.legs) == set(LEGS)
        self._values: list[list[float]] = []
        self._by_share: list[NDArray[np.float64]] = []
        self._legs_seen: set[str] = set()
        self._cut_off = 0
        self._warned: Counter[str] = Counter()
        self.judged: list[JudgedQuery] = []

    def add(self, queries: Sequence[ChosenQuery], answers: Sequence[SearchAnswer]) -> None:
        """Judge one batch: the answer to each query, in the same order."""
        rankings = [[hit.chunk_id for hit in answer.hits] for answer in answers]
        scores = score_queries(
            dict(enumerate(query.judgments for query in queries)), dict(enumerate(rankings)), self._names
        )
        for place, (query, answer) in enumerate(zip(queries, answers, strict=True)):
            values = scores.by_query[place]
            passed = passes(query.rule, query.judgments, rankings[place], self._options.k)
            self._values.append([values[name] for name in self._names])
            self.judged.append(_judged(query, passed, values, answer.hits, self._options.k))
            self._warned.update(set(answer.warnings))
            self._look_at_legs(query, answer.hits)

    def _look_at_legs(self, query: ChosenQuery, hits: Sequence[Hit]) -> None:
        if any(hit.lexical_rank for hit in hits):
            self._legs_seen.add("lexical")
        if any(hit.vector_rank for hit in hits):
            self._legs_seen.add("vector")
        if not self._both_legs:
            return
        if len(hits) >= self._limit and (
            _gap(h.lexical_rank for h in hits) or _gap(h.vector_rank for h in hits)
        ):
            self._cut_off += 1
        judgments = {chunk.bytes: grade for chunk, grade in query.judgments.items()}
        candidates = [
            Candidate(
                hit.chunk_id.bytes,
                hit.lexical_rank,
                hit.lexical_score,
                hit.vector_rank,
                hit.vector_score,
                math.prod(hit.boosts.values()),
            )
            for hit in hits
        ]
        self._by_share.append(ndcg_by_share(candidates, judgments, self._weighing))

    # Summing up ---------------------------------------------------------------------------------------------------

    @property
    def passed_count(self) -> int:
        return sum(judged.passed for judged in self.judged)

    @property
    def used_vectors(self) -> bool:
        return "vector" in self._legs_seen

    @property
    def _compares_legs(self) -> bool:
        return self._both_legs and self._legs_seen == set(LEGS)

    def metrics(self) -> dict[str, dict[str, float | int]]:
        """Return each metric with its 95 % interval; of each leg alone too where both took part."""
        names = list(self._names)
        table = np.array(self._values)
        if self._compares_legs:
            by_share = np.array(self._by_share)
            table = np.column_stack([table, by_share[:, -1], by_share[:, 0]])
            names += [f"lexical.{LEG_METRIC}", f"vector.{LEG_METRIC}"]
        estimates = bootstrap_means(table, seed=self._options.seed)
        share = share_estimate(self.passed_count, len(self.judged))
        found = {SHARE_PASSED: share.document()}
        return found | {name: value.document() for name, value in zip(names, estimates, strict=True)}

    def groups(self) -> list[dict[str, Any]]:
        """Return the means by tag, difficulty and category, each with the interval of its pass rate."""
        members: dict[tuple[str, str], list[int]] = {}
        for place, judged in enumerate(self.judged):
            for group in _groups_of(judged.query):
                members.setdefault(group, []).append(place)
        table = np.array(self._values)
        passed = np.array([judged.passed for judged in self.judged])
        found = []
        for (by, value), places in sorted(members.items()):
            share = share_estimate(int(passed[places].sum()), len(places))
            means = {name: float(mean) for name, mean in zip(self._names, table[places].mean(0), strict=True)}
            found.append(
                {
                    "by": by,
                    "value": value,
                    "n": len(places),
                    "passed": int(passed[places].sum()),
                    "metrics": {SHARE_PASSED: share.mean, **means},
                    "pass_rate_interval": [share.low, share.high],
                }
            )
        return found

    def warnings(self) -> list[str]:
        """Return what a reader of the run must know: what the searches warned of, and whether the fusion helps."""
        total = len(self.judged)
        found = [
            text if times == total else f"{text} ({times:,} of {total:,} queries)"
            for text, times in self._warned.most_common(_NAMED_WARNINGS)
        ]
        return found + (self._about_fusion() if self._compares_legs else [])

    def _about_fusion(self) -> list[str]:
        by_share = np.array(self._by_share).mean(axis=0)
        fused = float(np.array(self._values)[:, self._names.index(LEG_METRIC)].mean())
        best_leg, alone = max((("lexical", by_share[-1]), ("vector", by_share[0])), key=lambda leg: leg[1])
        if fused >= alone - _ROUNDING:
            return []
        text = (
            f"The fused ranking (nDCG@10 {fused:.4f}) is below the {best_leg} leg alone ({alone:.4f}). "
            + _proposal(by_share, fused)
        )
        if self._cut_off:
            text += f" Of {self._cut_off:,} queries the fusion dropped hits of a leg, whose figure is a lower bound."
        return [text]


def _proposal(by_share: NDArray[np.float64], fused: float) -> str:
    # of equals the one nearest to the middle: it leans least on these queries
    best = max(
        range(len(SHARES)), key=lambda place: (round(float(by_share[place]), 9), -abs(SHARES[place] - 0.5))
    )
    reached = f"nDCG@10 {by_share[best]:.4f} on the same candidates"
    if best in (0, len(SHARES) - 1):
        return f"No weights do better: search by the {'lexical' if best else 'vector'} leg alone ({reached})."
    share = SHARES[best]
    return f"Try the weights lexical={share:.1f},vector={1 - share:.1f}: {reached}."


def _gap(ranks: Iterable[int | None]) -> bool:
    """Tell whether some of a leg's first ten are missing though later ones are there."""
    seen = sorted(rank for rank in ranks if rank is not None)
    first = [rank for rank in seen if rank <= 10]
    return len(first) < min(10, seen[-1] if seen else 10)


def _groups_of(query: ChosenQuery) -> list[tuple[str, str]]:
    groups = [("tag", tag) for tag in dict.fromkeys(query.tags)]
    groups += [("difficulty", query.difficulty)] if query.difficulty else []
    return groups + ([("category", query.category)] if query.category else [])


def _judged(
    query: ChosenQuery, passed: bool, values: dict[str, float], hits: Sequence[Hit], k: int
) -> JudgedQuery:
    rank_of = {hit.chunk_id: rank for rank, hit in enumerate(hits, start=1)}
    best_first = sorted(query.judgments.items(), key=lambda item: (-item[1], item[0]))
    expected = [[str(chunk), grade, rank_of.get(chunk)] for chunk, grade in best_first]
    found = [[str(hit.chunk_id), round(float(hit.score), _SCORE_DIGITS)] for hit in hits[:k]]
    return JudgedQuery(query, passed, orjson.dumps(values), orjson.dumps(expected), orjson.dumps(found))
