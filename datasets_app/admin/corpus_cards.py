"""The corpora on the first page: how much each holds, and how well search did in the last run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.urls import NoReverseMatch, reverse

from datasets_app.models import Analysis, Chunk, Corpus, RetrievalRun, TestQuery

SHOWN_CORPORA = 12
_PAGES = (
    ("Sources", "admin:datasets_app_analysis_changelist"),
    ("Test queries", "admin:datasets_app_testquery_changelist"),
    ("Search", "corpus_search"),
    ("Evaluations", "admin:datasets_app_retrievalrun_changelist"),
)


@dataclass(frozen=True)
class CorpusCard:
    """A corpus: its counts (of completed sources alone), the share of queries that passed in its newest run, its pages."""

    corpus: Corpus
    sources: int
    chunks: int
    queries: int
    passed: float | None
    pages: list[tuple[str, str]]

    @property
    def passed_percent(self) -> str:
        return "" if self.passed is None else f"{100 * self.passed:.1f}"


def corpus_cards() -> list[CorpusCard]:
    """Return a card for each of the first corpora by name; four statements, however many there are."""
    newest = RetrievalRun.objects.filter(corpus=OuterRef("pk")).order_by("-id")
    corpora = list(
        Corpus.objects.annotate(
            passed=Subquery(newest.values("passed_count")[:1]),
            asked=Subquery(newest.values("query_count")[:1]),
        ).order_by("name")[:SHOWN_CORPORA]
    )
    keys = [corpus.pk for corpus in corpora]
    sources = _counts(Analysis.objects.filter(status="completed", corpus__in=keys), "corpus_id")
    chunks = _counts(
        Chunk.objects.filter(analysis__status="completed", analysis__corpus__in=keys), "analysis__corpus_id"
    )
    queries = _counts(TestQuery.objects.filter(corpus__in=keys), "corpus_id")
    return [
        CorpusCard(
            corpus,
            sources.get(corpus.pk, 0),
            chunks.get(corpus.pk, 0),
            queries.get(corpus.pk, 0),
            corpus.passed / corpus.asked if corpus.asked else None,
            _pages(corpus),
        )
        for corpus in corpora
    ]


def _counts(rows: QuerySet[Any], by: str) -> dict[Any, int]:
    grouped = rows.order_by().values(key=F(by)).annotate(n=Count("pk"))
    return dict(grouped.values_list("key", "n"))


def _pages(corpus: Corpus) -> list[tuple[str, str]]:
    found = []
    for title, name in _PAGES:
        try:
            found.append((title, f"{reverse(name)}?{urlencode({'corpus': corpus.name})}"))
        except NoReverseMatch:  # a part of the console that is not installed
            continue
    return found
