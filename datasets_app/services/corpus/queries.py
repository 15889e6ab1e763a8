"""Test queries saved, changed and deleted, one or many, with the chunks that they expect."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.models import Corpus, TestQuery
from datasets_app.services.access import record
from datasets_app.services.corpus.bulk_queries import BulkQueries, QueryPolicy, SavedQueryCounts
from datasets_app.services.corpus.changing import MANY_ROWS, changing, refresh_statistics
from datasets_app.services.corpus.drafts import QueryDraft, RefusedDraft
from goldenproject.kit.clock import random_uuid
from goldenproject.kit.errors import BadInput, NotFound
from goldenproject.kit.retries import retried

__all__ = ["QueryPolicy", "SavedQueryCounts"]

Progress = Callable[..., None]
NOTHING_EXPECTED = "This query expects no chunk: it can be asked, but evaluations leave it out."
_CHANGEABLE = frozenset({"text", "expected", "tags", "difficulty", "category", "pass_rule", "external_id"})


@retried()
def save_query(*, corpus: Corpus, draft: QueryDraft, actor: Any) -> TestQuery:
    """Save a new test query and return it; `query_warnings` tells what to mind about it.

    Raises InvalidQuery (also for expected chunks that are not in the corpus), InvalidPassRule, QueryExists.
    """
    query_id = draft.id or random_uuid()
    with changing(corpus=corpus, actor=actor, action=Action.EDIT, reason="add test query"):
        bulk = BulkQueries(corpus)
        bulk.add(replace(draft, id=query_id))
        bulk.save(QueryPolicy())
        record(actor, "corpus.query.add", None, draft.text[:200], corpus=corpus.name, query=str(query_id))
    return TestQuery.objects.get(pk=query_id)


@retried()
def save_queries(
    *,
    corpus: Corpus,
    drafts: Iterable[QueryDraft | RefusedDraft],
    actor: Any,
    on_existing: str = "refuse",
    drop_unknown: bool = False,
    progress: Progress | None = None,
) -> SavedQueryCounts:
    """Save many test queries in one transaction: all of them or nothing, in flat memory.

    A query is there already when its id is, or else its external id: it is refused, skipped, or updated to be as the
    draft says, judgments too. With `drop_unknown` judgments of chunks that are not in the corpus are left out and
    counted; without, the whole is refused. What is refused is collected, the first twenty are named.
    Raises InvalidQuery, InvalidPassRule, QueryExists.
    """
    policy = QueryPolicy(on_existing, drop_unknown)
    with changing(corpus=corpus, actor=actor, action=Action.EDIT, reason="save test queries"):
        bulk = BulkQueries(corpus)
        for number, draft in enumerate(drafts, 1):
            if isinstance(draft, RefusedDraft):
                bulk.refuse(draft.place, draft.error)
            else:
                bulk.add(draft if draft.place else replace(draft, place=f"query {number}"))
            if progress:
                progress(number)
        counts = bulk.save(policy)
        if counts.added or counts.updated:
            summary = f"{counts.added} test queries added, {counts.updated} updated in {corpus.name}"
            record(actor, "corpus.query.save", None, summary, corpus=corpus.name)
        if counts.added + counts.updated >= MANY_ROWS:
            refresh_statistics()
    return counts


@retried()
def update_query(*, query: TestQuery, actor: Any, **fields: Any) -> TestQuery:
    """Change text, expected ({chunk id: relevance}, replaces all), tags, difficulty, category, pass_rule, external_id.

    Raises InvalidQuery (also for expected chunks that are not in the corpus), InvalidPassRule.
    """
    unknown = fields.keys() - _CHANGEABLE
    if unknown:
        raise BadInput(f"{', '.join(sorted(unknown))} of a test query cannot be changed.")
    corpus = query.corpus
    with changing(corpus=corpus, actor=actor, action=Action.EDIT, reason="edit test query"):
        current = _current(query)
        bulk = BulkQueries(corpus)
        bulk.add(replace(draft_of(current), **fields))
        counts = bulk.save(QueryPolicy("update"))
        if counts.updated:
            changed = sorted(fields)
            record(
                actor, "corpus.query.update", None, current.text[:200], query=str(current.pk), fields=changed
            )
    return TestQuery.objects.get(pk=query.pk)


@retried()
def delete_query(*, query: TestQuery, actor: Any) -> None:
    """Delete a test query with its judgments; runs that asked it keep its text and result."""
    with changing(corpus=query.corpus, actor=actor, action=Action.EDIT, reason="delete test query"):
        current = _current(query)
        record(actor, "corpus.query.delete", None, current.text[:200], query=str(current.pk))
        current.expectations.all().delete()
        current.delete()


def draft_of(query: TestQuery) -> QueryDraft:
    """Return a stored query as a draft that would change nothing."""
    return QueryDraft(
        text=query.text,
        expected=dict(query.expectations.values_list("chunk_id", "relevance")),
        tags=query.tags,
        difficulty=query.difficulty,
        category=query.category,
        pass_rule=query.pass_rule,
        external_id=query.external_id,
        id=query.pk,
        created_at=query.created_at,
    )


def query_warnings(expected: Mapping[uuid.UUID, int]) -> list[str]:
    """Return what to mind about a query with these judgments, in words."""
    return [] if any(relevance > 0 for relevance in expected.values()) else [NOTHING_EXPECTED]


def _current(query: TestQuery) -> TestQuery:
    current = TestQuery.objects.select_for_update().filter(pk=query.pk).first()
    if current is None:
        raise NotFound(f"There is no test query {query.pk} any more.")
    return current
