"""Hidden checks among what a labeler is given. Each stands before one ordinary example of the queue, for one labeler.

It comes when that example would, whatever the session, its filters and its past; given back, it comes again there, as any
other example would. So nothing that a labeler does brings checks about, avoids them, or tells them from the rest. Where
each stands is not stored: the secret of the queue says it, and names the leases of checks, so that they are found by key.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.crypto import salted_hmac

from labeling_app.domain.gold_checks import gold_due, lease_of_check
from labeling_app.models import LabelingQueue, LabelingSession, Lease, QueueItem
from labeling_app.services.picking import Found
from labeling_app.services.tasks import PAYLOAD, ROW, shown_of

_HAD = (Lease.State.HELD, Lease.State.SUBMITTED, Lease.State.SKIPPED)
_TIMES = 8
_MOST_TIMES = 512
_LOOKS_BACK = timedelta(days=1)

# Gold answers that the labeler never had, in an order that is the same for the same labeler and differs between them; those
# that are asked for first. Expected plan: Sort of the queue's gold answers, then Subquery Scan, which looks each up by key
# until there are enough, so that it takes no longer where there are many. OFFSET 0 keeps the planner from looking up first.
_UNSEEN = f"""
    SELECT g.place, i.id, e.id IS NOT NULL, {PAYLOAD}
      FROM (SELECT g.item_id, row_number() OVER () AS place
              FROM (SELECT item_id FROM labeling_app_goldanswer WHERE queue_id = %s
                     ORDER BY item_id <> ALL (%s), md5(%s || item_id) OFFSET 0) g
             WHERE (SELECT w.state FROM labeling_app_queueitem w WHERE w.id = g.item_id LIMIT 1) NOT IN ('gone', 'rejected')
               AND (SELECT true FROM labeling_app_lease l
                     WHERE l.item_id = g.item_id AND l.labeler_id = %s AND l.state IN ('held', 'submitted', 'skipped')
                     LIMIT 1) IS NULL
               AND (SELECT true FROM labeling_app_label l
                     WHERE l.item_id = g.item_id AND l.labeler_id = %s LIMIT 1) IS NULL
             LIMIT %s) g
      JOIN labeling_app_queueitem i ON i.id = g.item_id {ROW}
     ORDER BY g.place
"""
# Of the labeler's sessions of late (Index Scan using session_of_labeler), with their leases.
_LEASES_OF_LATE = """
      FROM labeling_app_labelingsession s JOIN labeling_app_lease l ON l.session_id = s.id
     WHERE s.labeler_id = %s AND s.started_at > %s AND l.queue_id = %s
"""
_GIVEN_BACK = f"""
    SELECT c.item_id, c.id, c.ended_at
      FROM (SELECT DISTINCT ON (l.item_id) l.item_id, l.id, l.state, l.ended_at {_LEASES_OF_LATE} AND l.is_gold_check
             ORDER BY l.item_id, l.leased_at DESC) c
     WHERE c.state IN ('released', 'expired')
"""
_HAD_OF_LATE = f"""
    SELECT l.item_id {_LEASES_OF_LATE} AND NOT l.is_gold_check AND l.state IN ('held', 'submitted', 'skipped')
     ORDER BY l.leased_at DESC LIMIT 100
"""
# Index Only Scan using label_newest_of_queue, from the newest on.
_LABELED_SINCE = """
    SELECT count(DISTINCT n.labeler_id)
      FROM (SELECT l.labeler_id FROM labeling_app_label l
             WHERE l.queue_id = %s AND l.labeled_at > %s AND l.labeler_id <> %s
             ORDER BY l.labeled_at DESC LIMIT 500) n
"""


@dataclass(frozen=True)
class _Place:
    """Where a check is due: the lease under which it comes, and the item that came there before, if it came before."""

    lease: uuid.UUID
    item: int | None = None


@dataclass(frozen=True)
class _Checked:
    """A labeler in a queue, with its secret."""

    queue: LabelingQueue
    labeler: int
    secret: bytes

    def lease(self, item: int, time: int) -> uuid.UUID:
        return lease_of_check(self.secret, self.labeler, item, time)


def with_checks(
    session: LabelingSession,
    queue: LabelingQueue,
    found: Sequence[Found],
    count: int,
    *,
    at: datetime,
    from_the_beginning: bool,
) -> list[Found]:
    """Return up to `count` examples: those that were found, in order, with the checks that stand before some of them.

    What is left over of `found` is not given out now. There is no check where nothing comes after it, none once the
    labeler had them all, and none in sessions of validation and correction: they show the answers that are there, and
    only reviewers, who know which are gold, may start them. `from_the_beginning`: the session looks through the queue
    from its beginning, so what was given back is due again.
    """
    if not queue.gold_rate or session.session_type != LabelingSession.Type.INITIAL_LABELING:
        return list(found)[:count]
    who = _Checked(queue, session.labeler_id, _secret(queue))
    due = [one.item for one in found if gold_due(who.secret, who.labeler, one.item, queue.gold_rate)]
    left_behind = _left_behind(who, at) if from_the_beginning else []
    places = _places(who, due)
    if not left_behind and not places:
        return list(found)[:count]
    checks = _checks(who, [*left_behind, *places.values()])
    given = [check for place in left_behind if (check := checks.get(place.lease)) is not None]
    for one in found:
        check = checks.get(places[one.item].lease) if one.item in places else None
        given += [one] if check is None else [check, one]
    return given[:count]


def would_be_taken(queue: LabelingQueue, labeler: int, since: datetime | None) -> bool:
    """Tell whether others would have taken an example that `labeler` gave back then, were it no check.

    A check has room for everybody. Where all others are taken by those at work, one that is not would be known by that.
    """
    if since is None:
        return False
    with connection.cursor() as cursor:
        cursor.execute(_LABELED_SINCE, [queue.pk, since, labeler])
        return bool(cursor.fetchone()[0] >= queue.overlap)


def _secret(queue: LabelingQueue) -> bytes:
    """Return what rules where checks stand. The queue's seed alone is easily guessed, and a labeler knows all the rest."""
    return salted_hmac("golden hidden checks", f"{queue.pk}:{queue.seed}", algorithm="sha256").digest()


def _places(who: _Checked, due: Iterable[int]) -> dict[int, _Place]:
    """Return for each of these examples the place of its check, unless the labeler has had that."""
    places: dict[int, _Place] = {}
    asked, times = list(due), _TIMES
    while asked and times <= _MOST_TIMES:
        leases = {item: [who.lease(item, time) for time in range(times)] for item in asked}
        rows = Lease.objects.filter(pk__in=[lease for some in leases.values() for lease in some])
        made = {row[0]: row[1:] for row in rows.values_list("pk", "item", "state", "ended_at")}
        asked = []
        for item, some in leases.items():
            used = [made[lease] for lease in some if lease in made]
            if used and (used[-1][1] in _HAD or would_be_taken(who.queue, who.labeler, used[-1][2])):
                continue
            if len(used) == times:  # given back again and again
                asked.append(item)
                continue
            places[item] = _Place(some[len(used)], used[-1][0] if used else None)
        times *= 8
    return places


def _left_behind(who: _Checked, at: datetime) -> list[_Place]:
    """Return the checks that were given back, or ran out, after the example behind them was had: nothing brings them again.

    Any other example would come again, so they do at once.
    """
    parameters: list[Any] = [who.labeler, at - _LOOKS_BACK, who.queue.pk]
    with connection.cursor() as cursor:
        cursor.execute(_GIVEN_BACK, parameters)
        given_back = cursor.fetchall()
        if not given_back:
            return []
        cursor.execute(_HAD_OF_LATE, parameters)
        had = [row[0] for row in cursor.fetchall()]
    stood = {who.lease(item, time): (item, time) for item in had for time in range(_TIMES)}
    return [
        _Place(who.lease(stood[lease][0], stood[lease][1] + 1), item)
        for item, lease, ended_at in given_back
        if lease in stood and not would_be_taken(who.queue, who.labeler, ended_at)
    ]


def _checks(who: _Checked, places: Sequence[_Place]) -> dict[uuid.UUID, Found]:
    """Return the check of each place by its lease: what came there before, or gold that the labeler never had.

    A place has none when what came there is no gold any more or was had since, or when there is no gold left.
    """
    if not places:
        return {}
    again = {place.item for place in places if place.item is not None}
    unseen = {found.item: found for found in _unseen(who, sorted(again), len(places))}
    new = [item for item in unseen if item not in again]
    checks: dict[uuid.UUID, Found] = {}
    for place in places:
        if place.item is None and not new:
            continue
        found = unseen.pop(new.pop(0) if place.item is None else place.item, None)
        if found is not None:
            checks[place.lease] = Found(found.item, found.shown, is_gold=True, lease=place.lease)
    return checks


def _unseen(who: _Checked, first: list[int], count: int) -> list[Found]:
    """Return up to `count` gold items that the labeler never had; those whose row is gone are marked on the way."""
    queue = who.queue
    parameters: list[Any] = [who.labeler, queue.pk, first, f"{who.labeler}:", who.labeler, who.labeler, count]
    with connection.cursor() as cursor:
        cursor.execute(_UNSEEN, [*parameters, queue.branch_id, queue.example_type_id])
        rows = cursor.fetchall()
    gone = [item for _, item, is_there, *_ in rows if not is_there]
    if gone:
        QueueItem.objects.filter(pk__in=gone).update(state=QueueItem.State.GONE)
    return [Found(item, shown_of(payload)) for _, item, is_there, *payload in rows if is_there]
