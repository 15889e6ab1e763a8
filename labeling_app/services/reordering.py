"""Bring what is still open in a queue into its order, the orders that learn from labels included.

Positions are written in parts, each its own short transaction, and what a labeler is just taking is passed over: nobody
waits, and nobody is told that the queue is empty. What a learned order places comes before what it does not know yet,
because its positions are negative.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection, transaction

from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.access import record, require
from datasets_app.services.jobs import start_job
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from labeling_app.domain.active_learning import SPREAD, drawn_apart, entropy, has_grown, margins
from labeling_app.domain.diverse_order import SAMPLED, centres, in_turn, nearest_centre
from labeling_app.models import Label, LabelingQueue, QueueItem, Suggestion
from labeling_app.services.answer_types import violations_of
from labeling_app.services.class_models import (
    Learned,
    current_embedding,
    learned_from_labels,
    queue_class,
    vectors_in_parts,
    vectors_of,
)
from labeling_app.services.refreshing import position_sql
from labeling_app.services.slots import rewind
from labeling_app.services.suggestions import MOST_AT_ONCE, Suggested, set_suggestions

LEARNING = (
    LabelingQueue.Order.LEAST_CONFIDENT,
    LabelingQueue.Order.MOST_DISAGREEING,
    LabelingQueue.Order.MOST_DIVERSE,
)
LEARNED_SOURCE = "learned from your labels"
SUGGESTED_FROM = 0.5
"""Probability from which a class is shown as a suggestion: one that is more likely wrong helps nobody."""

ROWS_AT_ONCE = 5000
ITEMS_AT_ONCE = 50_000

_ITEMS = """
    SELECT i.id, i.example_id FROM labeling_app_queueitem i
      JOIN datasets_app_exampleidentity x ON x.id = i.example_id
     WHERE i.queue_id = %s AND i.state = 'open' AND i.open_slots > 0 AND NOT i.is_gold
     ORDER BY x.ordinal
"""
_PLACES = """
    SELECT i.id, {position} FROM labeling_app_queueitem i
      JOIN datasets_app_example e ON e.branch_id = %s AND e.example_id = i.example_id
     WHERE i.queue_id = %s
"""
_WRITE = """
    UPDATE labeling_app_queueitem i SET position = g.position
      FROM (SELECT w.id, u.position
              FROM unnest(%s::bigint[], %s::float8[]) u(id, position)
              JOIN labeling_app_queueitem w ON w.id = u.id AND w.position IS DISTINCT FROM u.position
               FOR NO KEY UPDATE OF w SKIP LOCKED) g
     WHERE i.id = g.id
"""
_VOTES = """
    SELECT i.id, l.value::text FROM labeling_app_queueitem i JOIN labeling_app_label l ON l.item_id = i.id
     WHERE i.queue_id = %s AND i.state = 'open' AND i.open_slots > 0 AND NOT i.is_gold
    UNION ALL
    SELECT i.id, s.value::text FROM labeling_app_queueitem i JOIN labeling_app_suggestion s ON s.item_id = i.id
     WHERE i.queue_id = %s AND i.state = 'open' AND i.open_slots > 0 AND NOT i.is_gold AND s.source <> %s
"""

Report = Callable[..., None]


@dataclass(frozen=True)
class ReorderReport:
    """What was done: the order that is set, the one that was possible, open items, answers learned from, suggestions.

    `told` says in words why another order than the one that is set was taken; empty when it was not.
    """

    order: str
    used: str
    items: int
    labels: int = 0
    learned_from: int = 0
    suggestions: int = 0
    told: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Open:
    """The items that still want labels, in the order of import."""

    items: list[int]
    examples: list[uuid.UUID]


@dataclass(frozen=True)
class _Planned:
    """An order: places of the open items, best first; what the classifier says of them, where it was asked."""

    used: str
    order: npt.NDArray[np.int64]
    told: str = ""
    learned: Learned | None = None
    said: tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]] | None = None


def reorder_or_start(*, queue: LabelingQueue, actor: Any) -> ReorderReport | JobRun:
    """Bring a queue into its order at once where that is quick, else by a job, which is returned. Right: review."""
    if queue.order not in LEARNING and QueueItem.objects.filter(queue=queue).count() <= ITEMS_AT_ONCE:
        return reorder_queue(queue=queue, actor=actor)
    return start_job(
        kind="label_reorder", dataset=queue.dataset, arguments={"queue": str(queue.pk)}, actor=actor
    )


def reorder_queue(
    *, queue: LabelingQueue, actor: Any = None, progress: Report | None = None
) -> ReorderReport:
    """Bring the open items of a queue into its order. Right: review.

    Least confident, most disagreeing and most diverse need vectors of the examples, the first also some answers of at
    least two classes. Until they are there the next simpler order is taken, and the report says so. Sessions that have
    gone past items look at them again.
    """
    if actor is not None:
        require(actor, Action.REVIEW, queue.dataset)
    report = progress or _silent
    labels = Label.objects.filter(queue=queue).count()
    if queue.order in LEARNING:
        done = _reordered_by_learning(queue, labels, report)
    else:
        done = ReorderReport(queue.order, queue.order, _write_simple(queue, report), labels)
    with acting(actor, "reorder queue"):
        queue.ordered_at = now()
        LabelingQueue.objects.filter(pk=queue.pk).update(ordered_at=queue.ordered_at)
        rewind(queue=queue)
        if actor is not None:
            record(actor, "labels.reorder", queue.dataset, f"{queue.name}: {done.used}", **done.document())
    return done


def queues_to_reorder() -> list[LabelingQueue]:
    """Return the open queues in a learning order that were never brought into it, or whose labels have grown by 10 %.

    Cheap: index scans of label_newest_of_queue; new labels are counted no further than it matters.
    """
    learning = LabelingQueue.objects.filter(order__in=LEARNING, state=LabelingQueue.State.OPEN)
    return [queue for queue in learning.select_related("dataset") if _wants_reordering(queue)]


def _wants_reordering(queue: LabelingQueue) -> bool:
    if queue.ordered_at is None:
        return QueueItem.objects.filter(queue=queue).exists()
    labels = Label.objects.filter(queue=queue)
    new = labels.filter(labeled_at__gt=queue.ordered_at).count()
    return has_grown(before=0, now=new) and has_grown(before=labels.count() - new, now=labels.count())


def _reordered_by_learning(queue: LabelingQueue, labels: int, report: Report) -> ReorderReport:
    found = _open(queue)
    report(0, len(found.items), "Learning from the labels")
    planned = _plan(queue, found)
    count = len(found.items)
    report(count // 2, count, "Writing the order")
    _write(
        [found.items[place] for place in planned.order],
        [float(rank - count) for rank in range(count)],
        report,
    )
    suggestions = _suggest(queue, found, planned)
    learned = planned.learned
    return ReorderReport(
        queue.order,
        planned.used,
        count,
        labels,
        learned.model.learned_from if learned and learned.model else 0,
        suggestions,
        planned.told,
    )


def _plan(queue: LabelingQueue, found: _Open) -> _Planned:
    order = LabelingQueue.Order
    if queue.order == order.MOST_DIVERSE:
        return _most_diverse(queue, found, "")
    learned = learned_from_labels(queue)
    if learned.model is not None:
        planned = _least_confident(queue, found, learned)
    else:
        planned = _most_diverse(queue, found, learned.why)
    if queue.order == order.MOST_DISAGREEING:
        return _most_disagreeing(queue, found, planned)
    return planned


def _least_confident(queue: LabelingQueue, found: _Open, learned: Learned) -> _Planned:
    """Smallest margin first; examples without a vector after those, in sequence."""
    assert learned.embedding is not None and learned.model is not None
    place_of = {example: place for place, example in enumerate(found.examples)}
    margin = np.full(len(found.items), 2.0)
    best = np.full(len(found.items), -1)
    probability = np.zeros(len(found.items))
    for examples, vectors in vectors_in_parts(learned.embedding, found.examples):
        places = [place_of[example] for example in examples]
        probabilities = learned.model.probabilities(vectors)
        margin[places] = margins(probabilities)
        best[places] = probabilities.argmax(axis=1)
        probability[places] = probabilities.max(axis=1)
    order = np.argsort(margin, kind="stable")
    first = [place for place in order[:SPREAD] if margin[place] <= 1]
    examples, vectors = vectors_of(learned.embedding, [found.examples[place] for place in first])
    row = {example: number for number, example in enumerate(examples)}
    in_order = vectors[[row[found.examples[place]] for place in first]]
    order[: len(first)] = drawn_apart(np.asarray(first, np.int64), in_order)
    return _Planned(LabelingQueue.Order.LEAST_CONFIDENT, order, "", learned, (best, probability))


def _most_diverse(queue: LabelingQueue, found: _Open, told: str) -> _Planned:
    """One of each region of the vectors in turn; examples without a vector after those, in sequence."""
    embedding = current_embedding()
    sequence = np.arange(len(found.items))
    if embedding is None:
        why = "There is no embedding model, so examples cannot be compared."
        return _Planned(LabelingQueue.Order.SEQUENCE, sequence, why)
    sampled, vectors = vectors_of(embedding, sorted(found.examples)[:SAMPLED])
    if not sampled:
        why = "The examples have no vectors yet." if found.items else ""
        return _Planned(LabelingQueue.Order.SEQUENCE, sequence, told or why)
    chosen = centres(vectors, queue.seed)
    place_of = {example: place for place, example in enumerate(found.examples)}
    places: list[int] = []
    clusters, similarities = [], []
    for examples, part in vectors_in_parts(embedding, found.examples):
        cluster, similarity = nearest_centre(part, chosen)
        places += [place_of[example] for example in examples]
        clusters.append(cluster)
        similarities.append(similarity)
    turn = in_turn(np.concatenate(clusters), np.concatenate(similarities), queue.seed)
    first = np.asarray(places, np.int64)[turn]
    order = np.concatenate([first, np.setdiff1d(sequence, first)])
    return _Planned(LabelingQueue.Order.MOST_DIVERSE, order, told)


def _most_disagreeing(queue: LabelingQueue, found: _Open, rest: _Planned) -> _Planned:
    """Greatest entropy of labels and suggestions first; where nothing disagrees, as `rest` has it."""
    votes: dict[int, list[str]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_VOTES, [queue.pk, queue.pk, LEARNED_SOURCE])
        for item, value in cursor:
            answer = loads_stored(value)
            votes[item].append(queue_class(queue, answer) or value)
    disagreement = np.asarray([entropy(votes.get(item, ())) for item in found.items])
    order = rest.order[np.argsort(-disagreement[rest.order], kind="stable")]
    told = rest.told if not disagreement.any() else ""
    return _Planned(LabelingQueue.Order.MOST_DISAGREEING, order, told, rest.learned, rest.said)


def _suggest(queue: LabelingQueue, found: _Open, planned: _Planned) -> int:
    """Replace what was suggested before: for what comes first, and for what the classifier is surest of."""
    Suggestion.objects.filter(item__queue=queue, source=LEARNED_SOURCE).delete()
    if planned.said is None or planned.learned is None or planned.learned.model is None:
        return 0
    best, probability = planned.said
    answers = [answer_of_class(queue, name) for name in planned.learned.model.classes]
    surest = np.argsort(-probability, kind="stable")[: MOST_AT_ONCE - SPREAD]
    wanted = dict.fromkeys([*planned.order[:SPREAD].tolist(), *surest.tolist()])
    suggestions = [
        Suggested(found.examples[place], answers[best[place]][0], float(probability[place]))
        for place in wanted
        if best[place] >= 0 and probability[place] >= SUGGESTED_FROM and answers[best[place]]
    ]
    if suggestions:
        set_suggestions(queue=queue, source=LEARNED_SOURCE, suggestions=suggestions, actor=None)
    return len(suggestions)


def answer_of_class(queue: LabelingQueue, name: str) -> list[Any]:
    """Return, as a list of one, the answer that says this class and nothing else; [] where the type wants more."""
    field = queue.example_type.class_field
    inside = field.removeprefix(f"{queue.field_path}.") if queue.field_path else field
    value: Any = name
    if field and field != queue.field_path and (not queue.field_path or inside != field):
        for step in reversed(inside.split(".")):
            value = {step: value}
    return [] if violations_of(queue, value) else [value]


def _open(queue: LabelingQueue) -> _Open:
    with connection.cursor() as cursor:
        cursor.execute(_ITEMS, [queue.pk])
        rows = cursor.fetchall()
    return _Open([row[0] for row in rows], [row[1] for row in rows])


def _write_simple(queue: LabelingQueue, report: Report) -> int:
    """Write the positions of an order that needs no learning, as a refresh would; return how many items there are."""
    position, values = position_sql(queue)
    with connection.cursor() as cursor:
        cursor.execute(_PLACES.format(position=position), [*values, queue.branch_id, queue.pk])
        rows = cursor.fetchall()
    _write([row[0] for row in rows], [row[1] for row in rows], report)
    return len(rows)


def _write(items: Sequence[int], positions: Sequence[float], report: Report) -> None:
    for start in range(0, len(items), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_WRITE, [list(items[part]), list(positions[part])])
        report(start, len(items), "Writing the order")


def _silent(*_: Any) -> None:
    """Report to nobody."""
