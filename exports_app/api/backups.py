"""Backups: what was made, start one, verify, download. They go to GOLDEN_BACKUP_DIR, and a request names no other place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView, JsonObject, operation
from datasets_app.api.paging import PageQuery, cut, decode_cursor, paged
from datasets_app.api.site import JobOut
from datasets_app.domain.roles import Action
from datasets_app.models import AuditEvent
from datasets_app.services.jobs import start_job
from exports_app.console.backups import zipped_backup
from exports_app.services.backup_log import BACKUPS, backup_document, events
from exports_app.services.stored_backups import check_stored, stored_archives
from goldenproject.kit.errors import BadInput

MAX_DESCRIPTION = 2000


class SiteView(GoldenView):
    """A view of the whole installation. `actions` says for each method which right it takes, everywhere."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method in self.actions:
            self.require(self.actions[method])

    def events_page(
        self,
        actions: tuple[str, ...],
        document: Callable[[AuditEvent], dict[str, Any]],
        shape: type[serializers.Serializer],
    ) -> Response:
        """Answer a page of audit events, the newest first."""
        query = self.query(PageQuery)
        rows = events(actions)
        after = decode_cursor(query["cursor"], int)
        if after is not None:
            rows = rows.filter(pk__lt=after)
        found = list(rows.order_by("-pk")[: query["limit"] + 1])
        page, cursor = cut(found, query["limit"], lambda event: event.pk)
        return self.page([document(event) for event in page], shape, cursor)


class BackupOut(serializers.Serializer):
    """A backup that was made. `changed` is false when it was the same as the one before; null for a native dump."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    by = serializers.CharField(allow_null=True, help_text="null: the system")
    format = serializers.CharField(help_text="json or dump")
    place = serializers.CharField(allow_blank=True, help_text="Without user, password and query of a URL.")
    totals = JsonObject()
    sha256 = serializers.CharField(allow_blank=True)
    changed = serializers.BooleanField(allow_null=True)


class BackupBody(serializers.Serializer):
    """What to back up to: the backup folder itself, or an archive of its own in that folder."""

    description = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=MAX_DESCRIPTION,
        help_text="What changed, in your words; the backup's log of changes keeps it.",
    )
    archive = serializers.BooleanField(required=False, default=False)
    encrypt = serializers.BooleanField(
        required=False,
        default=False,
        help_text="An archive, with the key that the server's environment holds.",
    )


class BackupsView(SiteView):
    actions = {"GET": Action.BACKUP, "POST": Action.BACKUP}

    @operation(
        "backups_list", "Backups, newest first", tag="backups", query=PageQuery, answer=paged(BackupOut)
    )
    def get(self, request: Request) -> Response:
        return self.events_page(BACKUPS, backup_document, BackupOut)

    @operation("backups_create", "Start a backup", tag="backups", body=BackupBody, answer=JobOut, status=202)
    def post(self, request: Request) -> Response:
        body = self.body(BackupBody)
        if body["encrypt"] and not body["archive"]:
            raise BadInput("Only archives are encrypted.", hint='Say "archive": true as well.')
        job = start_job(kind="backup", dataset=None, actor=request.user, arguments=body)
        return Response(JobOut(job).data, status=202)


class ArchiveOut(serializers.Serializer):
    """An archive in the backup folder."""

    name = serializers.CharField()
    created_at = serializers.DateTimeField()
    bytes = serializers.IntegerField(source="size")
    encrypted = serializers.BooleanField()


class ArchivesOut(serializers.Serializer):
    """All archives, newest first."""

    results = ArchiveOut(many=True)


class ArchivesView(SiteView):
    actions = {"GET": Action.BACKUP}

    @operation("backups_archives", "Archives in the backup folder", tag="backups", answer=ArchivesOut)
    def get(self, request: Request) -> Response:
        return Response({"results": ArchiveOut(stored_archives(), many=True).data})


class DownloadView(SiteView):
    actions = {"GET": Action.BACKUP}
    throttle_scope = "stream"

    @operation(
        "backups_download",
        "The backup of the backup folder, as a zip",
        tag="backups",
        answer=OpenApiTypes.BINARY,
        status=(200, "application/zip"),
    )
    def get(self, request: Request) -> Any:
        if request.method == "HEAD":  # which would be recorded as a download
            return HttpResponse(content_type="application/zip")
        return zipped_backup(request.user)


class VerifyBody(serializers.Serializer):
    """What to verify: the database, or with `source` a stored backup. `deep` reads everything."""

    deep = serializers.BooleanField(required=False, default=False)
    source = serializers.CharField(  # type: ignore[assignment]
        required=False,
        default="",
        allow_blank=True,
        max_length=200,
        help_text="“folder”, or the name of an archive; by default the database.",
    )


class VerifyView(SiteView):
    actions = {"POST": Action.BACKUP}

    @operation(
        "backups_verify",
        "Verify the database or a stored backup; what is wrong ends the job as failed",
        tag="backups",
        body=VerifyBody,
        answer=JobOut,
        status=202,
    )
    def post(self, request: Request) -> Response:
        body = self.body(VerifyBody)
        if body["source"]:
            check_stored(body["source"])
        job = start_job(kind="verify", dataset=None, actor=request.user, arguments=body)
        return Response(JobOut(job).data, status=202)
