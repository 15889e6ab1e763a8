"""Bring the items of a queue in line with the working copy: new rows join, rows that left are gone, some come back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection

from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.access import record, require
from datasets_app.services.jobs import start_job
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from goldenproject.kit.database_io import advisory_lock
from goldenproject.kit.errors import BadInput
from goldenproject.kit.retries import retried
from labeling_app.models import LabelingQueue
from labeling_app.services.queue_filters import conditions
from labeling_app.services.slots import rewind

ROWS_REFRESHED_AT_ONCE = 50_000
_COLUMNS = {
    "input": "e.input_data",
    "output": "e.expected_output",
    "labels": "e.labels",
    "metadata": "e.metadata",
}

# In the order of import, so that equal places follow that order too: the ids rise with it.
_FILL = """
    INSERT INTO labeling_app_queueitem (queue_id, example_id, position, open_slots, label_count, state, is_gold)
    SELECT %s, e.example_id, {position}, %s, 0, 'open', false
      FROM datasets_app_example e
     WHERE e.branch_id = %s AND e.example_type_id = %s AND {filters}
     ORDER BY e.ordinal
"""
# Sorted after the rows without an item were found, and not read in order: else the scan for items that are there would
# meet, for each row, those that this very statement has put in (1,000,000 rows had not ended after ten minutes).
_ADD = """
    WITH fresh AS MATERIALIZED (
        SELECT e.example_id, {position} AS position, e.ordinal
          FROM datasets_app_example e
         WHERE e.branch_id = %s AND e.example_type_id = %s AND {filters}
           AND NOT EXISTS (SELECT 1 FROM labeling_app_queueitem i
                            WHERE i.queue_id = %s AND i.example_id = e.example_id)
    )
    INSERT INTO labeling_app_queueitem (queue_id, example_id, position, open_slots, label_count, state, is_gold)
    SELECT %s, f.example_id, f.position, %s, 0, 'open', false FROM fresh f ORDER BY f.ordinal
"""
# What still wants labels must fit the filters; what has them must only be there. Held examples are left to their labelers.
_GONE = """
    UPDATE labeling_app_queueitem i SET state = 'gone'
     WHERE i.queue_id = %s AND i.state <> 'gone'
       AND NOT EXISTS (SELECT 1 FROM datasets_app_example e
                        WHERE e.branch_id = %s AND e.example_id = i.example_id AND e.example_type_id = %s
                          AND (i.state <> 'open' OR i.is_gold OR ({filters})))
"""
_BACK = """
    UPDATE labeling_app_queueitem i
       SET state = CASE
               WHEN EXISTS (SELECT 1 FROM labeling_app_review r WHERE r.item_id = i.id AND r.outcome = '') THEN 'review'
               WHEN EXISTS (SELECT 1 FROM labeling_app_consensus c
                             WHERE c.item_id = i.id AND c.adopted_at IS NOT NULL) THEN 'adopted'
               WHEN (SELECT r.outcome FROM labeling_app_review r WHERE r.item_id = i.id
                      ORDER BY r.decided_at DESC NULLS LAST LIMIT 1) = 'rejected' THEN 'rejected'
               WHEN i.label_count >= %s THEN 'labeled' ELSE 'open' END
      FROM datasets_app_example e
     WHERE i.queue_id = %s AND i.state = 'gone' AND e.branch_id = %s AND e.example_id = i.example_id
       AND e.example_type_id = %s AND ({filters})
"""


@dataclass(frozen=True)
class RefreshReport:
    """How many examples joined a queue, left it, and came back."""

    added: int
    gone: int
    back: int

    def document(self) -> dict[str, int]:
        return asdict(self)


@retried()
def refresh_queue(
    *, queue: LabelingQueue, actor: Any = None, progress: Callable[..., None] | None = None
) -> RefreshReport:
    """Add what matches, mark what left as gone, bring back what returned: three statements, whatever the size.

    Two refreshes of a queue wait for each other. Right: edit.
    """
    if actor is not None:
        require(actor, Action.EDIT, queue.dataset)
    filters, filter_values = conditions(queue.filters)
    row = [queue.branch_id, queue.example_type_id]
    with acting(actor, f"refresh queue {queue.name}"):
        advisory_lock(refresh_lock(queue))
        if progress is not None:
            progress(0, None, f"Looking for examples of {queue.name}")
        with connection.cursor() as cursor:
            cursor.execute(_GONE.format(filters=filters), [queue.pk, *row, *filter_values])
            gone = cursor.rowcount
            cursor.execute(_BACK.format(filters=filters), [queue.overlap, queue.pk, *row, *filter_values])
            back = cursor.rowcount
            position, place = position_sql(queue)
            cursor.execute(
                _ADD.format(filters=filters, position=position),
                [*place, *row, *filter_values, queue.pk, queue.pk, queue.overlap],
            )
            added = cursor.rowcount
        LabelingQueue.objects.filter(pk=queue.pk).update(refreshed_at=now())
        queue.refreshed_at = now()
        if added or back:
            rewind(queue=queue)
        report = RefreshReport(added=added, gone=gone, back=back)
        if actor is not None:
            told = ", ".join(f"{count} {name}" for name, count in report.document().items())
            record(actor, "labels.queue_refresh", queue.dataset, f"{queue.name}: {told}")
    return report


def fill_queue(*, queue: LabelingQueue) -> int:
    """Put all that matches into a queue that is new and empty, inside the transaction that makes it; return how many."""
    filters, filter_values = conditions(queue.filters)
    position, place = position_sql(queue)
    with connection.cursor() as cursor:
        cursor.execute(
            _FILL.format(filters=filters, position=position),
            [queue.pk, *place, queue.overlap, queue.branch_id, queue.example_type_id, *filter_values],
        )
        added: int = cursor.rowcount
    queue.refreshed_at = now()
    LabelingQueue.objects.filter(pk=queue.pk).update(refreshed_at=queue.refreshed_at)
    return added


def refresh_lock(queue: LabelingQueue) -> str:
    """Name the lock that refreshes of a queue wait for."""
    return f"refresh queue {queue.pk}"


def refresh_or_start(*, queue: LabelingQueue, actor: Any) -> RefreshReport | JobRun:
    """Refresh a queue; one of a big working copy by a job, which is returned."""
    if rows_of(queue) <= ROWS_REFRESHED_AT_ONCE:
        return refresh_queue(queue=queue, actor=actor)
    return start_job(
        kind="label_refresh", dataset=queue.dataset, arguments={"queue": str(queue.pk)}, actor=actor
    )


def rows_of(queue: LabelingQueue) -> int:
    """Return how many examples the working copy of a queue has, of any type."""
    from datasets_app.services.versioning.worktrees import row_count

    return row_count(queue.branch)


def position_sql(queue: LabelingQueue) -> tuple[str, list[Any]]:
    """Return a queue's place of a working row `e` as SQL, with its parameters.

    Random: the first 48 bits of MD5 of seed and UUID, so the same seed gives the same order anywhere. Priority:
    greatest first, rows without a number last. The orders that learn from labels begin in sequence.
    """
    if queue.order == LabelingQueue.Order.RANDOM:
        return (
            "('x' || substr(md5(%s || ':' || e.example_id::text), 1, 12))::bit(48)::bigint::float8",
            [str(queue.seed)],
        )
    if queue.order == LabelingQueue.Order.PRIORITY:
        column, path = priority_column(queue.priority_field)
        value = f"{column} #> %s"
        return (
            f"CASE WHEN jsonb_typeof({value}) = 'number' THEN -(({value})::float8) ELSE 1e300 END",
            [path, path],
        )
    return "e.ordinal::float8", []


def priority_column(name: str) -> tuple[str, list[str]]:
    """Return the column and the path of a priority field such as metadata.priority. Raises BadInput."""
    part, _, path = name.partition(".")
    if part not in _COLUMNS or not path or "" in path.split("."):
        raise BadInput(
            f"Priority field: found “{name}”, expected input., output., labels. or metadata. and a name.",
            hint="For example metadata.priority.",
        )
    return _COLUMNS[part], path.split(".")
