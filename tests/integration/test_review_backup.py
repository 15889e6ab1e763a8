"""Reviews in backups: who has one open is of the moment, and what was sent back can be given back after a restore."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets_app.models import Example
from exports_app.services.backups import create_backup
from exports_app.services.restores import restore_backup
from labeling_app.models import Label, LabelingQueue, Review, ReviewClaim
from labeling_app.services.review_claims import claim_review
from labeling_app.services.reviewing import decide, open_review, undo_decision
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import answer, item_of
from tests.integration.labeling.test_at_once import made_queue, people
from tests.integration.people import person_of
from tests.template_database import cloned, connected_to


def _standing(queue: LabelingQueue) -> tuple[Any, ...]:
    item = item_of(queue, "t1")
    row = Example.objects.get(branch=queue.branch, identity=item.example_id)
    labels = Label.objects.filter(item=item).order_by("annotator")
    return (
        (item.state, item.label_count, item.open_slots),
        (row.expected_output, row.provenance, row.validation_status),
        list(
            labels.values_list("annotator", "labeler__username", "value", "notes", "lease_id", "labeled_at")
        ),
    )


def test_restore__of_a_backup_between_sending_back_and_its_undoing__labels_are_given_back(
    committed_db: str, tmp_path: Path
) -> None:
    queue = made_queue(2, overlap=2)
    for labeler in people(2):
        answer(queue, labeler, "fees", notes=f"said by {labeler}")
    reviewer = person_of("reviewer", name="reviewer")
    review = open_review(queue=queue, item_id=item_of(queue, "t1").pk, reason="label_error")
    other = open_review(queue=queue, item_id=item_of(queue, "t2").pk, reason="flagged")
    claim_review(review_id=other.pk, actor=reviewer)
    before = _standing(queue)
    assert before[1][0] == {"label": "fees"}
    decide(review_id=review.pk, actor=reviewer, outcome="sent_back", comment="Read the rules.")
    create_backup(directory=tmp_path, actor=None)
    with cloned() as name, connected_to(name):
        restore_backup(directory=tmp_path, actor=None)
        assert not ReviewClaim.objects.exists()
        there = person_of("reviewer", name="second-reviewer")
        restored = Review.objects.get(item__example_id=review.item.example_id)
        undo_decision(review_id=restored.pk, actor=there)
        assert _standing(LabelingQueue.objects.get()) == before
        assert verify_labels(deep=True).errors == []
    assert ReviewClaim.objects.count() == 1
