"""The shapes of labeling in requests and answers. Tasks and labels are written straight from the services' documents:
their serializers describe them in the schema and are not run."""

from __future__ import annotations

from rest_framework import serializers

from datasets_app.api.base import AnyJson, JsonObject
from labeling_app.models import LabelingSession, QueueItem

MAX_NOTES = 10_000
MAX_AT_ONCE = 20


class SuggestionOut(serializers.Serializer):
    """What a model or a rule would answer."""

    source = serializers.CharField()  # type: ignore[assignment]
    value = AnyJson()
    confidence = serializers.FloatField(allow_null=True)


class DraftOut(serializers.Serializer):
    """An answer that you began."""

    value = AnyJson()
    confidence = serializers.FloatField(allow_null=True)
    notes = serializers.CharField(allow_blank=True)


class TaskOut(serializers.Serializer):
    """An example that is held for you until `expires_at`. A heartbeat prolongs that."""

    lease = serializers.UUIDField()
    example = serializers.UUIDField()
    external_id = serializers.CharField(allow_null=True)
    queue = serializers.UUIDField()
    type = serializers.CharField()
    expires_at = serializers.DateTimeField()
    content_hash = serializers.CharField(help_text="SHA-256 of the input; send it back with the answer.")
    schema_digest = serializers.CharField(help_text="Of the type's output; send it back with the answer.")
    input = JsonObject()
    current = AnyJson(help_text="The answer that is there, in sessions of validation and correction.")
    suggestions = SuggestionOut(many=True)
    draft = DraftOut(allow_null=True)
    mine = JsonObject(allow_null=True, help_text="Your label that you took back, to be corrected.")
    note = serializers.CharField(
        allow_blank=True, help_text="What a reviewer said when its labels were sent back; empty as a rule."
    )


class PaceOut(serializers.Serializer):
    """How far you are in this session, and how far the queue is."""

    mine = serializers.IntegerField()
    seconds = serializers.FloatField(help_text="Since the session began.")
    per_hour = serializers.FloatField(allow_null=True)
    labels = serializers.IntegerField(allow_null=True)
    labels_wanted = serializers.IntegerField(allow_null=True)


class TasksOut(serializers.Serializer):
    """Examples that are held for you. When there is none, `why` tells the reason."""

    tasks = TaskOut(many=True)
    progress = PaceOut()
    why = serializers.CharField(allow_blank=True)
    code = serializers.CharField(allow_blank=True, help_text="Of the error that keeps you from going on.")


class SubmittedOut(serializers.Serializer):
    """An answer that is stored."""

    label = serializers.IntegerField(allow_null=True)  # type: ignore[assignment]
    example = serializers.UUIDField()
    item_state = serializers.ChoiceField(
        QueueItem.State.choices, allow_null=True, help_text="For those who may review; null for others."
    )
    replayed = serializers.BooleanField(help_text="It was stored before, under the same key.")


class SubmittedTasksOut(TasksOut):
    """An answer that is stored, and the next examples when they were asked for."""

    submitted = SubmittedOut()


class HeldOut(serializers.Serializer):
    """The leases that you hold still."""

    held = serializers.ListField(child=serializers.UUIDField())


class TaskAnswer(serializers.Serializer):
    """The example of a label that was taken back: it is yours to correct."""

    task = TaskOut()


class SessionBody(serializers.Serializer):
    """A session. `filters` narrow those of the queue."""

    session_type = serializers.ChoiceField(
        LabelingSession.Type.choices, required=False, default=LabelingSession.Type.INITIAL_LABELING
    )
    filters = JsonObject(required=False, default=dict)


class SessionOut(serializers.Serializer):
    """A session and what a console needs to draw its queue."""

    session = serializers.UUIDField()
    queue = JsonObject(
        help_text="name, instructions, controls, input view, keys: all that the form is made of."
    )
    progress = PaceOut()


class NextBody(serializers.Serializer):
    """How many examples you want to hold, and which leases you hold already."""

    count = serializers.IntegerField(min_value=1, max_value=MAX_AT_ONCE, required=False, default=1)
    hold = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, max_length=MAX_AT_ONCE
    )


class _AndNext(serializers.Serializer):
    next = serializers.IntegerField(
        min_value=0,
        max_value=MAX_AT_ONCE,
        required=False,
        default=0,
        help_text="How many examples the answer is to bring.",
    )
    hold = serializers.ListField(
        child=serializers.UUIDField(), required=False, default=list, max_length=MAX_AT_ONCE
    )


class LabelBody(serializers.Serializer):
    """An answer, or the beginning of one."""

    value = AnyJson(allow_null=True)
    confidence = serializers.FloatField(
        min_value=0, max_value=1, required=False, allow_null=True, default=None
    )
    notes = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=MAX_NOTES, trim_whitespace=False
    )


class SubmitBody(LabelBody, _AndNext):
    """An answer. With `content_hash` and `schema_digest` of the task a change behind your back is noticed."""

    duration_ms = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, required=False, allow_null=True, default=None
    )
    content_hash = serializers.RegexField(r"\A[0-9a-f]{64}\Z", required=False, allow_null=True, default=None)
    schema_digest = serializers.CharField(required=False, allow_null=True, default=None, max_length=64)
    source = serializers.ChoiceField(  # type: ignore[assignment]
        [("human", "given"), ("accepted", "suggestion accepted as it was")], required=False, default="human"
    )


class SkipBody(_AndNext):
    """Why you leave this example to others."""

    reason = serializers.CharField(max_length=MAX_NOTES, allow_blank=True, required=False, default="")


class FlagBody(serializers.Serializer):
    """What a reviewer should know of this example."""

    comment = serializers.CharField(max_length=MAX_NOTES)
