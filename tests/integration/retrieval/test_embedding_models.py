"""Embedding models side by side: registered, switched without a gap, deleted."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from datasets_app.errors import (
    EmbeddingModelExists,
    EmbeddingRuns,
    EmbeddingTrouble,
    ModelNotReady,
    NoCurrentModel,
    UnknownEmbeddingModel,
)
from datasets_app.models import AuditEvent, Embedding, EmbeddingModel
from datasets_app.services.retrieval import (
    embedding_models,
)
from datasets_app.services.retrieval.embedding import build_index, embed_missing
from datasets_app.services.retrieval.embedding_models import (
    delete_model,
    get_model,
    register_model,
    switch_current,
)
from datasets_app.services.retrieval.stored_vectors import only_writer
from datasets_app.services.retrieval.vector_index import IndexState
from goldenproject.kit.errors import BadInput, Conflict, Forbidden
from tests.embedding_server import EmbeddingServer, Reply
from tests.integration.embedding_data import add_chunks, make_model, person


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
