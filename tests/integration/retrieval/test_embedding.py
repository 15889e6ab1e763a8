"""Vectors of the corpus: made where they are missing, a batch at a time, by whatever model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from django.db import connection

from datasets_app.errors import (
    EmbeddingRuns,
    EmbeddingTrouble,
    WrongDimension,
)
from datasets_app.models import AuditEvent, Chunk, EmbeddingModel
from datasets_app.services.retrieval import (
    embedders,
    embedding,
    stored_vectors,
)
from datasets_app.services.retrieval.embedding import embed_missing, embed_texts, prune
from datasets_app.services.retrieval.embedding_models import (
    coverage,
    get_model,
)
from datasets_app.services.retrieval.stored_vectors import Coverage, only_writer, store_vectors
from goldenproject.kit.errors import BadInput, Forbidden
from tests.embedding_server import EmbeddingServer, Reply, Request, hash_vector, vectors
from tests.integration.embedding_data import add_chunks, make_model, person, sha256, stored


def test_embed_missing__completed_analyses__get_a_vector_a_distinct_text(
    model: EmbeddingModel, server: EmbeddingServer
) -> None:
    add_chunks("one", "two", "one")
    add_chunks("two", "three")
    add_chunks("pending text", status="pending")
    told: list[tuple[Any, ...]] = []
    report = embed_missing(model=model, actor=None, progress=lambda *said: told.append(said))
    assert (report.embedded, report.present, report.index, report.warnings) == (3, 0, "not needed", [])
    found = stored(model)
    assert found.keys() == {sha256(text) for text in ("one", "two", "three")}
    expected = np.array(hash_vector("two"))
    assert found[sha256("two")] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-6)
    assert told[0] == (0, 3, "Embedding with hashes") and told[-1] == (3, 3, "Embedding with hashes")
    assert sorted(text for request in server.requests for text in request.texts) == ["one", "three", "two"]


def test_embed_missing__title_and_content__are_embedded_together(
    model: EmbeddingModel, server: EmbeddingServer
) -> None:
    add_chunks("the content", title="The title")
    embed_missing(model=model, actor=None)
    assert server.requests[0].texts == ["The title\nthe content"]
    assert stored(model).keys() == {sha256("The title\nthe content")}


def test_embed_missing__nothing_missing__asks_the_model_nothing(
    model: EmbeddingModel, server: EmbeddingServer
) -> None:
    add_chunks("one")
    embed_missing(model=model, actor=None)
    server.requests.clear()
    report = embed_missing(model=model, actor=None)
    assert (report.embedded, report.present, server.requests) == (0, 1, [])


def test_embed_missing__changed_text__is_stale_until_embedded_and_the_old_vector_pruned(
    model: EmbeddingModel, server: EmbeddingServer
) -> None:
    chunk, _ = add_chunks("old", "kept")
    embed_missing(model=model, actor=None)
    Chunk.objects.filter(pk=chunk.pk).update(content="new")
    assert coverage(model) == Coverage(texts=2, embedded=1, stored=2)
    assert (coverage(model).missing, coverage(model).unused) == (1, 1)
    server.requests.clear()
    assert embed_missing(model=model, actor=None).embedded == 1
    assert [request.texts for request in server.requests] == [["new"]]
    assert prune(model=model, actor=None) == 1
    assert stored(model).keys() == {sha256("new"), sha256("kept")}
    assert prune(model=model, actor=None) == 0


def test_embed_missing__batch_fails__batches_before_stay_and_the_next_run_goes_on(
    model: EmbeddingModel, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "BATCH_TEXTS", 2)
    add_chunks("a", "b", "c", "d", "e")
    server.replies += [server.good, Reply(500, {"error": "down"})]
    with pytest.raises(EmbeddingTrouble, match=r"answered 500 \(down\)"):
        embed_missing(model=model, actor=None)
    assert coverage(model) == Coverage(texts=5, embedded=2, stored=2)
    server.requests.clear()
    report = embed_missing(model=model, actor=None)
    assert (report.embedded, report.present) == (3, 2)
    assert [len(request.texts) for request in server.requests] == [2, 1]


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (vectors([1.0] * 4, [1.0] * 4), WrongDimension, "found vectors of dimension 4, expected 8"),
        (vectors([1.0] * 8, [float("nan")] * 8), EmbeddingTrouble, "found NaN, Infinity or null in vector 1"),
        (vectors([1.0] * 8), EmbeddingTrouble, "found 1 vectors, expected 2"),
    ],
)
def test_embed_missing__unusable_vectors__nothing_of_the_batch_is_written(
    model: EmbeddingModel, server: EmbeddingServer, reply: Reply, error: type, message: str
) -> None:
    add_chunks("a", "b")
    server.replies.append(reply)
    with pytest.raises(error, match=message):
        embed_missing(model=model, actor=None)
    assert stored(model) == {}


def test_embed_missing__chunks_come_in_meanwhile__are_taken_along(
    model: EmbeddingModel, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks("a")
    pages = stored_vectors.missing_page

    def one_more_at_the_end(*args: Any, **kwargs: Any) -> Any:
        page = pages(*args, **kwargs)
        if not page and Chunk.objects.count() < 3:
            add_chunks(f"late {Chunk.objects.count()}")
        return page

    monkeypatch.setattr(embedding, "missing_page", one_more_at_the_end)
    assert embed_missing(model=model, actor=None).embedded == 3
    assert coverage(model).missing == 0


def test_embed_missing__another_run_on_the_model__is_told_or_waited_for(
    model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks("a")
    other = only_writer(model)
    other.__enter__()
    with pytest.raises(EmbeddingRuns, match="model “hashes” are being made by another process"):
        embed_missing(model=model, actor=None)
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        other.__exit__(None, None, None)

    monkeypatch.setattr("datasets_app.services.retrieval.embedding.time.sleep", wait)
    assert embed_missing(model=model, actor=None, wait=True).embedded == 1
    assert waits == [1.0]


def test_embed_missing__person__needs_the_right_and_is_recorded(model: EmbeddingModel) -> None:
    add_chunks("a")
    with pytest.raises(Forbidden):
        embed_missing(model=model, actor=person("viewer"))
    embed_missing(model=model, actor=person("curator"))
    event = AuditEvent.objects.get(action="embedding.run")
    assert (event.actor_name, event.summary) == ("curator", "1 texts with hashes")


def test_embed_missing__built_in_model__finds_the_related_text(db: None) -> None:
    chunks = add_chunks("How to sort a list in Python", "A recipe for tomato soup")
    model = get_model()
    assert embed_missing(model=model, actor=None).embedded == 2
    (question,) = embedders.embedder_for(model).embed_queries(["ordering the elements of a list"])
    scores = {text: float(question @ vector) for text, vector in stored(model).items()}
    assert max(scores, key=lambda text: scores[text]) == sha256(chunks[0].content)


def test_store_vectors__other_shape__is_refused_before_anything_is_written(model: EmbeddingModel) -> None:
    with pytest.raises(WrongDimension, match=r"found vectors of shape \(1, 7\), expected \(1, 8\)"):
        store_vectors(model, [sha256("a")], np.ones((1, 7), np.float32))
    assert stored(model) == {}


def test_store_vectors__there_already__stays_as_it_is(model: EmbeddingModel) -> None:
    first, second = np.eye(8, dtype=np.float32)[:2]
    assert store_vectors(model, [sha256("a")], first[None]) == 1
    assert store_vectors(model, [sha256("b"), sha256("a")], np.stack([second, second])) == 1
    assert list(stored(model)[sha256("a")]) == first.tolist()


# --- embed_texts ------------------------------------------------------------------------------------------------------
def test_embed_texts__of_no_chunk_yet__are_stored_once(
    model: EmbeddingModel, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "BATCH_TEXTS", 2)
    add_chunks("a")
    embed_missing(model=model, actor=None)
    server.requests.clear()
    report = embed_texts(model=model, hashed=((sha256(text), text) for text in ["a", "b", "b", "c", "a"]))
    assert report.embedded == 2
    assert [request.texts for request in server.requests] == [["b"], ["c"]]
    assert stored(model).keys() == {sha256(text) for text in "abc"}


def test_embed_texts__hash_of_another_text__is_refused(model: EmbeddingModel) -> None:
    with pytest.raises(BadInput, match="with a text that has another"):
        embed_texts(model=model, hashed=[(sha256("a"), "b")])
    assert stored(model) == {}


def test_embed_missing__outside_a_transaction__has_none_open_while_the_model_works(
    committed_db: str, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "BATCH_TEXTS", 1)
    model = make_model(server)
    add_chunks("a", "b")
    seen: list[tuple[bool, int]] = []

    def look(request: Request) -> Reply:
        seen.append((raw.info.transaction_status.name, coverage_from_outside()))
        return server.good(request)

    connection.ensure_connection()
    raw = connection.connection
    outside = connection.copy()

    def coverage_from_outside() -> int:
        with outside.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM datasets_app_embedding")
            return int(cursor.fetchone()[0])

    server.replies += [look, look]
    with outside.cursor():
        pass
    outside.inc_thread_sharing()
    embed_missing(model=model, actor=None)
    outside.dec_thread_sharing()
    outside.close()
    assert seen == [("IDLE", 0), ("IDLE", 1)]
