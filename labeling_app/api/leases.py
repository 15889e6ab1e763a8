"""What a labeler does with an example that is held: answer, skip, flag, keep a draft, give it back."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import operation
from datasets_app.domain.roles import Action
from datasets_app.services import access
from labeling_app.api.base import IDEMPOTENCY_KEY, QueueView, session_of_lease
from labeling_app.api.sessions import tasks_or_why
from labeling_app.api.shapes import FlagBody, LabelBody, SkipBody, SubmitBody, SubmittedTasksOut, TaskAnswer
from labeling_app.models import LabelingSession
from labeling_app.services.leasing import release
from labeling_app.services.submitted import Submitted
from labeling_app.services.submitting import flag, save_draft, skip, submit_label
from labeling_app.services.undoing import undo_skip


class AnsweringView(QueueView):
    """A view that stores something and brings the next examples in the same answer, so that nobody waits twice."""

    actions = {"POST": Action.LABEL}

    def answer(self, lease: uuid.UUID, submitted: Submitted, body: dict[str, Any]) -> Response:
        session = submitted.session or session_of_lease(self.request.user, lease)
        told = submitted.document()
        # what became of the item would tell a labeler which examples are hidden checks
        if not self._may_review(session):
            told["item_state"] = None
        return Response({"submitted": told, **tasks_or_why(session, count=body["next"], hold=body["hold"])})

    def _may_review(self, session: LabelingSession) -> bool:
        user = self.request.user
        if session.queue_id is None or not access.may_somewhere(user, Action.REVIEW):
            return False
        return session.queue is not None and access.may(user, Action.REVIEW, session.queue.dataset)


class SubmitView(AnsweringView):
    @operation(
        "labeling_leases_submit",
        "Give your answer, and take the next examples",
        tag="labeling",
        body=SubmitBody,
        answer=SubmittedTasksOut,
        headers=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request, lease: uuid.UUID) -> Response:
        body = self.body(SubmitBody)
        given = {name: value for name, value in body.items() if name not in ("next", "hold")}
        submitted = submit_label(lease_id=lease, labeler=request.user, key=self.idempotency_key(), **given)
        return self.answer(lease, submitted, body)


class SkipView(AnsweringView):
    @operation(
        "labeling_leases_skip",
        "Leave an example to others, and take the next",
        tag="labeling",
        body=SkipBody,
        answer=SubmittedTasksOut,
        headers=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request, lease: uuid.UUID) -> Response:
        body = self.body(SkipBody)
        key = self.idempotency_key()
        skipped = skip(lease_id=lease, labeler=request.user, reason=body["reason"], key=key)
        return self.answer(lease, skipped, body)


class UndoSkipView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation(
        "labeling_leases_undo",
        "Take a skip back, and get the example again",
        tag="labeling",
        answer=TaskAnswer,
    )
    def post(self, request: Request, lease: uuid.UUID) -> Response:
        return Response({"task": undo_skip(lease_id=lease, labeler=request.user).document()})


class FlagView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation(
        "labeling_leases_flag",
        "Tell a reviewer something about an example that you hold",
        tag="labeling",
        body=FlagBody,
        status=204,
        headers=(IDEMPOTENCY_KEY,),
    )
    def post(self, request: Request, lease: uuid.UUID) -> Response:
        comment = self.body(FlagBody)["comment"]
        flag(lease_id=lease, labeler=request.user, comment=comment, key=self.idempotency_key())
        return Response(status=204)


class DraftView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation(
        "labeling_leases_draft",
        "Keep an answer that is not finished",
        tag="labeling",
        body=LabelBody,
        status=204,
    )
    def post(self, request: Request, lease: uuid.UUID) -> Response:
        save_draft(lease_id=lease, labeler=request.user, **self.body(LabelBody))
        return Response(status=204)


class ReleaseView(QueueView):
    actions = {"POST": Action.LABEL}

    @operation("labeling_leases_release", "Give an example back unanswered", tag="labeling", status=204)
    def post(self, request: Request, lease: uuid.UUID) -> Response:
        release(lease_id=lease, labeler=request.user)
        return Response(status=204)
