"""One line in the audit log for each thing that somebody did."""

from __future__ import annotations

from typing import Any

from datasets_app.models import AuditEvent, Dataset


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
    known = getattr(actor, "pk", None) is not None
    AuditEvent.objects.create(
        actor=actor if known else None,
        actor_name=actor.get_username() if known else "",
        action=action,
        dataset=dataset,
        summary=summary,
        details=details,
        succeeded=succeeded,
    )
