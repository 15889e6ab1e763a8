"""The Python API of labeling: a labeler's session as an object, for notebooks, scripts and annotators that are programs.

    from labeling_app.python_api import LabelingSession

    session = LabelingSession.start("labeler", "initial_labeling")
    while (example := session.get_next_example()) is not None:
        session.submit_label(example, {"label": "billing"}, confidence=0.9)
    session.end()

Every call is one of the services and one transaction, with the rights of the labeler. What is stored of a session is
labeling_app.models.LabelingSession, which `record` is.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth import get_user_model

from goldenproject.kit.errors import NotFound
from labeling_app import models
from labeling_app.services import leasing, sessions, submitting, undoing
from labeling_app.services.queues import get_queue
from labeling_app.services.submitted import Submitted
from labeling_app.services.tasks import Task

__all__ = ["LabelingSession", "Submitted", "Task"]


class LabelingSession:
    """The time in which somebody labels. Used as a context it ends with the block; what it holds is free then."""

    def __init__(self, record: models.LabelingSession) -> None:
        self.record = record

    @classmethod
    def start(
        cls,
        labeler: Any,
        session_type: str = models.LabelingSession.Type.INITIAL_LABELING,
        *,
        queue: models.LabelingQueue | uuid.UUID | str | None = None,
    ) -> LabelingSession:
        """Start labeling as `labeler` (a user or a username), or go on with their open session of the same kind.

        Examples come from `queue` (itself, its id or its name), by default from all queues that the labeler may label.
        Raises NotFound, UnknownQueue, Forbidden, NotAssigned, LabelerPaused, QueueNotOpen, BadInput.
        """
        person = _person(labeler) if isinstance(labeler, str) else labeler
        chosen = queue if queue is None or isinstance(queue, models.LabelingQueue) else get_queue(queue)
        return cls(sessions.start_session(labeler=person, queue=chosen, session_type=session_type))

    def get_next_example(
        self, example_type: str | None = None, validation_status: str | None = None
    ) -> Task | None:
        """Return the example that is held for the labeler, or hold the next one; None when there is none left.

        An example stays held until it is submitted, skipped or released, or its time runs out. With a type or a status
        (pending, validated, rejected) only such examples come. Raises SessionEnded, QueueNotOpen, LabelerPaused, BadInput.
        """
        wanted = {
            name: [value]
            for name, value in (("type", example_type), ("status", validation_status))
            if value is not None
        }
        if wanted != self.record.filters:
            self._narrow(wanted)
        tasks = leasing.next_examples(session=self.record)
        return tasks[0] if tasks else None

    def submit_label(
        self, example: Task, label_value: Any, confidence: float | None = None, notes: str = ""
    ) -> Submitted:
        """Store the answer to an example: the whole output, or the part of it that its queue asks for.

        `confidence` is 0–1. Submitted again in the same words it is stored once; in other words it changes the answer.
        Raises SchemaViolation, LeaseLost, ExampleChanged, ExampleGone, TypeChanged and what `start` does.
        """
        return submitting.submit_label(
            lease_id=example.lease,
            labeler=self.record.labeler,
            value=label_value,
            confidence=confidence,
            notes=notes,
            content_hash=example.content_hash,
            schema_digest=example.schema_digest,
        )

    def skip(self, example: Task, reason: str = "") -> None:
        """Leave an example to others."""
        submitting.skip(lease_id=example.lease, labeler=self.record.labeler, reason=reason)

    def undo(self, submitted: Submitted) -> Task:
        """Take a label back and return its example, held again. Raises UnknownLabel."""
        return undoing.undo_label(label_id=submitted.label or 0, labeler=self.record.labeler)

    def end(self) -> None:
        """End the session; ended twice it is as if ended once."""
        sessions.end_session(session=self.record)

    def __enter__(self) -> LabelingSession:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _narrow(self, filters: dict[str, Any]) -> None:
        """Take other examples from now on; what is held may not be one of them, so it goes back."""
        sessions.give_back(session=self.record)
        self.record = sessions.start_session(
            labeler=self.record.labeler,
            queue=self.record.queue,
            session_type=self.record.session_type,
            filters=filters,
        )


def _person(name: str) -> Any:
    found = get_user_model().objects.filter(username=name).first()
    if found is None:
        raise NotFound(
            f"There is no user “{name}”.", hint="People are made in the console, or by createsuperuser."
        )
    return found
