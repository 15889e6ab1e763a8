"""What a search must know of its corpus before it begins, in one statement and so in one state.

A search is a few milliseconds, of which each statement of its own takes its share: the wait for the server, and planning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.db import connection

from datasets_app.domain.retrieval import bm25
from datasets_app.domain.retrieval.postings import Postings, unpack
from datasets_app.errors import IndexBusy
from datasets_app.models import Corpus, EmbeddingModel
from datasets_app.services.retrieval.segment_cache import KEY_COLUMNS, SegmentKey, segments_in
from goldenproject.kit.database_io import binary_cursor

_TRIES = 20
_KEPT_MODELS = 1000

# Plan: the facts once (a look at the first mark of the corpus, keys and catalogs), then a Nested Loop over the segments
# and the primary key of the terms: some pages for each segment and term, whatever the size of the index. The arrays of
# the segments are not read: see segment_cache.
_READ = f"""
WITH facts AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM datasets_app_changedchunk WHERE corpus_id = %(corpus)s) AS waiting,
           m.id AS model, m.xmin::text || ' ' || m.ctid::text AS version,
           (SELECT c.reltuples::bigint FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
             WHERE c.oid = to_regclass('embedding_hnsw_' || m.id) AND i.indisvalid) AS indexed
      FROM (VALUES (1)) AS one (row)
      LEFT JOIN datasets_app_embeddingmodel m
             ON %(with_model)s AND CASE WHEN %(name)s::text IS NULL THEN m.is_current ELSE m.name = %(name)s::text END)
SELECT facts.waiting, facts.model, facts.version, facts.indexed, s.chunk_count,
       t.term, t.document_frequency, t.postings, {KEY_COLUMNS}
  FROM facts
  LEFT JOIN datasets_app_lexicalsegment s ON s.corpus_id = %(corpus)s
  LEFT JOIN datasets_app_lexicalterm t ON t.segment_id = s.id AND t.term = ANY(%(terms)s)
"""


class VectorFacts(NamedTuple):
    """What is known of a corpus without counting its chunks.

    `chunks` are those in the lexical index; `state` changes whenever that does; `indexed` is about how many vectors the
    HNSW index holds, None when there is no index to use.
    """

    chunks: int
    state: tuple[int, int]
    indexed: int | None


class IndexRead(NamedTuple):
    """The lexical index of a corpus: its segments, and of each the postings of the terms asked for; and its vectors'.

    `waiting` tells whether chunks changed since the index last looked; `model` is None when there is none such.
    """

    waiting: bool
    model: EmbeddingModel | None
    facts: VectorFacts
    segments: list[bm25.Segment]
    postings: list[dict[str, Postings]]


def read_index(
    corpus: Corpus, terms: Sequence[str], *, with_model: bool = False, model_name: str | None = None
) -> IndexRead:
    """Return the index in one consistent state, and the model called `model_name` (None: the current one) if wanted.

    Raises IndexBusy when the index changes faster than it can be read.
    """
    parameters = {
        "corpus": corpus.pk,
        "terms": list(terms),
        "with_model": with_model,
        "name": model_name,
    }
    for _ in range(_TRIES):
        with binary_cursor() as cursor:
            rows = cursor.execute(_READ, parameters).fetchall()
        packed: dict[SegmentKey, list[tuple[str, int, bytes]]] = {}
        chunks: dict[SegmentKey, int] = {}
        for _waiting, _model, _version, _indexed, count, term, frequency, postings, *key_columns in rows:
            key = SegmentKey(*key_columns)
            if key.id is None:  # there is no segment
                continue
            of_segment = packed.setdefault(key, [])
            chunks[key] = count
            if term is not None:
                of_segment.append((term, frequency, postings))
        keys = sorted(packed)
        segments = segments_in(keys) if terms else []
        if segments is None:
            continue
        waiting, model_id, version, indexed = rows[0][:4]
        deleted = sum(key.deleted_count for key in keys)
        return IndexRead(
            waiting,
            None if model_id is None else _model_in(model_id, version),
            VectorFacts(sum(chunks.values()) - deleted, (keys[-1].id if keys else 0, deleted), indexed),
            segments,
            [
                {term: bm25.living(unpack(count, data), segment) for term, count, data in packed[key]}
                for key, segment in zip(keys, segments, strict=bool(terms))
            ],
        )
    raise IndexBusy("The lexical index changed again and again while it was read.", hint="Try again.")


_models: dict[tuple[str, int, str], EmbeddingModel] = {}
"""The rows of models that searches met, by their version: every change makes another one."""


def _model_in(model_id: int, version: str) -> EmbeddingModel | None:
    name: tuple[Any, ...] = (str(connection.settings_dict["NAME"]), model_id, version)
    model = _models.get(name)
    if model is None:
        model = EmbeddingModel.objects.filter(pk=model_id).first()
        if model is not None:
            if len(_models) > _KEPT_MODELS:
                _models.clear()
            _models[name] = model
    return model
