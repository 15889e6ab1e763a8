"""Restores: what was restored and tried, and start one from a stored backup."""

from __future__ import annotations

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import JsonObject, operation
from datasets_app.api.paging import PageQuery, paged
from datasets_app.api.site import JobOut
from datasets_app.domain.roles import Action
from exports_app.api.backups import SiteView
from exports_app.services.backup_log import RESTORES, restore_document
from exports_app.services.restore_requests import RestoreRequest, request_restore
from exports_app.services.restores import ON_CONFLICT


class RestoreOut(serializers.Serializer):
    """A restore, or a drill, which restored into a throw-away database."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    by = serializers.CharField(allow_null=True, help_text="null: the system")
    is_drill = serializers.BooleanField()
    format = serializers.CharField(help_text="json or dump")
    source = serializers.CharField(allow_blank=True)  # type: ignore[assignment]
    succeeded = serializers.BooleanField()
    has_findings = serializers.BooleanField()
    findings = serializers.ListField(child=serializers.CharField())
    totals = JsonObject()
    sha256 = serializers.CharField(allow_blank=True)
    safety_backup = serializers.CharField(allow_null=True, help_text="Where what was replaced is.")
    seconds = JsonObject(help_text="How long each step of a drill took.")


class RestoreBody(serializers.Serializer):
    """Which stored backup, and how. Without `replace` what it holds is added to what is there."""

    source = serializers.CharField(max_length=200, help_text="“folder”, or the name of an archive.")  # type: ignore[assignment]
    replace = serializers.BooleanField(required=False, default=False, help_text="Delete what is there first.")
    confirm = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=40,
        help_text="The word “replace”, when that is what is asked for.",
    )
    on_conflict = serializers.ChoiceField(ON_CONFLICT, required=False, default="error")
    strict = serializers.BooleanField(
        required=False, default=False, help_text="Refuse a backup with findings."
    )
    dry_run = serializers.BooleanField(required=False, default=False)
    embeddings = serializers.BooleanField(required=False, default=True)
    into_scratch = serializers.BooleanField(required=False, default=False, help_text="The restore drill.")
    sha256 = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=64,
        help_text="Refuse any backup but the one of this checksum, as a dry run told it.",
    )


class RestoresView(SiteView):
    actions = {"GET": Action.BACKUP, "POST": Action.RESTORE}

    @operation(
        "restores_list",
        "Restores and drills, newest first",
        tag="backups",
        query=PageQuery,
        answer=paged(RestoreOut),
    )
    def get(self, request: Request) -> Response:
        return self.events_page(RESTORES, restore_document, RestoreOut)

    @operation(
        "restores_create",
        "Start a restore, a dry run or a drill; the job's result tells what was found",
        tag="backups",
        body=RestoreBody,
        answer=JobOut,
        status=202,
    )
    def post(self, request: Request) -> Response:
        body = self.body(RestoreBody)
        confirm = body.pop("confirm")
        job = request_restore(request=RestoreRequest(**body), actor=request.user, confirm=confirm)
        return Response(JobOut(job).data, status=202)
