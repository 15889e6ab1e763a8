"""Sessions of labelers: started, taken up again, ended by hand or when idle. What a session holds is free after it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from datasets_app.domain.roles import Action
from datasets_app.services.access import may, may_somewhere
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from goldenproject.kit.database_io import advisory_lock
from goldenproject.kit.errors import BadInput, Forbidden
from goldenproject.kit.retries import retried
from labeling_app.models import LabelingQueue, LabelingSession
from labeling_app.services.assigning import require_labeler, require_open
from labeling_app.services.queue_filters import checked_filters, telling
from labeling_app.services.slots import end_leases

IDLE_WITHOUT_QUEUE_S = 1800
ENDED_AT_ONCE = 500

_HELD = """
    SELECT l.id, l.item_id, l.queue_id
      FROM labeling_app_lease l JOIN labeling_app_queueitem i ON i.id = l.item_id
     WHERE {which} AND l.state = 'held'
     ORDER BY l.item_id
       FOR NO KEY UPDATE OF l, i
"""
# Index scan on session_running; who is labeling just now has the row locked and is not idle.
_IDLE = """
    SELECT s.id
      FROM labeling_app_labelingsession s LEFT JOIN labeling_app_labelingqueue q ON q.id = s.queue_id
     WHERE s.ended_at IS NULL AND s.last_seen_at < %s::timestamptz - make_interval(secs => coalesce(q.idle_s, %s))
     ORDER BY s.last_seen_at LIMIT %s
       FOR UPDATE OF s SKIP LOCKED
"""


@retried()
def start_session(
    *,
    labeler: Any,
    queue: LabelingQueue | None = None,
    session_type: str = LabelingSession.Type.INITIAL_LABELING,
    filters: dict[str, Any] | None = None,
) -> LabelingSession:
    """Start a session, or take up the labeler's open one of the same queue and type; it gets these filters.

    Without a queue it takes from all queues that the labeler may label, in order. One that has been idle for too
    long is ended, and a new one begins. Raises what `require_labeler`, `require_session` and `require_open` do, and
    BadInput. Without a queue the filters are judged queue by queue when it takes the next.
    """
    if session_type not in LabelingSession.Type.values:
        raise BadInput(
            f"Session type: found “{session_type}”, expected one of {', '.join(LabelingSession.Type.values)}."
        )
    checked = checked_filters(filters, with_type=True)
    if queue is not None:
        require_labeler(labeler, queue)
        wanted = LabelingSession(labeler=labeler, queue=queue, session_type=session_type, filters=checked)
        require_session(wanted, queue)
        require_open(queue)
    elif not may_somewhere(labeler, Action.LABEL):
        raise Forbidden("You may not label anywhere.", hint="Ask for the role of a labeler.")
    elif session_type != LabelingSession.Type.INITIAL_LABELING and not may_somewhere(labeler, Action.REVIEW):
        raise _not_a_reviewer(session_type)
    at = now()
    with acting(labeler, "start labeling"):
        advisory_lock(f"labeling session of {labeler.pk}")
        running = LabelingSession.objects.select_for_update(of=("self",)).filter(
            labeler=labeler, queue=queue, session_type=session_type, ended_at__isnull=True
        )
        for session in running:
            if session.last_seen_at < at - _idle(queue):
                _end([session], at)
                continue
            if session.filters != checked:
                session.seen_position = session.seen_item = None
            session.filters = checked
            session.last_seen_at = at
            session.save(update_fields=["filters", "last_seen_at", "seen_position", "seen_item"])
            return _known(session, labeler, queue)
        session = LabelingSession.objects.create(
            labeler=labeler,
            queue=queue,
            session_type=session_type,
            filters=checked,
            started_at=at,
            last_seen_at=at,
        )
    return _known(session, labeler, queue)


def require_session(session: LabelingSession, queue: LabelingQueue) -> None:
    """Raise Forbidden unless the labeler may have such a session in this queue; no statement once the roles are known.

    Sessions of validation and correction show the answer that is there, and have no hidden checks: they are for
    reviewers. Filters tell what fits them, so filters on what a task does not show are for those who may view the
    dataset; others may ask for what the queue's own filters say of all its examples anyway.
    """
    labeler, dataset = session.labeler, queue.dataset
    is_unseen = session.session_type == LabelingSession.Type.INITIAL_LABELING
    if not is_unseen and not may(labeler, Action.REVIEW, dataset):
        raise _not_a_reviewer(session.session_type)
    names = telling(session.filters, queue.filters)
    if names and not may(labeler, Action.VIEW, dataset):
        raise Forbidden(
            f"The filter {', '.join(names)} would tell what labelers are not shown of examples.",
            hint="Leave it out, or ask for the right to view the dataset. The type may always be chosen.",
        )


def _not_a_reviewer(session_type: str) -> Forbidden:
    return Forbidden(
        f"A session of {session_type} shows the answers that are there, so it is for reviewers.",
        hint="Start one of initial_labeling, or ask for the role of a reviewer.",
    )


def _known(session: LabelingSession, labeler: Any, queue: LabelingQueue | None) -> LabelingSession:
    session.labeler, session.queue = labeler, queue
    return session


def _idle(queue: LabelingQueue | None) -> timedelta:
    return timedelta(seconds=IDLE_WITHOUT_QUEUE_S if queue is None else queue.idle_s)


@retried()
def end_session(*, session: LabelingSession) -> LabelingSession:
    """End a session now; what it holds is free again. Ended twice it is as if ended once."""
    with acting(session.labeler, "end labeling"):
        current = LabelingSession.objects.select_for_update(of=("self",)).get(pk=session.pk)
        if current.ended_at is None:
            _end([current], now())
    session.ended_at = current.ended_at
    return current


@retried()
def give_back(*, session: LabelingSession) -> int:
    """Give back all that a session holds, whatever its filters are; return how many examples."""
    with acting(session.labeler, "give back"):
        return release_held(sessions=[session], at=now())


@retried()
def close_idle_sessions() -> int:
    """End sessions without a sign of life for as long as their queue allows; return how many."""
    at = now()
    with acting(None, "session idle"):
        with connection.cursor() as cursor:
            cursor.execute(_IDLE, [at, IDLE_WITHOUT_QUEUE_S, ENDED_AT_ONCE])
            idle = [row[0] for row in cursor.fetchall()]
        if idle:
            _end(list(LabelingSession.objects.filter(pk__in=idle)), at)
    return len(idle)


def _end(sessions: list[LabelingSession], at: datetime) -> None:
    """End sessions whose rows are locked. Whoever was idle had left when last seen."""
    for session in sessions:
        is_idle = session.last_seen_at < at - _idle(session.queue)
        session.ended_at = session.last_seen_at if is_idle else at
        session.save(update_fields=["ended_at"])
    release_held(sessions=sessions, at=at)


def release_held(*, sessions: list[LabelingSession], at: datetime) -> int:
    """Give back all that these sessions hold; return how many examples."""
    return _release("l.session_id = ANY(%s)", [[session.pk for session in sessions]], at)


def release_of_labeler(*, queue: LabelingQueue, labeler: Any, at: datetime) -> int:
    """Give back all that a labeler holds in a queue, in whatever session; return how many examples."""
    return _release("l.labeler_id = %s AND l.queue_id = %s", [labeler.pk, queue.pk], at)


def _release(which: str, values: list[Any], at: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(_HELD.format(which=which), values)
        rows = cursor.fetchall()
    queues = LabelingQueue.objects.in_bulk({queue for _, _, queue in rows})
    for key in sorted(queues):
        held = [(lease, item) for lease, item, queue in rows if queue == key]
        end_leases(queue=queues[key], leases=held, state="released", at=at)
    return len(rows)
