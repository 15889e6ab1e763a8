"""The HNSW index of an embedding model: a partial index over an expression, because a column has no one dimension.

A query uses it when it says the same: `ORDER BY <index_expression> <=> …` and `WHERE model_id = <the number itself>`.
`of` says whose vectors: those of the corpus' chunks (Embedding), or of examples (ExampleVector).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from django.db import OperationalError, ProgrammingError, connection, transaction

from datasets_app.errors import IndexNeedsOwner
from datasets_app.models import Embedding, EmbeddingModel, ExampleVector

logger = logging.getLogger(__name__)

Vectored = type[Embedding] | type[ExampleVector]

SMALL = 1000
"""Vectors that are searched as fast without an index; below this none is needed."""

_MOST_VECTOR, _MOST_HALFVEC = 2000, 4000  # dimensions that pgvector's HNSW takes
_MEMORY_MB = (64, 1024)
_BYTES_A_NODE = 400  # links and headers of a vector in the graph, at m = 16, on the generous side


class IndexState(StrEnum):
    ABSENT = "absent"
    BROKEN = "broken"  # what a killed build leaves behind; or one that is under way
    READY = "ready"
    IMPOSSIBLE = "impossible"  # too many dimensions: every search is an exact scan


def index_expression(model: EmbeddingModel) -> str:
    """Return what the index of `model` is over, as SQL; empty when its dimension is too high for an index."""
    if model.dimension <= _MOST_VECTOR:
        return f"vector::vector({int(model.dimension)})"
    if model.dimension <= _MOST_HALFVEC:
        return f"vector::halfvec({int(model.dimension)})"
    return ""


def index_state(model: EmbeddingModel, of: Vectored = Embedding) -> IndexState:
    """Tell whether the index of `model` can be used."""
    if not index_expression(model):
        return IndexState.IMPOSSIBLE
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [_name(model, of)]
        )
        row = cursor.fetchone()
    if row is None:
        return IndexState.ABSENT
    return IndexState.READY if row[0] else IndexState.BROKEN


def ensure_index(model: EmbeddingModel, of: Vectored = Embedding) -> IndexState:
    """Build the index of `model` unless it stands, and return its state; searches and writes go on meanwhile.

    Nobody else may be building it. Inside a transaction it is built there, and then writes wait. Raises IndexNeedsOwner.
    """
    state = index_state(model, of)
    if state in (IndexState.READY, IndexState.IMPOSSIBLE):
        return state
    name = _name(model, of)
    with _as_owner(model, name), _memory(model, of):
        if state == IndexState.BROKEN:
            _execute(f"DROP INDEX {_concurrently()} IF EXISTS {name}")
        try:
            _execute(_create_sql(model, of))
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != "53100" or connection.in_atomic_block:
                raise
            # a container's shared memory is often too small for parallel workers
            logger.warning("%s: %s; building it with one process", name, error)
            _execute(f"DROP INDEX {_concurrently()} IF EXISTS {name}")
            _execute("SET max_parallel_maintenance_workers = 0")
            try:
                _execute(_create_sql(model, of))
            finally:
                _execute("RESET max_parallel_maintenance_workers")
    return IndexState.READY


def drop_index(model: EmbeddingModel, of: Vectored = Embedding) -> None:
    """Drop the index of `model`. Raises IndexNeedsOwner."""
    if index_state(model, of) in (IndexState.READY, IndexState.BROKEN):
        name = _name(model, of)
        with _as_owner(model, name):
            _execute(f"DROP INDEX IF EXISTS {name}")


def _name(model: EmbeddingModel, of: Vectored) -> str:
    return model.index_name if of is Embedding else ExampleVector.index_name(model)


def _create_sql(model: EmbeddingModel, of: Vectored) -> str:
    expression = index_expression(model)
    kind = "halfvec" if "halfvec" in expression else "vector"
    return (
        f"CREATE INDEX {_concurrently()} IF NOT EXISTS {_name(model, of)} ON {of._meta.db_table} "
        f"USING hnsw (({expression}) {kind}_cosine_ops) WHERE model_id = {int(model.pk)}"
    )


def _concurrently() -> str:
    return "" if connection.in_atomic_block else "CONCURRENTLY"


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        if connection.in_atomic_block:  # foreign keys that wait for the commit would forbid the statement
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(statement)


@contextmanager
def _as_owner(model: EmbeddingModel, name: str) -> Iterator[None]:
    """Turn the refusal of a role that does not own the table into what to do about it."""
    try:
        if connection.in_atomic_block:
            with transaction.atomic():  # a refusal must not spoil the transaction around
                yield
        else:
            yield
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", "") != "42501":
            raise
        raise IndexNeedsOwner(
            f"The index {name} of the model “{model.name}” can be made or dropped by the owner of the "
            "tables only.",
            hint=f"Run golden_embed --model {model.name} with DATABASE_URL naming the owner.",
        ) from error


@contextmanager
def _memory(model: EmbeddingModel, of: Vectored) -> Iterator[None]:
    """Give the build the memory that its graph needs, within limits: one that does not fit is built many times slower."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {of._meta.db_table} WHERE model_id = %s", [model.pk])
        vectors: int = cursor.fetchone()[0]
    needed_mb = vectors * (model.dimension * 4 + _BYTES_A_NODE) // 2**20
    low, high = _MEMORY_MB
    local = connection.in_atomic_block  # then it ends with the transaction, even with a failed one
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('maintenance_work_mem', %s, %s)",
            [f"{min(max(needed_mb, low), high)}MB", local],
        )
    try:
        yield
    finally:
        if not local and connection.is_usable():
            _execute("RESET maintenance_work_mem")
