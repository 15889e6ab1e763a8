"""Two runs side by side, on the queries that both asked: means, differences with their certainty, and flips."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from django.db import connection
from numpy.typing import NDArray

from datasets_app.domain.retrieval.metrics import in_reading_order
from datasets_app.domain.retrieval.significance import (
    Alternative,
    Estimate,
    bootstrap_means,
    mcnemar,
    permutation_test,
)
from datasets_app.models import RetrievalRun
from goldenproject.kit.errors import Conflict

SEED: Final = 1
# Expected plan: a merge or hash join of the two runs' ranges of the primary key.
_COMMON: Final = """
    SELECT o.query_id, o.text, b.passed, o.passed, b.metrics::text, o.metrics::text
      FROM datasets_app_retrievalresult b
      JOIN datasets_app_retrievalresult o ON o.query_id = b.query_id AND o.run_id = %s
     WHERE b.run_id = %s
     ORDER BY o.query_id
"""


class NothingInCommon(Conflict):
    """The two runs have no query in common, so they cannot be compared."""

    code = "nothing_in_common"


@dataclass(frozen=True)
class MetricComparison:
    """A metric in both runs over the common queries; `difference` is other minus base, `p` is two-sided."""

    name: str
    base: float
    other: float
    difference: Estimate
    p: float

    def document(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "other": self.other,
            "difference": self.difference.document(),
            "p": self.p,
        }


@dataclass(frozen=True)
class Flip:
    """A query that passes in one run alone."""

    query_id: uuid.UUID
    text: str

    def document(self) -> dict[str, str]:
        return {"query": str(self.query_id), "text": self.text}


@dataclass(frozen=True)
class RunComparison:
    """What differs between `base` and `other`. `lost` passed in base and fail in other, `won` the other way round.

    `not_comparable` says in words why the figures are not of the same thing; empty when they are. The pass rate's p is
    exact McNemar's, the other metrics' a paired randomisation test; none is corrected for their number.
    """

    base: RetrievalRun
    other: RetrievalRun
    common: int
    base_passed: int
    other_passed: int
    pass_p: float
    metrics: list[MetricComparison]
    lost: list[Flip]
    won: list[Flip]
    not_comparable: list[str]
    _differences: dict[str, NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)

    def document(self) -> dict[str, Any]:
        return {
            "base": self.base.pk,
            "other": self.other.pk,
            "common_queries": self.common,
            "not_comparable": self.not_comparable,
            "pass_rate": {
                "base": self.base_passed / self.common,
                "other": self.other_passed / self.common,
                "lost": len(self.lost),
                "won": len(self.won),
                "p": self.pass_p,
            },
            "metrics": {metric.name: metric.document() for metric in self.metrics},
            "lost": [flip.document() for flip in self.lost],
            "won": [flip.document() for flip in self.won],
        }

    def p_of(self, name: str, alternative: Alternative) -> float:
        """Return p that `other` is "less" or "greater" than `base` in a metric. Raises KeyError when one lacks it."""
        return permutation_test(self._differences[name], seed=SEED, alternative=alternative)

    def metric(self, name: str) -> MetricComparison | None:
        return next((metric for metric in self.metrics if metric.name == name), None)


def compare_runs(*, base: RetrievalRun, other: RetrievalRun) -> RunComparison:
    """Compare two runs on their common queries; one statement. Raises NothingInCommon."""
    with connection.cursor() as cursor:
        cursor.execute(_COMMON, [other.pk, base.pk])
        rows = cursor.fetchall()
    if not rows:
        raise NothingInCommon(
            f"Run {base.pk} asked {base.query_count:,} queries and run {other.pk} asked {other.query_count:,}; found none "
            "that both asked, expected at least one.",
            hint="Compare runs over the same test queries.",
        )
    lost = [Flip(key, text) for key, text, before, after, _, _ in rows if before and not after]
    won = [Flip(key, text) for key, text, before, after, _, _ in rows if after and not before]
    metrics, differences = _metrics(
        [json.loads(row[4]) for row in rows], [json.loads(row[5]) for row in rows]
    )
    return RunComparison(
        base=base,
        other=other,
        common=len(rows),
        base_passed=sum(row[2] for row in rows),
        other_passed=sum(row[3] for row in rows),
        pass_p=mcnemar(len(lost), len(won)),
        metrics=metrics,
        lost=lost,
        won=won,
        not_comparable=_not_comparable(base, other, len(rows)),
        _differences=differences,
    )


def _metrics(
    base: list[dict[str, float]], other: list[dict[str, float]]
) -> tuple[list[MetricComparison], dict[str, NDArray[np.float64]]]:
    names = in_reading_order(other[0].keys() & base[0].keys())
    if not names:
        return [], {}
    tables = [np.array([[row[name] for name in names] for row in rows]) for rows in (base, other)]
    differences = tables[1] - tables[0]
    estimates = bootstrap_means(differences, seed=SEED, bounds=(-1.0, 1.0))
    compared = [
        MetricComparison(
            name,
            float(tables[0][:, column].mean()),
            float(tables[1][:, column].mean()),
            estimates[column],
            permutation_test(differences[:, column], seed=SEED),
        )
        for column, name in enumerate(names)
    ]
    return compared, {name: differences[:, column] for column, name in enumerate(names)}


def _not_comparable(base: RetrievalRun, other: RetrievalRun, common: int) -> list[str]:
    reasons = []
    if base.corpus_id != other.corpus_id:
        reasons.append("The runs are of different corpora.")
    if base.queries_hash != other.queries_hash:
        reasons.append(
            f"The queries, their expected chunks or their pass rules differ: {common:,} queries were asked by both, of "
            f"{base.query_count:,} in run {base.pk} and {other.query_count:,} in run {other.pk}."
        )
    if base.corpus_hash != other.corpus_hash:
        reasons.append("The searched chunks differ: the corpus changed between the runs.")
    if base.k != other.k:
        reasons.append(f"k differs: {base.k} in run {base.pk}, {other.k} in run {other.pk}.")
    return reasons
