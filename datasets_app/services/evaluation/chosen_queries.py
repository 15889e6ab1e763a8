"""The test queries that an evaluation takes, with their judgments, and the hashes of what it is made on."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection

from datasets_app.domain.retrieval.pass_rules import PassRule, checked_rule
from datasets_app.errors import InvalidPassRule, NothingToEvaluate
from datasets_app.models import Corpus
from datasets_app.services.evaluation.options import QueryFilter
from goldenproject.kit.errors import NotFound

# Expected plan: the corpus' queries by the index test_query_order, one hash join with their judgments.
_QUERIES = """
    SELECT q.id, q.external_id, q.text, q.tags, q.difficulty, q.category, q.pass_rule::text,
           coalesce(e.chunks, '{{}}'), coalesce(e.grades, '{{}}'), coalesce(e.unsearched, 0)
      FROM datasets_app_testquery q
      LEFT JOIN (SELECT e.query_id, array_agg(e.chunk_id ORDER BY e.chunk_id) AS chunks,
                        array_agg(e.relevance ORDER BY e.chunk_id) AS grades,
                        count(*) FILTER (WHERE e.relevance > 0 AND a.status <> 'completed') AS unsearched
                   FROM datasets_app_expectedchunk e
                   JOIN datasets_app_testquery q ON q.id = e.query_id AND q.corpus_id = %(corpus)s
                   JOIN datasets_app_chunk c ON c.id = e.chunk_id
                   JOIN datasets_app_analysis a ON a.id = c.analysis_id
                  GROUP BY e.query_id) e ON e.query_id = q.id
     WHERE q.corpus_id = %(corpus)s {conditions}
     ORDER BY q.created_at, q.id
"""
# Expected plan: one scan of the corpus' completed chunks, sorted by hash; 32 bytes a chunk.
_CORPUS_HASH = """
    SELECT encode(sha256(coalesce(string_agg(c.content_hash, ''::bytea ORDER BY c.content_hash), ''::bytea)), 'hex')
      FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
     WHERE a.corpus_id = %s AND a.status = 'completed'
"""
_NAMED = 20


@dataclass(frozen=True, slots=True)
class ChosenQuery:
    """A query with its rule and its judgments (relevance by chunk id)."""

    id: uuid.UUID
    text: str
    tags: tuple[str, ...]
    difficulty: str
    category: str
    rule: PassRule
    judgments: dict[uuid.UUID, int]


@dataclass(frozen=True)
class ChosenQueries:
    """The queries to ask, how many were left out for want of expected chunks, and how many of those asked expect
    a chunk that search cannot find because its analysis is not completed."""

    queries: list[ChosenQuery]
    without_expected: int
    unsearched_chunks: int

    @property
    def deepest_rule(self) -> int:
        return max((query.rule.k or 1 for query in self.queries), default=1)


def chosen_queries(corpus: Corpus, query_filter: QueryFilter) -> ChosenQueries:
    """Return the queries of `corpus` that the filter takes, in their order; one statement.

    Raises NotFound for an id that no query has, InvalidPassRule for a stored rule that cannot be used, and
    NothingToEvaluate when no query is left that expects a chunk.
    """
    conditions, parameters = _conditions(query_filter)
    with connection.cursor() as cursor:
        cursor.execute(_QUERIES.format(conditions=conditions), {"corpus": corpus.pk, **parameters})
        rows = cursor.fetchall()
    _check_ids(query_filter, rows)
    queries, without, unsearched = [], 0, 0
    for key, _, text, tags, difficulty, category, rule, chunks, grades, missing in rows:
        judgments = dict(zip(chunks, grades, strict=True))
        if not any(judgments.values()):
            without += 1
            continue
        unsearched += missing
        checked = _rule(key, text, rule)
        queries.append(ChosenQuery(key, text, tuple(tags), difficulty, category, checked, judgments))
    if not queries:
        raise NothingToEvaluate(
            f"Corpus “{corpus.name}”, {query_filter}: found {len(rows):,} test queries, none of which has an expected "
            "chunk; expected at least one.",
            hint="Give queries expected chunks in the admin, or import them with judgments.",
            corpus=corpus.name,
            queries=len(rows),
        )
    return ChosenQueries(queries, without, unsearched)


def _conditions(query_filter: QueryFilter) -> tuple[str, dict[str, Any]]:
    parts: dict[str, tuple[str, Any]] = {
        "tags": ("q.tags @> %(tags)s::varchar[]", list(query_filter.tags)),
        "difficulty": ("q.difficulty = %(difficulty)s", query_filter.difficulty),
        "category": ("q.category = %(category)s", query_filter.category),
    }
    used = {name: part for name, part in parts.items() if part[1]}
    parameters = {name: value for name, (_, value) in used.items()}
    clauses = [clause for clause, _ in used.values()]
    if query_filter.ids is not None:
        clauses.append(
            "(q.id::text = ANY(%(ids)s) OR (q.external_id <> '' AND q.external_id = ANY(%(ids)s)))"
        )
        parameters["ids"] = [_id_text(given) for given in query_filter.ids]
    return "".join(f" AND {clause}" for clause in clauses), parameters


def _id_text(given: str) -> str:
    """Return a UUID as the database writes it, any other id as it is."""
    try:
        return str(uuid.UUID(given))
    except ValueError:
        return given


def _check_ids(query_filter: QueryFilter, rows: Sequence[tuple]) -> None:
    if query_filter.ids is None:
        return
    known = {str(row[0]) for row in rows} | {row[1] for row in rows}
    missing = [given for given in query_filter.ids if _id_text(given) not in known]
    if missing:
        more = f" and {len(missing) - _NAMED:,} more" if len(missing) > _NAMED else ""
        raise NotFound(
            f"No test query (that the filter takes) has the id {', '.join(missing[:_NAMED])}{more}.",
            hint="Ids are UUIDs or external ids of the corpus' queries.",
            missing=missing[:_NAMED],
        )


def _rule(key: uuid.UUID, text: str, document: str) -> PassRule:
    try:
        return checked_rule(json.loads(document))
    except InvalidPassRule as error:
        raise InvalidPassRule(
            f"Query {key} “{text[:80]}”: {error.message}", hint=error.hint, **error.details
        ) from error


def queries_hash(queries: Sequence[ChosenQuery]) -> str:
    """Return SHA-256 over texts, rules and judgments of the queries, whatever their order."""
    digest = hashlib.sha256()
    for query in sorted(queries, key=lambda query: query.id):
        judged = [[str(chunk), grade] for chunk, grade in sorted(query.judgments.items())]
        digest.update(orjson.dumps([str(query.id), query.text, query.rule.document(), judged]) + b"\n")
    return digest.hexdigest()


def corpus_hash(corpus: Corpus) -> str:
    """Return SHA-256 over the sorted content hashes of the chunks that search can find."""
    with connection.cursor() as cursor:
        cursor.execute(_CORPUS_HASH, [corpus.pk])
        return str(cursor.fetchone()[0])
