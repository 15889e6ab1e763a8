"""An example whose every table of labels holds a secret, and a walk over all of them that looks for it."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connection

from labeling_app.models import LabelingQueue, Review, Suggestion, Webhook
from labeling_app.services.bulk import label_in_bulk, undo_bulk
from labeling_app.services.gold import remove_gold, set_gold
from labeling_app.services.passing import flag, save_draft, skip
from labeling_app.services.reviewing import decide, undo_decision
from labeling_app.services.submitting import submit_label
from labeling_app.services.undoing import undo_label
from labeling_app.services.webhook_deliveries import write_deliveries
from tests.integration.labeling.labeling_data import item_of, take

SECRET = "Zanzibar-4711"


def say(queue: LabelingQueue, labeler: Any, words: str = SECRET, **more: Any) -> Any:
    """Let a labeler answer the next example with words that hold the secret."""
    (task,) = take(queue, labeler)
    return submit_label(
        lease_id=task.lease, labeler=labeler, value={"label": words}, notes=f"it says {words}", **more
    )


def fill_with_secret(queue: LabelingQueue, other: LabelingQueue, labelers: list[Any], reviewer: Any) -> None:
    """Let all that can be said of t1 be said, with the secret in it; `queue` wants two labels, `other` one, of t1 first."""
    Webhook.objects.create(
        name="told",
        url="https://example.org/hook",
        events=["label.submitted", "label.disagreement", "example.validated"],
    )
    first, second, third = labelers
    t1 = item_of(queue, "t1")
    Suggestion.objects.create(item=t1, source="rules", value={"label": f"{SECRET} suggested"})
    (task,) = take(queue, first)
    save_draft(lease_id=task.lease, labeler=first, value={"label": f"{SECRET} draft"}, notes=SECRET)
    submit_label(lease_id=task.lease, labeler=first, value={"label": SECRET}, notes=SECRET, key="k1")
    flag(lease_id=task.lease, labeler=first, comment=f"a name: {SECRET}")
    given = say(queue, second, f"{SECRET} again", key="k2")
    undo_label(label_id=given.label, labeler=second)
    (task,) = take(queue, second)
    submit_label(lease_id=task.lease, labeler=second, value={"label": f"{SECRET} other"}, notes=SECRET)
    review = Review.objects.get(item=t1, outcome="")
    decide(
        review_id=review.pk,
        actor=reviewer,
        outcome="third_answer",
        value={"label": f"{SECRET} third"},
        comment=f"because {SECRET}",
    )
    undo_decision(review_id=review.pk, actor=reviewer, comment=f"no longer {SECRET}")
    decide(
        review_id=review.pk,
        actor=reviewer,
        outcome="third_answer",
        value={"label": f"{SECRET} last"},
        comment=SECRET,
    )
    # in another queue: skipped, labeled in bulk and taken back, a known answer for a while, a draft that is there
    (task,) = take(other, third)
    skip(lease_id=task.lease, labeler=third, reason=f"unreadable {SECRET}")
    mine = item_of(other, "t1").example_id
    bulk = label_in_bulk(
        queue=other,
        example_ids=[mine],
        value={"label": f"{SECRET} bulk"},
        actor=reviewer,
        rule={"filters": {"text": SECRET}},
    )
    undo_bulk(bulk=bulk, actor=reviewer)
    (task,) = take(other, first)
    save_draft(lease_id=task.lease, labeler=first, value={"label": f"{SECRET} begun"}, notes=SECRET)
    set_gold(queue=other, answers={mine: {"label": SECRET}}, actor=reviewer, explanation=f"see {SECRET}")
    remove_gold(queue=other, example_ids=[mine], actor=reviewer)
    set_gold(queue=other, answers={mine: {"label": f"{SECRET} gold"}}, actor=reviewer)
    write_deliveries(
        event="label.submitted", queue=queue, example_id=mine, actor=first, facts={"value": SECRET}
    )


def places_of(words: str, app: str = "labeling_app") -> list[str]:
    """Return each column of an app's tables in which `words` are, as table.column; looked at is every column as text."""
    found = []
    with connection.cursor() as cursor:
        for model in apps.get_app_config(app).get_models(include_auto_created=True):
            table = model._meta.db_table
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = %s", [table]
            )
            for (column,) in cursor.fetchall():
                cursor.execute(
                    f'SELECT count(*) FROM "{table}" WHERE strpos(lower("{column}"::text), lower(%s)) > 0',
                    [words],
                )
                if cursor.fetchone()[0]:
                    found.append(f"{table.removeprefix(f'{app}_')}.{column}")
    return sorted(found)
