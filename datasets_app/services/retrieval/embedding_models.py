"""Embedding models side by side: registered, looked up, compared with what they are to know, switched, deleted."""

from __future__ import annotations

import logging
from contextlib import closing
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from datasets_app.domain.roles import Action
from datasets_app.errors import (
    EmbeddingModelExists,
    IndexNeedsOwner,
    ModelNotReady,
    NoCurrentModel,
    UnknownEmbeddingModel,
)
from datasets_app.models import Embedding, EmbeddingModel, ExampleVector
from datasets_app.services.access import record, require
from datasets_app.services.retrieval.embedders import make_embedder
from datasets_app.services.retrieval.stored_vectors import Coverage, coverage, only_writer
from datasets_app.services.retrieval.vector_index import SMALL, IndexState, drop_index, index_state
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput, Conflict

__all__ = [
    "Coverage",
    "coverage",
    "delete_model",
    "get_model",
    "register_model",
    "switch_current",
    "why_not_ready",
]

logger = logging.getLogger(__name__)


def get_model(name: str | None = None) -> EmbeddingModel:
    """Return the model called `name`, or the current one. Raises UnknownEmbeddingModel, NoCurrentModel."""
    if name is None:
        model = EmbeddingModel.objects.filter(is_current=True).first()
        if model is None:
            raise NoCurrentModel(
                "No embedding model is the current one.", hint="Choose one: golden_embed --switch NAME"
            )
        return model
    model = EmbeddingModel.objects.filter(name=name).first()
    if model is None:
        names = ", ".join(EmbeddingModel.objects.values_list("name", flat=True)) or "none"
        raise UnknownEmbeddingModel(
            f"There is no embedding model “{name}”.", hint=f"Registered: {names}.", name=name
        )
    return model


def register_model(*, name: str, provider: str, options: dict[str, Any], actor: Any) -> EmbeddingModel:
    """Add a model and return it; it is asked for its dimension, so it must answer. Its vectors come with `embed_missing`.

    Raises Forbidden, BadInput, EmbeddingModelExists, EmbeddingTrouble.
    """
    if actor is not None:
        require(actor, Action.MANAGE)
    if EmbeddingModel.objects.filter(name=name).exists():
        raise _exists(name)
    model = EmbeddingModel(name=name, provider=provider, options=options, dimension=1)
    try:
        model.full_clean(exclude=["dimension"], validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        field, messages = min(error.message_dict.items())
        raise BadInput(f"Embedding model “{name}”: {field}: {' '.join(messages)}") from error
    with closing(make_embedder(provider, options)) as embedder:
        model.dimension = embedder.dimension
    if model.dimension > 16_000:
        raise BadInput(
            f"Embedding model “{name}”: found vectors of dimension {model.dimension}, expected at most 16000."
        )
    with acting(actor, "register embedding model"):
        try:
            with transaction.atomic():
                model.save(force_insert=True)
        except IntegrityError as error:
            raise _exists(name) from error
        record(actor, "embedding.register", None, f"{name}: {provider}, {model.dimension} dimensions")
    return model


def switch_current(*, model: EmbeddingModel, actor: Any) -> EmbeddingModel:
    """Make `model` the one that searches use, from one statement to the next, and return it.

    Raises Forbidden, ModelNotReady, with what is missing, and UnknownEmbeddingModel.
    """
    if actor is not None:
        require(actor, Action.MANAGE)
    with acting(actor, "switch embedding model"):
        # all of them, in one order: two switches at once come one after the other
        models = {one.pk: one for one in EmbeddingModel.objects.select_for_update().order_by("pk")}
        wanted = models.get(model.pk)
        if wanted is None:
            raise UnknownEmbeddingModel(f"There is no embedding model “{model.name}” any more.")
        if wanted.is_current:
            return wanted
        if reason := why_not_ready(wanted):
            raise ModelNotReady(
                f"The model “{wanted.name}” cannot be the current one yet: {reason}.",
                hint=f"Run: golden_embed --model {wanted.name}",
            )
        before = next((one.name for one in models.values() if one.is_current), None)
        EmbeddingModel.objects.filter(is_current=True).update(is_current=False)
        EmbeddingModel.objects.filter(pk=wanted.pk).update(is_current=True)
        record(actor, "embedding.switch", None, f"{before or 'none'} → {wanted.name}", before=before)
    wanted.is_current = True
    return wanted


def why_not_ready(model: EmbeddingModel) -> str:
    """Return what `model` lacks to be searched with; empty when nothing."""
    found = coverage(model)
    if found.missing:
        return f"{found.missing} of {found.texts} texts have no vector"
    state = index_state(model)
    if found.stored >= SMALL and state in (IndexState.ABSENT, IndexState.BROKEN):
        return f"its index {model.index_name} is {state}"
    return ""


def delete_model(*, model: EmbeddingModel, actor: Any) -> None:
    """Delete a model with its vectors and its index. Raises Forbidden, Conflict for the current one, EmbeddingRuns."""
    if actor is not None:
        require(actor, Action.MANAGE)
    with only_writer(model), acting(actor, "delete embedding model"):
        current = EmbeddingModel.objects.select_for_update().filter(pk=model.pk).first()
        if current is None:
            raise UnknownEmbeddingModel(f"There is no embedding model “{model.name}” any more.")
        if current.is_current:
            raise Conflict(
                f"“{current.name}” is the current embedding model: searches need it.",
                hint="Switch to another one first.",
            )
        try:
            for of in (Embedding, ExampleVector):
                drop_index(current, of)
        except IndexNeedsOwner as error:  # an empty index is left, which costs nothing
            logger.warning("%s", error.message)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM datasets_app_embedding WHERE model_id = %s", [current.pk])
            deleted = cursor.rowcount
            cursor.execute("DELETE FROM datasets_app_examplevector WHERE model_id = %s", [current.pk])
        EmbeddingModel.objects.filter(pk=current.pk).delete()
        record(actor, "embedding.delete", None, f"{current.name} with {deleted} vectors", deleted=deleted)


def _exists(name: str) -> EmbeddingModelExists:
    return EmbeddingModelExists(f"There is an embedding model “{name}” already.", hint="Choose another name.")
