"""Erase what must be erased: the text goes, the hashes stay, and everybody can see that and why it was done."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from datasets_app.domain.content import tombstone
from datasets_app.errors import Redacted, UnknownExample
from datasets_app.models import Dataset, Redaction
from datasets_app.services.access import record
from datasets_app.services.versioning.erasing import Erasure, erase_elsewhere
from datasets_app.services.versioning.log import find_example
from goldenproject.kit.audit import acting, known_person
from goldenproject.kit.clock import now
from goldenproject.kit.database_io import binary_cursor
from goldenproject.kit.errors import BadInput
from goldenproject.kit.retries import retried

content_redacted = Signal()
"""Sent when a redaction is committed: whoever keeps copies of contents throws them away."""


@dataclass(frozen=True)
class RedactionResult:
    """What was erased: content hashes (hex), working rows removed, history rows blanked, other examples that had the same text.

    `elsewhere`: rows that lost what they told of the example, by kind ("labels", "label_history" …).
    """

    example_id: uuid.UUID
    blobs: tuple[str, ...]
    working_rows: int
    history_rows: int
    also_in: tuple[str, ...]
    elsewhere: dict[str, int] = field(default_factory=dict)


_CONTENTS = """
    SELECT DISTINCT h FROM (SELECT new_hash AS h FROM datasets_app_examplechange WHERE example_id = %s
                            UNION SELECT old_hash FROM datasets_app_examplechange WHERE example_id = %s) c
     WHERE h IS NOT NULL AND NOT EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.blob_hash = h)
"""
_SHARED = """
    SELECT DISTINCT d.name || ': ' || coalesce(i.external_id, i.id::text)
      FROM datasets_app_examplechange c
      JOIN datasets_app_exampleidentity i ON i.id = c.example_id
      JOIN datasets_app_dataset d ON d.id = i.dataset_id
     WHERE c.new_hash = ANY(%s) AND c.example_id <> %s ORDER BY 1 LIMIT 100
"""
_BLANK_HISTORY = """
    UPDATE datasets_app_historicalexample
       SET input_data = %(stone)s::jsonb, expected_output = NULL, labels = '{}', metadata = '{}', provenance = '{}',
           source_decision_id = NULL
     WHERE example_id = %(example)s AND NOT (input_data ? 'redacted' AND input_data ->> 'hash' IS NOT DISTINCT FROM %(hash)s)
"""


@retried()
def redact(*, dataset: Dataset, example: str | uuid.UUID, reason: str, actor: Any) -> RedactionResult:
    """Erase every content that an example ever had: in versions, in its history, in the working copies, and what was said of it.

    Blobs become tombstones that keep their hash, so versions still verify. Other examples with the very same text
    share the blob and lose it too; they are named. Whoever keeps words of examples elsewhere (labels) erases them in
    the same transaction, see `erasing`. Done again it erases what came since, or came back with a restore.

    Raises UnknownExample, Redacted when nothing is left to erase, BadInput without a reason. Backups made before still
    hold the text: they must be replaced by hand.
    """
    if not reason.strip():
        raise BadInput("A redaction needs a reason; it stands in the tombstone for ever.")
    identity, at = find_example(dataset, example), now()
    erasure = Erasure(
        example_id=identity.pk,
        tombstone=tombstone(identity.pk.hex, reason.strip(), at.isoformat()),
        reason=reason.strip(),
        actor=actor,
        at=at,
    )
    with acting(actor, "redact"), binary_cursor() as cursor:
        was_redacted = Redaction.objects.filter(example_id=identity.pk).exists()
        cursor.execute(_CONTENTS, [identity.pk, identity.pk])
        hashes = [row[0] for row in cursor]
        _put_on_record(dataset, erasure, hashes)
        for table in ("stagedrow", "examplevector"):
            cursor.execute(f"DELETE FROM datasets_app_{table} WHERE example_id = %s", [identity.pk])  # type: ignore[arg-type]
        elsewhere = erase_elsewhere(erasure)
        cursor.execute("DELETE FROM datasets_app_example WHERE example_id = %s", [identity.pk])
        rows = cursor.rowcount
        cursor.execute(
            "UPDATE datasets_app_blob b SET body = r.tombstone FROM datasets_app_redaction r "
            "WHERE r.blob_hash = b.hash AND b.hash = ANY(%s)",
            [hashes],
        )
        cursor.execute(
            _BLANK_HISTORY,
            {"stone": erasure.tombstone, "example": identity.pk, "hash": identity.pk.hex},
        )
        blanked = cursor.rowcount
        if not (hashes or rows or blanked or elsewhere):
            if was_redacted:
                raise Redacted(f"Example “{identity}” was redacted already.")
            raise UnknownExample(f"Example “{identity}” has no content to redact.")
        cursor.execute(_SHARED, [hashes, identity.pk])
        shared = tuple(row[0] for row in cursor)
        result = RedactionResult(
            identity.pk, tuple(h.hex() for h in hashes), rows, blanked, shared, elsewhere
        )
        record(
            actor,
            "redact",
            dataset,
            f"{identity}: {reason.strip()}",
            contents=list(result.blobs),
            also_in=list(shared),
            elsewhere=elsewhere,
        )
        transaction.on_commit(lambda: content_redacted.send(sender=Dataset, dataset=dataset))
    return result


def _put_on_record(dataset: Dataset, erasure: Erasure, hashes: list[bytes]) -> None:
    """Write a redaction for each content, which the guards ask for; of what no version holds one for the example as it is now."""
    example = erasure.example_id
    Redaction.objects.bulk_create(
        Redaction(
            blob_hash=digest,
            tombstone=tombstone(digest.hex(), erasure.reason, erasure.at.isoformat()),
            dataset=dataset,
            example_id=example,
            reason=erasure.reason,
            redacted_by=known_person(erasure.actor),
            redacted_at=erasure.at,
        )
        for digest in hashes or [hashlib.sha256(f"{example} {erasure.at.isoformat()}".encode()).digest()]
    )
