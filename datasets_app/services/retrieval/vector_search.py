"""The vector leg: the chunks whose vectors are nearest to the query's, by cosine similarity.

Two plans. Exact: the distance to every vector of the corpus; right for small corpora, and for those that are a small
share of all vectors, where an index would look at mostly others'. HNSW: pgvector's graph, walked on until enough chunks
of the corpus are found (iterative scan in strict order).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db import connection, transaction

from datasets_app.models import Corpus, EmbeddingModel
from datasets_app.services.retrieval.lexical_search import LegHit
from datasets_app.services.retrieval.vector_index import index_expression
from goldenproject.kit.database_io import binary_cursor

EXACT_CHUNKS = 10_000
EXACT_SHARE = 0.05
_MOST_EF_SEARCH = 1000
_COUNTED_MISSING = 1000

# What the planner and the index must know for one statement. Without these it may prefer to compare with every vector:
# any plan but the one by the index has a full sort.
_PLAN = """
SELECT set_config('hnsw.ef_search', %s, true), set_config('hnsw.iterative_scan', 'strict_order', true),
       set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('enable_bitmapscan', 'off', true),
       set_config('enable_sort', 'off', true)
"""
_SWITCHES = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan", "enable_sort")

_GOLDEN = """
  JOIN datasets_app_chunk c ON c.content_hash = e.content_hash
  JOIN datasets_app_analysis a ON a.id = c.analysis_id
 WHERE e.model_id = {model} AND a.corpus_id = %(corpus)s AND a.status = 'completed'
"""
# Plan: for each query, Limit → Incremental Sort (distance known, then id) → Nested Loop over an Index Scan of the HNSW
# index, chunk_content_hash and the key of the analyses. It must say what the index says: expression and model. The texts
# of the vectors become an array of vectors, once; a cast beside the operator would read the text again for each row.
_BY_INDEX = """
SELECT q.number, hit.id, hit.distance
  FROM unnest(%(vectors)s::text[]::{base}[]) WITH ORDINALITY AS q (vector, number)
 CROSS JOIN LATERAL (
    SELECT c.id, e.{expression} <=> q.vector::{type} AS distance
      FROM datasets_app_embedding e {golden}
     ORDER BY e.{expression} <=> q.vector::{type}, c.id LIMIT %(limit)s) hit
 ORDER BY q.number, hit.distance, hit.id
"""
# Plan: the corpus' vectors joined once (CTE), and for each query a scan of them with a top-N sort. The column without a
# cast is not what the HNSW index is over, so that this is exact whatever the planner thinks.
_EXACT = """
WITH golden AS {materialized} (SELECT c.id, e.vector FROM datasets_app_embedding e {golden})
SELECT q.number, hit.id, hit.distance
  FROM unnest(%(vectors)s::text[]::vector[]) WITH ORDINALITY AS q (vector, number)
 CROSS JOIN LATERAL (
    SELECT golden.id, golden.vector <=> q.vector AS distance
      FROM golden ORDER BY 2, 1 LIMIT %(limit)s) hit
 ORDER BY q.number, hit.distance, hit.id
"""
_FACTS = """
SELECT coalesce(sum(chunk_count - deleted_count), 0)::bigint, coalesce(max(id), 0), coalesce(sum(deleted_count), 0)::bigint,
       (SELECT c.reltuples::bigint FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
         WHERE c.oid = to_regclass(%s) AND i.indisvalid)
  FROM datasets_app_lexicalsegment WHERE corpus_id = %s
"""
_COUNT = """
SELECT count(*) FROM (
    SELECT FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
     WHERE a.corpus_id = %s AND a.status = 'completed' LIMIT %s) golden
"""
_MISSING = """
SELECT count(*) FROM (
    SELECT FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
     WHERE a.corpus_id = %s AND a.status = 'completed'
       AND NOT EXISTS (SELECT 1 FROM datasets_app_embedding e
                        WHERE e.model_id = %s AND e.content_hash = c.content_hash)
     LIMIT %s) missing
"""


class VectorFacts(NamedTuple):
    """What is known of a corpus without counting its chunks.

    `chunks` are those in the lexical index; `state` changes whenever that does; `indexed` is about how many vectors the
    HNSW index holds, None when there is no index to use.
    """

    chunks: int
    state: tuple[int, int]
    indexed: int | None


def vector_facts(corpus: Corpus, model: EmbeddingModel) -> VectorFacts:
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [model.index_name, corpus.pk])
        chunks, newest, deleted, indexed = cursor.fetchone()
        if not chunks:  # the lexical index was not made yet
            cursor.execute(_COUNT, [corpus.pk, EXACT_CHUNKS + 1])
            chunks = cursor.fetchone()[0]
    return VectorFacts(int(chunks), (newest, int(deleted)), indexed)


def missing_vectors(corpus: Corpus, model: EmbeddingModel) -> int:
    """Return how many golden chunks of the corpus have no vector of `model`, counting no further than 1,000."""
    with connection.cursor() as cursor:
        cursor.execute(_MISSING, [corpus.pk, model.pk, _COUNTED_MISSING])
        return int(cursor.fetchone()[0])


def nearest(
    corpus: Corpus,
    model: EmbeddingModel,
    vector: npt.NDArray[np.float32],
    limit: int,
    exact: bool = False,
) -> list[LegHit]:
    """Return the `limit` chunks nearest to `vector`, shape (dimension,): cosine similarity, best first, ties by id.

    Chunks with the same text are all found. `exact` compares with every vector of the corpus, whatever its size.
    """
    return nearest_many(corpus, model, vector[np.newaxis, :], limit, exact=exact)[0]


def nearest_many(
    corpus: Corpus,
    model: EmbeddingModel,
    vectors: npt.NDArray[np.float32],
    limit: int,
    *,
    exact: bool = False,
    facts: VectorFacts | None = None,
) -> list[list[LegHit]]:
    """Return what `nearest` finds for each row of `vectors`, shape (queries, dimension), in one statement."""
    facts = facts or vector_facts(corpus, model)
    parameters = {"corpus": corpus.pk, "limit": limit, "vectors": [_literal(row) for row in vectors]}
    found: list[list[LegHit]] = [[] for _ in vectors]
    if exact or not uses_index(facts, model):
        rows = _execute(exact_sql(model, materialized=facts.chunks <= EXACT_CHUNKS), parameters)
    else:
        with index_plan(limit):
            rows = _execute(index_sql(model), parameters)
    for number, chunk_id, distance in rows:
        found[number - 1].append(LegHit(chunk_id, 1.0 - distance))
    return found


def uses_index(facts: VectorFacts, model: EmbeddingModel) -> bool:
    """Tell whether the HNSW index of `model` serves a corpus better than comparing with all its vectors."""
    if facts.indexed is None or not index_expression(model):
        return False
    return facts.chunks > EXACT_CHUNKS and facts.chunks > EXACT_SHARE * facts.indexed


def index_sql(model: EmbeddingModel) -> str:
    """Return the statement that asks the HNSW index; parameters: corpus, vectors (texts), limit."""
    expression = index_expression(model)
    return _BY_INDEX.format(
        expression=expression,
        type=expression.partition("::")[2],
        base=expression.partition("::")[2].partition("(")[0],
        golden=_GOLDEN.format(model=int(model.pk)),
    )


def exact_sql(model: EmbeddingModel, *, materialized: bool) -> str:
    """Return the statement that compares with every vector; parameters as of `index_sql`."""
    return _EXACT.format(
        materialized="MATERIALIZED" if materialized else "NOT MATERIALIZED",
        golden=_GOLDEN.format(model=int(model.pk)),
    )


@contextmanager
def index_plan(limit: int) -> Iterator[None]:
    """Let the planner walk the index inside the block, and the index look far enough for `limit` hits."""
    ef_search = min(max(2 * limit, 100), _MOST_EF_SEARCH)
    nested = connection.in_atomic_block
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        before = []
        if nested:  # what is set lasts until the outer transaction ends
            cursor.execute(f"SELECT {', '.join(f'current_setting({name!r})' for name in _SWITCHES)}")
            before = list(zip(_SWITCHES, cursor.fetchone(), strict=True))
        cursor.execute(_PLAN, [str(ef_search)])
        yield
        for name, value in before:
            cursor.execute("SELECT set_config(%s, %s, true)", [name, value])


def _execute(statement: str, parameters: dict[str, object]) -> list[tuple[int, UUID, float]]:
    with binary_cursor() as cursor:
        return cursor.execute(statement, parameters).fetchall()  # type: ignore[call-overload, no-any-return]


def _literal(vector: npt.NDArray[np.float32]) -> str:
    """Return the vector as pgvector reads it; Python writes a float32 as a float64 that rounds back to it."""
    return f"[{','.join(map(repr, vector.tolist()))}]"
