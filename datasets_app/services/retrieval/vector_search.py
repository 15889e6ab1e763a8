"""The vector leg: the chunks whose vectors are nearest to the query's, by cosine similarity.

Two plans. Exact: the distance to every vector of the corpus; right for small corpora, and for those that are a small
share of all vectors, where an index would look at mostly others'. HNSW: pgvector's graph, walked on until enough chunks
of the corpus are found (iterative scan in strict order).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from django.db import connection

from datasets_app.domain.retrieval.bm25 import Scored
from datasets_app.models import Corpus, EmbeddingModel
from datasets_app.services.retrieval.index_reading import VectorFacts
from datasets_app.services.retrieval.lexical_search import LegHit, leg_hits
from datasets_app.services.retrieval.vector_index import index_expression
from goldenproject.kit.database_io import binary_cursor

EXACT_CHUNKS = 10_000
EXACT_SHARE = 0.05
_MOST_EF_SEARCH = 1000
MOST_MISSING = 1000

# What the planner and the index must know for one statement. Without these it may prefer to compare with every vector:
# any plan but the one by the index has a full sort.
_SWITCHES = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan", "enable_sort")
_KEEP = ", ".join(f"set_config('golden.{name}', current_setting('{name}'), true)" for name in _SWITCHES)
_OFF = ", ".join(f"set_config('{name}', 'off', true)" for name in _SWITCHES)
_SETTINGS = f"""
SELECT {_KEEP}, {_OFF},
       set_config('hnsw.ef_search', %(ef_search)s, true), set_config('hnsw.iterative_scan', 'strict_order', true)
"""
_AS_BEFORE = "SELECT " + ", ".join(
    f"set_config('{name}', current_setting('golden.{name}'), true)" for name in _SWITCHES
)

_GOLDEN = """
  JOIN datasets_app_chunk c ON c.content_hash = e.content_hash
  JOIN datasets_app_analysis a ON a.id = c.analysis_id
 WHERE e.model_id = {model} AND a.corpus_id = %(corpus)s AND a.status = 'completed'
"""
# Plan: for each query, Limit → Incremental Sort (distance known, then id) → Nested Loop over an Index Scan of the HNSW
# index, chunk_content_hash and the key of the analyses. It must say what the index says: expression and model. The texts
# of the vectors become an array of vectors, once; a cast beside the operator would read the text again for each row.
_BY_INDEX = """
SELECT q.number, uuid_send(hit.id), hit.distance
  FROM unnest(%(vectors)s::text[]::{base}[]) WITH ORDINALITY AS q (vector, number)
 CROSS JOIN LATERAL (
    SELECT c.id, e.{expression} <=> q.vector::{type} AS distance
      FROM datasets_app_embedding e {golden}
     ORDER BY e.{expression} <=> q.vector::{type}, c.id LIMIT %(limit)s) hit
 ORDER BY q.number, hit.distance, hit.id
"""
# Plan: the corpus' vectors joined, once for several queries (CTE), and for each a scan of them with a top-N sort. The column without a
# cast is not what the HNSW index is over, so that this is exact whatever the planner thinks.
_EXACT = """
WITH golden AS {materialized} (SELECT c.id, e.vector FROM datasets_app_embedding e {golden})
SELECT q.number, uuid_send(hit.id), hit.distance
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
SELECT c.content_hash FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
 WHERE a.corpus_id = %s AND a.status = 'completed'
   AND NOT EXISTS (SELECT 1 FROM datasets_app_embedding e
                    WHERE e.model_id = %s AND e.content_hash = c.content_hash)
 LIMIT %s
"""
_STILL_MISSING = """
SELECT count(*) FROM unnest(%s::bytea[]) AS looked_for (content_hash)
 WHERE NOT EXISTS (SELECT 1 FROM datasets_app_embedding e
                    WHERE e.model_id = %s AND e.content_hash = looked_for.content_hash)
"""


def vector_facts(corpus: Corpus, model: EmbeddingModel) -> VectorFacts:
    """Return what decides between the two plans; searches read it with the lexical index (read_index)."""
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, [model.index_name, corpus.pk])
        chunks, newest, deleted, indexed = cursor.fetchone()
    return counted(corpus, VectorFacts(int(chunks), (newest, int(deleted)), indexed))


def counted(corpus: Corpus, facts: VectorFacts) -> VectorFacts:
    """Return `facts` with the number of chunks, counted as far as it matters where there is no lexical index yet."""
    if facts.chunks:
        return facts
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, [corpus.pk, EXACT_CHUNKS + 1])
        return facts._replace(chunks=int(cursor.fetchone()[0]))


def missing_vectors(corpus: Corpus, model: EmbeddingModel) -> list[bytes]:
    """Return the hash of each golden chunk of the corpus that has no vector of `model`, MOST_MISSING at the most.

    Looks at every chunk where few are missing: tens of milliseconds at 100,000.
    """
    with binary_cursor() as cursor:
        rows = cursor.execute(_MISSING, [corpus.pk, model.pk, MOST_MISSING]).fetchall()
    return [row[0] for row in rows]


def still_missing(model: EmbeddingModel, hashes: Sequence[bytes]) -> int:
    """Return how many of `hashes`, which may repeat, still have no vector of `model`."""
    with binary_cursor() as cursor:
        (count,) = cursor.execute(_STILL_MISSING, [list(hashes), model.pk]).fetchone()  # type: ignore[misc]
    return int(count)


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
    return [leg_hits(found) for found in scored_many(corpus, model, vectors, limit, exact=exact, facts=facts)]


def scored_many(
    corpus: Corpus,
    model: EmbeddingModel,
    vectors: npt.NDArray[np.float32],
    limit: int,
    *,
    exact: bool = False,
    facts: VectorFacts | None = None,
) -> list[list[Scored]]:
    """Return what `nearest_many` does, with ids as bytes; one round trip when `facts` are given."""
    facts = facts or vector_facts(corpus, model)
    parameters = {"corpus": corpus.pk, "limit": limit, "vectors": [vector_literal(row) for row in vectors]}
    if exact or not uses_index(facts, model):
        several = (
            len(vectors) > 1 and facts.chunks <= EXACT_CHUNKS
        )  # else keeping the vectors costs more than it saves
        rows = _execute(exact_sql(model, materialized=several), parameters)
    else:
        rows = execute_by_index(index_statements(model), {**parameters, "ef_search": str(ef_search(limit))})
    found: list[list[Scored]] = [[] for _ in vectors]
    for number, chunk_id, distance in rows:
        found[number - 1].append(Scored(chunk_id, 1.0 - distance))
    return found


def uses_index(facts: VectorFacts, model: EmbeddingModel) -> bool:
    """Tell whether the HNSW index of `model` serves a corpus better than comparing with all its vectors."""
    if facts.indexed is None or not index_expression(model):
        return False
    return facts.chunks > EXACT_CHUNKS and facts.chunks > EXACT_SHARE * facts.indexed


class IndexStatements(NamedTuple):
    """What asks the HNSW index: settings for the planner and the index, the query, the settings of before."""

    settings: str
    query: str
    as_before: str


def index_statements(model: EmbeddingModel) -> IndexStatements:
    """Return the statements that ask the HNSW index; parameters: corpus, vectors (texts), limit, ef_search (text)."""
    expression = index_expression(model)
    query = _BY_INDEX.format(
        expression=expression,
        type=expression.partition("::")[2],
        base=expression.partition("::")[2].partition("(")[0],
        golden=_GOLDEN.format(model=int(model.pk)),
    )
    return by_index(query)


def by_index(query: str) -> IndexStatements:
    """Return what makes the planner answer `query` by its HNSW index; adds the parameter ef_search (text)."""
    return IndexStatements(_SETTINGS, query, _AS_BEFORE)


def exact_sql(model: EmbeddingModel, *, materialized: bool) -> str:
    """Return the statement that compares with every vector; parameters: corpus, vectors (texts), limit."""
    return _EXACT.format(
        materialized="MATERIALIZED" if materialized else "NOT MATERIALIZED",
        golden=_GOLDEN.format(model=int(model.pk)),
    )


def ef_search(limit: int) -> int:
    """Return how many candidates the index keeps in mind for `limit` hits: its default of 40 would return 40."""
    return min(max(2 * limit, 100), _MOST_EF_SEARCH)


def _execute(statement: str, parameters: dict[str, Any]) -> list[tuple[int, bytes, float]]:
    with binary_cursor() as cursor:
        return cursor.execute(statement, parameters).fetchall()  # type: ignore[call-overload, no-any-return]


def execute_by_index(statements: IndexStatements, parameters: dict[str, Any]) -> list[Any]:
    """Send the statements as one message: one round trip, and one transaction even where none is open.

    So the settings end with it; inside a transaction the last statement puts the planner's back.
    """
    with connection.cursor() as cursor:
        cursor.execute(";".join(statements), parameters)
        cursor.nextset()  # from the settings to the query
        return list(cursor.fetchall())


def vector_literal(vector: npt.NDArray[np.float32]) -> str:
    """Return the vector as pgvector reads it; Python writes a float32 as a float64 that rounds back to it."""
    return f"[{','.join(map(repr, vector.tolist()))}]"
