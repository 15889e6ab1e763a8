"""Find examples of a queue to label together: those that are like one, or like a text, and those that fit a filter."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import Exists, F, Func, OuterRef, QuerySet, TextField, Value

from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.roles import Action
from datasets_app.models import EmbeddingModel, Example
from datasets_app.services.access import require
from datasets_app.services.retrieval.example_search import (
    Near,
    NoVector,
    nearest_examples,
    vector_of,
    vector_of_text,
)
from datasets_app.services.retrieval.example_vectors import ExampleCoverage, example_coverage
from goldenproject.kit.errors import BadInput
from labeling_app.domain.answers import part_of, path_of
from labeling_app.models import Label, LabelingQueue, QueueItem, Suggestion
from labeling_app.services.class_models import current_embedding, queue_class

MOST_FOUND = 1000
MOST_MATCHING = 10_000

_SHOWN = """
    SELECT i.id, i.example_id, x.external_id, i.state, i.label_count, e.input_data::text, e.expected_output::text,
           e.validation_status,
           (SELECT jsonb_build_object('value', s.value, 'confidence', s.confidence, 'source', s.source)::text
              FROM labeling_app_suggestion s WHERE s.item_id = i.id
             ORDER BY s.confidence DESC NULLS LAST, s.source LIMIT 1)
      FROM labeling_app_queueitem i
      JOIN datasets_app_exampleidentity x ON x.id = i.example_id
      JOIN datasets_app_example e ON e.branch_id = %s AND e.example_id = i.example_id
     WHERE i.queue_id = %s AND i.example_id = ANY(%s)
"""


@dataclass(frozen=True)
class ItemFilter:
    """Which items of a queue: all that is given must hold; "" and None ask nothing.

    `text` is contained in a value of the example, whatever the case. `answer` is the class that is there now, `suggested`
    one that is suggested with a confidence of at least `at_least` (0–1). `unlabeled_only` leaves out what the person
    cannot label now: what has all its labels, what they have labeled themselves, hidden checks.
    """

    text: str = ""
    status: str = ""
    answer: str = ""
    suggested: str = ""
    at_least: float | None = None
    unlabeled_only: bool = True

    def document(self) -> dict[str, Any]:
        """Return what was asked for, as plain JSON."""
        said = {
            "text": self.text,
            "status": self.status,
            "answer": self.answer,
            "suggested": self.suggested,
            "at_least": self.at_least,
        }
        return {name: value for name, value in said.items() if value not in ("", None)}


@dataclass(frozen=True)
class Found:
    """An example that was found. `similarity` −1 to 1, None for a filter; `answer` is the class that is there now.

    `suggestion` is the likeliest: its class (or None), its source and confidence.
    """

    item: int
    example: uuid.UUID
    external_id: str | None
    state: str
    labels: int
    input: Any
    answer: str | None
    status: str
    similarity: float | None = None
    suggestion: dict[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        """Return the example as plain JSON."""
        return {
            "item": self.item,
            "example": str(self.example),
            "external_id": self.external_id,
            "state": self.state,
            "labels": self.labels,
            "input": self.input,
            "answer": self.answer,
            "status": self.status,
            "similarity": None if self.similarity is None else round(self.similarity, 4),
            "suggestion": self.suggestion,
        }


@dataclass(frozen=True)
class VectorState:
    """Whether examples of a queue can be compared: the model (None: there is none), and how many have a vector."""

    model: EmbeddingModel | None = None
    coverage: ExampleCoverage = field(default_factory=lambda: ExampleCoverage(0, 0))

    @property
    def is_ready(self) -> bool:
        return self.model is not None and self.coverage.embedded > 0


def vector_state(queue: LabelingQueue) -> VectorState:
    """Tell whether the examples of a queue's branch can be compared."""
    model = current_embedding()
    return VectorState(model, example_coverage(queue.branch, model)) if model else VectorState()


def similar_examples(
    *,
    queue: LabelingQueue,
    actor: Any,
    example_id: uuid.UUID | None = None,
    text: str = "",
    limit: int = 100,
    unlabeled_only: bool = True,
    also: ItemFilter | None = None,
) -> list[Found]:
    """Return up to `limit` examples most similar to an example of the queue, or to a text; most similar first.

    The example itself is left out. `also` narrows further. Right: review. Raises NoCurrentModel, NoVector for what has no
    vector yet, EmbeddingTrouble, BadInput.
    """
    require(actor, Action.REVIEW, queue.dataset)
    _check_limit(limit)
    if (example_id is None) == (not text.strip()):
        raise BadInput("Similar to what? Give an example or a text, one of them.")
    model = current_embedding()
    if model is None:
        raise NoVector(
            "There is no embedding model, so examples cannot be compared.",
            hint="Choose one: golden_embed --switch NAME",
        )
    wanted = matching(queue=queue, actor=actor, which=also or ItemFilter(unlabeled_only=unlabeled_only))
    if example_id is not None:
        vector = vector_of(model, example_id)
        wanted = wanted.exclude(example=example_id)
    else:
        vector = vector_of_text(model, text.strip())
    near = nearest_examples(
        branch=queue.branch, model=model, vector=vector, limit=limit, among=wanted.values("example")
    )
    return _shown(queue, near)


def filtered_examples(
    *, queue: LabelingQueue, actor: Any, which: ItemFilter, limit: int = 100
) -> tuple[list[Found], int]:
    """Return the first `limit` examples of the queue that fit, in its order, and how many do, counted to 10,001.

    Right: review.
    """
    require(actor, Action.REVIEW, queue.dataset)
    _check_limit(limit)
    wanted = matching(queue=queue, actor=actor, which=which)
    count = wanted.order_by()[: MOST_MATCHING + 1].count()
    first = wanted.order_by("position", "pk")[:limit].values_list("example", flat=True)
    return _shown(queue, [Near(example, 0.0) for example in first], with_similarity=False), count


def matching_ids(*, queue: LabelingQueue, actor: Any, which: ItemFilter) -> list[uuid.UUID]:
    """Return the ids of the first 10,000 examples of the queue that fit, in its order. Right: review."""
    require(actor, Action.REVIEW, queue.dataset)
    wanted = matching(queue=queue, actor=actor, which=which)
    return list(wanted.order_by("position", "pk")[:MOST_MATCHING].values_list("example", flat=True))


def matching(*, queue: LabelingQueue, actor: Any, which: ItemFilter) -> QuerySet[QueueItem]:
    """Return the items that fit a filter. Raises BadInput for a confidence that is none, or a class where there is none."""
    if which.at_least is not None and not 0 <= which.at_least <= 1:
        raise BadInput(f"Confidence: found {which.at_least}, expected a number from 0 to 1.")
    items = QueueItem.objects.filter(queue=queue).exclude(state=QueueItem.State.GONE)
    if which.unlabeled_only:
        mine = Label.objects.filter(item=OuterRef("pk"), annotator=actor.get_username())
        items = items.filter(~Exists(mine), state=QueueItem.State.OPEN, open_slots__gt=0, is_gold=False)
    rows = _rows(queue, which)
    if rows is not None:
        items = items.filter(example__in=rows.values("identity"))
    if which.suggested or which.at_least is not None:
        items = items.filter(Exists(_suggestions(queue, which)))
    return items


def class_paths(queue: LabelingQueue) -> tuple[list[str], list[str]] | None:
    """Return where the class lies in a whole output, and in an answer of this queue; None where there is none."""
    outer, path = queue.example_type.class_field, queue.field_path
    if outer and (not path or outer == path or outer.startswith(f"{path}.")):
        inside = outer.removeprefix(path).removeprefix(".") if path else outer
        return list(path_of(outer)), list(path_of(inside))
    return (list(path_of(path)), []) if path else None


def _rows(queue: LabelingQueue, which: ItemFilter) -> QuerySet[Example] | None:
    """Return the working rows that fit, or None when nothing is asked of them."""
    if not (which.text or which.status or which.answer):
        return None
    rows = Example.objects.filter(branch=queue.branch)
    if which.text:
        rows = rows.containing(which.text)
    if which.status:
        rows = rows.filter(validation_status=which.status)
    if which.answer:
        rows = rows.alias(said=_class_text("expected_output", _paths(queue)[0])).filter(said=which.answer)
    return rows


def _suggestions(queue: LabelingQueue, which: ItemFilter) -> QuerySet[Suggestion]:
    found = Suggestion.objects.filter(item=OuterRef("pk"))
    if which.suggested:
        found = found.alias(said=_class_text("value", _paths(queue)[1])).filter(said=which.suggested)
    return found if which.at_least is None else found.filter(confidence__gte=which.at_least)


def _class_text(column: str, path: Sequence[str]) -> Func:
    """Return the text at `path` of a JSON column, () for the column's own: the operator #>>."""
    steps = Value(list(path), output_field=ArrayField(TextField()))
    return Func(F(column), steps, arg_joiner=" #>> ", template="(%(expressions)s)", output_field=TextField())


def _paths(queue: LabelingQueue) -> tuple[list[str], list[str]]:
    paths = class_paths(queue)
    if paths is None:
        raise BadInput(
            f"The answers of “{queue.name}” carry no class to filter by.",
            hint="Name the type's class field, or filter by text.",
        )
    return paths


def _shown(queue: LabelingQueue, near: Sequence[Near], *, with_similarity: bool = True) -> list[Found]:
    """Return what is shown of examples, in their order; those that left meanwhile are passed over."""
    with connection.cursor() as cursor:
        cursor.execute(_SHOWN, [queue.branch_id, queue.pk, [one.example_id for one in near]])
        rows = {row[1]: row for row in cursor.fetchall()}
    return [
        _found(queue, rows[one.example_id], one.similarity if with_similarity else None)
        for one in near
        if one.example_id in rows
    ]


def _found(queue: LabelingQueue, row: tuple[Any, ...], similarity: float | None) -> Found:
    item, example, external_id, state, labels, document, output, status, suggestion = row
    answer = None if output is None else part_of(loads_stored(output), queue.field_path)
    suggested = None
    if suggestion is not None:
        told = loads_stored(suggestion)
        suggested = {**told, "class": queue_class(queue, told["value"])}
    return Found(
        item=item,
        example=example,
        external_id=external_id,
        state=state,
        labels=labels,
        input=loads_stored(document),
        answer=None if answer is None else queue_class(queue, answer),
        status=status,
        similarity=similarity,
        suggestion=suggested,
    )


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST_FOUND:
        raise BadInput(f"Limit: found {limit}, expected 1 to {MOST_FOUND}.")
