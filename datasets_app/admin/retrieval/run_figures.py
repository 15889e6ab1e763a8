"""The figures of an evaluation as pages show them: metrics with intervals, means by group, results of single queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from datasets_app.admin.retrieval.charts import Track, track
from datasets_app.admin.retrieval.frame import number_in
from datasets_app.domain.retrieval.metrics import SHARE_PASSED, in_reading_order
from datasets_app.models import RetrievalRun
from datasets_app.services.evaluation.stored_runs import get_run
from goldenproject.kit.errors import NotFound

_NAMES = {
    "ndcg": "nDCG",
    "mrr": "MRR",
    "map": "MAP",
    "precision": "Precision",
    "setprecision": "Precision of found",
    "recall": "Recall",
    "success": "Success",
}
_GROUPS = {"tag": "Tags", "difficulty": "Difficulty", "category": "Category"}
_DIFFICULTIES = ("easy", "medium", "hard")
SHOWN_GROUPS = 10
MOST_GROUPS = 200


@dataclass(frozen=True)
class Share:
    """A pass rate with its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def track(self) -> Track:
        return track(self.mean, self.low, self.high)

    @property
    def text(self) -> str:
        return f"{self.mean:.1%}"

    @property
    def interval(self) -> str:
        return f"{100 * self.low:.0f}–{100 * self.high:.0f}"

    @property
    def spoken(self) -> str:
        return f"Pass rate {self.mean:.1%}, 95 % interval {self.low:.1%} to {self.high:.1%}"


@dataclass(frozen=True)
class MetricRow:
    """A metric of a run with its 95 % interval."""

    name: str
    mean: float
    low: float
    high: float
    track: Track

    @property
    def spoken(self) -> str:
        return f"{self.name} {self.mean:.3f}, 95 % interval {self.low:.3f} to {self.high:.3f}"


@dataclass(frozen=True)
class GroupRow:
    """The queries of one tag, difficulty or category."""

    value: str
    n: int
    passed: int
    share: Share
    ndcg: float | None

    @property
    def spoken(self) -> str:
        return f"{self.value}: {self.share.spoken}, {self.n} queries"


@dataclass(frozen=True)
class GroupTable:
    """The groups of one kind: those shown at once, those folded away, and how many are not shown at all."""

    by: str
    name: str
    rows: list[GroupRow]
    more: list[GroupRow]
    left_out: int


def run_address(run: RetrievalRun, part: str = "change") -> str:
    return reverse(f"admin:datasets_app_retrievalrun_{part}", args=[run.pk])


def run_of(key: Any) -> RetrievalRun:
    """Return the run of a number in an address, with its corpus. Raises NotFound."""
    number = number_in(key)
    if number is None:
        raise NotFound(f"“{str(key)[:40]}” is not a run: expected its number.")
    return get_run(number)


def shown_name(metric: str) -> str:
    """Return a metric's name as people write it: nDCG@10, lexical leg: nDCG@10."""
    leg, _, name = metric.rpartition(".")
    if name == SHARE_PASSED:
        return "Pass rate"
    kind, at, cutoff = name.partition("@")
    return (f"{leg} leg: " if leg else "") + f"{_NAMES.get(kind, kind)}{at}{cutoff}"


def share_of(run: RetrievalRun) -> Share:
    """Return the pass rate of a run."""
    found = run.metrics[SHARE_PASSED]
    return Share(found["mean"], found["low"], found["high"])


def mean_of(run: RetrievalRun, name: str) -> float | None:
    """Return the mean of a metric, None when the run did not measure it."""
    found = run.metrics.get(name)
    return float(found["mean"]) if found else None


def metric_rows(run: RetrievalRun) -> list[MetricRow]:
    """Return all metrics of a run in reading order."""
    return [
        MetricRow(
            shown_name(name),
            found["mean"],
            found["low"],
            found["high"],
            track(found["mean"], found["low"], found["high"]),
        )
        for name in in_reading_order(run.metrics)
        if (found := run.metrics[name])
    ]


def group_tables(run: RetrievalRun) -> list[GroupTable]:
    """Return the groups of a run by kind: difficulties in their order, others by how many queries they have."""
    tables = []
    for by, name in _GROUPS.items():
        groups = [group for group in run.groups if group["by"] == by]
        rows = sorted(map(_group_row, groups), key=_difficulty_place if by == "difficulty" else _by_size)
        if rows:
            tables.append(
                GroupTable(
                    by,
                    name,
                    rows[:SHOWN_GROUPS],
                    rows[SHOWN_GROUPS:MOST_GROUPS],
                    max(0, len(rows) - MOST_GROUPS),
                )
            )
    return tables


def _group_row(group: dict[str, Any]) -> GroupRow:
    low, high = group["pass_rate_interval"]
    return GroupRow(
        value=group["value"],
        n=group["n"],
        passed=group["passed"],
        share=Share(group["metrics"][SHARE_PASSED], low, high),
        ndcg=group["metrics"].get("ndcg@10"),
    )


def _difficulty_place(row: GroupRow) -> Any:
    return _DIFFICULTIES.index(row.value) if row.value in _DIFFICULTIES else len(_DIFFICULTIES)


def _by_size(row: GroupRow) -> Any:
    return (-row.n, row.value)


def shown_values(metrics: dict[str, float], names: Iterable[str]) -> list[tuple[str, float]]:
    """Return those metrics of one query that are named and measured."""
    return [(shown_name(name), metrics[name]) for name in names if name in metrics]
