"""Examples that are alike: the nearest by the cosine similarity of their vectors.

Two plans, as for chunks: all vectors compared, which is right for up to some ten thousand and for long answers; or
pgvector's HNSW graph, walked on until enough of the wanted examples are found.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from django.db import connection
from django.db.models import QuerySet

from datasets_app.models import Branch, EmbeddingModel, Example, ExampleVector
from datasets_app.services.retrieval.embedders import embedder_for
from datasets_app.services.retrieval.example_vectors import EXACT_EXAMPLES, read_vectors
from datasets_app.services.retrieval.vector_index import IndexState, index_expression, index_state
from datasets_app.services.retrieval.vector_search import (
    by_index,
    ef_search,
    execute_by_index,
    vector_literal,
)
from goldenproject.kit.errors import NotFound

MOST_BY_INDEX = 400
"""Hits that the index is asked for: its list of candidates has an upper bound, and a longer answer would be cut."""

_EXACT = """
    SELECT v.example_id, v.vector <=> %(vector)s::vector AS distance
      FROM datasets_app_examplevector v
     WHERE v.model_id = {model} AND v.example_id IN ({among})
     ORDER BY 2, 1 LIMIT %(limit)s
"""
# Plan: Limit → Incremental Sort → Nested Loop Semi Join over an Index Scan of the HNSW index and the key of `among`.
_BY_INDEX = """
    SELECT v.example_id, v.{expression} <=> %(vector)s::{type} AS distance
      FROM datasets_app_examplevector v
     WHERE v.model_id = {model} AND EXISTS (
           SELECT FROM ({among}) wanted (example_id) WHERE wanted.example_id = v.example_id)
     ORDER BY 2, 1 LIMIT %(limit)s
"""


class NoVector(NotFound):
    """This example has no vector yet."""

    code = "no_vector"


class Near(NamedTuple):
    """An example and its cosine similarity, -1 to 1."""

    example_id: uuid.UUID
    similarity: float


def vector_of(model: EmbeddingModel, example_id: uuid.UUID) -> npt.NDArray[np.float32]:
    """Return the vector of an example, shape (dimension,). Raises NoVector."""
    found, vectors = read_vectors(model, [example_id])
    if not found:
        raise NoVector(
            f"The example {example_id} has no vector of “{model.name}” yet.",
            hint="Make the vectors of the examples: golden_embed --examples DATASET",
        )
    row: npt.NDArray[np.float32] = vectors[0]
    return row


def vector_of_text(model: EmbeddingModel, text: str) -> npt.NDArray[np.float32]:
    """Return the vector of a text that somebody asks with, shape (dimension,). Raises EmbeddingTrouble."""
    row: npt.NDArray[np.float32] = embedder_for(model).embed_queries([text])[0]
    return row


def nearest_examples(
    *,
    branch: Branch,
    model: EmbeddingModel,
    vector: npt.NDArray[np.float32],
    limit: int,
    among: QuerySet[Any, Any] | None = None,
    exact: bool = False,
) -> list[Near]:
    """Return the `limit` examples of the branch's working copy nearest to `vector`, best first, ties by id.

    `among` narrows: a query of one column, the ids of examples. `exact` compares all, however many there are.
    """
    rows = Example.objects.filter(branch=branch)
    if among is not None:
        rows = rows.filter(identity__in=among)
    sql, sql_parameters = rows.order_by().values("identity").query.sql_with_params()
    names = [f"among_{number}" for number in range(len(sql_parameters))]
    parameters = {
        "vector": vector_literal(vector),
        "limit": limit,
        **dict(zip(names, sql_parameters, strict=True)),
    }
    wanted = sql % tuple(f"%({name})s" for name in names)
    if exact or not _uses_index(model, limit) or _is_few(rows):
        statement = _EXACT.format(model=int(model.pk), among=wanted)
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            found = cursor.fetchall()
    else:
        expression = index_expression(model)
        statement = _BY_INDEX.format(
            model=int(model.pk), among=wanted, expression=expression, type=expression.partition("::")[2]
        )
        found = execute_by_index(by_index(statement), {**parameters, "ef_search": str(ef_search(limit))})
    return [Near(example_id, 1.0 - distance) for example_id, distance in found]


def _is_few(rows: QuerySet[Example]) -> bool:
    """Tell whether comparing with all of `rows` is the quicker way: the graph would mostly meet others."""
    return rows.order_by()[: EXACT_EXAMPLES + 1].count() <= EXACT_EXAMPLES


def _uses_index(model: EmbeddingModel, limit: int) -> bool:
    return limit <= MOST_BY_INDEX and index_state(model, ExampleVector) == IndexState.READY
