"""Corpora for the tests of search: chunks written straight into the tables, vectors that are known."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from uuid import UUID

import numpy as np

from datasets_app.models import Analysis, Chunk, Corpus, Embedding, EmbeddingModel
from datasets_app.models.corpus import searched_text

DIMENSION = 8


def make_corpus(name: str = "books") -> Corpus:
    return Corpus.objects.create(name=name)


def make_analysis(corpus: Corpus, page: str = "one", status: str = "completed") -> Analysis:
    url = f"https://docs.python.org/3/{corpus.name}/{page}.html"
    return Analysis.objects.create(
        corpus=corpus, url=url, canonical_url=url, content_type="docs", status=status
    )


def chunk_id(number: int) -> UUID:
    return UUID(int=number)


def add_chunks(analysis: Analysis, contents: Sequence[str], *, first: int = 1, **fields: str) -> list[Chunk]:
    """Add a chunk for each of `contents`; the ids are the numbers from `first` on."""
    return Chunk.objects.bulk_create(
        Chunk(
            id=chunk_id(first + place),
            analysis=analysis,
            content=content,
            chunk_index=first + place,
            **fields,
        )
        for place, content in enumerate(contents)
    )


def make_model(name: str = "toy", *, current: bool = True) -> EmbeddingModel:
    """Register a model whose vectors the tests give; nothing computes them."""
    if current:
        EmbeddingModel.objects.update(is_current=False)
    return EmbeddingModel.objects.create(
        name=name, provider="minilm", dimension=DIMENSION, is_current=current
    )


def unit_vector(text: str) -> np.ndarray:
    """A vector that depends on the text alone, of length 1."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=DIMENSION).astype(np.float32)
    return vector / np.linalg.norm(vector)


def embed(model: EmbeddingModel, chunks: Sequence[Chunk]) -> None:
    texts = {searched_text(chunk.section_title, chunk.content) for chunk in chunks}
    Embedding.objects.bulk_create(
        Embedding(model=model, content_hash=hashlib.sha256(text.encode()).digest(), vector=unit_vector(text))
        for text in sorted(texts)
    )


class ToyEmbedder:
    """Gives each text its `unit_vector`."""

    dimension = DIMENSION

    def embed_passages(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([unit_vector(text) for text in texts], np.float32).reshape(-1, DIMENSION)

    embed_queries = embed_passages
