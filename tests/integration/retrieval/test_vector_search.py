"""The vector leg: exact where that is right, else by the HNSW index, with the same hits."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from datasets_app.models import Chunk, Corpus, EmbeddingModel
from datasets_app.services.retrieval import vector_search
from datasets_app.services.retrieval.index_reading import VectorFacts
from datasets_app.services.retrieval.lexical_index import refresh
from datasets_app.services.retrieval.vector_index import ensure_index
from datasets_app.services.retrieval.vector_search import (
    EXACT_CHUNKS,
    index_statements,
    nearest,
    nearest_many,
    uses_index,
    vector_facts,
)
from tests.integration.retrieval.retrieval_data import (
    ToyEmbedder,
    add_chunks,
    chunk_id,
    embed,
    make_analysis,
    make_corpus,
    make_model,
    unit_vector,
)

pytestmark = pytest.mark.django_db
ROWS = 500


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> tuple[Corpus, EmbeddingModel]:
    """A corpus that counts as big, one of another's vectors between each of its own, and an HNSW index over all."""
    monkeypatch.setattr(vector_search, "EXACT_CHUNKS", 100)
    corpus, other, model = make_corpus(), make_corpus("other"), make_model()
    chunks = add_chunks(make_analysis(corpus), [f"mine {number}" for number in range(ROWS)])
    chunks += add_chunks(
        make_analysis(other), [f"theirs {number}" for number in range(ROWS)], first=1_000_000
    )
    embed(model, chunks)
    ensure_index(model)
    refresh(corpus)
    return corpus, model


def test_nearest__big_corpus__uses_the_index_and_finds_what_is_nearest(
    indexed: tuple[Corpus, EmbeddingModel],
) -> None:
    corpus, model = indexed
    assert uses_index(vector_facts(corpus, model), model)
    shared = 0
    for number in range(10):
        vector = unit_vector(f"query {number}")
        by_index = nearest(corpus, model, vector, 100)
        exact = nearest(corpus, model, vector, 100, exact=True)
        assert len(by_index) == len(exact) == 100
        assert [hit.score for hit in by_index] == sorted((hit.score for hit in by_index), reverse=True)
        assert all(hit.chunk_id.int < 1_000_000 for hit in by_index)
        shared += len({hit.chunk_id for hit in by_index} & {hit.chunk_id for hit in exact})
    assert shared >= 980


def test_nearest__big_corpus__plan_walks_the_hnsw_index(indexed: tuple[Corpus, EmbeddingModel]) -> None:
    corpus, model = indexed
    statements = index_statements(model)
    parameters: dict[str, Any] = {
        "corpus": corpus.pk,
        "limit": 100,
        "vectors": [vector_search.vector_literal(unit_vector("query"))],
        "ef_search": "200",
    }
    with connection.cursor() as cursor:
        cursor.execute(f"{statements.settings}; EXPLAIN (COSTS OFF) {statements.query}", parameters)
        cursor.nextset()
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("SELECT current_setting('hnsw.ef_search'), current_setting('hnsw.iterative_scan')")
        assert cursor.fetchone() == ("200", "strict_order")
    assert f"Index Scan using {model.index_name}" in plan
    assert "Incremental Sort" in plan
    assert "Seq Scan" not in plan


def test_nearest__inside_a_transaction__planner_is_as_before(indexed: tuple[Corpus, EmbeddingModel]) -> None:
    corpus, model = indexed
    nearest(corpus, model, unit_vector("query"), 10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('enable_seqscan'), current_setting('enable_sort')")
        assert cursor.fetchone() == ("on", "on")


def test_nearest_many__several_queries__each_as_alone(indexed: tuple[Corpus, EmbeddingModel]) -> None:
    corpus, model = indexed
    texts = ["one", "two", "three"]
    for exact in (False, True):
        many = nearest_many(corpus, model, ToyEmbedder().embed_queries(texts), 5, exact=exact)
        assert many == [nearest(corpus, model, unit_vector(text), 5, exact=exact) for text in texts]


def test_nearest__text_of_the_chunk_itself__similarity_one() -> None:
    corpus, model = make_corpus(), make_model()
    embed(model, add_chunks(make_analysis(corpus), ["cat", "dog"]))
    hits = nearest(corpus, model, unit_vector("dog"), 5)
    assert [hit.chunk_id for hit in hits] == [chunk_id(2), chunk_id(1)]
    assert hits[0].score == pytest.approx(1, abs=1e-6)


def test_nearest__other_models_vectors__not_seen() -> None:
    corpus, model, other = make_corpus(), make_model(), make_model("second", current=False)
    embed(other, add_chunks(make_analysis(corpus), ["cat"]))
    assert nearest(corpus, model, unit_vector("cat"), 5) == []
    assert len(nearest(corpus, other, unit_vector("cat"), 5)) == 1


def test_nearest__equal_texts_at_the_limit__smallest_ids(indexed: tuple[Corpus, EmbeddingModel]) -> None:
    corpus, model = indexed
    twins = add_chunks(make_analysis(corpus, "twins"), ["twin"] * 6, first=5000)
    embed(model, twins[:1])
    hits = nearest(corpus, model, unit_vector("twin"), 4)
    assert [hit.chunk_id for hit in hits] == [chunk_id(5000 + place) for place in range(4)]
    assert Chunk.objects.filter(content="twin").count() == 6


@pytest.mark.parametrize(
    ("chunks", "vectors", "expected"),
    [
        (EXACT_CHUNKS, EXACT_CHUNKS, False),
        (EXACT_CHUNKS + 1, EXACT_CHUNKS + 1, True),
        (EXACT_CHUNKS + 1, None, False),
        (20_000, 400_000, False),  # 5 % of all vectors
        (20_001, 400_000, True),
    ],
)
def test_uses_index__size_and_share__decide(chunks: int, vectors: int | None, expected: bool) -> None:
    model = EmbeddingModel(pk=1, dimension=384)
    assert uses_index(VectorFacts(chunks, (1, 0), vectors), model) is expected


def test_uses_index__too_many_dimensions__never() -> None:
    assert not uses_index(VectorFacts(10**6, (1, 0), 10**6), EmbeddingModel(pk=1, dimension=5000))
