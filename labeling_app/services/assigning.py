"""Who may label what: queues given to people and groups, and single examples given to one of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from datasets_app.domain.roles import Action
from datasets_app.services.access import allowed_datasets, record, require
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput, Forbidden
from goldenproject.kit.retries import retried
from labeling_app.errors import LabelerPaused, NotAssigned, QueueNotOpen
from labeling_app.models import LabelingQueue, QueueMember
from labeling_app.services.kept_queues import FACTS
from labeling_app.services.slots import rewind


def queues_for(person: Any) -> QuerySet[LabelingQueue]:
    """Return the queues that `person` may label, those that are paused included, by dataset and name."""
    members = QueueMember.objects.filter(queue=OuterRef("pk"))
    return (
        LabelingQueue.objects.filter(dataset__in=allowed_datasets(person, Action.LABEL))
        .exclude(state=LabelingQueue.State.CLOSED)
        .filter(~Exists(members) | Exists(members.filter(_is(person))))
        .select_related("dataset", "branch__dataset", "example_type")
        .order_by("dataset__name", "name")
    )


@dataclass(frozen=True)
class Facts:
    """What decides whether a person may label in a queue, besides their role; the columns of `kept_queues.FACTS`."""

    has_members: bool
    is_member: bool
    pause_reason: str | None


def require_labeler(person: Any, queue: LabelingQueue, facts: Facts | None = None) -> None:
    """Raise unless `person` may label in this queue now. `facts` are read here unless they are given.

    Forbidden: no such role, or not active any more. NotAssigned: the queue is given to others. LabelerPaused, with the
    reason. Whether the queue itself is open is `require_open`.
    """
    if not person.is_active:
        raise Forbidden("This account is not active any more.", hint="Ask an administrator.")
    require(person, Action.LABEL, queue.dataset)
    facts = facts or _facts(person, queue)
    if facts.has_members and not facts.is_member:
        raise NotAssigned(f"The queue “{queue.name}” is not assigned to you.", hint="Ask a curator.")
    if facts.pause_reason is not None:
        raise LabelerPaused(
            f"You are paused in “{queue.name}”. {facts.pause_reason}".strip(), reason=facts.pause_reason
        )


def _facts(person: Any, queue: LabelingQueue) -> Facts:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {FACTS} FROM labeling_app_labelingqueue q WHERE q.id = %s",
            [person.pk, person.pk, person.pk, queue.pk],
        )
        return Facts(*(cursor.fetchone() or (False, False, None)))


def require_open(queue: LabelingQueue) -> None:
    """Raise QueueNotOpen for a queue that is paused or closed, or whose branch nobody edits now."""
    if queue.state != LabelingQueue.State.OPEN:
        raise QueueNotOpen(
            f"The queue “{queue.name}” is {queue.state}.",
            hint="What you have labeled stays. Choose another queue, or come back later.",
        )
    if not queue.branch.is_open:
        raise QueueNotOpen(
            f"Branch “{queue.branch.name}”, which the queue “{queue.name}” is about, has no working copy now.",
            hint="What you have labeled stays. Ask a curator to open the branch for editing.",
        )


def _is(person: Any) -> Q:
    return Q(user=person.pk) | Q(group__in=Group.objects.filter(user=person.pk))


@retried()
def set_members(
    *, queue: LabelingQueue, users: Iterable[Any] = (), groups: Iterable[Group] = (), actor: Any
) -> None:
    """Give a queue to these people and groups alone; to none: it is open to all labelers of its dataset. Right: edit."""
    if actor is not None:
        require(actor, Action.EDIT, queue.dataset)
    wanted = {("user", user.pk) for user in users} | {("group", group.pk) for group in groups}
    with acting(actor, f"members of queue {queue.name}"):
        LabelingQueue.objects.select_for_update(of=("self",)).get(pk=queue.pk)
        there = {
            ("user", member.user_id) if member.user_id else ("group", member.group_id): member.pk
            for member in QueueMember.objects.filter(queue=queue)
        }
        QueueMember.objects.filter(pk__in=[pk for who, pk in there.items() if who not in wanted]).delete()
        QueueMember.objects.bulk_create(
            QueueMember(queue=queue, **{f"{kind}_id": pk}) for kind, pk in sorted(wanted - there.keys())
        )
        record(actor, "labels.queue_members", queue.dataset, f"{queue.name}: {len(wanted)} members")


_ASSIGN = """
    UPDATE labeling_app_queueitem i SET assignee_id = %s, assigned_group_id = %s
      FROM (SELECT w.id FROM labeling_app_queueitem w WHERE w.queue_id = %s AND w.example_id = ANY(%s)
             ORDER BY w.id FOR NO KEY UPDATE) w
     WHERE i.id = w.id
    RETURNING i.id
"""


@retried()
def assign_items(
    *, queue: LabelingQueue, example_ids: Iterable[uuid.UUID], actor: Any, user: Any = None, group: Any = None
) -> int:
    """Give single examples to one person or one group; to neither: to everybody again. Return how many items. Right: edit.

    Whoever holds one of them now may finish it.
    """
    if actor is not None:
        require(actor, Action.EDIT, queue.dataset)
    if user is not None and group is not None:
        raise BadInput("An example is assigned to a person or to a group, not to both.")
    examples = list(example_ids)
    with acting(actor, f"assign in queue {queue.name}"), connection.cursor() as cursor:
        cursor.execute(_ASSIGN, [getattr(user, "pk", None), getattr(group, "pk", None), queue.pk, examples])
        items = [row[0] for row in cursor.fetchall()]
        rewind(queue=queue, item_ids=items)
        whom = user or group or "everybody"
        record(actor, "labels.assign", queue.dataset, f"{len(items)} of {queue.name} to {whom}")
    return len(items)
