"""Likely label errors of a queue become questions to a reviewer. Nothing is ever changed here."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection

from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.roles import Action
from datasets_app.services.access import record, require
from goldenproject.kit.audit import acting
from goldenproject.kit.retries import retried
from labeling_app.domain.answers import part_of
from labeling_app.domain.label_errors import FOLDS, LabelIssue, likely_errors, usable
from labeling_app.models import LabelingQueue, Review
from labeling_app.services.class_models import MOST_LEARNED_FROM, current_embedding, queue_class, vectors_of
from labeling_app.services.reordering import answer_of_class
from labeling_app.services.review_opening import Question, open_reviews

MOST_OPENED = 100

# The answer that is there now: of the working copy, else the consensus of the labels. What a reviewer rejected, hidden
# checks, and what is asked about already are left alone.
_ANSWERS = """
    SELECT i.id, i.example_id, e.expected_output::text, c.value::text,
           EXISTS (SELECT 1 FROM labeling_app_review r
                    WHERE r.item_id = i.id
                      AND (r.outcome = '' OR r.reason = 'label_error' AND r.opened_at >= coalesce(
                           (SELECT max(l.labeled_at) FROM labeling_app_label l WHERE l.item_id = i.id), r.opened_at)))
      FROM labeling_app_queueitem i
      JOIN datasets_app_example e
           ON e.branch_id = %s AND e.example_id = i.example_id AND e.example_type_id = %s
      LEFT JOIN labeling_app_consensus c ON c.item_id = i.id
     WHERE i.queue_id = %s AND i.state NOT IN ('gone', 'rejected') AND NOT i.is_gold
     ORDER BY i.example_id
"""

Report = Callable[..., None]


@dataclass(frozen=True)
class LabelErrorReport:
    """Answers that were looked at, likely errors among them, reviews opened, and in words why there were none."""

    looked_at: int
    suspects: int
    opened: int
    told: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class _Answer:
    item: int
    example: uuid.UUID
    name: str
    was_asked: bool


def find_label_errors(
    *, queue: LabelingQueue, actor: Any, limit: int = MOST_OPENED, progress: Report | None = None
) -> LabelErrorReport:
    """Open a review for each of up to `limit` answers that are likely wrong, worst first, with the reason in words.

    Looked at are the answers that are there now, by class. What was asked about before is not asked again until
    somebody labels it anew. Of more than 20,000 answers a part is looked at. Right: review.
    """
    if actor is not None:
        require(actor, Action.REVIEW, queue.dataset)
    report = progress or (lambda *_: None)
    report(0, None, "Reading the answers")
    answers = _answers(queue)
    embedding = current_embedding()
    if embedding is None:
        return LabelErrorReport(0, 0, 0, "There is no embedding model, so examples cannot be compared.")
    of_example = {answer.example: answer for answer in answers[:MOST_LEARNED_FROM]}
    examples, vectors = vectors_of(embedding, list(of_example))
    names = [of_example[example].name for example in examples]
    if why := _why_not(names, has_answers=bool(answers)):
        return LabelErrorReport(len(names), 0, 0, why)
    report(0, None, f"Comparing {len(names):,} answers with what their likes say")
    issues = likely_errors(vectors, names, seed=queue.seed, limit=len(names))
    new = [issue for issue in issues if not of_example[examples[issue.place]].was_asked][:limit]
    opened = _open(queue, [(of_example[examples[issue.place]].item, issue) for issue in new], actor)
    return LabelErrorReport(len(names), len(issues), opened)


@retried()
def _open(queue: LabelingQueue, found: list[tuple[int, LabelIssue]], actor: Any) -> int:
    questions = []
    for item, issue in found:
        answer = answer_of_class(queue, issue.suggested)
        questions.append(
            Question(
                item,
                Review.Reason.LABEL_ERROR,
                issue.words(),
                issue.quality,
                answer[0] if answer else None,
            )
        )
    with acting(actor, "find label errors"):
        opened = len(open_reviews(queue=queue, questions=questions))
        if actor is not None:
            record(
                actor, "labels.errors", queue.dataset, f"{queue.name}: {opened} likely errors", opened=opened
            )
    return opened


def _answers(queue: LabelingQueue) -> list[_Answer]:
    with connection.cursor() as cursor:
        cursor.execute(_ANSWERS, [queue.branch_id, queue.example_type_id, queue.pk])
        rows = cursor.fetchall()
    found = []
    for item, example, output, consensus, was_asked in rows:
        answer = None if output is None else part_of(loads_stored(output), queue.field_path)
        if answer is None and consensus is not None:
            answer = loads_stored(consensus)
        name = None if answer is None else queue_class(queue, answer)
        if name is not None:
            found.append(_Answer(item, example, name, was_asked))
    return found


def _why_not(names: list[str], *, has_answers: bool) -> str:
    if not names:
        return (
            "The examples have no vectors yet." if has_answers else "There are no answers with a class yet."
        )
    if len({names[place] for place in usable(names)}) < 2:
        return f"Two classes need {FOLDS} answers each before likely errors can be told."
    return ""
