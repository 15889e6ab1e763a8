"""Vectors on their way into the database: found missing by the hash of their text, written as a set, counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from django.db import IntegrityError, connection, transaction

from datasets_app.errors import EmbeddingRuns, UnknownEmbeddingModel, WrongDimension
from datasets_app.models import EmbeddingModel
from datasets_app.services.retrieval.embedders import Vectors
from goldenproject.kit.database_io import binary_cursor

READ_CHARACTERS = 200_000
"""Of a text: no model reads more, and a batch of huge chunks stays in memory."""

_HASH_BYTES = 32
_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_TRAILER = b"\xff\xff"

# The texts that golden chunks have now. Pending and failed analyses are not golden, so they are not searched.
_GOLDEN_TEXTS = """
    SELECT DISTINCT c.content_hash
      FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
     WHERE a.status = 'completed'
"""
_COVERAGE = f"""
    SELECT count(*), count(e.content_hash),
           (SELECT count(*) FROM datasets_app_embedding WHERE model_id = %(model)s)
      FROM ({_GOLDEN_TEXTS}) text
      LEFT JOIN datasets_app_embedding e ON e.model_id = %(model)s AND e.content_hash = text.content_hash
"""
# A page in the order of chunk_content_hash (merge anti join of two index scans, both begun at the last hash): each costs
# what it returns plus what it passes over, so a whole run costs one pass through the indexes. No cursor: its snapshot would live as long as the embedding takes, which may be days.
_MISSING_PAGE = """
    SELECT DISTINCT ON (c.content_hash) c.content_hash,
           left(CASE WHEN c.section_title = '' THEN c.content ELSE c.section_title || E'\\n' || c.content END, %(characters)s)
      FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
     WHERE a.status = 'completed' AND c.content_hash > %(after)s
       AND NOT EXISTS (SELECT 1 FROM datasets_app_embedding e
                        WHERE e.model_id = %(model)s AND e.content_hash = c.content_hash
                          AND e.content_hash > %(after)s)
     ORDER BY c.content_hash
     LIMIT %(rows)s
"""
_NEW_ROWS = "CREATE TEMPORARY TABLE golden_vectors (content_hash bytea, vector vector) ON COMMIT DROP"
# ordered, so that two writers of the same hashes wait for each other in one direction only
_STORE = """
    INSERT INTO datasets_app_embedding (model_id, content_hash, vector)
    SELECT %s, content_hash, vector FROM golden_vectors ORDER BY content_hash
    ON CONFLICT DO NOTHING
"""
_PRUNE = """
    DELETE FROM datasets_app_embedding e
     WHERE e.model_id = %s
       AND NOT EXISTS (SELECT 1 FROM datasets_app_chunk c WHERE c.content_hash = e.content_hash)
"""


@dataclass(frozen=True)
class Coverage:
    """Distinct texts of completed analyses, and how many have a vector; `stored` counts all vectors of the model."""

    texts: int
    embedded: int
    stored: int

    @property
    def missing(self) -> int:
        return self.texts - self.embedded

    @property
    def unused(self) -> int:
        """Vectors of texts that no completed analysis has any more, or not yet."""
        return self.stored - self.embedded


def coverage(model: EmbeddingModel) -> Coverage:
    """Count the texts that `model` is to know and those it knows, in all corpora together."""
    with connection.cursor() as cursor:
        cursor.execute(_COVERAGE, {"model": model.pk})
        return Coverage(*cursor.fetchone())


def missing_page(model: EmbeddingModel, *, after: bytes, rows: int) -> list[tuple[bytes, str]]:
    """Return up to `rows` (hash, text) without a vector, by hash, beyond the hash `after`."""
    with connection.cursor() as cursor:
        cursor.execute(
            _MISSING_PAGE, {"model": model.pk, "after": after, "rows": rows, "characters": READ_CHARACTERS}
        )
        return [(bytes(content_hash), text) for content_hash, text in cursor.fetchall()]


def stored_hashes(model: EmbeddingModel, hashes: Sequence[bytes]) -> set[bytes]:
    """Return which of `hashes` have a vector of `model`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT content_hash FROM datasets_app_embedding WHERE model_id = %s AND content_hash = ANY(%s)",
            [model.pk, list(hashes)],
        )
        return {bytes(content_hash) for (content_hash,) in cursor.fetchall()}


def store_vectors(model: EmbeddingModel, hashes: Sequence[bytes], vectors: Vectors) -> int:
    """Write vectors, shape (len(hashes), dimension), in a transaction, and return how many were new.

    What is stored already stays as it is. Raises WrongDimension, before anything is written, and UnknownEmbeddingModel
    when the model was deleted meanwhile.
    """
    if vectors.shape != (len(hashes), model.dimension):
        raise WrongDimension(
            f"Model “{model.name}”: found vectors of shape {vectors.shape}, expected {(len(hashes), model.dimension)}; "
            "nothing of them was written.",
            hint="A model has one dimension for life: register what gives another one under another name.",
        )
    if not hashes:
        return 0
    try:
        with transaction.atomic():
            with binary_cursor() as cursor:
                cursor.execute(
                    "DROP TABLE IF EXISTS pg_temp.golden_vectors"
                )  # of a transaction around this one
                cursor.execute(_NEW_ROWS)
                with cursor.copy("COPY golden_vectors FROM STDIN (FORMAT BINARY)") as copy:
                    copy.write(_copied(hashes, vectors))
                cursor.execute(_STORE, [model.pk])
                return cursor.rowcount
    except IntegrityError as error:
        raise UnknownEmbeddingModel(
            f"The embedding model “{model.name}” was deleted while its vectors were made."
        ) from error


def _copied(hashes: Sequence[bytes], vectors: Vectors) -> bytes:
    """Return the rows in PostgreSQL's binary COPY format; pgvector sends int16 dimension, int16 0, float32 values."""
    dimension = vectors.shape[1]
    row = np.dtype(
        [
            ("fields", ">i2"),
            ("hash_bytes", ">i4"),
            ("hash", f"V{_HASH_BYTES}"),
            ("vector_bytes", ">i4"),
            ("dimension", ">i2"),
            ("unused", ">i2"),
            ("values", ">f4", (dimension,)),
        ]
    )
    rows = np.zeros(len(hashes), row)
    rows["fields"] = 2
    rows["hash_bytes"] = _HASH_BYTES
    rows["hash"] = np.frombuffer(b"".join(hashes), f"V{_HASH_BYTES}")
    rows["vector_bytes"] = 4 + 4 * dimension
    rows["dimension"] = dimension
    rows["values"] = vectors
    return _COPY_HEADER + rows.tobytes() + _COPY_TRAILER


def delete_unused(model: EmbeddingModel) -> int:
    """Delete the vectors of texts that no chunk has, of whatever analysis, and return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_PRUNE, [model.pk])
        return int(cursor.rowcount)


@contextmanager
def only_writer(model: EmbeddingModel) -> Iterator[None]:
    """Hold the lock of `model`, so that two processes do not make the same vectors. Raises EmbeddingRuns.

    A lock of a session of its own: it ends with the process, however that ends, and no transaction stays open, which
    a concurrent build of an index would wait for.
    """
    session = connection.copy()
    name = f"golden embedding {model.pk}"
    try:
        with session.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name])
            if not cursor.fetchone()[0]:
                raise EmbeddingRuns(
                    f"The vectors of the model “{model.name}” are being made by another process.",
                    hint="Wait for it; golden_embed --status shows how far it is.",
                )
        try:
            yield
        finally:
            if session.is_usable():  # said, because a pool would keep the session
                with session.cursor() as cursor:
                    cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [name])
    finally:
        session.close()
