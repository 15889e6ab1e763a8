"""The embedder of sentence-transformers, with a stand-in for the library: what we do around it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from datasets_app.errors import EmbeddingTrouble, WrongDimension
from datasets_app.services.retrieval.embedders.sentence_transformers import SentenceTransformers
from goldenproject.kit.errors import BadInput


class _StandIn:
    made: list[tuple[str, Any]] = []
    asked: list[list[str]] = []

    def __init__(self, name: str, device: str | None, trust_remote_code: bool) -> None:
        if name == "absent":
            raise OSError("absent is not a local folder")
        self.made.append((name, device))

    def encode(self, texts: list[str], **options: Any) -> Any:
        if "boom" in texts:
            raise RuntimeError("CUDA out of memory")
        self.asked.append(texts)
        return np.array([[len(text), 1, 0] for text in texts], np.float32)


@pytest.fixture(autouse=True)
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("sentence_transformers")
    module.SentenceTransformer = _StandIn  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    monkeypatch.setattr(_StandIn, "made", [])
    monkeypatch.setattr(_StandIn, "asked", [])


def test_sentence_transformers__texts__get_prefixes_and_unit_vectors() -> None:
    embedder = SentenceTransformers({"model": "m", "device": "cpu", "query_prefix": "q: "})
    assert _StandIn.made == []
    assert embedder.dimension == 3
    assert embedder.embed_passages(["abc"]).tolist() == [pytest.approx([3 / 10**0.5, 1 / 10**0.5, 0])]
    embedder.embed_queries(["abc"])
    assert _StandIn.made == [("m", "cpu")]
    assert _StandIn.asked == [["q: dimension"], ["abc"], ["q: abc"]]


def test_sentence_transformers__no_text__loads_nothing() -> None:
    assert SentenceTransformers({"model": "m"}, dimension=3).embed_passages([]).shape == (0, 3)
    assert _StandIn.made == []


def test_sentence_transformers__library_is_absent__says_how_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(
        EmbeddingTrouble, match="The model m needs the package sentence-transformers"
    ) as caught:
        SentenceTransformers({"model": "m"}).embed_queries(["a"])
    assert caught.value.hint.startswith("Run: pip install sentence-transformers.")


def test_sentence_transformers__trouble_inside__is_told() -> None:
    with pytest.raises(EmbeddingTrouble, match="model m: CUDA out of memory"):
        SentenceTransformers({"model": "m"}).embed_passages(["boom"])
    with pytest.raises(EmbeddingTrouble, match="cannot load the model absent"):
        SentenceTransformers({"model": "absent"}).embed_passages(["a"])
    with pytest.raises(WrongDimension, match="found vectors of dimension 3, expected 4"):
        SentenceTransformers({"model": "m"}, dimension=4).embed_passages(["a"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "Option model: found nothing"),
        ({"model": "m", "batch_size": "9"}, "Option batch_size: found '9', expected int."),
        ({"model": "m", "colour": "red"}, "Option colour: sentence-transformers has no such option"),
    ],
)
def test_sentence_transformers__unusable_options__are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        SentenceTransformers(options)
