"""Datasets, example types, and who has which role in a dataset."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView, JsonObject, operation
from datasets_app.api.paging import PageQuery, paged
from datasets_app.domain.roles import Action
from datasets_app.models import ExampleType, Membership
from datasets_app.models.access import ROLE_CHOICES
from datasets_app.services import access
from datasets_app.services.curation.datasets import create_dataset, update_dataset
from datasets_app.services.curation.types import get_type, save_type
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput, Conflict, NotFound


class DatasetOut(serializers.Serializer):
    """A dataset. `version` is its newest tag."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.CharField(allow_blank=True)
    description = serializers.CharField(allow_blank=True)
    created_at = serializers.DateTimeField()
    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    parent_version = serializers.CharField(allow_blank=True)
    is_active = serializers.BooleanField()
    quality_score = serializers.FloatField(allow_null=True)
    tags = serializers.ListField(child=serializers.CharField())
    metadata = JsonObject()
    default_type = serializers.CharField(source="default_type.name", default=None, allow_null=True)


class _DatasetFields(serializers.Serializer):
    description = serializers.CharField(
        allow_blank=True, required=False, trim_whitespace=False, max_length=100_000
    )
    tags = serializers.ListField(child=serializers.CharField(max_length=60), required=False, max_length=100)
    metadata = JsonObject(required=False)
    default_type = serializers.CharField(
        required=False, allow_null=True, help_text="Name of an example type."
    )


class DatasetCreate(_DatasetFields):
    """A new dataset, empty or started from a version of another one."""

    name = serializers.CharField(max_length=200)
    parent_version = serializers.CharField(
        required=False, allow_blank=True, max_length=300, help_text="DATASET@REF to start from."
    )


class DatasetPatch(_DatasetFields):
    """What is to change of a dataset."""

    name = serializers.CharField(max_length=200, required=False)
    is_active = serializers.BooleanField(required=False)


class DatasetsView(GoldenView):
    @operation(
        "datasets_list",
        "The datasets that you may view",
        tag="datasets",
        query=PageQuery,
        answer=paged(DatasetOut),
    )
    def get(self, request: Request) -> Response:
        rows = self.allowed_datasets().select_related("created_by", "default_type")
        return self.page_of_query(rows, DatasetOut, key="name", kind=str)

    @operation(
        "datasets_create", "Make a dataset", tag="datasets", body=DatasetCreate, answer=DatasetOut, status=201
    )
    def post(self, request: Request) -> Response:
        self.require(Action.EDIT)
        fields = _with_type(self.body(DatasetCreate))
        parent = fields.get("parent_version", "")
        if parent:
            self._require_view_of(parent)
        dataset = create_dataset(actor=request.user, **fields)
        return Response(DatasetOut(dataset).data, status=201)

    def _require_view_of(self, parent: str) -> None:
        """Copying a version is reading it."""
        names = [parent, parent.rpartition("@")[0]]
        if not self.allowed_datasets().filter(name__in=names).exists():
            self.visible_dataset(parent.rpartition("@")[0] or parent)


class DatasetView(GoldenView):
    actions = {"GET": Action.VIEW, "PATCH": Action.EDIT}

    @operation("datasets_read", "A dataset by name or UUID", tag="datasets", answer=DatasetOut)
    def get(self, request: Request, dataset: str) -> Response:
        return Response(DatasetOut(self.dataset).data)

    @operation("datasets_update", "Change a dataset", tag="datasets", body=DatasetPatch, answer=DatasetOut)
    def patch(self, request: Request, dataset: str) -> Response:
        fields = _with_type(self.body(DatasetPatch, partial=True))
        changed = update_dataset(dataset=self.dataset, actor=request.user, **fields)
        return Response(DatasetOut(changed).data)


def _with_type(fields: dict[str, Any]) -> dict[str, Any]:
    if fields.get("default_type") is not None:
        fields["default_type"] = get_type(fields["default_type"])
    return fields


class TypeOut(serializers.Serializer):
    """An example type: JSON Schemas of input and output, and which field of the output is the class."""

    name = serializers.CharField()
    title = serializers.CharField()
    description = serializers.CharField(allow_blank=True)
    input_schema = JsonObject()
    output_schema = JsonObject()
    class_field = serializers.CharField(allow_blank=True)
    required_fields = serializers.ListField(child=serializers.CharField())
    presentation = JsonObject()
    is_builtin = serializers.BooleanField()


class TypePatch(serializers.Serializer):
    """What is to change of an example type. Examples that are there already are not touched."""

    title = serializers.CharField(max_length=120, required=False)
    description = serializers.CharField(allow_blank=True, required=False, max_length=100_000)
    input_schema = JsonObject(required=False)
    output_schema = JsonObject(required=False)
    class_field = serializers.CharField(allow_blank=True, required=False, max_length=200)
    required_fields = serializers.ListField(
        child=serializers.CharField(max_length=200), required=False, max_length=1000
    )
    presentation = JsonObject(required=False)


class TypeCreate(TypePatch):
    """A new example type."""

    name = serializers.SlugField(max_length=80)
    title = serializers.CharField(max_length=120)
    input_schema = JsonObject()
    output_schema = JsonObject()


class TypesView(GoldenView):
    @operation("types_list", "The example types", tag="types", query=PageQuery, answer=paged(TypeOut))
    def get(self, request: Request) -> Response:
        self.allowed_datasets()
        return self.page_of_query(ExampleType.objects.all(), TypeOut, key="name", kind=str)

    @operation(
        "types_create", "Make an example type", tag="types", body=TypeCreate, answer=TypeOut, status=201
    )
    def post(self, request: Request) -> Response:
        self.require(Action.MANAGE)
        fields = self.body(TypeCreate)
        if ExampleType.objects.filter(name=fields["name"]).exists():
            raise Conflict(
                f"There is an example type “{fields['name']}” already.", hint="Change that one with PATCH."
            )
        made = save_type(example_type=ExampleType(**fields), actor=request.user)
        return Response(TypeOut(made).data, status=201)


class TypeView(GoldenView):
    @operation("types_read", "An example type", tag="types", answer=TypeOut)
    def get(self, request: Request, name: str) -> Response:
        self.allowed_datasets()
        return Response(TypeOut(_type_there(name)).data)

    @operation("types_update", "Change an example type", tag="types", body=TypePatch, answer=TypeOut)
    def patch(self, request: Request, name: str) -> Response:
        self.require(Action.MANAGE)
        found = _type_there(name)
        for field, value in self.body(TypePatch, partial=True).items():
            setattr(found, field, value)
        return Response(TypeOut(save_type(example_type=found, actor=request.user)).data)


def _type_there(name: str) -> ExampleType:
    """In a body an unknown type is bad input; in the address it is a thing that is not there."""
    found = ExampleType.objects.filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no example type “{name}”.")
    return found


class MemberOut(serializers.Serializer):
    """The role of a user or of a group in a dataset."""

    id = serializers.IntegerField()
    user = serializers.CharField(source="user.username", default=None, allow_null=True)
    group = serializers.CharField(source="group.name", default=None, allow_null=True)
    role = serializers.ChoiceField(ROLE_CHOICES)


class MemberCreate(serializers.Serializer):
    """A role for a user or for a group, one of the two."""

    user = serializers.CharField(required=False, max_length=150, help_text="A user name.")
    group = serializers.CharField(required=False, max_length=150, help_text="A name of a group.")
    role = serializers.ChoiceField(ROLE_CHOICES)


class MemberPatch(serializers.Serializer):
    """The new role of a member."""

    role = serializers.ChoiceField(ROLE_CHOICES)


class MembersView(GoldenView):
    actions = {"GET": Action.MANAGE, "POST": Action.MANAGE}

    @operation(
        "members_list", "Who has a role in a dataset", tag="members", query=PageQuery, answer=paged(MemberOut)
    )
    def get(self, request: Request, dataset: str) -> Response:
        rows = self.dataset.memberships.select_related("user", "group")
        return self.page_of_query(rows, MemberOut, key="id", kind=int)

    @operation(
        "members_create",
        "Give a role in a dataset",
        tag="members",
        body=MemberCreate,
        answer=MemberOut,
        status=201,
    )
    def post(self, request: Request, dataset: str) -> Response:
        body = self.body(MemberCreate)
        if ("user" in body) == ("group" in body):
            raise BadInput("A membership is for a user or for a group: give one of the two.")
        member = Membership(dataset=self.dataset, role=body["role"], **_member(body))
        with acting(request.user, "add member"):
            try:
                with transaction.atomic():
                    member.save()
            except IntegrityError as error:
                raise Conflict(
                    f"{member} is there already.", hint="Change the role of that one with PATCH."
                ) from error
            access.record(request.user, "member.add", self.dataset, str(member))
        return Response(MemberOut(member).data, status=201)


class MemberView(GoldenView):
    actions = {"PATCH": Action.MANAGE, "DELETE": Action.MANAGE}

    @operation("members_update", "Change a role", tag="members", body=MemberPatch, answer=MemberOut)
    def patch(self, request: Request, dataset: str, member: int) -> Response:
        found = self._member(member)
        with acting(request.user, "change member"):
            found.role = self.body(MemberPatch)["role"]
            found.save(update_fields=["role"])
            access.record(request.user, "member.change", self.dataset, str(found))
        return Response(MemberOut(found).data)

    @operation("members_delete", "Take a role away", tag="members", status=204)
    def delete(self, request: Request, dataset: str, member: int) -> Response:
        found = self._member(member)
        with acting(request.user, "remove member"):
            access.record(request.user, "member.remove", self.dataset, str(found))
            found.delete()
        return Response(status=204)

    def _member(self, member: int) -> Membership:
        found = self.dataset.memberships.filter(pk=member).select_related("user", "group").first()
        if found is None:
            raise NotFound(f"Dataset “{self.dataset}” has no membership {member}.")
        return found


def _member(body: dict[str, Any]) -> dict[str, Any]:
    if "user" in body:
        user = get_user_model().objects.filter(username=body["user"]).first()
        if user is None:
            raise BadInput(f"There is no user “{body['user']}”.")
        return {"user": user}
    group = Group.objects.filter(name=body["group"]).first()
    if group is None:
        raise BadInput(f"There is no group “{body['group']}”.")
    return {"group": group}
