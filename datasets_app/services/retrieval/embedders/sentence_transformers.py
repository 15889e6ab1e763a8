"""Models of the sentence-transformers library. It is not among the requirements, because it brings torch (about 2 GB)."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from datasets_app.errors import EmbeddingTrouble
from datasets_app.services.retrieval.embedders.unit_vectors import Vectors, unit_vectors
from goldenproject.kit.errors import BadInput

_OPTIONS: dict[str, type] = {
    "model": str,
    "device": str,
    "batch_size": int,
    "query_prefix": str,
    "passage_prefix": str,
}


class SentenceTransformers:
    """An embedder of the library: options model (a name or a folder), device, batch_size, query_prefix, passage_prefix.

    The model is loaded at the first text, once. The library may download a model that this machine does not have;
    a folder, or HF_HUB_OFFLINE=1, keeps it offline. Code that comes with a model is never run.
    """

    def __init__(self, options: dict[str, Any], *, dimension: int | None = None) -> None:
        """Raises BadInput for options that are unknown or of another type."""
        for name, value in options.items():
            kind = _OPTIONS.get(name)
            if kind is None:
                raise BadInput(
                    f"Option {name}: sentence-transformers has no such option here.",
                    hint=f"It may have: {', '.join(_OPTIONS)}.",
                )
            if type(value) is not kind:
                raise BadInput(f"Option {name}: found {value!r}, expected {kind.__name__}.")
        if not options.get("model"):
            raise BadInput("Option model: found nothing, expected a model's name or its folder.")
        self._options = options
        self._dimension = dimension
        self._model: Any = None
        self._lock = threading.Lock()

    @property
    def dimension(self) -> int:
        """Length of each vector; when nobody knows it yet, the model is asked. Raises EmbeddingTrouble."""
        if self._dimension is None:
            self._dimension = self.embed_queries(["dimension"]).shape[1]
        return self._dimension

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors, float32 (len(texts), dimension). Raises EmbeddingTrouble, WrongDimension."""
        return self._embed(texts, self._options.get("passage_prefix", ""))

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Do as `embed_passages`, with the prefix of queries."""
        return self._embed(texts, self._options.get("query_prefix", ""))

    def close(self) -> None:
        """Let go of the model's memory; a later call loads it again."""
        with self._lock:
            self._model = None

    def _embed(self, texts: Sequence[str], prefix: str) -> Vectors:
        where = f"sentence-transformers model {self._options['model']}"
        if not texts:
            return unit_vectors([], count=0, dimension=self._dimension, where=where)
        model = self._loaded()
        try:
            rows = model.encode(
                [prefix + text for text in texts],
                batch_size=self._options.get("batch_size", 32),
                convert_to_numpy=True,
                show_progress_bar=False,
            )
        except (RuntimeError, ValueError, MemoryError) as error:  # torch tells a full memory as RuntimeError
            raise EmbeddingTrouble(
                f"{where}: {error}", hint="A smaller batch_size needs less memory."
            ) from error
        return unit_vectors(rows, count=len(texts), dimension=self._dimension, where=where)

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model

    def _load(self) -> Any:
        name = self._options["model"]
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise EmbeddingTrouble(
                f"The model {name} needs the package sentence-transformers: {error}.",
                hint="Run: pip install sentence-transformers. Or register the same model behind an endpoint.",
            ) from error
        try:
            return SentenceTransformer(name, device=self._options.get("device"), trust_remote_code=False)
        except (OSError, RuntimeError, ValueError) as error:
            raise EmbeddingTrouble(
                f"sentence-transformers cannot load the model {name}: {error}.",
                hint="Is it a folder of this machine, or a name that it can download?",
            ) from error
