"""The pages of embedding models: coverage, embedding, switching, registering, deleting, and who may."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from datasets_app.models import Analysis, AuditEvent, Embedding, EmbeddingModel, JobRun
from datasets_app.services.retrieval import embedders
from tests.embedding_server import EmbeddingServer, serving
from tests.integration.admin.corpus_pages import EVIL, chunks_of, make_source
from tests.integration.admin.retrieval_pages import MODELS, REGISTER, make_model, model_page
from tests.integration.retrieval.retrieval_data import embed


@pytest.fixture
def source(db: None) -> Analysis:
    return make_source("json")


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddingServer]:
    with serving() as server:
        yield server
        for embedder in embedders._made.values():
            embedder.close()
        embedders._made.clear()


def test_models__listed__with_coverage_and_index(client_of: Callable[..., Client], source: Analysis) -> None:
    current = make_model("first", current=True)
    other = make_model("second")
    embed(current, chunks_of(source))
    embed(other, chunks_of(source)[:1])
    client = client_of("viewer")
    response = client.get(MODELS)
    assert response.context["models"][0] == current
    pieces = {model.name: client.get(model_page(model, "coverage")) for model in (current, other)}
    lines = {name: piece.context["line"] for name, piece in pieces.items()}
    assert [piece.content.count(b"<td") for piece in pieces.values()] == [3, 3]
    assert b"<html" not in pieces["first"].content
    assert (lines["first"].coverage.missing, lines["first"].share) == (0, "100.00%")
    assert (lines["second"].coverage.embedded, lines["second"].coverage.texts) == (1, 3)
    assert lines["second"].index == "not needed yet"
    body = response.content.decode()
    assert "Register a model" not in body
    assert ">Evaluate</a>" not in body
    assert "?model=second" in client_of("curator").get(MODELS).content.decode()


def test_model__page__hides_options_and_managing_from_who_may_not(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    model = make_model()
    EmbeddingModel.objects.filter(pk=model.pk).update(options={"base_url": f"http://inside {EVIL}"})
    pages = {
        role: client_of(role).get(model_page(model)).content.decode() for role in ("viewer", "administrator")
    }
    assert "http://inside" not in pages["viewer"]
    assert "Start embedding" not in pages["viewer"]
    assert "http://inside &lt;script&gt;" in pages["administrator"]
    assert "<script>alert" not in pages["administrator"]
    assert "Make it the current one" in pages["administrator"]
    assert client_of("viewer").get(f"{MODELS}999/change/").status_code == 404


def test_model__embedding_started__by_who_may_edit(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    model = make_model()
    assert client_of("viewer").post(model_page(model)).status_code == 403
    response = client_of("curator").post(model_page(model))
    job = JobRun.objects.get(kind="embed", arguments__model=model.name)
    assert response["Location"] == f"/admin/datasets_app/jobrun/{job.pk}/change/"
    assert "Follow it" in client_of("curator").get(model_page(model)).content.decode()


def test_switch__to_a_complete_model__is_asked_first_and_recorded(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    before = make_model("first", current=True)
    model = make_model("second")
    client = client_of("administrator")
    page = model_page(model, "switch")
    assert "Not yet: 3 of 3 texts have no vector" in client.get(page).content.decode()
    assert "cannot be the current one yet" in client.post(page).content.decode()
    embed(model, chunks_of(source))
    assert "Switch to second" in client.get(page).content.decode()
    assert EmbeddingModel.objects.get(is_current=True) == before  # looking switches nothing
    assert client_of("curator").post(page).status_code == 403
    assert client.post(page)["Location"] == MODELS
    assert EmbeddingModel.objects.get(is_current=True) == model
    assert AuditEvent.objects.filter(action="embedding.switch").count() == 1
    assert "It is the current one already." in client.get(page).content.decode()


def test_delete__of_a_model__takes_its_vectors_but_never_the_current_one(
    client_of: Callable[..., Client], source: Analysis
) -> None:
    current = make_model("first", current=True)
    model = make_model("second")
    embed(model, chunks_of(source))
    client = client_of("administrator")
    assert "Its 3 vectors" in client.get(model_page(model, "delete")).content.decode()
    assert client_of("curator").post(model_page(model, "delete")).status_code == 403
    assert client.post(model_page(model, "delete"))["Location"] == MODELS
    assert not Embedding.objects.filter(model_id=model.pk).exists()
    refused = client.post(model_page(current, "delete")).content.decode()
    assert "is the current embedding model" in refused
    assert EmbeddingModel.objects.filter(pk=current.pk).exists()


def test_register__of_an_endpoint_that_answers__has_its_dimension(
    client_of: Callable[..., Client], db: None, server: EmbeddingServer
) -> None:
    sent = {"name": "mine", "provider": "openai", "options": json.dumps(server.options(max_tries=1))}
    assert client_of("curator").post(REGISTER, sent).status_code == 403
    response = client_of("administrator").post(REGISTER, sent)
    model = EmbeddingModel.objects.get(name="mine")
    assert (response["Location"], model.dimension, model.is_current) == (model_page(model), 8, False)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": "two words"}, "Embedding model “two words”: name:"),
        ({"name": ""}, "name:"),
        ({"name": "taken"}, "There is an embedding model “taken” already."),
        ({"provider": "guess"}, "provider"),
        ({"options": "{base_url"}, "Options: not JSON:"),
        ({"options": "[1]"}, "Options: found &#x27;[1]&#x27;, expected a JSON object."),
        ({"options": "{}"}, "base_url"),
        (
            {"options": '{"base_url": "http://127.0.0.1:9", "model": "x", "max_tries": 1, "timeout_s": 1}'},
            "127.0.0.1:9",
        ),
    ],
)
def test_register__of_what_cannot_be__tells_and_keeps_what_was_typed(
    client_of: Callable[..., Client], db: None, changed: dict[str, str], said: str
) -> None:
    make_model("taken")
    before = EmbeddingModel.objects.count()
    sent = {"name": "mine", "provider": "openai", "options": "{}", **changed}
    body = client_of("administrator").post(REGISTER, sent).content.decode()
    assert said in body
    assert f'value="{sent["name"]}"' in body
    assert EmbeddingModel.objects.count() == before
