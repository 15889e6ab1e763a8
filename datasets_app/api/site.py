"""What is not of one dataset: health, who am I, jobs, the schema and its pages."""

from __future__ import annotations

import functools
import uuid
from typing import Any

import orjson
from django.db import DatabaseError, connection
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from datasets_app.api.base import GoldenView, JsonObject, operation
from datasets_app.api.paging import PageQuery, newest_first, paged
from datasets_app.models import JobRun
from datasets_app.models.access import ROLE_CHOICES
from datasets_app.services import access
from goldenproject.kit.errors import NotFound, Unavailable


class HealthOut(serializers.Serializer):
    """That this process serves, and that the database answers it."""

    status = serializers.CharField()


class HealthView(GoldenView):
    authentication_classes = []
    permission_classes = [AllowAny]

    @operation("health_read", "Whether the service works", tag="site", answer=HealthOut)
    def get(self, request: Request) -> Response:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DatabaseError as error:
            raise Unavailable("The database does not answer.") from error
        return Response({"status": "ok"})


class WhoAmIOut(serializers.Serializer):
    """Whom the request comes from. `role` is the one everywhere; a dataset may give a greater one."""

    username = serializers.CharField()
    role = serializers.ChoiceField(ROLE_CHOICES, allow_null=True)
    roles_in_datasets = JsonObject(help_text="Name of the dataset → role, where a membership gives one.")
    token_scopes = serializers.ListField(child=serializers.CharField(), allow_null=True)


class WhoAmIView(GoldenView):
    @operation("whoami_read", "Who you are and what you may do", tag="site", answer=WhoAmIOut)
    def get(self, request: Request) -> Response:
        user: Any = request.user
        everywhere = access.role_in(user)
        mine = access.allowed_datasets(user).filter(
            Q(memberships__user=user) | Q(memberships__group__in=user.groups.all())
        )
        roles = {dataset.name: access.role_in(user, dataset) for dataset in mine.distinct()[:500]}
        return Response(
            {
                "username": user.get_username(),
                "role": everywhere,
                "roles_in_datasets": roles,
                "token_scopes": None if self.token is None else self.token.scopes,
            }
        )


class JobOut(serializers.Serializer):
    """A long piece of work and how far it is."""

    id = serializers.UUIDField()
    kind = serializers.CharField()
    dataset = serializers.CharField(source="dataset.name", default=None, allow_null=True)
    state = serializers.ChoiceField(JobRun.State.choices)
    done = serializers.IntegerField()
    total = serializers.IntegerField(allow_null=True)
    message = serializers.CharField(allow_blank=True)
    result = JsonObject()
    started_by = serializers.CharField(source="started_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class JobsView(GoldenView):
    @operation("jobs_list", "Jobs, newest first", tag="jobs", query=PageQuery, answer=paged(JobOut))
    def get(self, request: Request) -> Response:
        page, cursor = newest_first(_visible_jobs(self), self.query(PageQuery))
        return self.page(page, JobOut, cursor)


class JobView(GoldenView):
    @operation("jobs_read", "A job", tag="jobs", answer=JobOut)
    def get(self, request: Request, job: uuid.UUID) -> Response:
        # one's own without a dataset needs no table that a restore holds for itself
        own = JobRun.objects.filter(pk=job, dataset=None, started_by=request.user.pk)
        found = own.first() or _visible_jobs(self).filter(pk=job).first()
        if found is None:
            raise NotFound(f"There is no job {job} that you may view.")
        return Response(JobOut(found).data)


def _visible_jobs(view: GoldenView) -> QuerySet[JobRun]:
    """Return jobs of datasets that the caller may view, and those that the caller started."""
    rows = JobRun.objects.select_related("dataset", "started_by")
    allowed = view.allowed_datasets()
    return rows.filter(Q(dataset__in=allowed) | Q(dataset=None, started_by=view.request.user.pk))


@functools.cache
def schema_bytes() -> bytes:
    """Return the OpenAPI schema as JSON; made once in a process, because making it takes a second."""
    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return orjson.dumps(schema)


class SchemaView(GoldenView):
    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        return HttpResponse(schema_bytes(), content_type="application/vnd.oai.openapi+json")


class DocsView(SpectacularSwaggerSplitView):
    """The schema as a page: files of this site only, and no script in the page itself."""

    authentication_classes = []
    permission_classes = [AllowAny]
    url_name = "api:schema"


class NothingHere(GoldenView):
    """The answer for an address that no view has."""

    authentication_classes = []
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound(f"There is nothing at {request.path}.", hint="/api/v1/docs/ lists the addresses.")
