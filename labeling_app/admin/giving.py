"""From the list of examples: chosen ones are given to a person or a group, who then gets them first in a queue."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import QueryDict

from datasets_app.admin.corpus.base import id_or_none
from datasets_app.admin.examples import BulkAction
from datasets_app.domain.roles import Action
from datasets_app.models import Branch
from goldenproject.kit.errors import BadInput
from labeling_app.console.queue_form import member_chosen, possible_members
from labeling_app.models import LabelingQueue
from labeling_app.services.assigning import assign_items


def open_queues(branch: Branch) -> list[LabelingQueue]:
    """Return the queues of a branch that are not closed."""
    queues = LabelingQueue.objects.filter(branch=branch).exclude(state=LabelingQueue.State.CLOSED)
    return list(queues.order_by("name"))


def _asked(branch: Branch, person: Any) -> dict[str, Any]:
    people, groups = possible_members(branch.dataset, None)
    return {"queues": open_queues(branch), "people": people, "groups": groups}


def _give(branch: Branch, uuids: list[uuid.UUID], typed: QueryDict, actor: Any) -> int:
    key = id_or_none(typed.get("queue", ""))
    queue = next((one for one in open_queues(branch) if one.pk == key), None)
    if queue is None:
        raise BadInput("Choose a queue of this branch.")
    user, group = member_chosen(queue, typed.get("whom", ""))
    return assign_items(queue=queue, example_ids=uuids, user=user, group=group, actor=actor)


GIVE = BulkAction(
    "give",
    "Give to labelers…",
    Action.EDIT,
    "{n} of the queue given.",
    _give,
    asks_first=True,
    template="labeling_app/queue/give.html",
    asks=_asked,
    applies=lambda branch: bool(open_queues(branch)),
)
