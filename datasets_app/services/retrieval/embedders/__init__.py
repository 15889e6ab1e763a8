"""Embedders: what turns texts into vectors. One for each provider that an EmbeddingModel may name."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from django.conf import settings

from datasets_app.models import EmbeddingModel
from datasets_app.services.retrieval.embedders.unit_vectors import Vectors
from goldenproject.kit.errors import BadInput

__all__ = ["Embedder", "Vectors", "embedder_for", "make_embedder"]


class Embedder(Protocol):
    """Turns texts into unit vectors: float32, shape (texts, dimension), a row a text, in their order.

    Both calls take any number of texts, none included, and may be made from several threads. They raise
    EmbeddingTrouble when vectors cannot be had, and WrongDimension. They never write anything.
    """

    @property
    def dimension(self) -> int:
        """Length of each vector; asks the model when nobody knows yet."""

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts that are to be found."""

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of texts that are asked."""

    def close(self) -> None:
        """Let go of connections or memory; a later call takes them again."""


_made: dict[tuple[str, str, int], Embedder] = {}
_making = threading.Lock()


def embedder_for(model: EmbeddingModel) -> Embedder:
    """Return the embedder of a registered model, one for the life of the process. Raises BadInput, EmbeddingTrouble."""
    key = (model.provider, json.dumps(model.options, sort_keys=True), model.dimension)
    with _making:
        if key not in _made:
            _made[key] = make_embedder(model.provider, model.options, dimension=model.dimension)
        return _made[key]


def make_embedder(provider: str, options: dict[str, Any], *, dimension: int | None = None) -> Embedder:
    """Return a new embedder. `dimension` is what its vectors must have; None: whatever the model gives.

    Raises BadInput for options that the provider does not understand.
    """
    if provider == EmbeddingModel.Provider.MINILM:
        from datasets_app.services.retrieval.embedders.minilm import MiniLM

        threads = options.get("threads", settings.GOLDEN_EMBED_THREADS)
        if options.keys() - {"threads"} or not isinstance(threads, int) or not 0 <= threads <= 256:
            raise BadInput(
                f"Options of minilm: found {json.dumps(options)}, expected none but threads, 0 to 256."
            )
        return MiniLM(threads)
    if provider == EmbeddingModel.Provider.OPENAI:
        from datasets_app.services.retrieval.embedders.endpoint_options import endpoint_options
        from datasets_app.services.retrieval.embedders.openai_endpoint import OpenAIEndpoint

        return OpenAIEndpoint(endpoint_options(options), dimension=dimension)
    if provider == EmbeddingModel.Provider.SENTENCE_TRANSFORMERS:
        from datasets_app.services.retrieval.embedders.sentence_transformers import SentenceTransformers

        return SentenceTransformers(options, dimension=dimension)
    known = ", ".join(EmbeddingModel.Provider.values)
    raise BadInput(f"Provider: found {provider!r}, expected one of {known}.")
