"""Two evaluations side by side: differences with their certainty, and the queries that pass in one alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets_app.admin.corpus.base import query_string
from datasets_app.admin.retrieval.charts import Track, nice_limit, track
from datasets_app.admin.retrieval.frame import RetrievalPage
from datasets_app.admin.retrieval.run_figures import run_of, shown_name
from datasets_app.models import TestQuery
from datasets_app.services.evaluation.comparing import Flip, RunComparison, compare_runs
from goldenproject.kit.errors import BadInput

SHOWN_FLIPS = 50
ALPHA = 0.05


@dataclass(frozen=True)
class DifferenceRow:
    """A metric in both runs; `verdict` is better, worse or same by the p of its paired test."""

    name: str
    base: float
    other: float
    mean: float
    low: float
    high: float
    p: float
    track: Track
    verdict: str

    @property
    def change(self) -> str:
        return signed(self.mean)

    @property
    def interval(self) -> str:
        return f"{signed(self.low)} to {signed(self.high)}"

    @property
    def p_shown(self) -> str:
        return shown_p(self.p)

    @property
    def spoken(self) -> str:
        return f"{self.name} {self.change}, 95 % interval {self.interval}"


class ComparisonPage(RetrievalPage):
    """?base=RUN&other=RUN, or ?run=RUN twice: then the older one is the base."""

    template_name = "datasets_app/retrieval/comparison.html"
    write_action = None
    http_method_names = ["get", "head", "options"]

    def load(self, **kwargs: Any) -> None:
        query = self.request.GET
        chosen = query.getlist("run")
        if query.get("base") or query.get("other"):
            keys = [query.get("base", ""), query.get("other", "")]
        elif len(chosen) == 2:
            keys = sorted(chosen, key=lambda key: (len(key), key))
        else:
            raise BadInput(
                f"Compare runs: found {len(chosen)} chosen, expected two.",
                hint="Tick two runs in the list of evaluations.",
            )
        self.base, self.other = map(run_of, keys)
        if self.base.pk == self.other.pk:
            raise BadInput(f"Run {self.base.pk} cannot be compared with itself.", hint="Choose two runs.")
        self.title = f"Run {self.base.pk} and run {self.other.pk}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        comparison = compare_runs(base=self.base, other=self.other)
        limit, rows = _rows(comparison)
        flips = [*comparison.lost[:SHOWN_FLIPS], *comparison.won[:SHOWN_FLIPS]]
        ids = [flip.query_id for flip in flips]
        there = set(TestQuery.objects.filter(pk__in=ids).values_list("pk", flat=True))
        return super().get_context_data(
            base=self.base,
            other=self.other,
            comparison=comparison,
            base_share=f"{comparison.base_passed / comparison.common:.1%}",
            other_share=f"{comparison.other_passed / comparison.common:.1%}",
            pass_p=shown_p(comparison.pass_p, named=True),
            rows=rows,
            limit=f"{limit:g}",
            lost=_shown(comparison.lost, there),
            won=_shown(comparison.won, there),
            lost_more=max(0, len(comparison.lost) - SHOWN_FLIPS),
            won_more=max(0, len(comparison.won) - SHOWN_FLIPS),
            summary=_summary(comparison),
            settings=_settings(comparison),
            swapped=query_string(base=self.other.pk, other=self.base.pk),
            **kwargs,
        )


def signed(change: float) -> str:
    """Return a difference with its sign; one that rounds to nothing has none."""
    shown = f"{change:+.3f}".replace("-", "−")
    return "0.000" if shown[1:] == "0.000" else shown


def shown_p(p: float, *, named: bool = False) -> str:
    """Return a p value as people write it; `named`: with the sign that stands after “p”."""
    if p < 0.001:
        return "< .001"
    return ("= " if named else "") + f"{p:.3f}".removeprefix("0")


def _rows(comparison: RunComparison) -> tuple[float, list[DifferenceRow]]:
    ends = [end for metric in comparison.metrics for end in (metric.difference.low, metric.difference.high)]
    limit = nice_limit(ends)
    rows = []
    for metric in comparison.metrics:
        change = metric.difference
        is_sure = metric.p < ALPHA
        rows.append(
            DifferenceRow(
                name=shown_name(metric.name),
                base=metric.base,
                other=metric.other,
                mean=change.mean,
                low=change.low,
                high=change.high,
                p=metric.p,
                track=track(change.mean, change.low, change.high, -limit, limit),
                verdict=("better" if change.mean > 0 else "worse") if is_sure else "same",
            )
        )
    return limit, rows


def _shown(flips: list[Flip], there: set[Any]) -> list[dict[str, Any]]:
    return [{"flip": flip, "exists": flip.query_id in there} for flip in flips[:SHOWN_FLIPS]]


def _summary(comparison: RunComparison) -> tuple[str, str]:
    """Return the outcome by the pass rate as (verdict, words)."""
    lost, won = len(comparison.lost), len(comparison.won)
    if comparison.pass_p >= ALPHA:
        return "same", "No sure difference in the pass rate"
    verdict = "better" if won > lost else "worse"
    return verdict, f"Run {comparison.other.pk} passes {'more' if won > lost else 'fewer'} queries"


def _settings(comparison: RunComparison) -> list[tuple[str, str, str]]:
    """Return what the two runs did differently, as (name, in base, in other)."""
    found = [_plain_settings(run) for run in (comparison.base, comparison.other)]
    return [
        (name, found[0].get(name, "—"), found[1].get(name, "—"))
        for name in dict.fromkeys([*found[0], *found[1]])
        if found[0].get(name) != found[1].get(name)
    ]


def _plain_settings(run: Any) -> dict[str, str]:
    search = run.options.get("search", {})
    boosts = search.get("boosts") or {}
    shown = {
        "Embedding model": run.embedding_model or "none",
        "k": run.k,
        "Legs": ", ".join(search.get("legs", [])),
        "Fusion": search.get("fusion"),
        "RRF k": search.get("rrf_k"),
        "Candidates": search.get("candidates"),
        "Weights": ", ".join(
            f"{name} {value:g}" for name, value in sorted(search.get("weights", {}).items())
        ),
        "Title boost": boosts.get("title"),
        "Path boost": boosts.get("path"),
        "Type boosts": ", ".join(
            f"{name} {value:g}" for name, value in sorted((boosts.get("content_types") or {}).items())
        ),
        "Exact": search.get("exact"),
        "Queries": run.query_count,
    }
    return {name: str(value) for name, value in shown.items() if value is not None and value != ""}
