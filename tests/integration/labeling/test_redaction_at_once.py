"""A redaction while people label: whoever was first, nothing of the example is left, and nobody waits for ever."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from datasets_app.services.versioning.redacting import redact
from labeling_app.errors import ExampleRedacted
from labeling_app.models import LabelHistory, LabelingQueue
from labeling_app.services.passing import save_draft
from labeling_app.services.submitting import submit_label
from labeling_app.services.suggestions import Suggested, set_suggestions
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import item_of, take
from tests.integration.labeling.redacted_data import SECRET, places_of
from tests.integration.labeling.test_at_once import made_queue, people
from tests.integration.threads import at_once

pytestmark = pytest.mark.usefixtures("committed_db")


def erase(queue: LabelingQueue, example: str) -> None:
    redact(dataset=queue.dataset, example=example, reason="personal data", actor=None)


def test_redact__while_twelve_examples_are_answered__leaves_nothing_of_any() -> None:
    queue = made_queue(12, overlap=2)
    labelers = people(2)
    tasks = {one: take(queue, one, 12) for one in labelers}

    def label_all(labeler: Any) -> list[str]:
        told = []
        for task in tasks[labeler]:
            words = f"{SECRET} {labeler}"
            try:
                save_draft(lease_id=task.lease, labeler=labeler, value={"label": words})
                submit_label(lease_id=task.lease, labeler=labeler, value={"label": words}, notes=words)
            except ExampleRedacted as error:
                told.append(error.code)
        return told

    def suggest_all() -> None:
        for number in range(1, 13):
            one = Suggested(item_of(queue, f"t{number}").example_id, {"label": SECRET})
            set_suggestions(queue=queue, source=f"rules {number}", suggestions=[one], actor=None)

    def erase_all() -> None:
        for number in range(12, 0, -1):
            erase(queue, f"t{number}")

    found = at_once(
        *(lambda one=one: label_all(one) for one in labelers),
        suggest_all,
        erase_all,
    )
    assert [one for one in found if isinstance(one, Exception)] == []
    assert places_of(SECRET) == []
    assert places_of(SECRET, "datasets_app") == []
    assert LabelHistory.objects.filter(event="redacted").count() == 12
    assert verify_labels(deep=True).errors == []


@pytest.mark.parametrize("kind", ["draft", "suggestion"])
def test_redact__draft_or_prelabel_not_committed_yet__waits_and_erases_it(kind: str) -> None:
    queue = made_queue(1, overlap=1)
    (labeler,) = people(1)
    (task,) = take(queue, labeler)
    written, may_end = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            if kind == "draft":
                save_draft(lease_id=task.lease, labeler=labeler, value={"label": SECRET})
            else:
                one = Suggested(item_of(queue, "t1").example_id, {"label": SECRET})
                set_suggestions(queue=queue, source="rules", suggestions=[one], actor=None)
            written.set()
            assert may_end.wait(timeout=30)

    def erase_meanwhile() -> None:
        assert written.wait(timeout=30)
        threading.Thread(target=_let_go_on_when_waiting, args=(may_end,)).start()
        erase(queue, "t1")

    found = at_once(write, erase_meanwhile)
    assert [one for one in found if isinstance(one, Exception)] == []
    assert places_of(SECRET) == []


def _let_go_on_when_waiting(may_end: threading.Event) -> None:
    """Let the other one commit as soon as the redaction waits for it."""
    try:
        for _ in range(2000):
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
                    "WHERE d.datname = current_database() AND NOT l.granted)"
                )
                if cursor.fetchone()[0]:
                    return
            may_end.wait(timeout=0.01)
    finally:
        may_end.set()
        connection.close()
