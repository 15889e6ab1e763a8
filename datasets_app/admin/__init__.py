"""The console: which models it shows, and its first page."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group, User

from datasets_app.admin.access import ApiTokenAdmin, GroupAdmin, UserAdmin
from datasets_app.admin.audit import AuditEventAdmin
from datasets_app.admin.corpus import CORPUS_ADMINS
from datasets_app.admin.datasets import DatasetAdmin
from datasets_app.admin.example_admin import ExampleAdmin
from datasets_app.admin.example_types import ExampleTypeAdmin
from datasets_app.admin.imports import ImportBatchAdmin
from datasets_app.admin.jobs import JobRunAdmin
from datasets_app.admin.retrieval import RETRIEVAL_ADMINS
from datasets_app.models import ApiToken, AuditEvent, Dataset, Example, ExampleType, ImportBatch, JobRun

_ADMINS = (
    (Dataset, DatasetAdmin),
    (Example, ExampleAdmin),
    (ExampleType, ExampleTypeAdmin),
    *CORPUS_ADMINS,
    *RETRIEVAL_ADMINS,
    (ImportBatch, ImportBatchAdmin),
    (JobRun, JobRunAdmin),
    (AuditEvent, AuditEventAdmin),
    (ApiToken, ApiTokenAdmin),
    (User, UserAdmin),
    (Group, GroupAdmin),
)

for model, model_admin in _ADMINS:
    if admin.site.is_registered(
        model
    ):  # the packages that bring tokens and people register plain pages for them
        admin.site.unregister(model)
    admin.site.register(model, model_admin)

admin.site.index_template = "datasets_app/dashboard/home.html"
admin.site.empty_value_display = "—"
