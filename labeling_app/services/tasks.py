"""What a labeler gets to see of a held example."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from datasets_app.domain.canonical import canonical_bytes, content_hash, loads_stored
from datasets_app.domain.roles import Action
from datasets_app.services.access import may
from labeling_app.domain.answers import part_of
from labeling_app.models import LabelingQueue, LabelingSession
from labeling_app.services.answer_types import answer_type

# What a task shows, of an item `i` and its working row `e` (see ROW); the draft is of the labeler.
PAYLOAD = """
    i.example_id, (SELECT x.external_id FROM datasets_app_exampleidentity x WHERE x.id = i.example_id),
    e.input_data::text, e.expected_output::text,
    (SELECT jsonb_agg(jsonb_build_object('source', p.source, 'value', p.value, 'confidence', p.confidence)
                      ORDER BY p.confidence DESC NULLS LAST, p.source)::text
       FROM labeling_app_suggestion p WHERE p.item_id = i.id),
    (SELECT jsonb_build_object('value', d.value, 'confidence', d.confidence, 'notes', d.notes)::text
       FROM labeling_app_draft d WHERE d.item_id = i.id AND d.labeler_id = %s),
    (SELECT r.comment FROM labeling_app_review r WHERE r.item_id = i.id AND r.outcome = 'sent_back'
      ORDER BY r.id DESC LIMIT 1)
"""
# The row of another type is not the queue's any more: as good as gone. LIMIT keeps this a look-up by key per item,
# whatever the statistics say: without it the planner may read a whole working copy to find one row.
ROW = """
    LEFT JOIN LATERAL (
        SELECT e.* FROM datasets_app_example e
         WHERE e.branch_id = %s AND e.example_id = i.example_id AND e.example_type_id = %s
         LIMIT 1
    ) e ON true
"""
_HELD = f"""
    SELECT l.id, l.item_id, l.expires_at, l.content_hash, {PAYLOAD}
      FROM labeling_app_lease l JOIN labeling_app_queueitem i ON i.id = l.item_id {ROW}
     WHERE l.id = ANY(%s) AND l.state = 'held'
     ORDER BY l.leased_at, l.id
"""


@dataclass(frozen=True)
class Shown:
    """An example as it is now: its input with the SHA-256 of that, and what else a task shows. `input` None: gone.

    `note` is what a reviewer said when its labels were sent back.
    """

    example: uuid.UUID
    external_id: str | None
    input: Any
    content_hash: bytes
    output: Any
    suggestions: list[dict[str, Any]]
    draft: dict[str, Any] | None
    note: str = ""


@dataclass(frozen=True)
class Task:
    """An example held for one labeler until `expires_at`. A hidden gold check looks like any other."""

    lease: uuid.UUID
    item: int
    queue: uuid.UUID
    type: str
    expires_at: datetime
    schema_digest: str
    shown: Shown
    current: Any = None
    mine: dict[str, Any] | None = None
    tells_name: bool = True

    @property
    def example(self) -> uuid.UUID:
        return self.shown.example

    @property
    def input(self) -> Any:
        return self.shown.input

    @property
    def content_hash(self) -> str:
        return self.shown.content_hash.hex()

    def document(self) -> dict[str, Any]:
        """Return the task as plain JSON, as the API gives it.

        Without the number of the item, and where `tells_name` is false without the id from outside: in a queue in sequence
        they would tell which examples are hidden checks.
        """
        return {
            "lease": str(self.lease),
            "example": str(self.shown.example),
            "external_id": self.shown.external_id if self.tells_name else None,
            "queue": str(self.queue),
            "type": self.type,
            "expires_at": self.expires_at.isoformat(),
            "content_hash": self.content_hash,
            "schema_digest": self.schema_digest,
            "input": self.shown.input,
            "current": self.current,
            "suggestions": self.shown.suggestions,
            "draft": self.shown.draft,
            "mine": self.mine,
            "note": self.shown.note,
        }


def shown_of(payload: Sequence[Any]) -> Shown:
    """Read the columns of `PAYLOAD`."""
    example, external_id, input_, output, suggestions, draft, note = payload
    read = None if input_ is None else loads_stored(input_)
    return Shown(
        example=example,
        external_id=external_id,
        input=read,
        content_hash=b"" if input_ is None else content_hash(canonical_bytes(read)),
        output=None if output is None else loads_stored(output),
        suggestions=[] if suggestions is None else loads_stored(suggestions),
        draft=None if draft is None else loads_stored(draft),
        note=note or "",
    )


def task_of(
    *,
    lease: uuid.UUID,
    item: int,
    expires_at: datetime,
    shown: Shown,
    queue: LabelingQueue,
    labeler: Any,
    session_type: str,
    mine: dict[str, Any] | None = None,
) -> Task:
    """Make a task; the answer that is there is shown in sessions of validation and correction only."""
    unseen = session_type == LabelingSession.Type.INITIAL_LABELING
    return Task(
        lease=lease,
        item=item,
        queue=queue.pk,
        type=queue.example_type.name,
        expires_at=expires_at,
        schema_digest=answer_type(queue).digest,
        shown=shown,
        current=None if unseen or shown.output is None else part_of(shown.output, queue.field_path),
        mine=mine,
        tells_name=tells_names(queue, labeler),
    )


def tells_names(queue: LabelingQueue, labeler: Any) -> bool:
    """Tell whether a labeler is told the ids from outside of a queue's examples.

    They rise as a rule, so in a queue in sequence one that does not follow the last would be a hidden check. Who may view
    the dataset finds them there anyway.
    """
    in_sequence = queue.order == LabelingQueue.Order.SEQUENCE
    return not (queue.gold_rate and in_sequence) or may(labeler, Action.VIEW, queue.dataset)


def held_tasks(
    *,
    queue: LabelingQueue,
    leases: Iterable[uuid.UUID],
    labeler: Any,
    session_type: str,
    mine: dict[str, Any] | None = None,
) -> list[tuple[Task, bytes]]:
    """Return the tasks of held leases of one queue, oldest first, each with the hash of the input shown before."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD, [labeler.pk, queue.branch_id, queue.example_type_id, list(leases)])
        rows = cursor.fetchall()
    return [
        (
            task_of(
                lease=lease,
                item=item,
                expires_at=expires_at,
                shown=shown_of(payload),
                queue=queue,
                labeler=labeler,
                session_type=session_type,
                mine=mine,
            ),
            bytes(before),
        )
        for lease, item, expires_at, before, *payload in rows
    ]
