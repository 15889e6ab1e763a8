"""Give out examples: to each labeler the next one that still wants labels, held for a while, never twice to one.

An item is taken by its row lock (SKIP LOCKED: whoever comes at the same time takes the next), and the unique indexes
of Lease say again what must hold: one labeler per slot, no item twice to one labeler. See decision 0014.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, connection, transaction

from datasets_app.domain.canonical import loads_stored
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, Forbidden
from goldenproject.kit.retries import retried
from labeling_app.errors import QueueNotOpen, SessionEnded, UnknownLease
from labeling_app.models import LabelingQueue, LabelingSession, QueueItem
from labeling_app.services.assigning import Facts, queues_for, require_labeler, require_open
from labeling_app.services.hidden_checks import with_checks
from labeling_app.services.kept_queues import FACTS, VERSIONS, kept_queue
from labeling_app.services.picking import BEGINNING, Found, candidates, refreshed
from labeling_app.services.sessions import release_of_labeler, require_session
from labeling_app.services.slots import end_leases, recount_held, sweep_expired
from labeling_app.services.tasks import Task, held_tasks, task_of

MOST_AT_ONCE = 20
# In a queue of more than one labeler each, this often a session looks from the beginning for what became free behind it.
STARTS_OVER_EVERY = 64
_TRIES = 5

# Sub-selects see what was there when the statement began, the locked row what is there now: where the row's versions
# differ, another request of this session has just finished, and what it leased was not seen. `overdue` reads the first
# entry of lease_running_out that is still true.
_SESSION = f"""
    SELECT q.id, {VERSIONS}, {FACTS},
           EXISTS (SELECT 1 FROM labeling_app_lease l
                    WHERE l.labeler_id = s.labeler_id AND l.state = 'held' AND l.session_id = s.id)
               OR (s.xmin, s.ctid) IS DISTINCT FROM (SELECT (b.xmin, b.ctid) FROM labeling_app_labelingsession b WHERE b.id = s.id),
           EXISTS (SELECT 1 FROM labeling_app_lease l
                    WHERE l.queue_id = q.id AND l.state = 'held' AND l.expires_at < %s AND l.session_id <> s.id),
           s.filters::text, s.ended_at, s.served, s.seen_position, s.seen_item
      FROM labeling_app_labelingsession s LEFT JOIN labeling_app_labelingqueue q ON q.id = s.queue_id
     WHERE s.id = %s
       FOR NO KEY UPDATE OF s
"""
# The smallest free slot. The items are locked, so nobody else can be taking it. Another overlap may have been stored since
# the session was locked, and its items counted by that: what holds now is read here.
_TAKE = """
    WITH wanted AS (
        SELECT overlap FROM labeling_app_labelingqueue WHERE id = %(queue)s
    ), made AS (
        INSERT INTO labeling_app_lease
               (id, queue_id, item_id, labeler_id, session_id, slot, state, leased_at, expires_at, content_hash,
                is_gold_check)
        SELECT w.lease, %(queue)s, w.item, %(labeler)s, %(session)s,
               CASE WHEN w.gold THEN 0 ELSE
                   (SELECT min(s) FROM wanted, generate_series(1, wanted.overlap) s
                     WHERE NOT EXISTS (SELECT 1 FROM labeling_app_lease l
                                        WHERE l.item_id = w.item AND l.slot = s AND l.slot > 0
                                          AND l.state IN ('held', 'submitted'))) END,
               'held', %(at)s, %(until)s, w.hash, w.gold
          FROM unnest(%(leases)s::uuid[], %(items)s::bigint[], %(hashes)s::bytea[], %(golds)s::bool[])
               AS w(lease, item, hash, gold)
        RETURNING item_id, is_gold_check
    ), taken AS (
        UPDATE labeling_app_queueitem i SET open_slots = least(i.open_slots, wanted.overlap - i.label_count) - 1
          FROM made, wanted WHERE i.id = made.item_id AND NOT made.is_gold_check
    )
    UPDATE labeling_app_labelingsession
       SET served = served + (SELECT count(*) FROM made), last_seen_at = %(at)s,
           seen_position = %(position)s, seen_item = %(item)s
     WHERE id = %(session)s
"""
_SEEN = """
    UPDATE labeling_app_labelingsession SET last_seen_at = %s, seen_position = %s, seen_item = %s WHERE id = %s
"""
_PROLONG = """
    UPDATE labeling_app_lease l SET expires_at = %s + make_interval(secs => q.lease_s)
      FROM labeling_app_labelingqueue q
     WHERE q.id = l.queue_id AND l.state = 'held' AND l.labeler_id = %s AND l.session_id = %s AND q.id = ANY(%s)
    RETURNING l.id, l.queue_id, l.leased_at
"""
_OWN = """
    SELECT l.queue_id, l.item_id, l.state, l.session_id
      FROM labeling_app_lease l JOIN labeling_app_queueitem i ON i.id = l.item_id
     WHERE l.id = %s AND l.labeler_id = %s
       FOR NO KEY UPDATE OF l, i
"""
# Whatever was given back comes again to this session first, in any queue, check or not. A session that is busy just now
# is left alone: it starts over by itself every so often.
_LOOK_AGAIN = """
    UPDATE labeling_app_labelingsession s SET seen_position = NULL, seen_item = NULL
      FROM (SELECT id FROM labeling_app_labelingsession WHERE id = %s FOR NO KEY UPDATE SKIP LOCKED) w
     WHERE s.id = w.id
"""


def next_examples(
    *, session: LabelingSession, count: int = 1, hold: Collection[uuid.UUID | str] = ()
) -> list[Task]:
    """Return up to `count` tasks held by this session: first those it holds already, then new ones.

    `hold` names leases whose tasks the caller has in hand: they are prolonged and not returned. What is held is
    prolonged each time. Fewer than `count`, or none, come when the queue has no more for this labeler now.
    Raises SessionEnded, QueueNotOpen, LabelerPaused, NotAssigned, Forbidden, BadInput.
    """
    if not 1 <= count <= MOST_AT_ONCE:
        raise BadInput(f"Examples at once: found {count}, expected 1 to {MOST_AT_ONCE}.")
    in_hand = {uuid.UUID(str(lease)) for lease in hold}
    for attempt in range(1, _TRIES + 1):
        try:
            with _giving_back(session):
                return _next(session, count, in_hand)
        except IntegrityError:
            # The same labeler asked in another session at the same moment, as the index told: look again. Or an item that
            # was being taken while a lower overlap was stored has no such place: see the module overlap.
            if attempt == _TRIES or connection.in_atomic_block:
                raise
            _count_held(session)
    raise AssertionError("unreachable")


def _count_held(session: LabelingSession) -> None:
    queues = LabelingQueue.objects.filter(state=LabelingQueue.State.OPEN)
    for queue in queues if session.queue_id is None else queues.filter(pk=session.queue_id):
        with transaction.atomic():
            recount_held(queue=queue)


@contextmanager
def _giving_back(session: LabelingSession) -> Iterator[None]:
    """When the labeler may not go on here, what is held goes back to the others at once, and the error goes on."""
    try:
        yield
    except (Forbidden, QueueNotOpen):
        if session.queue is not None:
            with transaction.atomic():
                release_of_labeler(queue=session.queue, labeler=session.labeler, at=now())
        raise


@retried()
def _next(session: LabelingSession, count: int, in_hand: Collection[uuid.UUID]) -> list[Task]:
    at = now()
    with transaction.atomic():
        locked = _locked(session, at)
        current, queues = locked.session, _queues(locked)
        held = _prolonged(current, at, queues, in_hand, count) if locked.holds and queues else []
        for queue in queues:
            if len(held) >= count:
                break
            if (locked.overdue or locked.queue is None) and sweep_expired(queue=queue, at=at, but=current.pk):
                current.seen_position = None  # what ran out may lie behind
            held += _new(current, queue, count - len(held), at)
        return held


@dataclass
class _Locked:
    """A session, locked: two requests of one session take turns. With it, what decides how to go on."""

    session: LabelingSession
    queue: LabelingQueue | None
    facts: Facts
    holds: bool  # whether the session holds anything, as far as is known
    overdue: bool  # whether leases of others in its queue have run out


def _locked(session: LabelingSession, at: datetime) -> _Locked:
    """Lock a session. Raises SessionEnded. The labeler is the object that the caller's session has."""
    labeler = session.labeler
    with connection.cursor() as cursor:
        cursor.execute(_SESSION, [labeler.pk, labeler.pk, labeler.pk, at, session.pk])
        queue_id, versions, *facts, holds, overdue, filters, ended_at, served, position, item = (
            cursor.fetchone()
        )
    if ended_at is not None:
        raise SessionEnded(
            "This labeling session has ended; what you have submitted is stored.", hint="Start a new one."
        )
    queue = None if queue_id is None else kept_queue(queue_id, versions)
    current = LabelingSession(
        id=session.pk,
        labeler=labeler,
        queue=queue,
        session_type=session.session_type,
        filters=loads_stored(filters),
        served=served,
        seen_position=position,
        seen_item=item,
    )
    return _Locked(current, queue, Facts(*facts), holds, overdue)


def _queues(locked: _Locked) -> list[LabelingQueue]:
    """Return the queues that a session takes from, the first first. Raises when the labeler may not go on."""
    session = locked.session
    if locked.queue is not None:
        require_labeler(session.labeler, locked.queue, locked.facts)
        require_session(session, locked.queue)
        require_open(locked.queue)
        return [locked.queue]
    queues = queues_for(session.labeler).filter(state=LabelingQueue.State.OPEN)
    types = session.filters.get("type")
    if types:
        queues = queues.filter(example_type__name__in=types)
    paused = session.labeler.pk
    going = queues.exclude(standings__labeler=paused, standings__paused_at__isnull=False)
    return _where_allowed(session, list(going))


def _where_allowed(session: LabelingSession, queues: list[LabelingQueue]) -> list[LabelingQueue]:
    """Return the queues in which the labeler may have such a session. Raises Forbidden when that is none of them."""
    allowed, refusal = [], None
    for queue in queues:
        try:
            require_session(session, queue)
        except Forbidden as error:
            refusal = error
        else:
            allowed.append(queue)
    if refusal is not None and not allowed:
        raise refusal
    return allowed


def _prolonged(
    session: LabelingSession,
    at: datetime,
    queues: Sequence[LabelingQueue],
    in_hand: Collection[uuid.UUID],
    count: int,
) -> list[Task]:
    """Prolong what the session holds and return the tasks of it that are not in hand."""
    with connection.cursor() as cursor:
        cursor.execute(_PROLONG, [at, session.labeler_id, session.pk, [queue.pk for queue in queues]])
        rows = sorted(cursor.fetchall(), key=lambda row: (row[2], row[0]))
    wanted = [row for row in rows if row[0] not in in_hand][:count]
    tasks: list[Task] = []
    for queue in queues:
        leases = [lease for lease, of_queue, _ in wanted if of_queue == queue.pk]
        if leases:
            tasks += _still_there(session, queue, leases, at)
    return tasks


def _still_there(
    session: LabelingSession, queue: LabelingQueue, leases: list[uuid.UUID], at: datetime
) -> list[Task]:
    """Return tasks that are held; what left the working copy meanwhile is given up, what changed is shown as it is now."""
    found = held_tasks(queue=queue, leases=leases, labeler=session.labeler, session_type=session.session_type)
    gone = [(task.lease, task.item) for task, _ in found if task.input is None]
    if gone:
        QueueItem.objects.filter(pk__in=[item for _, item in gone]).update(state=QueueItem.State.GONE)
        end_leases(queue=queue, leases=gone, state="released", at=at)
    with connection.cursor() as cursor:
        for task, before in found:
            if task.input is not None and task.shown.content_hash != before:
                cursor.execute(
                    "UPDATE labeling_app_lease SET content_hash = %s WHERE id = %s",
                    [task.shown.content_hash, task.lease],
                )
    return [task for task, _ in found if task.input is not None]


def _new(session: LabelingSession, queue: LabelingQueue, count: int, at: datetime) -> list[Task]:
    """Lease up to `count` examples of a queue to the session."""
    begin = _place(session)
    found, place = candidates(session, queue, count, begin)
    if not found and refreshed(queue, at):
        found, place = candidates(session, queue, count, BEGINNING)
    given = with_checks(session, queue, found, count, at=at, from_the_beginning=begin == BEGINNING)
    left = found[sum(not one.is_gold for one in given) :]
    if left:
        place = left[0].before
    if session.queue_id is None:  # of several queues no one place can be remembered
        session.seen_position = session.seen_item = None
    else:
        session.seen_position, session.seen_item = place
    if not given:
        with connection.cursor() as cursor:
            cursor.execute(_SEEN, [at, session.seen_position, session.seen_item, session.pk])
        return []
    return _taken(session, queue, given, at)


def _place(session: LabelingSession) -> tuple[float, int]:
    """Return where in the queue to go on."""
    if session.queue_id is None or session.seen_position is None:
        return BEGINNING
    if session.served % STARTS_OVER_EVERY == STARTS_OVER_EVERY - 1:
        return BEGINNING
    return session.seen_position, session.seen_item or 0


def _taken(
    session: LabelingSession, queue: LabelingQueue, found: Sequence[Found], at: datetime
) -> list[Task]:
    until = at + timedelta(seconds=queue.lease_s)
    with connection.cursor() as cursor:
        cursor.execute(
            _TAKE,
            {
                "queue": queue.pk,
                "labeler": session.labeler_id,
                "session": session.pk,
                "at": at,
                "until": until,
                "leases": [one.lease for one in found],
                "items": [one.item for one in found],
                "hashes": [one.shown.content_hash for one in found],
                "golds": [one.is_gold for one in found],
                "position": session.seen_position,
                "item": session.seen_item,
            },
        )
    session.served += len(found)
    return [
        task_of(
            lease=one.lease,
            item=one.item,
            expires_at=until,
            shown=one.shown,
            queue=queue,
            labeler=session.labeler,
            session_type=session.session_type,
        )
        for one in found
    ]


@retried()
def heartbeat(*, session: LabelingSession) -> list[uuid.UUID]:
    """Prolong all that a session holds and return the leases, oldest first.

    Raises what `next_examples` does, so that somebody whose queue was closed learns it without sending an answer.
    """
    at = now()
    with _giving_back(session), transaction.atomic():
        locked = _locked(session, at)
        current, queues = locked.session, _queues(locked)
        with connection.cursor() as cursor:
            cursor.execute(_PROLONG, [at, current.labeler_id, current.pk, [queue.pk for queue in queues]])
            held = sorted(cursor.fetchall(), key=lambda row: (row[2], row[0]))
        LabelingSession.objects.filter(pk=current.pk).update(last_seen_at=at)
    return [lease for lease, _, _ in held]


@retried()
def release(*, lease_id: uuid.UUID, labeler: Any) -> None:
    """Give an example back unanswered. One that is not held any more stays as it is. Raises UnknownLease."""
    at = now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_OWN, [lease_id, labeler.pk])
            found = cursor.fetchone()
        if found is None:
            raise UnknownLease
        queue_id, item, state, session_id = found
        if state == "held":
            queue = LabelingQueue.objects.get(pk=queue_id)
            end_leases(queue=queue, leases=[(lease_id, item)], state="released", at=at)
            with connection.cursor() as cursor:
                cursor.execute(_LOOK_AGAIN, [session_id])
