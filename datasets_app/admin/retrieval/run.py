"""One evaluation: its figures with intervals, by group, and query by query what was expected and what was found."""

from __future__ import annotations

import uuid
from typing import Any

from datasets_app.admin.corpus.base import id_or_none, query_string, text_of
from datasets_app.admin.retrieval.frame import RetrievalPage
from datasets_app.admin.retrieval.run_figures import (
    group_tables,
    mean_of,
    metric_rows,
    run_of,
    share_of,
    shown_values,
)
from datasets_app.admin.retrieval.search import search_address
from datasets_app.admin.retrieval.search_form import SearchForm
from datasets_app.domain.retrieval.pass_rules import checked_rule, depth
from datasets_app.errors import InvalidPassRule
from datasets_app.models import RetrievalResult, RetrievalRun, TestQuery
from datasets_app.services.evaluation.failing import shown_results
from datasets_app.services.evaluation.options import EvaluationOptions
from goldenproject.kit.admin import keyset_page
from goldenproject.kit.errors import BadInput

SHOWN_FAILING = 5
PAGE_QUERIES = 20
OTHER_RUNS = 20
SHOWS = {"failed": "Failing", "passed": "Passing", "all": "All"}


class RunPage(RetrievalPage):
    """A run with its charts and the first of its failing queries."""

    template_name = "datasets_app/retrieval/run.html"
    write_action = None
    http_method_names = ["get", "head", "options"]
    run: RetrievalRun

    def load(self, **kwargs: Any) -> None:
        self.run = run_of(kwargs["object_id"])
        self.title = f"Run {self.run.pk}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run = self.run
        failed = RetrievalResult.objects.filter(run=run, passed=False).order_by("query_id")
        others = RetrievalRun.objects.filter(corpus=run.corpus).exclude(pk=run.pk).order_by("-pk")
        return super().get_context_data(
            run=run,
            form=run_form(run),
            chosen=_chosen(run),
            who=run.created_by or "the system",
            ndcg=mean_of(run, "ndcg@10"),
            mrr=mean_of(run, "mrr"),
            recall=mean_of(run, f"recall@{run.k}"),
            share=share_of(run),
            metrics=metric_rows(run),
            groups=group_tables(run),
            failed_count=run.query_count - run.passed_count,
            failing=results_shown(run, list(failed[:SHOWN_FAILING])),
            others=list(others.only("pk", "name", "created_at")[:OTHER_RUNS]),
            before=_run_before(run),
            rate=run.query_count / run.seconds if run.seconds else None,
            **kwargs,
        )


class RunQueriesPage(RetrievalPage):
    """The queries of a run, twenty at a time: ?show=failed, passed or all; ?q= in their text."""

    template_name = "datasets_app/retrieval/run_queries.html"
    write_action = None
    http_method_names = ["get", "head", "options"]
    run: RetrievalRun

    def load(self, **kwargs: Any) -> None:
        self.run = run_of(kwargs["object_id"])
        self.show = text_of(self.request.GET, "show")
        self.show = self.show if self.show in SHOWS else "failed"
        self.title = f"Queries of run {self.run.pk}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.request.GET
        wanted = text_of(query, "q")
        results = RetrievalResult.objects.filter(run=self.run)
        if self.show != "all":
            results = results.filter(passed=self.show == "passed")
        if wanted:
            results = results.filter(text__icontains=wanted)
        page = keyset_page(
            results,
            key="query_id",
            size=PAGE_QUERIES,
            after=id_or_none(text_of(query, "after")),
            before=id_or_none(text_of(query, "before")),
        )
        counts = {
            "failed": self.run.query_count - self.run.passed_count,
            "passed": self.run.passed_count,
            "all": self.run.query_count,
        }
        kept = {"show": self.show, "q": wanted}
        return super().get_context_data(
            run=self.run,
            show=self.show,
            wanted=wanted,
            tabs=[(name, title, counts[name]) for name, title in SHOWS.items()],
            rows=results_shown(self.run, page.rows),
            previous_query=query_string(**kept, before=page.previous) if page.previous else "",
            next_query=query_string(**kept, after=page.next) if page.next else "",
            **kwargs,
        )


def results_shown(run: RetrievalRun, results: list[RetrievalResult]) -> list[dict[str, Any]]:
    """Return results of a run with the chunks' titles, the query that is asked still, and where to ask it again."""
    ids = [result.query_id for result in results]
    rules: dict[uuid.UUID, Any] = dict(TestQuery.objects.filter(pk__in=ids).values_list("pk", "pass_rule"))
    passed = {result.query_id: result.passed for result in results}
    form = run_form(run)
    return [
        {
            "query": shown,
            "passed": passed[shown.query_id],
            "exists": shown.query_id in rules,
            **_rule_shown(rules.get(shown.query_id), run),
            "values": shown_values(shown.metrics, ("ndcg@10", "mrr", f"recall@{run.k}")),
            "search": search_address(shown.text, run.corpus.name, form),
        }
        for shown in shown_results(results)
    ]


def _rule_shown(document: Any, run: RetrievalRun) -> dict[str, Any]:
    """Return what a query has to find now, and how deep its rule looks; a run does not keep its queries' rules."""
    try:
        rule = checked_rule(document or {})
    except InvalidPassRule:
        return {"rule": "", "depth": run.k}
    k = depth(rule, run.k)
    shown = {
        "any": f"one in the top {k}",
        "all": f"all in the top {k}",
        "recall": f"recall ≥ {rule.at_least} in the top {k}",
        "ndcg": f"nDCG ≥ {rule.at_least} in the top {k}",
    }
    return {"rule": "" if document is None else shown[rule.rule], "depth": k}


def run_form(run: RetrievalRun) -> SearchForm:
    """Return the form that says how a run searched; the default one for a run of another program's options."""
    try:
        options = EvaluationOptions.from_document(run.options)
    except BadInput:
        return SearchForm({"k": str(run.k)})
    form = SearchForm.of(options.search, run.k)
    form.cells["model"] = run.embedding_model or form.cells["model"]
    return form


def _chosen(run: RetrievalRun) -> str:
    """Return in words which queries a run took."""
    try:
        return str(EvaluationOptions.from_document(run.options).query_filter)
    except BadInput:
        return "not known"


def _run_before(run: RetrievalRun) -> RetrievalRun | None:
    """Return the newest earlier run over the same choice of queries with the same k."""
    chosen = run.options.get("queries")
    earlier = RetrievalRun.objects.filter(corpus=run.corpus, k=run.k, options__queries=chosen, pk__lt=run.pk)
    return earlier.order_by("-pk").first()
