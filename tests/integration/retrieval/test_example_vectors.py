"""Vectors of examples: made where they are missing or stale, searched, pruned."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datasets_app.errors import EmbeddingTrouble
from datasets_app.models import AuditEvent, Branch, EmbeddingModel, Example, ExampleVector
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.retrieval import example_search, example_vectors
from datasets_app.services.retrieval.embedding_models import delete_model
from datasets_app.services.retrieval.example_search import (
    Near,
    NoVector,
    nearest_examples,
    vector_of,
    vector_of_text,
)
from datasets_app.services.retrieval.example_vectors import (
    ExampleCoverage,
    embed_examples,
    example_coverage,
    prune_example_vectors,
    read_vectors,
)
from datasets_app.services.retrieval.vector_index import IndexState, ensure_index, index_state
from goldenproject.kit.errors import Forbidden
from tests.embedding_server import EmbeddingServer, Reply
from tests.integration.embedding_data import person

TEXTS = ("where is my card", "my card has not come", "what is the rate", "change my PIN", "where is my card")


@pytest.fixture
def branch(db: None) -> Branch:
    manager = DatasetManager.create("questions", actor=None)
    manager.add_examples(
        [{"id": str(n), "input": {"text": text}} for n, text in enumerate(TEXTS)], type="text_classification"
    )
    return manager.branch


def ids(branch: Branch) -> list[Any]:
    return list(
        Example.objects.filter(branch=branch).order_by("ordinal").values_list("identity_id", flat=True)
    )


def change(branch: Branch, ordinal_place: int, text: str) -> None:
    Example.objects.filter(branch=branch, identity_id=ids(branch)[ordinal_place]).update(
        input_data={"text": text}
    )


def test_embed_examples__rows_of_a_branch__get_a_vector_each_and_equal_texts_are_read_once(
    branch: Branch, model: EmbeddingModel, server: EmbeddingServer
) -> None:
    report = embed_examples(branch=branch, model=model, actor=None)
    assert (report.embedded, report.present, report.empty, report.index) == (5, 0, 0, "not needed")
    assert [request.texts for request in server.requests] == [list(TEXTS[:4])]
    found, vectors = read_vectors(model, ids(branch))
    assert found == sorted(ids(branch)) and vectors.shape == (5, 8)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert example_coverage(branch, model) == ExampleCoverage(examples=5, embedded=5)


def test_embed_examples__again__makes_only_what_changed(
    branch: Branch, model: EmbeddingModel, server: EmbeddingServer
) -> None:
    embed_examples(branch=branch, model=model, actor=None)
    before = vector_of(model, ids(branch)[3])
    change(branch, 3, "I want another PIN")
    server.requests.clear()
    report = embed_examples(branch=branch, model=model, actor=None)
    assert (report.embedded, report.present) == (1, 4)
    assert [request.texts for request in server.requests] == [["I want another PIN"]]
    assert not np.allclose(vector_of(model, ids(branch)[3]), before)


def test_embed_examples__input_without_text__is_counted_and_gets_none(
    branch: Branch, model: EmbeddingModel
) -> None:
    change(branch, 0, " ")
    report = embed_examples(branch=branch, model=model, actor=None)
    assert (report.embedded, report.empty) == (4, 1)
    with pytest.raises(NoVector, match="has no vector of “hashes” yet"):
        vector_of(model, ids(branch)[0])


def test_embed_examples__batch_fails__batches_before_stay_and_the_next_run_goes_on(
    branch: Branch, model: EmbeddingModel, server: EmbeddingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example_vectors, "BATCH_TEXTS", 2)
    server.replies += [server.good, Reply(500, {"error": "down"})]
    with pytest.raises(EmbeddingTrouble, match=r"answered 500"):
        embed_examples(branch=branch, model=model, actor=None)
    assert example_coverage(branch, model) == ExampleCoverage(examples=5, embedded=2)
    report = embed_examples(branch=branch, model=model, actor=None)
    assert (report.embedded, report.present) == (3, 2)


def test_embed_examples__by_a_reviewer__is_recorded_and_a_labeler_may_not(
    branch: Branch, model: EmbeddingModel
) -> None:
    embed_examples(branch=branch, model=model, actor=person("reviewer"))
    event = AuditEvent.objects.get(action="embedding.examples")
    assert event.summary == "5 examples of main with hashes"
    with pytest.raises(Forbidden):
        embed_examples(branch=branch, model=model, actor=person("labeler"))


def test_nearest_examples__vector_of_an_example__itself_and_its_twin_come_first(
    branch: Branch, model: EmbeddingModel
) -> None:
    embed_examples(branch=branch, model=model, actor=None)
    rows = ids(branch)
    found = nearest_examples(branch=branch, model=model, vector=vector_of(model, rows[0]), limit=3)
    assert [near.example_id for near in found[:2]] == sorted((rows[0], rows[4]))
    assert [near.similarity for near in found[:2]] == pytest.approx([1, 1], abs=1e-6)
    assert found[2].similarity < 1
    asked = nearest_examples(
        branch=branch, model=model, vector=vector_of_text(model, "change my PIN"), limit=1
    )
    assert asked == [Near(rows[3], pytest.approx(1, abs=1e-6))]


def test_nearest_examples__among__only_those(branch: Branch, model: EmbeddingModel) -> None:
    embed_examples(branch=branch, model=model, actor=None)
    rows = ids(branch)
    among = Example.objects.filter(identity__in=rows[2:], search_text__contains="card").values("identity")
    found = nearest_examples(
        branch=branch, model=model, vector=vector_of(model, rows[0]), limit=10, among=among
    )
    assert [near.example_id for near in found] == [rows[4]]


def test_nearest_examples__with_the_index__finds_what_the_exact_scan_finds(
    branch: Branch, model: EmbeddingModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example_vectors, "EXACT_EXAMPLES", 0)
    assert embed_examples(branch=branch, model=model, actor=None).index == "ready"
    monkeypatch.setattr(example_search, "EXACT_EXAMPLES", 0)
    assert index_state(model, ExampleVector) == IndexState.READY and index_state(model) == IndexState.ABSENT
    vector = vector_of(model, ids(branch)[1])
    among = Example.objects.filter(identity__in=ids(branch)[1:]).values("identity")
    indexed = nearest_examples(branch=branch, model=model, vector=vector, limit=3, among=among)
    exact = nearest_examples(branch=branch, model=model, vector=vector, limit=3, among=among, exact=True)
    assert [near.example_id for near in indexed] == [near.example_id for near in exact]
    assert example_search._uses_index(model, 3) and not example_search._uses_index(model, 401)


def test_prune_example_vectors__examples_gone__deletes_theirs(branch: Branch, model: EmbeddingModel) -> None:
    embed_examples(branch=branch, model=model, actor=None)
    Example.objects.filter(branch=branch, identity_id=ids(branch)[0]).delete()
    assert prune_example_vectors(model=model, actor=None) == 1
    assert ExampleVector.objects.filter(model=model).count() == 4


def test_delete_model__vectors_of_examples__go_with_it_and_their_index(
    branch: Branch, model: EmbeddingModel
) -> None:
    embed_examples(branch=branch, model=model, actor=None)
    ensure_index(model, ExampleVector)
    delete_model(model=model, actor=None)
    assert ExampleVector.objects.count() == 0
    assert index_state(model, ExampleVector) == IndexState.ABSENT
