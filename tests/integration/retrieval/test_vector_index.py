"""The HNSW index of a model: built beside the writers, used by its queries."""

from __future__ import annotations

import numpy as np
import pytest
from django.db import connection

from datasets_app.models import EmbeddingModel
from datasets_app.services.retrieval import (
    embedding,
    vector_index,
)
from datasets_app.services.retrieval.embedding import build_index, embed_missing
from datasets_app.services.retrieval.embedding_models import (
    get_model,
)
from datasets_app.services.retrieval.stored_vectors import store_vectors
from datasets_app.services.retrieval.vector_index import IndexState, index_state
from tests.embedding_server import EmbeddingServer
from tests.integration.embedding_data import add_chunks, make_model, sha256


def plan(model: EmbeddingModel) -> str:
    expression, kind = vector_index.index_expression(model), "halfvec" if model.dimension > 2000 else "vector"
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")
        cursor.execute(
            f"EXPLAIN SELECT content_hash FROM datasets_app_embedding WHERE model_id = {model.pk} "
            f"ORDER BY {expression} <=> '{[1] * model.dimension}'::{kind}({model.dimension}) LIMIT 3"
        )
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.parametrize("dimension", [8, 2001])
def test_build_index__query_of_its_expression__uses_it(db: None, dimension: int) -> None:
    model = EmbeddingModel.objects.create(name="wide", provider="minilm", dimension=dimension)
    rows = np.random.default_rng(7).normal(size=(20, dimension)).astype(np.float32)
    store_vectors(model, [sha256(str(n)) for n in range(20)], rows)
    store_vectors(get_model(), [sha256("other")], np.ones((1, 384), np.float32))
    assert index_state(model) == IndexState.ABSENT
    assert (build_index(model), build_index(model)) == (IndexState.READY, IndexState.READY)
    assert f"Index Scan using {model.index_name}" in plan(model)


def test_build_index__too_many_dimensions__is_told_not_tried(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = EmbeddingModel.objects.create(name="widest", provider="minilm", dimension=4001)
    assert build_index(model) == IndexState.IMPOSSIBLE
    monkeypatch.setattr(embedding, "SMALL", 0)
    report = embed_missing(model=model, actor=None)
    assert report.warnings == [
        "4001 dimensions are too many for an index: each search compares with every vector."
    ]


def test_embed_missing__enough_vectors_and_commits__builds_the_index_concurrently(
    committed_db: str, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "SMALL", 2)
    model = make_model(server)
    add_chunks("a", "b", "c")
    statements: list[str] = []
    execute = vector_index._execute
    monkeypatch.setattr(vector_index, "_execute", lambda sql: (statements.append(sql), execute(sql)))
    assert embed_missing(model=model, actor=None).index == "ready"
    assert statements[0].startswith("CREATE INDEX CONCURRENTLY IF NOT EXISTS embedding_hnsw_")
    assert statements[1:] == ["RESET maintenance_work_mem"]
    with connection.cursor() as cursor:  # what a killed build leaves
        cursor.execute(
            f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{model.index_name}'::regclass"
        )
    assert index_state(model) == IndexState.BROKEN
    assert build_index(model) == IndexState.READY and index_state(model) == IndexState.READY
