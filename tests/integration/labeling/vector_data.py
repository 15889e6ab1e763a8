"""Examples with vectors that a test makes itself: groups of like ones, so that what is near is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from datasets_app.models import Dataset, EmbeddingModel, Example
from datasets_app.services.curation.examples import bulk_upsert
from datasets_app.services.retrieval.example_vectors import store_example_vectors

DIMENSION = 8


def current_model() -> EmbeddingModel:
    """Register a model of 8 dimensions that answers nothing, and make it the current one."""
    EmbeddingModel.objects.filter(is_current=True).update(is_current=False)
    return EmbeddingModel.objects.create(
        name="made-up", provider="minilm", dimension=DIMENSION, is_current=True
    )


def add_groups(dataset: Dataset, sizes: dict[str, int], **fields: Any) -> dict[str, list[Any]]:
    """Add examples “group n” and return their ids by group; no answers unless `fields` say so."""
    rows = [
        {"id": f"{group}{n}", "input": {"text": f"{group} {n}"}, **fields}
        for group, size in sizes.items()
        for n in range(size)
    ]
    bulk_upsert(branch=dataset.main, documents=rows, actor=None)
    known = dict(
        Example.objects.filter(branch=dataset.main).values_list("identity__external_id", "identity_id")
    )
    return {group: [known[f"{group}{n}"] for n in range(size)] for group, size in sizes.items()}


def give_vectors(model: EmbeddingModel, groups: dict[str, list[Any]], noise: float = 0.1) -> None:
    """Give each group a direction of its own, and each example a little of others: seeded."""
    rng = np.random.default_rng(5)
    for number, examples in enumerate(groups.values()):
        rows = np.eye(DIMENSION)[number] + rng.normal(scale=noise, size=(len(examples), DIMENSION))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        store_example_vectors(model, examples, [bytes(32)] * len(examples), rows.astype(np.float32))
