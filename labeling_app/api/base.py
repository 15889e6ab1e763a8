"""What the views of labeling share: which queue, whose session, and the caller's idempotency key."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from datasets_app.api.base import GoldenView
from datasets_app.domain.roles import Action, scopes_allow
from datasets_app.services import access
from goldenproject.kit.database_io import prepared_cursor
from goldenproject.kit.errors import BadInput, Forbidden, NotFound
from labeling_app.errors import UnknownQueue
from labeling_app.models import LabelingQueue, LabelingSession
from labeling_app.services.submitted import SESSION_COLUMNS, session_of

MAX_KEY = 64
IDEMPOTENCY_KEY = OpenApiParameter(
    name="Idempotency-Key",
    type=OpenApiTypes.STR,
    location=OpenApiParameter.HEADER,
    required=False,
    description="Up to 64 printable ASCII characters of your own, one per answer: sent again with the same key "
    "it is stored once, and you get the first answer again.",
)


class UnknownSession(NotFound):
    """You have no such labeling session."""

    code = "unknown_session"


class QueueView(GoldenView):
    """A view of labeling.

    `actions` says for each method which right it takes in the dataset of the queue that the address names, or in any
    dataset where it names none: then the service asks about the right one. Who has the right nowhere is told so (403);
    a queue of a dataset that the caller may neither view nor label is not there (404).
    """

    queue: LabelingQueue

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = "GET" if request.method == "HEAD" else str(request.method)
        if not hasattr(self, method.lower()):
            return  # which is told as such (405)
        action = self.actions.get(method)
        if action is not None:
            self.require_somewhere(action)
        if "queue" in kwargs:
            self.queue = self.visible_queue(kwargs["queue"])
            if action is not None:
                access.require(request.user, action, self.queue.dataset)

    def require_somewhere(self, action: Action) -> None:
        """Raise Forbidden when the token rules `action` out, or the person may do it in no dataset."""
        self.require_scope(action)
        if not access.may_somewhere(self.request.user, action):
            access.require(self.request.user, action)

    def require_scope(self, action: Action) -> None:
        """Raise Forbidden when the token rules `action` out; whether the person may is asked where it is done."""
        if self.token is not None and not scopes_allow(self.token.scopes, action):
            raise Forbidden(f"This token's scopes {list(self.token.scopes)} do not allow “{action}”.")

    def visible_queue(self, key: uuid.UUID) -> LabelingQueue:
        """Return a queue of a dataset that the caller may view or label. Raises UnknownQueue otherwise."""
        user = self.request.user
        rows = LabelingQueue.objects.select_related("dataset", "branch__dataset", "example_type")
        queue = rows.filter(pk=key).first()
        if queue is None or not (
            access.may(user, Action.VIEW, queue.dataset) or access.may(user, Action.LABEL, queue.dataset)
        ):
            raise UnknownQueue(
                f"There is no labeling queue {key} that you may see.",
                hint="GET /api/v1/labeling/queues lists those you may.",
            )
        return queue

    def own_session(self, key: uuid.UUID) -> LabelingSession:
        """Return a session of the caller, whose queue is read when it is asked for. Raises UnknownSession."""
        return _session(_OWN, self.request.user, key)

    def idempotency_key(self) -> str | None:
        """Return the header Idempotency-Key, None without one. Raises BadInput."""
        key: str = self.request.headers.get("Idempotency-Key", "")
        if len(key) > MAX_KEY or not (key.isascii() and key.isprintable()):
            raise BadInput(
                f"Idempotency-Key: found {key[:80]!r}, expected up to {MAX_KEY} printable ASCII characters.",
                hint="A random UUID serves well.",
            )
        return key or None


# by hand, because these are asked for every example: the mapper takes longer for them than the database
_OWN = f"""
    SELECT {SESSION_COLUMNS}
      FROM labeling_app_labelingsession s WHERE s.id = %s AND s.labeler_id = %s
"""
_OF_LEASE = f"""
    SELECT {SESSION_COLUMNS}
      FROM labeling_app_lease l JOIN labeling_app_labelingsession s ON s.id = l.session_id
     WHERE l.id = %s AND s.labeler_id = %s
"""


def session_of_lease(user: Any, lease: uuid.UUID) -> LabelingSession:
    """Return the session of `user` under which a lease is held or was. Raises UnknownSession."""
    return _session(_OF_LEASE, user, lease)


def _session(statement: str, user: Any, key: uuid.UUID) -> LabelingSession:
    with prepared_cursor() as cursor:
        cursor.execute(statement, [key, user.pk])
        found = cursor.fetchone()
    if found is None:
        raise UnknownSession(hint="POST /api/v1/labeling/queues/{id}/sessions starts one.")
    return session_of(user, found)
