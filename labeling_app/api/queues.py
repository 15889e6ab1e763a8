"""Queues: what is to be labeled, by whom, and how far it is."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Q
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import AnyJson, JsonObject, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, decode_uuid_cursor, paged
from datasets_app.api.site import JobOut
from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services import access
from datasets_app.services.curation.types import get_type
from datasets_app.services.versioning.refs import get_branch
from goldenproject.kit.errors import BadInput
from labeling_app.api.base import QueueView
from labeling_app.models import LabelingQueue, QueueItem
from labeling_app.services.assigning import assign_items, queues_for, set_members
from labeling_app.services.queues import (
    QueueOptions,
    create_queue,
    progress_of,
    refresh_or_start,
    set_queue_state,
    unfinished_overlap_job,
    update_queue,
)

MAX_EXAMPLES = 10_000
_SETTINGS = (
    "instructions",
    "choices",
    "overlap",
    "order",
    "seed",
    "priority_field",
    "filters",
    "gold_rate",
    "gold_pause_below",
    "gold_pause_after",
    "lease_s",
    "idle_s",
    "consensus_method",
    "adopts",
    "agreement_threshold",
    "validates_adopted",
)


class QueueOut(serializers.Serializer):
    """A queue. `settings` are for those who may review: labelers are not told how they are checked."""

    id = serializers.UUIDField()
    dataset = serializers.CharField()
    name = serializers.CharField()
    branch = serializers.CharField()
    type = serializers.CharField()
    field_path = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(LabelingQueue.State.choices)
    may_label = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    refreshed_at = serializers.DateTimeField(allow_null=True)
    settings = JsonObject(allow_null=True)


class ChangedQueueOut(QueueOut):
    """A queue, and the job that lets its examples follow another overlap, where they are many."""

    job = JobOut(allow_null=True)


class ShareField(serializers.FloatField):
    """A number that is stored with decimal places."""

    def to_internal_value(self, data: Any) -> Decimal:  # type: ignore[override]
        return Decimal(str(super().to_internal_value(data)))


class QueueFields(serializers.Serializer):
    """What can be changed of a queue; what a field means is told where queues are made in the console."""

    instructions = serializers.CharField(required=False, allow_blank=True, max_length=100_000)
    choices = serializers.ListField(child=AnyJson(), required=False, max_length=10_000)
    overlap = serializers.IntegerField(min_value=1, max_value=50, required=False)
    order = serializers.ChoiceField(LabelingQueue.Order.choices, required=False)
    seed = serializers.IntegerField(min_value=-(2**31), max_value=2**31 - 1, required=False)
    priority_field = serializers.CharField(required=False, allow_blank=True, max_length=200)
    filters = JsonObject(required=False)
    gold_rate = ShareField(min_value=0, max_value=0.5, required=False)
    gold_pause_below = ShareField(min_value=0, max_value=1, required=False, allow_null=True)
    gold_pause_after = serializers.IntegerField(min_value=1, max_value=100_000, required=False)
    lease_s = serializers.IntegerField(min_value=10, max_value=30 * 86_400, required=False)
    idle_s = serializers.IntegerField(min_value=60, max_value=30 * 86_400, required=False)
    consensus_method = serializers.ChoiceField(LabelingQueue.Method.choices, required=False)
    adopts = serializers.ChoiceField(LabelingQueue.Adopts.choices, required=False)
    agreement_threshold = ShareField(min_value=0, max_value=1, required=False)
    validates_adopted = serializers.BooleanField(required=False)


class QueueCreate(QueueFields):
    """A new queue of a dataset. Branch, type and field stay as they are."""

    dataset = serializers.CharField(max_length=200)
    name = serializers.CharField(max_length=200)
    branch = serializers.CharField(required=False, allow_blank=True, default="", max_length=250)
    type = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)
    field_path = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)


class QueueChange(QueueFields):
    """Fields that are to change. A queue that is paused or closed gives nothing out."""

    name = serializers.CharField(max_length=200, required=False)
    state = serializers.ChoiceField(LabelingQueue.State.choices, required=False)


class QueuesView(QueueView):
    actions = {"POST": Action.EDIT}

    @operation(
        "labeling_queues_list",
        "Queues that you may label or view",
        tag="labeling",
        query=PageQuery,
        answer=paged(QueueOut),
    )
    def get(self, request: Request) -> Response:
        query = self.query(PageQuery)
        seen = Q(pk__in=queues_for(request.user).order_by().values("pk"))
        rows = LabelingQueue.objects.select_related("dataset", "branch", "example_type")
        rows = rows.filter(seen | Q(dataset__in=access.allowed_datasets(request.user)))
        after = decode_uuid_cursor(query["cursor"])
        if after is not None:
            rows = rows.filter(pk__gt=after)
        page, cursor = cut(
            list(rows.order_by("pk")[: query["limit"] + 1]), query["limit"], lambda row: str(row.pk)
        )
        return Response({"results": documents(page, request.user), "next_cursor": cursor})

    @operation(
        "labeling_queues_create",
        "Make a queue",
        tag="labeling",
        body=QueueCreate,
        answer=QueueOut,
        status=201,
    )
    def post(self, request: Request) -> Response:
        body = self.body(QueueCreate)
        self.dataset = self.visible_dataset(body.pop("dataset"))
        self.require(Action.EDIT, self.dataset)
        name, branch, kind = body.pop("name"), body.pop("branch"), body.pop("type")
        options = QueueOptions(
            branch=get_branch(self.dataset, branch or None),
            example_type=get_type(kind) if kind else None,
            **body,
        )
        queue = create_queue(dataset=self.dataset, name=name, actor=request.user, options=options)
        queue.refresh_from_db(fields=["created_at"])
        return Response(documents([queue], request.user)[0], status=201)


class OneQueueView(QueueView):
    actions = {"PATCH": Action.EDIT}

    @operation("labeling_queues_read", "A queue", tag="labeling", answer=QueueOut)
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        return Response(documents([self.queue], request.user)[0])

    @operation(
        "labeling_queues_update", "Change a queue", tag="labeling", body=QueueChange, answer=ChangedQueueOut
    )
    def patch(self, request: Request, queue: uuid.UUID) -> Response:
        body = self.body(QueueChange, partial=True)
        state = body.pop("state", None)
        changed = self.queue
        if body:
            changed = update_queue(queue=changed, actor=request.user, **body)
        if state is not None:
            changed = set_queue_state(queue=changed, state=state, actor=request.user)
        job = unfinished_overlap_job(changed) if "overlap" in body else None
        told = documents([changed], request.user)[0]
        return Response({**told, "job": JobOut(job).data if job else None})


class RefreshOut(serializers.Serializer):
    """What a refresh did, or the job that does it."""

    added = serializers.IntegerField(allow_null=True)
    gone = serializers.IntegerField(allow_null=True)
    back = serializers.IntegerField(allow_null=True)
    job = JobOut(allow_null=True)


class RefreshView(QueueView):
    actions = {"POST": Action.EDIT}

    @operation(
        "labeling_queues_refresh",
        "Bring a queue in line with the working copy; a big one by a job",
        tag="labeling",
        answer=RefreshOut,
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        done = refresh_or_start(queue=self.queue, actor=request.user)
        if isinstance(done, JobRun):
            return Response({"added": None, "gone": None, "back": None, "job": JobOut(done).data})
        return Response({**done.document(), "job": None})


class ProgressOut(serializers.Serializer):
    """Items of a queue by state, and labels there and wanted. For who may not review in steps, and as open or labeled."""

    items = serializers.IntegerField()
    open = serializers.IntegerField()
    labeled = serializers.IntegerField()
    review = serializers.IntegerField()
    adopted = serializers.IntegerField()
    rejected = serializers.IntegerField()
    gone = serializers.IntegerField()
    labels = serializers.IntegerField()
    labels_wanted = serializers.IntegerField()


class ProgressView(QueueView):
    @operation("labeling_queues_progress", "How far a queue is", tag="labeling", answer=ProgressOut)
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        progress = progress_of(self.queue)
        exact = access.may(request.user, Action.REVIEW, self.queue.dataset)
        return Response((progress if exact else progress.coarse()).document())


class MembersBody(serializers.Serializer):
    """Who labels the queue. Nobody named: all labelers of its dataset."""

    users = serializers.ListField(child=serializers.CharField(max_length=150), default=list, max_length=1000)
    groups = serializers.ListField(child=serializers.CharField(max_length=150), default=list, max_length=1000)


class MembersView(QueueView):
    actions = {"PUT": Action.EDIT}

    @operation(
        "labeling_queues_members",
        "Give a queue to people and groups",
        tag="labeling",
        body=MembersBody,
        answer=MembersBody,
    )
    def put(self, request: Request, queue: uuid.UUID) -> Response:
        body = self.body(MembersBody)
        set_members(
            queue=self.queue,
            users=people(body["users"]),
            groups=groups(body["groups"]),
            actor=request.user,
        )
        return Response({name: sorted(set(body[name])) for name in ("users", "groups")})


class AssignBody(serializers.Serializer):
    """Examples, and the person or the group that is to label them; null for both gives them to everybody again."""

    examples = serializers.ListField(child=serializers.UUIDField(), max_length=MAX_EXAMPLES)
    user = serializers.CharField(max_length=150, required=False, allow_null=True, default=None)
    group = serializers.CharField(max_length=150, required=False, allow_null=True, default=None)


class CountOut(serializers.Serializer):
    """How many examples it was done to."""

    examples = serializers.IntegerField()


class AssignView(QueueView):
    actions = {"POST": Action.EDIT}

    @operation(
        "labeling_queues_assign",
        "Assign examples of a queue to one person or group",
        tag="labeling",
        body=AssignBody,
        answer=CountOut,
    )
    def post(self, request: Request, queue: uuid.UUID) -> Response:
        body = self.body(AssignBody)
        count = assign_items(
            queue=self.queue,
            example_ids=body["examples"],
            user=people([body["user"]])[0] if body["user"] is not None else None,
            group=groups([body["group"]])[0] if body["group"] is not None else None,
            actor=request.user,
        )
        return Response({"examples": count})


class ItemFilter(PageQuery):
    """Which items."""

    state = serializers.ChoiceField(QueueItem.State.choices, required=False, default=None)


class ItemOut(serializers.Serializer):
    """An example of a queue."""

    item = serializers.IntegerField(source="id")
    example = serializers.UUIDField(source="example_id")
    external_id = serializers.CharField(source="example.external_id", allow_null=True)
    state = serializers.ChoiceField(QueueItem.State.choices)
    labels = serializers.IntegerField(source="label_count")
    open_slots = serializers.IntegerField()
    is_gold = serializers.BooleanField()
    assignee = serializers.CharField(source="assignee.username", default=None, allow_null=True)
    assigned_group = serializers.CharField(source="assigned_group.name", default=None, allow_null=True)


class ItemsView(QueueView):
    actions = {"GET": Action.REVIEW}

    @operation(
        "labeling_queues_items",
        "Examples of a queue, in the order in which they joined it",
        tag="labeling",
        query=ItemFilter,
        answer=paged(ItemOut),
    )
    def get(self, request: Request, queue: uuid.UUID) -> Response:
        query = self.query(ItemFilter)
        rows = QueueItem.objects.filter(queue=self.queue)
        if query["state"]:
            rows = rows.filter(state=query["state"])
        after = decode_cursor(query["cursor"], int)
        if after is not None:
            rows = rows.filter(pk__gt=after)
        found = rows.select_related("example", "assignee", "assigned_group").order_by("pk")
        page, cursor = cut(list(found[: query["limit"] + 1]), query["limit"], lambda row: row.pk)
        return self.page(page, ItemOut, cursor)


def documents(queues: Sequence[LabelingQueue], person: Any) -> list[dict[str, Any]]:
    """Return queues as `person` may see them."""
    mine = set(queues_for(person).filter(pk__in=[queue.pk for queue in queues]).values_list("pk", flat=True))
    return [_document(queue, person, may_label=queue.pk in mine) for queue in queues]


def _document(queue: LabelingQueue, person: Any, *, may_label: bool) -> dict[str, Any]:
    is_told = access.may(person, Action.REVIEW, queue.dataset)
    settings = {name: _plain(getattr(queue, name)) for name in _SETTINGS} if is_told else None
    return {
        "id": queue.pk,
        "dataset": queue.dataset.name,
        "name": queue.name,
        "branch": queue.branch.name,
        "type": queue.example_type.name,
        "field_path": queue.field_path,
        "state": queue.state,
        "may_label": may_label,
        "created_at": queue.created_at,
        "refreshed_at": queue.refreshed_at,
        "settings": settings,
    }


def _plain(value: Any) -> Any:
    return float(value) if hasattr(value, "as_tuple") else value


def people(names: Sequence[str]) -> list[Any]:
    """Return the users of these names. Raises BadInput, which names those that are none."""
    return _all_of(get_user_model().objects.filter(username__in=names), "username", names, "user")


def groups(names: Sequence[str]) -> list[Group]:
    return _all_of(Group.objects.filter(name__in=names), "name", names, "group")


def _all_of(rows: Any, column: str, names: Sequence[str], what: str) -> list[Any]:
    found = list(rows)
    missing = sorted(set(names) - {getattr(row, column) for row in found})
    if missing:
        raise BadInput(f"There is no {what} {', '.join(f'“{name}”' for name in missing)}.")
    return found
