"""The list of evaluations of a corpus, how their results went over time, and those that are under way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datasets_app.admin.corpus.base import query_string
from datasets_app.admin.jobs import job_address, visible_jobs
from datasets_app.admin.retrieval.charts import Trend, TrendPoint, trend
from datasets_app.admin.retrieval.frame import RetrievalPage, looked_at, number_in
from datasets_app.admin.retrieval.run_figures import Share, mean_of, run_address, share_of
from datasets_app.models import Corpus, JobRun, RetrievalRun
from goldenproject.kit.admin import keyset_page

PAGE_RUNS = 25
TREND_RUNS = 30


@dataclass(frozen=True)
class RunLine:
    """A line of the list; a metric that was not measured is None."""

    run: RetrievalRun
    share: Share
    ndcg: float | None
    mrr: float | None
    recall: float | None
    who: str


class RunListPage(RetrievalPage):
    """Runs, newest first; ?corpus=NAME, ?after= and ?before= a run."""

    title = "Evaluations"
    template_name = "datasets_app/retrieval/run_list.html"
    http_method_names = ["get", "head", "options"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        corpus, corpora = looked_at(self.request.GET)
        query = self.request.GET
        page = keyset_page(
            RetrievalRun.objects.filter(corpus=corpus)
            .select_related("created_by")
            .defer("groups", "warnings"),
            key="pk",
            size=PAGE_RUNS,
            after=number_in(query.get("after", "")),
            before=number_in(query.get("before", "")),
            descending=True,
        )
        chosen = corpus.name if corpus and len(corpora) > 1 else ""
        return super().get_context_data(
            corpus=corpus,
            corpora=corpora,
            rows=[_line(run) for run in page.rows],
            trend=self._trend(corpus, page.rows),
            jobs=self._unfinished(corpus),
            newer_query=query_string(corpus=chosen, before=page.previous) if page.previous else "",
            older_query=query_string(corpus=chosen, after=page.next) if page.next else "",
            **kwargs,
        )

    def _trend(self, corpus: Corpus | None, rows: list[RetrievalRun]) -> Trend | None:
        if corpus is None or not rows:
            return None
        runs = (
            RetrievalRun.objects.filter(corpus=corpus)
            .order_by("-pk")
            .only("pk", "name", "metrics", "k", "queries_hash")
        )
        shown = list(reversed(runs[:TREND_RUNS]))
        return trend([_point(run, shown[-1]) for run in shown], ("Pass rate", "nDCG@10"))

    def _unfinished(self, corpus: Corpus | None) -> list[dict[str, Any]]:
        if corpus is None:
            return []
        running = visible_jobs(self.person).filter(
            kind="evaluate_retrieval",
            state__in=(JobRun.State.QUEUED, JobRun.State.RUNNING),
            arguments__corpus=corpus.name,
        )
        return [{"job": job, "address": job_address(job)} for job in running.order_by("-created_at")[:5]]


def _line(run: RetrievalRun) -> RunLine:
    return RunLine(
        run=run,
        share=share_of(run),
        ndcg=mean_of(run, "ndcg@10"),
        mrr=mean_of(run, "mrr"),
        recall=mean_of(run, f"recall@{run.k}"),
        who=str(run.created_by or "the system"),
    )


def _point(run: RetrievalRun, newest: RetrievalRun) -> TrendPoint:
    share = share_of(run)
    return TrendPoint(
        label=f"#{run.pk}",
        title=f"Run {run.pk}" + (f", {run.name}" if run.name else ""),
        address=run_address(run),
        values={"Pass rate": share.mean, "nDCG@10": mean_of(run, "ndcg@10")},
        low=share.low,
        high=share.high,
        is_alike=(run.queries_hash, run.k) == (newest.queries_hash, newest.k),
    )
