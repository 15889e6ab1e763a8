"""A labeler's sessions: start, take the next examples, keep them, end. These views are called for every example."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import operation
from datasets_app.domain.roles import Action
from goldenproject.kit.clock import now
from goldenproject.kit.errors import Conflict, Forbidden
from labeling_app.api.base import QueueView
from labeling_app.api.shapes import HeldOut, NextBody, SessionBody, SessionOut, TasksOut
from labeling_app.console.form import queue_form
from labeling_app.models import LabelingQueue, LabelingSession
from labeling_app.services.leasing import heartbeat, next_examples
from labeling_app.services.queues import progress_of
from labeling_app.services.sessions import end_session, start_session

NOTHING_LEFT = "There is no example left for you here at the moment."


class SessionsView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation(
        "labeling_sessions_start",
        "Start labeling, or go on with your open session",
        tag="labeling",
        body=SessionBody,
        answer=SessionOut,
        status=201,
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        body = self.body(SessionBody)
        session = start_session(
            labeler=request.user,
            queue=self.queue,
            session_type=body["session_type"],
            filters=body["filters"],
        )
        form = queue_form(self.queue, request.user)
        return Response({"session": session.pk, "queue": form, "progress": pace(session)}, status=201)


class NextView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation(
        "labeling_sessions_next",
        "Hold the next examples for you",
        tag="labeling",
        body=NextBody,
        answer=TasksOut,
    )
    def post(self, request: Request, session: uuid.UUID) -> Response:
        body = self.body(NextBody)
        own = self.own_session(session)
        tasks = next_examples(session=own, count=body["count"], hold=body["hold"])
        return Response(tasks_answer(own, tasks))


class HeartbeatView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation(
        "labeling_sessions_heartbeat", "Keep the examples that you hold", tag="labeling", answer=HeldOut
    )
    def post(self, request: Request, session: uuid.UUID) -> Response:
        return Response({"held": heartbeat(session=self.own_session(session))})


class EndView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation(
        "labeling_sessions_end", "End a session; what it holds is free again", tag="labeling", status=204
    )
    def post(self, request: Request, session: uuid.UUID) -> Response:
        end_session(session=self.own_session(session))
        return Response(status=204)


def pace(session: LabelingSession) -> dict[str, Any]:
    """Return how far the labeler and the queue are; the queue's part is as old as its cache."""
    seconds = (now() - session.started_at).total_seconds()
    per_hour = session.examples_labeled / seconds * 3600 if session.examples_labeled and seconds > 0 else None
    progress = None
    if session.queue_id is not None:
        # its fields are read only when the figures are worked out anew
        queue = LabelingQueue.from_db("default", ["id"], [session.queue_id])
        progress = progress_of(queue).coarse()
    return {
        "mine": session.examples_labeled,
        "seconds": round(seconds, 1),
        "per_hour": None if per_hour is None else round(per_hour, 1),
        "labels": None if progress is None else progress.labels,
        "labels_wanted": None if progress is None else progress.labels_wanted,
    }


def tasks_answer(session: LabelingSession, tasks: Sequence[Any]) -> dict[str, Any]:
    return {
        "tasks": [task.document() for task in tasks],
        "progress": pace(session),
        "why": "" if tasks else NOTHING_LEFT,
        "code": "",
    }


def tasks_or_why(session: LabelingSession, *, count: int, hold: Sequence[uuid.UUID]) -> dict[str, Any]:
    """Return the next examples after an answer was stored. What keeps the labeler from going on is told, not raised:
    an error would say that the answer was not stored."""
    if count == 0:
        return {"tasks": [], "progress": pace(session), "why": "", "code": ""}
    try:
        return tasks_answer(session, next_examples(session=session, count=count, hold=hold))
    except (Conflict, Forbidden) as error:
        return {"tasks": [], "progress": pace(session), "why": str(error), "code": error.code}
