"""Write the labels of a queue as a file of another annotation tool, every annotator kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from django.db import transaction

from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.roles import Action
from datasets_app.services.access import record, require
from exports_app.integrations.annotated import ExportRow, Labeled, Suggested
from exports_app.integrations.tools import tool_called
from exports_app.services.queue_shapes import answer_shape
from goldenproject.kit.audit import acting
from goldenproject.kit.database_io import stream
from labeling_app.models import LabelingQueue

_ROWS = 2000

# One pass over the labels of the queue by item, merged with its items; the rows of examples by hash join.
_EXPORT = """
    SELECT i.example_id, x.external_id, e.input_data::text, l.labels, s.suggestions
      FROM labeling_app_queueitem i
      JOIN datasets_app_exampleidentity x ON x.id = i.example_id
      JOIN datasets_app_example e ON e.branch_id = %(branch)s AND e.example_id = i.example_id
      {how} JOIN (SELECT l.item_id, array_agg(ARRAY[l.annotator, l.value::text, l.confidence::text, l.notes,
                         l.duration_ms::text, l.labeled_at::text, coalesce(u.email, '')]
                         ORDER BY l.annotator COLLATE "C") AS labels
              FROM labeling_app_label l LEFT JOIN auth_user u ON %(emails)s AND u.id = l.labeler_id
             WHERE l.queue_id = %(queue)s GROUP BY l.item_id) l ON l.item_id = i.id
      LEFT JOIN (SELECT s.item_id, array_agg(ARRAY[s.source, s.value::text, s.confidence::text] ORDER BY s.id) AS suggestions
              FROM labeling_app_suggestion s WHERE %(suggestions)s GROUP BY s.item_id) s ON s.item_id = i.id
     WHERE i.queue_id = %(queue)s ORDER BY x.ordinal
"""
_LEFT = """
    SELECT count(*) FROM labeling_app_label l WHERE l.queue_id = %s AND NOT EXISTS
           (SELECT 1 FROM datasets_app_example e WHERE e.branch_id = %s AND e.example_id = l.example_id)
"""


@dataclass(frozen=True)
class LabelExportOptions:
    """`unlabeled`: examples without labels too, as tasks for the tool. `emails`: people by their e-mail address."""

    unlabeled: bool = False
    suggestions: bool = True
    emails: bool = False


@dataclass
class LabelExport:
    """What was written. `left_out` are labels of examples that are not in the working copy any more."""

    tool: str
    tasks: int = 0
    labels: int = 0
    suggestions: int = 0
    left_out: int = 0

    def document(self) -> dict[str, Any]:
        return dict(vars(self))


def export_label_file(
    *, queue: LabelingQueue, tool: str, file: BinaryIO, actor: Any, options: LabelExportOptions | None = None
) -> LabelExport:
    """Write the labels of a queue into `file` as `tool` itself exports them; streams, in one snapshot.

    Rights: view, and review, for these are labels of others. Raises Forbidden, BadInput (no such tool).
    """
    options = options or LabelExportOptions()
    chosen = tool_called(tool)
    if actor is not None:
        require(actor, Action.VIEW, queue.dataset)
        require(actor, Action.REVIEW, queue.dataset)
    result = LabelExport(chosen.name)
    with transaction.atomic(), acting(actor, "export labels"):
        chosen.write(_rows(queue, options, result), answer_shape(queue), file)
        rows = next(stream(_LEFT, [queue.pk, queue.branch_id]))
        result.left_out = int(rows[0][0])
        record(
            actor,
            "labels.export",
            queue.dataset,
            f"{result.labels:,} of queue {queue.name} for {chosen.title}",
            queue=str(queue.pk),
            emails=options.emails,
        )
    return result


def export_name(queue: LabelingQueue, tool: str) -> str:
    """Return the name of an export file, made of letters, digits, and dashes."""
    made = "".join(c if c.isalnum() else "-" for c in f"{queue.dataset.name}-{queue.name}")
    stem = "-".join(part for part in made.split("-") if part)[:100]
    chosen = tool_called(tool)
    return f"{stem or 'labels'}-{chosen.name.replace('_', '-')}.{chosen.extension}"


def _rows(queue: LabelingQueue, options: LabelExportOptions, result: LabelExport) -> Iterator[ExportRow]:
    values = {
        "queue": queue.pk,
        "branch": queue.branch_id,
        "emails": options.emails,
        "suggestions": options.suggestions,
    }
    query = _EXPORT.format(how="LEFT" if options.unlabeled else "")
    for rows in stream(query, values, chunk_rows=_ROWS):  # type: ignore[arg-type]
        for example, external_id, data, labels, suggestions in rows:
            result.tasks += 1
            row = ExportRow(
                result.tasks,
                example,
                external_id,
                loads_stored(data),
                tuple(_labeled(one) for one in labels or ()),
                tuple(_suggested(one) for one in suggestions or ()),
            )
            result.labels += len(row.labels)
            result.suggestions += len(row.suggestions)
            yield row


def _labeled(row: list[str]) -> Labeled:
    annotator, value, confidence, notes, duration, at, email = row
    return Labeled(
        annotator,
        loads_stored(value),
        None if confidence is None else float(confidence),
        notes,
        None if duration is None else int(duration),
        datetime.fromisoformat(at),
        email,
    )


def _suggested(row: list[str]) -> Suggested:
    source, value, confidence = row
    return Suggested(source, loads_stored(value), None if confidence is None else float(confidence))
