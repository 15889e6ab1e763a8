"""Chunks to embed, and models that a test server answers for."""

from __future__ import annotations

import hashlib
from typing import Any

from django.contrib.auth.models import Group, User

from datasets_app.models import Analysis, Chunk, Corpus, Embedding, EmbeddingModel
from tests.embedding_server import EmbeddingServer


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
