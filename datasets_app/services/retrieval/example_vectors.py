"""Vectors of examples: made where they are missing or their input has changed, read back as matrices, pruned.

One vector an example and model, of the input that its hash tells: where two branches differ in an input, the one that
was embedded last has the vector.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import IntegrityError, connection, transaction

from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.retrieval.example_text import example_text, text_hash
from datasets_app.domain.roles import Action
from datasets_app.errors import UnknownEmbeddingModel, WrongDimension
from datasets_app.models import Branch, EmbeddingModel, ExampleVector
from datasets_app.services.access import record, require
from datasets_app.services.retrieval.embedders import Vectors, embedder_for
from datasets_app.services.retrieval.embedding import EmbedReport, Report, held, index_after, silent
from datasets_app.services.retrieval.embedding_models import get_model
from datasets_app.services.retrieval.stored_vectors import READ_CHARACTERS
from goldenproject.kit.audit import acting
from goldenproject.kit.database_io import binary_cursor

__all__ = [
    "EXACT_EXAMPLES",
    "ExampleCoverage",
    "ExampleEmbedReport",
    "embed_examples",
    "example_coverage",
    "prune_example_vectors",
    "read_vectors",
]

EXACT_EXAMPLES = 10_000
"""Vectors that are compared one by one as fast as by an index; beyond this one is built."""

BATCH_TEXTS = 128
_PAGE_ROWS = 1000
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"

_COVERAGE = """
    SELECT count(*), count(v.example_id)
      FROM datasets_app_example e
      LEFT JOIN datasets_app_examplevector v ON v.model_id = %s AND v.example_id = e.example_id
     WHERE e.branch_id = %s
"""
# A page in the order of example_branch_ordinal with the hash that each row's vector was made of. No cursor: its
# snapshot would live as long as the embedding takes. The texts are hashed here, not in SQL: their order is canonical.
_PAGE = """
    SELECT e.ordinal, e.example_id, e.input_data::text, v.content_hash
      FROM datasets_app_example e
      LEFT JOIN datasets_app_examplevector v ON v.model_id = %s AND v.example_id = e.example_id
     WHERE e.branch_id = %s AND e.ordinal > %s
     ORDER BY e.ordinal LIMIT %s
"""
_NEW_ROWS = """
    CREATE TEMPORARY TABLE golden_example_vectors (example_id uuid, content_hash bytea, vector vector) ON COMMIT DROP
"""
# ordered, so that two writers wait for each other in one direction only
_STORE = """
    INSERT INTO datasets_app_examplevector (model_id, example_id, content_hash, vector)
    SELECT %s, example_id, content_hash, vector FROM golden_example_vectors ORDER BY example_id
    ON CONFLICT (model_id, example_id) DO UPDATE SET content_hash = excluded.content_hash, vector = excluded.vector
"""
_PRUNE = """
    DELETE FROM datasets_app_examplevector v
     WHERE v.model_id = %s
       AND NOT EXISTS (SELECT 1 FROM datasets_app_example e WHERE e.example_id = v.example_id)
"""
_READ = """
    SELECT uuid_send(example_id), vector_send(vector) FROM datasets_app_examplevector
     WHERE model_id = %s AND example_id = ANY(%s)
"""


@dataclass(frozen=True)
class ExampleCoverage:
    """Rows of a branch and how many have a vector, whether of their input of now or of one before."""

    examples: int
    embedded: int

    @property
    def missing(self) -> int:
        return self.examples - self.embedded


@dataclass(frozen=True)
class ExampleEmbedReport(EmbedReport):
    """What was done with examples; besides, how many inputs have no text at all."""

    empty: int = 0

    def document(self) -> dict[str, Any]:
        return {**super().document(), "empty": self.empty}


def example_coverage(branch: Branch, model: EmbeddingModel) -> ExampleCoverage:
    """Count the rows of the branch's working copy, and those with a vector of `model`."""
    with connection.cursor() as cursor:
        cursor.execute(_COVERAGE, [model.pk, branch.pk])
        return ExampleCoverage(*cursor.fetchone())


def embed_examples(
    *,
    branch: Branch,
    model: EmbeddingModel | None = None,
    actor: Any,
    progress: Report | None = None,
    wait: bool = False,
) -> ExampleEmbedReport:
    """Make the vectors that the branch's examples lack, or whose input has changed, then the index, and report.

    `model` None is the current one. Each batch is committed by itself: after a kill the next run goes on where this
    one was. `wait` waits for another writer of the model instead of raising EmbeddingRuns. Raises Forbidden,
    NoCurrentModel, EmbeddingRuns, EmbeddingTrouble (what is done stays), WrongDimension, UnknownEmbeddingModel.
    """
    if actor is not None:
        require(actor, Action.REVIEW, branch.dataset)
    model = model or get_model()
    report = progress or silent
    said = f"Vectors of the examples of {branch.dataset.name}"
    begun = time.monotonic()
    embedded = present = empty = done = 0
    with held(model, report, wait=wait):
        total = example_coverage(branch, model).examples
        report(0, total, said)
        for page in _pages(branch, model):
            texts = [
                (example_id, example_text(loads_stored(document)), known)
                for example_id, document, known in page
            ]
            hashed = [(example_id, text, text_hash(text), known) for example_id, text, known in texts]
            empty += sum(not text for _, text, _, _ in hashed)
            wanted = [row[:3] for row in hashed if row[1] and row[2] != row[3]]
            present += sum(bool(text) for _, text, _, _ in hashed) - len(wanted)
            done += len(page) - len(wanted)
            for start in range(0, len(wanted), BATCH_TEXTS):
                batch = wanted[start : start + BATCH_TEXTS]
                _embed_batch(model, batch)
                embedded += len(batch)
                done += len(batch)
                report(done, max(total, done), said)
        index, warnings = index_after(model, _stored(model), report, of=ExampleVector, small=EXACT_EXAMPLES)
    if actor is not None:
        with acting(actor, "embed examples"):
            record(
                actor,
                "embedding.examples",
                branch.dataset,
                f"{embedded} examples of {branch.name} with {model.name}",
                embedded=embedded,
            )
    return ExampleEmbedReport(model.name, embedded, present, index, time.monotonic() - begun, warnings, empty)


def prune_example_vectors(*, model: EmbeddingModel, actor: Any) -> int:
    """Delete the vectors of examples that no working copy has any more and return how many. Raises Forbidden."""
    if actor is not None:
        require(actor, Action.EDIT)
    with acting(actor, "prune embeddings of examples"), connection.cursor() as cursor:
        cursor.execute(_PRUNE, [model.pk])
        deleted = int(cursor.rowcount)
        record(
            actor,
            "embedding.prune",
            None,
            f"{deleted} vectors of examples under {model.name}",
            deleted=deleted,
        )
    return deleted


def read_vectors(model: EmbeddingModel, example_ids: Sequence[uuid.UUID]) -> tuple[list[uuid.UUID], Vectors]:
    """Return (ids, vectors) of those of `example_ids` that have one: float32, shape (len(ids), dimension), by id."""
    with binary_cursor() as cursor:
        rows = cursor.execute(_READ, [model.pk, list(example_ids)]).fetchall()
    rows.sort()
    # pgvector sends int16 dimension, int16 0, then float32 values, big-endian
    packed = b"".join(bytes(vector)[4:] for _, vector in rows)
    vectors = np.frombuffer(packed, ">f4").astype(np.float32).reshape(len(rows), model.dimension)
    return [uuid.UUID(bytes=bytes(example_id)) for example_id, _ in rows], vectors


def _pages(branch: Branch, model: EmbeddingModel) -> Iterator[list[tuple[uuid.UUID, str, bytes | None]]]:
    """Yield pages of (example, input as JSON text, hash that its vector was made of)."""
    after = -1
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_PAGE, [model.pk, branch.pk, after, _PAGE_ROWS])
            rows = cursor.fetchall()
        if not rows:
            return
        after = rows[-1][0]
        yield [(example_id, document, known and bytes(known)) for _, example_id, document, known in rows]


def _embed_batch(model: EmbeddingModel, batch: Sequence[tuple[uuid.UUID, str, bytes]]) -> None:
    """Make and store the vectors of a batch; equal texts are read once, and no transaction is open meanwhile."""
    texts = {content_hash: text[:READ_CHARACTERS] for _, text, content_hash in batch}
    vectors = embedder_for(model).embed_passages(list(texts.values()))
    place = {content_hash: number for number, content_hash in enumerate(texts)}
    store_example_vectors(
        model,
        [example_id for example_id, _, _ in batch],
        [content_hash for _, _, content_hash in batch],
        vectors[[place[content_hash] for _, _, content_hash in batch]],
    )


def store_example_vectors(
    model: EmbeddingModel, ids: Sequence[uuid.UUID], hashes: Sequence[bytes], vectors: Vectors
) -> None:
    """Write vectors, shape (len(ids), dimension), in a transaction; those that are there are replaced.

    Raises WrongDimension, before anything is written, and UnknownEmbeddingModel when the model was deleted meanwhile.
    """
    if vectors.shape != (len(ids), model.dimension):
        raise WrongDimension(
            f"Model “{model.name}”: found vectors of shape {vectors.shape}, expected {(len(ids), model.dimension)}; "
            "nothing of them was written.",
            hint="A model has one dimension for life: register what gives another one under another name.",
        )
    try:
        with transaction.atomic(), binary_cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS pg_temp.golden_example_vectors")
            cursor.execute(_NEW_ROWS)
            with cursor.copy("COPY golden_example_vectors FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(_copied(ids, hashes, vectors))
            cursor.execute(_STORE, [model.pk])
    except IntegrityError as error:
        raise UnknownEmbeddingModel(
            f"The embedding model “{model.name}” was deleted while its vectors were made."
        ) from error


def _copied(ids: Sequence[uuid.UUID], hashes: Sequence[bytes], vectors: Vectors) -> bytes:
    """Return the rows in PostgreSQL's binary COPY format."""
    dimension = vectors.shape[1]
    row = np.dtype(
        [
            ("fields", ">i2"),
            ("id_bytes", ">i4"),
            ("id", "V16"),
            ("hash_bytes", ">i4"),
            ("hash", "V32"),
            ("vector_bytes", ">i4"),
            ("dimension", ">i2"),
            ("unused", ">i2"),
            ("values", ">f4", (dimension,)),
        ]
    )
    rows = np.zeros(len(ids), row)
    rows["fields"] = 3
    rows["id_bytes"] = 16
    rows["id"] = np.frombuffer(b"".join(one.bytes for one in ids), "V16")
    rows["hash_bytes"] = 32
    rows["hash"] = np.frombuffer(b"".join(hashes), "V32")
    rows["vector_bytes"] = 4 + 4 * dimension
    rows["dimension"] = dimension
    rows["values"] = vectors
    return _COPY_HEADER + rows.tobytes() + _COPY_TRAILER


def _stored(model: EmbeddingModel) -> int:
    return ExampleVector.objects.filter(model=model).count()
