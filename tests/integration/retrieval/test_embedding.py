"""Vectors of the corpus: made where they are missing, a batch at a time, by whatever model; switched without a gap."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction

from datasets_app.errors import (
    EmbeddingModelExists,
    EmbeddingRuns,
    EmbeddingTrouble,
    ModelNotReady,
    NoCurrentModel,
    UnknownEmbeddingModel,
    WrongDimension,
)
from datasets_app.models import Analysis, AuditEvent, Chunk, Corpus, Embedding, EmbeddingModel
from datasets_app.services.retrieval import (
    embedders,
    embedding,
    embedding_models,
    stored_vectors,
    vector_index,
)
from datasets_app.services.retrieval.embedding import build_index, embed_missing, embed_texts, prune
from datasets_app.services.retrieval.embedding_models import (
    coverage,
    delete_model,
    get_model,
    register_model,
    switch_current,
)
from datasets_app.services.retrieval.stored_vectors import Coverage, only_writer, store_vectors
from datasets_app.services.retrieval.vector_index import IndexState, index_state
from goldenproject.kit.errors import BadInput, Conflict, Forbidden
from tests.embedding_server import EmbeddingServer, Reply, Request, hash_vector, serving, vectors


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddingServer]:
    with serving() as server:
        yield server


@pytest.fixture
def server(running: EmbeddingServer) -> Iterator[EmbeddingServer]:
    running.requests.clear()
    running.replies.clear()
    yield running
    for embedder in embedders._made.values():
        embedder.close()
    embedders._made.clear()


@pytest.fixture
def model(server: EmbeddingServer, db: None) -> EmbeddingModel:
    return make_model(server)


def make_model(server: EmbeddingServer, name: str = "hashes", **options: Any) -> EmbeddingModel:
    return EmbeddingModel.objects.create(
        name=name, provider="openai", options=server.options(max_tries=1, **options), dimension=8
    )


def add_chunks(*texts: str, status: str = "completed", title: str = "") -> list[Chunk]:
    corpus, _ = Corpus.objects.get_or_create(name="default")
    place = Analysis.objects.count()
    url = f"https://docs.python.org/3/{place}"
    analysis = Analysis.objects.create(
        corpus=corpus, url=url, canonical_url=url, content_type="text", status=status
    )
    return [
        Chunk.objects.create(analysis=analysis, content=text, section_title=title, chunk_index=index)
        for index, text in enumerate(texts)
    ]


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def stored(model: EmbeddingModel) -> dict[bytes, Any]:
    return {bytes(row.content_hash): row.vector for row in Embedding.objects.filter(model=model)}


def person(role: str) -> User:
    user = User.objects.create_user(role)
    user.groups.add(Group.objects.get(name=role))
    return user


# --- embed_missing ----------------------------------------------------------------------------------------------------
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


# --- models -----------------------------------------------------------------------------------------------------------
def test_get_model__current_named_and_unknown(model: EmbeddingModel) -> None:
    assert get_model().name == "minilm"
    assert get_model("hashes") == model
    with pytest.raises(UnknownEmbeddingModel) as caught:
        get_model("other")
    assert caught.value.hint == "Registered: hashes, minilm."
    EmbeddingModel.objects.update(is_current=False)
    with pytest.raises(NoCurrentModel):
        get_model()


def test_register_model__endpoint__is_asked_for_its_dimension(server: EmbeddingServer, db: None) -> None:
    made = register_model(
        name="mine", provider="openai", options=server.options(), actor=person("administrator")
    )
    assert (made.dimension, made.is_current, len(server.requests)) == (8, False, 1)
    assert AuditEvent.objects.get(action="embedding.register").summary == "mine: openai, 8 dimensions"
    with pytest.raises(EmbeddingModelExists):
        register_model(name="mine", provider="openai", options=server.options(), actor=None)


@pytest.mark.parametrize(
    ("name", "provider", "message"),
    [
        ("two words", "openai", "Embedding model “two words”: name: Enter a valid"),
        ("x", "magic", "Embedding model “x”: provider: Value 'magic' is not a valid choice."),
        ("x" * 81, "openai", "at most 80 characters"),
        ("x", "minilm", "Options of minilm: found"),
    ],
)
def test_register_model__unusable__is_told_and_nothing_registered(
    server: EmbeddingServer, db: None, name: str, provider: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        register_model(name=name, provider=provider, options=server.options(), actor=None)
    assert [model.name for model in EmbeddingModel.objects.all()] == ["minilm"]


def test_register_model__endpoint_does_not_answer__nothing_is_registered(
    server: EmbeddingServer, db: None
) -> None:
    server.replies.append(Reply(401, {}))
    with pytest.raises(EmbeddingTrouble, match="answered 401"):
        register_model(name="mine", provider="openai", options=server.options(), actor=None)
    assert EmbeddingModel.objects.count() == 1


def test_register_model__curator__may_not(server: EmbeddingServer, db: None) -> None:
    with pytest.raises(Forbidden):
        register_model(name="mine", provider="openai", options=server.options(), actor=person("curator"))
    assert server.requests == []


def test_switch_current__vectors_missing__is_refused(model: EmbeddingModel) -> None:
    add_chunks("a", "b")
    with pytest.raises(ModelNotReady) as caught:
        switch_current(model=model, actor=None)
    assert str(caught.value) == (
        "The model “hashes” cannot be the current one yet: 2 of 2 texts have no vector. "
        "Run: golden_embed --model hashes"
    )
    assert get_model().name == "minilm"


def test_switch_current__index_missing__is_refused_until_built(
    model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_chunks("a", "b")
    embed_missing(model=model, actor=None)
    monkeypatch.setattr(embedding_models, "SMALL", 2)
    with pytest.raises(ModelNotReady, match=f"its index {model.index_name} is absent"):
        switch_current(model=model, actor=None)
    assert build_index(model) == IndexState.READY
    assert switch_current(model=model, actor=person("administrator")).is_current
    assert [one.name for one in EmbeddingModel.objects.filter(is_current=True)] == ["hashes"]
    event = AuditEvent.objects.get(action="embedding.switch")
    assert (event.summary, event.details) == ("minilm → hashes", {"before": "minilm"})


def test_switch_current__curator__may_not(model: EmbeddingModel) -> None:
    with pytest.raises(Forbidden):
        switch_current(model=model, actor=person("curator"))


def test_delete_model__with_vectors_and_index__leaves_nothing(model: EmbeddingModel) -> None:
    add_chunks("a")
    embed_missing(model=model, actor=None)
    build_index(model)
    name = model.index_name
    delete_model(model=model, actor=None)
    assert not Embedding.objects.exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s)", [name])
        assert cursor.fetchone() == (None,)
    with pytest.raises(UnknownEmbeddingModel):
        delete_model(model=model, actor=None)


def test_delete_model__current_or_at_work__is_refused(model: EmbeddingModel) -> None:
    with pytest.raises(Conflict, match="“minilm” is the current embedding model"):
        delete_model(model=get_model(), actor=None)
    with only_writer(model), pytest.raises(EmbeddingRuns):
        delete_model(model=model, actor=None)
    assert EmbeddingModel.objects.count() == 2


# --- the index --------------------------------------------------------------------------------------------------------
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


def test_switch_current__fails_after_the_first_step__is_undone(
    committed_db: str, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(server)
    monkeypatch.setattr(embedding_models, "record", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        switch_current(model=model, actor=None)
    assert get_model().name == "minilm"
    with transaction.atomic():
        assert EmbeddingModel.objects.filter(is_current=True).count() == 1
