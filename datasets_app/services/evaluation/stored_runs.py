"""Evaluation runs as they are kept: found by number or as the last one, and told as a document."""

from __future__ import annotations

from typing import Any

from datasets_app.domain.retrieval.metrics import in_reading_order
from datasets_app.errors import UnknownRun
from datasets_app.models import Corpus, RetrievalRun
from datasets_app.services.evaluation.options import EvaluationOptions

LAST = "last"


def get_run(key: str | int, corpus: Corpus | None = None) -> RetrievalRun:
    """Return the run of this number; "last" is the newest of `corpus`. Raises UnknownRun, also for a run of another."""
    runs = RetrievalRun.objects.select_related("corpus")
    if corpus is not None:
        runs = runs.filter(corpus=corpus)
    text = str(key).strip().lower()
    if text == LAST and corpus is not None:
        found = runs.order_by("-pk").first()
    else:
        found = runs.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 19 else None
    if found is None:
        where = f" of the corpus “{corpus.name}”" if corpus is not None else ""
        newest = list(runs.order_by("-pk").values_list("pk", flat=True)[:5])
        hint = f"The newest runs: {', '.join(map(str, newest))}." if newest else "There is no run yet."
        raise UnknownRun(f"There is no run {key}{where}; expected a run's number.", hint=hint, run=str(key))
    return found


def last_like(corpus: Corpus, options: EvaluationOptions) -> RetrievalRun | None:
    """Return the newest run over the same choice of queries with the same k, None when this would be the first."""
    chosen = options.query_filter.document()
    return (
        RetrievalRun.objects.filter(corpus=corpus, k=options.k, options__queries=chosen)
        .order_by("-pk")
        .first()
    )


def run_document(run: RetrievalRun) -> dict[str, Any]:
    """Return a run as plain JSON, metrics in reading order."""
    return {
        "run": run.pk,
        "corpus": run.corpus.name,
        "name": run.name,
        "created_at": run.created_at,
        "embedding_model": run.embedding_model,
        "k": run.k,
        "queries": run.query_count,
        "skipped": run.skipped_count,
        "passed": run.passed_count,
        "metrics": {name: run.metrics[name] for name in in_reading_order(run.metrics)},
        "groups": run.groups,
        "warnings": run.warnings,
        "seconds": run.seconds,
        "queries_per_s": run.query_count / run.seconds if run.seconds else None,
        "corpus_hash": run.corpus_hash,
        "queries_hash": run.queries_hash,
        "options": run.options,
    }
