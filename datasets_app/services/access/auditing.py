"""One line in the audit log for each thing that somebody did."""

from __future__ import annotations

from typing import Any

from datasets_app.models import AuditEvent, Dataset
from goldenproject.kit.audit import known_person


def record(
    actor: Any,
    action: str,
    dataset: Dataset | None = None,
    summary: str = "",
    *,
    succeeded: bool = True,
    **details: Any,
) -> None:
    """Add an audit event; call it inside the transaction of what it tells of."""
    person = known_person(actor)
    AuditEvent.objects.create(
        actor=person,
        actor_name=person.get_username() if person is not None else "",
        action=action,
        dataset=dataset,
        summary=summary,
        details=details,
        succeeded=succeeded,
    )
