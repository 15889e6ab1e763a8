"""The shapes of what several addresses answer."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from datasets_app.api.base import AnyJson, JsonObject
from datasets_app.domain.field_diff import FieldChange
from datasets_app.domain.json_path import MISSING
from datasets_app.models import Merge, MergeConflict, ValidationStatus

CHANGE_TYPES = ["added", "removed", "modified"]


class CommitOut(serializers.Serializer):
    """A version. `parents` has the merged commit second."""

    hash = serializers.CharField(source="commit_hash")
    parents = serializers.ListField(child=serializers.CharField())
    root_hash = serializers.CharField(help_text="Hash of all examples: equal content, equal root.")
    message = serializers.CharField()
    author = serializers.CharField()
    committed_at = serializers.DateTimeField()
    added = serializers.IntegerField(source="examples_added")
    removed = serializers.IntegerField(source="examples_removed")
    modified = serializers.IntegerField(source="examples_modified")
    example_count = serializers.IntegerField()
    metadata = JsonObject()


class VersionedExampleOut(serializers.Serializer):
    """An example as a version holds it. A redacted one has `redacted` true and no content."""

    id = serializers.UUIDField(source="uuid")
    external_id = serializers.CharField(allow_null=True)
    redacted = serializers.SerializerMethodField()
    type = serializers.CharField(source="content.type", default=None, allow_null=True)
    input = AnyJson(source="content.input", default=None, allow_null=True)
    output = AnyJson(source="content.output", default=None, allow_null=True)
    labels = JsonObject(source="content.labels", default=None, allow_null=True)
    metadata = JsonObject(source="content.metadata", default=None, allow_null=True)
    provenance = JsonObject(source="content.provenance", default=None, allow_null=True)
    source_decision_id = serializers.CharField(source="content.source", default=None, allow_null=True)
    status = serializers.ChoiceField(
        ValidationStatus.choices, source="content.status", default=None, allow_null=True
    )

    def get_redacted(self, row: Any) -> bool:
        return row.content is None


class FieldChangeOut(serializers.Serializer):
    """A changed field; `old` is left out where it was added, `new` where it was removed."""

    path = serializers.CharField()
    kind = serializers.ChoiceField(["added", "removed", "changed"])
    old = AnyJson(required=False)
    new = AnyJson(required=False)

    def to_representation(self, change: FieldChange) -> dict[str, Any]:
        shown: dict[str, Any] = {"path": change.path, "kind": change.kind}
        shown.update(
            {name: value for name in ("old", "new") if (value := getattr(change, name)) is not MISSING}
        )
        return shown


class ExampleDiffOut(serializers.Serializer):
    """An example in which two versions differ; `fields` is empty where it was added or removed as a whole."""

    id = serializers.UUIDField(source="uuid")
    external_id = serializers.CharField(allow_null=True)
    change = serializers.ChoiceField(CHANGE_TYPES, source="change_type")
    fields_ = FieldChangeOut(many=True)
    old = JsonObject(allow_null=True)
    new = JsonObject(allow_null=True)

    def get_fields(self) -> dict[str, Any]:
        # `fields` is a property of every serializer, so the name can only be given here
        return {
            ("fields" if name == "fields_" else name): field for name, field in super().get_fields().items()
        }


class LabelBehindOut(serializers.Serializer):
    """Who labeled a value, how their labels came to it in words, and when it was adopted."""

    who = serializers.ListField(child=serializers.CharField())
    said = serializers.CharField()
    at = serializers.DateTimeField()


class BlameLineOut(serializers.Serializer):
    """A field, its value, the commit that gave it that value, and the label behind it, if there is one."""

    path = serializers.CharField()
    value = AnyJson(allow_null=True)
    change = serializers.ChoiceField(CHANGE_TYPES, source="change_type")
    commit = CommitOut()
    label = LabelBehindOut(allow_null=True)  # type: ignore[assignment]


class SideOut(serializers.Serializer):
    """One side of a conflict: {"value": …}, or {} where the field is missing."""

    value = AnyJson(required=False, allow_null=True)


class ConflictOut(serializers.Serializer):
    """A field that both sides changed."""

    id = serializers.IntegerField()
    example_id = serializers.UUIDField()
    path = serializers.CharField()
    base = serializers.SerializerMethodField()
    ours = serializers.SerializerMethodField()
    theirs = serializers.SerializerMethodField()
    resolution = serializers.ChoiceField(
        MergeConflict.Resolution.choices, allow_blank=True, help_text="Empty while it is open."
    )
    value = serializers.SerializerMethodField(
        method_name="get_resolved", help_text="The value of the resolution “value”."
    )

    @extend_schema_field(SideOut)
    def get_base(self, row: MergeConflict) -> Any:
        return row.base

    @extend_schema_field(SideOut)
    def get_ours(self, row: MergeConflict) -> Any:
        return row.ours

    @extend_schema_field(SideOut)
    def get_theirs(self, row: MergeConflict) -> Any:
        return row.theirs

    @extend_schema_field(SideOut)
    def get_resolved(self, row: MergeConflict) -> Any:
        return row.value


class MergeOut(serializers.Serializer):
    """A merge or revert under way or done."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(Merge.Kind.choices)
    branch = serializers.CharField(source="branch.name")
    source = serializers.CharField(source="source_ref")  # type: ignore[assignment]
    base = serializers.CharField(source="base.commit_hash", default=None, allow_null=True)
    ours = serializers.CharField(source="ours.commit_hash", default=None, allow_null=True)
    theirs = serializers.CharField(source="theirs.commit_hash", default=None, allow_null=True)
    message = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(Merge.State.choices)
    result = serializers.CharField(source="result.commit_hash", default=None, allow_null=True)
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)


class MergeOutcomeOut(serializers.Serializer):
    """What a merge or revert did. With `has_conflicts` nothing is written yet: `merge` waits for resolutions."""

    commit = CommitOut(allow_null=True)
    merge = MergeOut(allow_null=True)
    fast_forward = serializers.BooleanField()
    up_to_date = serializers.BooleanField()
    has_conflicts = serializers.BooleanField()
    kept_uncommitted = serializers.IntegerField(
        help_text="Fields edited and not committed that stayed over an incoming change."
    )
