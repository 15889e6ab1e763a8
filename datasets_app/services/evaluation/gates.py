"""The gates that a run must pass in CI: floors for its metrics, and no significant loss against an earlier run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from datasets_app.domain.retrieval.metrics import SHARE_PASSED, cutoff_of, in_reading_order
from datasets_app.domain.retrieval.significance import mcnemar
from datasets_app.errors import UnknownMetric
from datasets_app.models import RetrievalRun
from datasets_app.services.evaluation.comparing import RunComparison, compare_runs
from datasets_app.services.evaluation.options import LEG_METRIC
from goldenproject.kit.errors import BadInput

ALPHA: Final = 0.05
_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class GateFailure:
    """A gate that the run did not pass: what was found, what was expected, and p where a test decided."""

    gate: str
    message: str
    found: float
    expected: float
    p: float | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self)


def parse_floors(texts: list[str]) -> dict[str, float]:
    """Return floors by metric from texts such as "pass_rate=0.9,ndcg@10=0.7". Raises BadInput, UnknownMetric."""
    floors: dict[str, float] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, sign, number = (piece.strip() for piece in part.partition("="))
        try:
            floor = float(number)
        except ValueError:
            floor = math.nan
        if not sign or not 0 <= floor <= 1:
            raise BadInput(
                f"Fail under: found {part!r}, expected METRIC=FLOOR with a floor from 0 to 1.",
                hint="For example pass_rate=0.9,ndcg@10=0.7",
            )
        if name != SHARE_PASSED:
            cutoff_of(name)
        floors[name] = floor
    return floors


def check_gates(
    run: RetrievalRun, fail_under: Mapping[str, float], not_worse_than: RetrievalRun | None = None
) -> list[GateFailure]:
    """Return the gates that `run` does not pass, none when it passes all.

    A floor is held by the metric's mean over all queries, reached when equal. Against `not_worse_than` the run fails
    when on the common queries its pass rate (exact McNemar) or its nDCG@10 (paired randomisation) is significantly
    lower, one-sided p < .05. Raises UnknownMetric when the run lacks a metric, NothingInCommon.
    """
    failures = [failure for name, floor in fail_under.items() if (failure := _under(run, name, floor))]
    if not_worse_than is None:
        return failures
    comparison = compare_runs(base=not_worse_than, other=run)
    worse = (_worse_pass_rate(comparison), _worse_ranking(comparison))
    return failures + [failure for failure in worse if failure]


def _under(run: RetrievalRun, name: str, floor: float) -> GateFailure | None:
    if name not in run.metrics:
        raise UnknownMetric(
            f"Run {run.pk} did not measure {name!r}; expected one of {', '.join(in_reading_order(run.metrics))}.",
            hint="Evaluate again with this metric among those to measure.",
        )
    mean = float(run.metrics[name]["mean"])
    if mean >= floor - _ROUNDING:
        return None
    low, high = run.metrics[name]["low"], run.metrics[name]["high"]
    message = f"{name} is {mean:.4f} (95 % interval {low:.4f} to {high:.4f}), below {floor:g}."
    return GateFailure(f"{name}>={floor:g}", message, mean, floor)


def _worse_pass_rate(comparison: RunComparison) -> GateFailure | None:
    lost, won = len(comparison.lost), len(comparison.won)
    p = mcnemar(lost, won, "less")
    if p >= ALPHA:
        return None
    before, after = (
        passed / comparison.common for passed in (comparison.base_passed, comparison.other_passed)
    )
    message = (
        f"The pass rate fell from {before:.1%} in run {comparison.base.pk} to {after:.1%}: {lost:,} queries fail that "
        f"passed, {won:,} pass that failed (McNemar, one-sided p = {p:.2g})."
    )
    return GateFailure(f"pass_rate not worse than run {comparison.base.pk}", message, after, before, p)


def _worse_ranking(comparison: RunComparison) -> GateFailure | None:
    metric = comparison.metric(LEG_METRIC)
    if metric is None:
        return None
    p = comparison.p_of(LEG_METRIC, "less")
    if p >= ALPHA:
        return None
    change = metric.difference
    message = (
        f"nDCG@10 fell from {metric.base:.4f} in run {comparison.base.pk} to {metric.other:.4f}: {change.mean:+.4f}, "
        f"95 % interval {change.low:+.4f} to {change.high:+.4f} (paired randomisation, one-sided p = {p:.2g})."
    )
    return GateFailure(
        f"{LEG_METRIC} not worse than run {comparison.base.pk}", message, metric.other, metric.base, p
    )
