"""Who gave an example the answers that were adopted, from the log of labels."""

from __future__ import annotations

import uuid

from datasets_app.domain.canonical import same_json
from datasets_app.domain.json_path import format_path
from datasets_app.services.versioning.label_sources import LabelBehind
from labeling_app.models import LabelHistory

_GIVEN = (
    LabelHistory.Event.SUBMITTED,
    LabelHistory.Event.CHANGED,
    LabelHistory.Event.IMPORTED,
    LabelHistory.Event.BULK,
    LabelHistory.Event.RESTORED,
)
_WITHDRAWN = (LabelHistory.Event.UNDONE, LabelHistory.Event.BULK_UNDONE, LabelHistory.Event.SENT_BACK)


def adopted_labels(example: uuid.UUID) -> list[LabelBehind]:
    """Return the adopted answers of an example, oldest first.

    Who gave one: the reviewer who decided it, else those who had said just that; where nobody said it as a whole
    (they agreed on the class, or numbers were averaged), all who had labeled it.
    """
    said: dict[tuple[uuid.UUID, str], object] = {}  # (queue, annotator) → the newest word
    found = []
    for row in LabelHistory.objects.filter(example=example).order_by("pk"):
        key = (row.queue_id, row.annotator)
        if row.event in _GIVEN:
            said[key] = row.label_value
        elif row.event in _WITHDRAWN:
            said.pop(key, None)
        elif row.event == LabelHistory.Event.REDACTED:
            said = {(queue, name): word for (queue, name), word in said.items() if queue != row.queue_id}
        elif row.event == LabelHistory.Event.ADOPTED:
            words = {name: word for (queue, name), word in said.items() if queue == row.queue_id}
            exact = [name for name, word in words.items() if same_json(word, row.label_value)]
            found.append(
                LabelBehind(
                    path=format_path(row.label_type.split(".")),
                    value=row.label_value,
                    who=(row.annotator,) if row.annotator else tuple(sorted(exact or words)),
                    said=_in_words(row),
                    at=row.labeled_at,
                )
            )
    return found


def _in_words(row: LabelHistory) -> str:
    if not row.annotator:
        return row.notes
    return f"adjudicated: {row.notes}" if row.notes else "adjudicated"
