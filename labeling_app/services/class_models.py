"""What is known about the classes of a queue's examples, and a classifier learned from it."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db import connection

from datasets_app.domain.canonical import loads_stored
from datasets_app.errors import NoCurrentModel
from datasets_app.models import EmbeddingModel, ValidationStatus
from datasets_app.services.retrieval.embedding_models import get_model
from datasets_app.services.retrieval.example_vectors import read_vectors
from labeling_app.domain.active_learning import ClassModel, learn, why_not_yet
from labeling_app.domain.answers import class_of, part_of
from labeling_app.domain.diverse_order import Vectors
from labeling_app.models import GoldAnswer, LabelingQueue

MOST_LEARNED_FROM = 20_000
"""Examples that a classifier is learned from: more cost minutes and gain next to nothing."""

READ_AT_ONCE = 20_000

_LABELS = "SELECT example_id, value::text FROM labeling_app_label WHERE queue_id = %s"
_VALIDATED = """
    SELECT e.example_id, e.expected_output::text FROM datasets_app_example e
     WHERE e.branch_id = %s AND e.example_type_id = %s AND e.validation_status = %s AND e.expected_output IS NOT NULL
"""


@dataclass(frozen=True)
class Learned:
    """A classifier with what it was learned from; without a model, `why` says in words what is missing."""

    embedding: EmbeddingModel | None = None
    model: ClassModel | None = None
    known: dict[uuid.UUID, str] = field(default_factory=dict)
    why: str = ""


def current_embedding() -> EmbeddingModel | None:
    """Return the current embedding model, or None where there is none."""
    try:
        return get_model()
    except NoCurrentModel:
        return None


def known_classes(queue: LabelingQueue) -> dict[uuid.UUID, str]:
    """Return the class of each example that is known: a gold answer, else a validated output, else what most labels say.

    Examples whose labels are tied are left out, and so are answers without a class.
    """
    found = _labeled(queue)
    found.update(_validated(queue))
    for example, value in GoldAnswer.objects.filter(queue=queue).values_list("item__example", "value"):
        if (name := queue_class(queue, value)) is not None:
            found[example] = name
    return found


def queue_class(queue: LabelingQueue, value: object) -> str | None:
    """Return the class in an answer of this queue; None when there is none."""
    return class_of(value, queue.example_type.class_field, queue.field_path)


def learned_from_labels(queue: LabelingQueue) -> Learned:
    """Learn a classifier of the queue's answers from what is known so far. Of many a seeded part is learned from."""
    embedding = current_embedding()
    if embedding is None:
        return Learned(why="There is no embedding model, so examples cannot be compared.")
    known = known_classes(queue)
    examples, vectors = vectors_of(embedding, sample(known, MOST_LEARNED_FROM))
    classes = [known[example] for example in examples]
    why = why_not_yet(classes)
    if why and not examples and known:
        why = "The examples have no vectors yet."
    if why:
        return Learned(embedding=embedding, known=known, why=why)
    return Learned(embedding, learn(vectors, classes, seed=queue.seed), known)


def sample(examples: dict[uuid.UUID, str], most: int) -> list[uuid.UUID]:
    """Return up to `most` of the examples; their UUIDs are hashes, so their order is as good as a random one."""
    return sorted(examples)[:most]


def vectors_of(embedding: EmbeddingModel, examples: Sequence[uuid.UUID]) -> tuple[list[uuid.UUID], Vectors]:
    """Return (examples that have a vector, their vectors), read in parts; memory is that of the vectors."""
    found: list[uuid.UUID] = []
    parts = [np.empty((0, embedding.dimension), np.float32)]
    for ids, vectors in vectors_in_parts(embedding, examples):
        found += ids
        parts.append(vectors)
    return found, np.concatenate(parts)


def vectors_in_parts(
    embedding: EmbeddingModel, examples: Sequence[uuid.UUID]
) -> Iterator[tuple[list[uuid.UUID], Vectors]]:
    """Yield (examples, vectors) of those that have one, READ_AT_ONCE at a time: flat memory."""
    for start in range(0, len(examples), READ_AT_ONCE):
        yield read_vectors(embedding, examples[start : start + READ_AT_ONCE])


def _labeled(queue: LabelingQueue) -> dict[uuid.UUID, str]:
    votes: dict[uuid.UUID, Counter[str]] = defaultdict(Counter)
    with connection.cursor() as cursor:
        cursor.execute(_LABELS, [queue.pk])
        for example, value in cursor:
            if (name := queue_class(queue, loads_stored(value))) is not None:
                votes[example][name] += 1
    return {example: first for example, counts in votes.items() if (first := _winner(counts)) is not None}


def _winner(counts: Counter[str]) -> str | None:
    """Return what has most votes; None where two have as many."""
    first, *rest = counts.most_common(2)
    return None if rest and rest[0][1] == first[1] else first[0]


def _validated(queue: LabelingQueue) -> dict[uuid.UUID, str]:
    found = {}
    with connection.cursor() as cursor:
        cursor.execute(_VALIDATED, [queue.branch_id, queue.example_type_id, ValidationStatus.VALIDATED])
        for example, output in cursor:
            name = queue_class(queue, part_of(loads_stored(output), queue.field_path))
            if name is not None:
                found[example] = name
    return found
