"""Queues: made, changed, opened and closed."""

from __future__ import annotations

import itertools
import json
import uuid
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Count

from datasets_app.domain.canonical import canonical_text
from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import check_value
from datasets_app.errors import WorktreeClosed
from datasets_app.models import Branch, Dataset, Example, ExampleType
from datasets_app.services.access import record, require
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.database_io import advisory_lock
from goldenproject.kit.errors import BadInput
from goldenproject.kit.retries import retried
from labeling_app.domain.answers import schema_at
from labeling_app.errors import UnknownQueue
from labeling_app.models import LabelingQueue
from labeling_app.services.overlap import follow_overlap, overlap_lock, unfinished_overlap_job
from labeling_app.services.queue_filters import checked_filters
from labeling_app.services.queue_progress import QueueProgress, forget_progress, progress_of
from labeling_app.services.refreshing import (
    RefreshReport,
    fill_queue,
    priority_column,
    refresh_or_start,
    refresh_queue,
)
from labeling_app.services.reordering import LEARNING, reorder_or_start

__all__ = [
    "QueueOptions",
    "QueueProgress",
    "RefreshReport",
    "create_queue",
    "ensure_default_queue",
    "get_queue",
    "progress_of",
    "refresh_or_start",
    "refresh_queue",
    "set_queue_state",
    "unfinished_overlap_job",
    "update_queue",
]

DEFAULT_NAME = "Labels"
_FIXED = ("branch", "example_type", "field_path")
_REFILL = {"filters"}
_REORDER = {"order", "seed", "priority_field"}


@dataclass(frozen=True)
class QueueOptions:
    """What a queue is to be; the fields of LabelingQueue. Without branch: main; without type: the dataset's."""

    branch: Branch | None = None
    example_type: ExampleType | None = None
    instructions: str = ""
    field_path: str = ""
    choices: list[Any] = field(default_factory=list)
    overlap: int = 1
    order: str = LabelingQueue.Order.SEQUENCE
    seed: int = 0
    priority_field: str = ""
    filters: dict[str, Any] = field(default_factory=dict)
    gold_rate: float | Decimal = 0
    gold_pause_below: float | Decimal | None = None
    gold_pause_after: int = 10
    lease_s: int = 900
    idle_s: int = 1800
    consensus_method: str = LabelingQueue.Method.MAJORITY
    adopts: str = LabelingQueue.Adopts.UNANIMOUS
    agreement_threshold: float | Decimal = 1
    validates_adopted: bool = False


CHANGEABLE = frozenset({option.name for option in fields(QueueOptions)} - set(_FIXED) | {"name"})


def get_queue(id_or_name: Any, dataset: Dataset | None = None) -> LabelingQueue:
    """Return a queue by id, or by name (in `dataset`, where names repeat). Raises UnknownQueue."""
    queues = LabelingQueue.objects.select_related("dataset", "branch__dataset", "example_type")
    if dataset is not None:
        queues = queues.filter(dataset=dataset)
    try:
        found = list(queues.filter(pk=uuid.UUID(str(id_or_name))))
    except ValueError:
        found = list(queues.filter(name=id_or_name))
    if len(found) != 1:
        what = "is no" if not found else "is the name of more than one"
        raise UnknownQueue(
            f"“{id_or_name}” {what} labeling queue{f' of {dataset}' if dataset else ''}.",
            hint="Give the queue's id." if found else "See Labeling › Queues.",
        )
    return found[0]


@retried()
def create_queue(
    *, dataset: Dataset, name: str, actor: Any, options: QueueOptions | None = None
) -> LabelingQueue:
    """Make a queue and fill it with the examples that match now. Right: edit.

    Raises BadInput for a name that is taken or anything that cannot be, WorktreeClosed for a branch that nobody edits.
    """
    given = options or QueueOptions()
    if actor is not None:
        require(actor, Action.EDIT, dataset)
    branch = given.branch or dataset.main
    if branch.dataset_id != dataset.pk:
        raise BadInput(f"Branch “{branch.name}” belongs to another dataset.")
    if not branch.is_open:
        raise WorktreeClosed(
            f"Branch “{branch.name}” has no working copy.", hint="Open it for editing first."
        )
    example_type = given.example_type or dataset.default_type or _most_frequent_type(branch)
    queue = LabelingQueue(
        dataset=dataset,
        branch=branch,
        example_type=example_type,
        field_path=given.field_path,
        created_by=known_person(actor),
    )
    _set(queue, name=name, **{option: getattr(given, option) for option in CHANGEABLE - {"name"}})
    with acting(actor, f"create queue {name}"):
        _save(queue)
        added = fill_queue(queue=queue)
        if queue.order in LEARNING:
            reorder_or_start(queue=queue, actor=None)
        record(actor, "labels.queue_create", dataset, queue.name, queue=str(queue.pk), added=added)
    return queue


@retried()
def update_queue(*, queue: LabelingQueue, actor: Any, **changes: Any) -> LabelingQueue:
    """Change fields of a queue; see QueueOptions. Branch, type and path stay as they are: labels were given for them.

    A raised overlap opens slots, also of what was adopted already; a lowered one never takes labels away. The items of a
    big queue follow it by a job: `unfinished_overlap_job`. New filters refresh the queue, a new order sorts it. Right:
    edit. Raises BadInput.
    """
    if actor is not None:
        require(actor, Action.EDIT, queue.dataset)
    fixed = sorted(set(changes) & {*_FIXED, "dataset"})
    if fixed:
        raise BadInput(f"{', '.join(fixed)} of a queue cannot be changed.", hint="Make another queue.")
    unknown = sorted(set(changes) - CHANGEABLE)
    if unknown:
        raise BadInput(f"{', '.join(unknown)}: a queue has no such field that can be changed.")
    with acting(actor, f"change queue {queue.name}"):
        if "overlap" in changes:
            overlap_lock(queue)
        # no key: what refers to the queue meanwhile need not wait, while this waits for items
        current = LabelingQueue.objects.select_for_update(of=("self",), no_key=True).get(pk=queue.pk)
        before = {name: getattr(current, name) for name in changes}
        _set(current, **changes)
        changed = {name for name in changes if getattr(current, name) != before[name]}
        if changed:
            _save(current)
            _follow(current, before, changed, actor)
            record(
                actor, "labels.queue_update", current.dataset, f"{current.name}: {', '.join(sorted(changed))}"
            )
    for name in changes:
        setattr(queue, name, getattr(current, name))
    forget_progress(queue)
    return current


def _follow(queue: LabelingQueue, before: dict[str, Any], changed: set[str], actor: Any) -> None:
    """Do what the changed fields of a queue ask for."""
    if "overlap" in changed:
        follow_overlap(queue=queue, before=before["overlap"], actor=actor)
    if changed & _REFILL:
        refresh_queue(queue=queue)
    if changed & _REORDER:
        reorder_or_start(queue=queue, actor=None)


@retried()
def set_queue_state(*, queue: LabelingQueue, state: str, actor: Any) -> LabelingQueue:
    """Open, pause or close a queue. Labels stay; who holds an example is told at the next step. Right: edit."""
    if actor is not None:
        require(actor, Action.EDIT, queue.dataset)
    if state not in LabelingQueue.State.values:
        raise BadInput(f"“{state}”: expected one of {', '.join(LabelingQueue.State.values)}.")
    with acting(actor, f"{state} queue {queue.name}"):
        current = LabelingQueue.objects.select_for_update(of=("self",)).get(pk=queue.pk)
        if current.state != state:
            current.state = state
            current.save(update_fields=["state"])
            record(actor, "labels.queue_state", current.dataset, f"{current.name}: {state}")
    queue.state = state
    return current


def ensure_default_queue(*, dataset: Dataset, actor: Any) -> LabelingQueue:
    """Return the dataset's oldest open queue; one over its whole main branch is made when there is none."""
    queues = LabelingQueue.objects.filter(dataset=dataset)
    with acting(actor, "first queue"):
        advisory_lock(f"default queue of {dataset.pk}")  # of two clicks one makes it, the other finds it
        found = queues.filter(state=LabelingQueue.State.OPEN).order_by("created_at", "pk").first()
        if found is not None:
            return found
        taken = set(queues.values_list("name", flat=True))
        names = itertools.chain([DEFAULT_NAME], (f"{DEFAULT_NAME} {n}" for n in itertools.count(2)))
        return create_queue(
            dataset=dataset, name=next(name for name in names if name not in taken), actor=actor
        )


def _most_frequent_type(branch: Branch) -> ExampleType:
    rows = Example.objects.filter(branch=branch).values("example_type")
    first = rows.annotate(n=Count("pk")).order_by("-n", "example_type").first()
    if first is None:
        raise BadInput(
            "The dataset is empty and has no default type, so it is not known what to label.",
            hint="Import examples first, or name the type.",
        )
    return ExampleType.objects.get(pk=first["example_type"])


def _set(queue: LabelingQueue, **values: Any) -> None:
    for name, value in values.items():
        setattr(queue, name, value)
    _check(queue)


def _check(queue: LabelingQueue) -> None:
    """Raise BadInput for what the queue cannot be."""
    queue.name = queue.name.strip()
    check_value({"choices": queue.choices, "name": queue.name, "instructions": queue.instructions})
    queue.filters = checked_filters(queue.filters)
    schema_at(queue.example_type.output_schema, queue.field_path)
    if queue.order == LabelingQueue.Order.PRIORITY:
        priority_column(queue.priority_field)
    if not isinstance(queue.choices, list):
        raise BadInput("Choices: expected a list of answers.")
    canonical_text(
        json.loads(canonical_text(queue.choices))
    )  # as they will be read: 1e16 comes back as an integer
    for name in ("gold_rate", "agreement_threshold", "gold_pause_below"):
        value = getattr(queue, name)
        if isinstance(value, float):  # 0.05 as a float has more digits than the field takes
            setattr(queue, name, Decimal(str(value)))
    try:
        # what the database would refuse otherwise, said in words
        queue.clean_fields(exclude=["created_by", "created_at"])
        queue.validate_constraints(exclude=["dataset"])
    except ValidationError as error:
        raise BadInput(" ".join(_told(error))) from error


def _told(error: ValidationError) -> list[str]:
    by_field = error.message_dict
    return [
        f"{'' if name == '__all__' else name + ': '}{' '.join(messages)}"
        for name, messages in by_field.items()
    ]


def _save(queue: LabelingQueue) -> None:
    try:
        with transaction.atomic():
            queue.save()
    except IntegrityError as error:
        if "queue_name_unique" not in str(error):
            raise
        raise BadInput(
            f"Dataset “{queue.dataset}” has a queue “{queue.name}” already.", hint="Choose another name."
        ) from error
