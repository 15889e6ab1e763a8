"""A server of embeddings on this machine, and a model that it answers for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datasets_app.models import EmbeddingModel
from datasets_app.services.retrieval import embedders
from tests.embedding_server import EmbeddingServer, serving
from tests.integration.embedding_data import make_model


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
