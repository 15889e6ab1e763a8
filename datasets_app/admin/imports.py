"""The import wizard: upload, map the columns, look at what would happen, apply. Nothing is written before the last step."""

from __future__ import annotations

from contextlib import closing
from itertools import islice
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from datasets_app.admin.base import DatasetPage, branch_url, chosen_branch
from datasets_app.admin.example_edit import shown_changes
from datasets_app.admin.example_rows import excerpt, ordered_properties, plain
from datasets_app.admin.filters import class_of
from datasets_app.admin.jobs import job_address
from datasets_app.admin.uploads import (
    find_upload,
    forget_upload,
    keep_upload,
    remember,
    upload_of_batch,
)
from datasets_app.domain.roles import Action
from datasets_app.models import Example, ExampleType, ImportBatch, JobRun, StagedRow
from datasets_app.services.access import allowed_datasets, may_somewhere
from datasets_app.services.curation.file_formats import columns_of, read_rows
from datasets_app.services.curation.importing import ImportOptions
from datasets_app.services.curation.mapping import IGNORE, LINE_KEYS, guess_mapping
from datasets_app.services.curation.staging import discard_batch, refused_rows, stage_file
from datasets_app.services.curation.types import get_type
from datasets_app.services.jobs.thresholds import apply_or_start
from goldenproject.kit.admin import ConsoleAdmin
from goldenproject.kit.errors import BadInput, NotFound

UPLOAD = "datasets_app_dataset_import"
COLUMNS = "datasets_app_dataset_import_columns"
PREVIEW = "datasets_app_dataset_import_preview"
_SAMPLE_ROWS = 3
_SHOWN_ROWS = 50


class UploadPage(DatasetPage):
    title = "Import"
    tab = "import"
    action = Action.IMPORT
    template_name = "datasets_app/imports/upload.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        recent = ImportBatch.objects.filter(branch__dataset=self.dataset).select_related(
            "created_by", "branch"
        )
        kwargs.setdefault("form", self._form())
        return super().get_context_data(recent=list(recent[:8]), step=1, **kwargs)

    def _form(self, **given: Any) -> Any:
        from datasets_app.admin.upload_form import UploadForm

        return UploadForm(**given)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        form = self._form(data=request.POST, files=request.FILES)
        if not form.is_valid():
            return self.render_to_response(self.get_context_data(form=form), status=422)
        upload = keep_upload(
            request,
            file=form.cleaned_data["import_file"],
            format_name=form.format_name,
            dataset_id=self.dataset.pk,
        )
        address = reverse(f"admin:{COLUMNS}", args=[self.dataset.pk, upload.token])
        return HttpResponseRedirect(f"{address}?branch={self.branch.pk}")


class ColumnsPage(DatasetPage):
    """Which column becomes which field: guessed from the names, and open to change."""

    title = "Import"
    tab = "import"
    action = Action.IMPORT
    template_name = "datasets_app/imports/columns.html"

    def prepare(self, **kwargs: Any) -> None:
        super().prepare(**kwargs)
        self.upload = find_upload(self.request, kwargs["token"], self.dataset.pk)
        name = self.request.POST.get("type") or self.request.GET.get("type")
        self.example_type = (
            get_type(name) if name else self.dataset.default_type or ExampleType.objects.order_by("pk")[0]
        )
        with self.upload.open() as file:
            self.columns = columns_of(file, self.upload.format)
            reader: Any = read_rows(file, self.upload.format)
            with closing(reader) as rows:
                good = (row.value for row in rows if row.value is not None)
                self.sample = list(islice(good, _SAMPLE_ROWS))

    @property
    def is_own_layout(self) -> bool:
        """A file whose keys are id, input, output, labels and metadata needs no mapping."""
        return set(self.columns) <= {*LINE_KEYS, "type"}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        guessed = guess_mapping(self.columns, self.example_type)
        typed = self.request.POST
        is_same_type = typed.get("type") == self.example_type.name
        return super().get_context_data(
            step=2,
            upload=self.upload,
            types=ExampleType.objects.all(),
            example_type=self.example_type,
            is_own_layout=self.is_own_layout,
            columns=[
                {
                    "number": number,
                    "name": name,
                    "sample": [plain(row[name]) for row in self.sample if row.get(name) not in (None, "")],
                    "target": typed.get(f"column-{number}", guessed[name]) if is_same_type else guessed[name],
                    "targets": self._targets(name),
                }
                for number, name in enumerate(self.columns)
            ],
            **kwargs,
        )

    def _targets(self, column: str) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return what a column may become, in groups."""
        groups = [("", [(IGNORE, "ignore this column"), ("id", "id")])]
        for part, schema in (
            ("input", self.example_type.input_schema),
            ("output", self.example_type.output_schema),
        ):
            names = ordered_properties(schema)
            if schema.get("additionalProperties", True) is not False and column not in names:
                names.append(column)
            groups.append((part.capitalize(), [(f"{part}.{name}", f"{part}.{name}") for name in names]))
        others = [(f"{part}.{column}", f"{part}.{column}") for part in ("labels", "metadata")]
        whole = [(part, f"{part} (JSON)") for part in ("input", "output", "labels", "metadata")]
        return [*groups, ("Besides", others), ("Whole parts", whole)]

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        mapping = {} if self.is_own_layout else self._mapping()
        with self.upload.open() as file:
            batch = stage_file(
                branch=self.branch,
                file=file,
                file_name=self.upload.name,
                options=ImportOptions(
                    type_name=self.example_type.name, format=self.upload.format, mapping=mapping
                ),
                actor=self.person,
            )
        self.upload.batch_id = str(batch.pk)
        remember(request, self.upload)
        return HttpResponseRedirect(reverse(f"admin:{PREVIEW}", args=[self.dataset.pk, batch.pk]))

    def _mapping(self) -> dict[str, str]:
        typed = self.request.POST
        mapping = {name: typed.get(f"column-{number}", IGNORE) for number, name in enumerate(self.columns)}
        targets = [target for target in mapping.values() if target != IGNORE]
        twice = sorted({target for target in targets if targets.count(target) > 1})
        if twice:
            raise BadInput(
                f"Two columns are mapped to {twice[0]}.", hint="Ignore one of them, or map it elsewhere."
            )
        return mapping


class PreviewPage(DatasetPage):
    """What a staged file would do, row by row; apply it or throw it away. Later, what became of it."""

    title = "Import"
    tab = "import"
    action = Action.IMPORT
    template_name = "datasets_app/imports/preview.html"

    def prepare(self, **kwargs: Any) -> None:
        batches = ImportBatch.objects.select_related("branch", "example_type", "created_by")
        found = batches.filter(pk=kwargs["batch_id"], branch__dataset_id=kwargs["dataset_id"]).first()
        if found is None:
            raise NotFound("There is no such import.")
        self.batch = found
        dataset = found.branch.dataset
        self.set_place(dataset, chosen_branch(dataset, str(found.branch_id)))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        batch = self.batch
        counts = {
            "new": batch.rows_new,
            "changed": batch.rows_changed,
            "unchanged": batch.rows_unchanged,
            "refused": batch.rows_refused,
        }
        shown = self.request.GET.get("show", "")
        if shown not in counts:
            shown = next((name for name in ("refused", "changed", "new", "unchanged") if counts[name]), "new")
        upload = upload_of_batch(self.request, batch.pk)
        return super().get_context_data(
            step=4 if batch.state == ImportBatch.State.APPLIED else 3,
            batch=batch,
            counts=counts,
            shown=shown,
            will_write=batch.rows_new + batch.rows_changed,
            rows=self._rows(shown),
            shown_rows=_SHOWN_ROWS,
            columns_address=self._columns_address(upload.token) if upload else "",
            changes_address=branch_url("datasets_app_dataset_changes", self.dataset, self.branch),
            examples_address=branch_url("datasets_app_dataset_examples", self.dataset, self.branch),
            **kwargs,
        )

    def _columns_address(self, token: str) -> str:
        address = reverse(f"admin:{COLUMNS}", args=[self.dataset.pk, token])
        return f"{address}?branch={self.branch.pk}&type={self.batch.example_type.name}"

    def _rows(self, action: str) -> list[dict[str, Any]]:
        staged = list(
            StagedRow.objects.filter(batch=self.batch, action=action)
            .defer("search_text")
            .order_by("line")[:_SHOWN_ROWS]
        )
        there: dict[Any, Example] = {}
        if action == StagedRow.Action.CHANGED:
            rows = Example.objects.filter(
                branch=self.branch, identity_id__in=[row.example_id for row in staged]
            )
            there = {row.identity_id: row for row in rows}
        return [self._shown(row, there.get(row.example_id)) for row in staged]

    def _shown(self, row: StagedRow, old: Example | None) -> dict[str, Any]:
        made: dict[str, Any] = {
            "line": row.line,
            "id": row.external_id,
            "errors": row.errors,
            "raw": row.raw[:300],
        }
        if row.action == StagedRow.Action.REFUSED:
            return made
        value = class_of(self.batch.example_type, row.expected_output)
        made["excerpt"] = excerpt(self.batch.example_type, row.input_data)
        made["class"] = None if value is None else plain(value)
        if old is not None:
            before = _document(old.input_data, old.expected_output, old.labels, old.metadata)
            labels = old.labels if row.labels is None else row.labels
            metadata = old.metadata if row.metadata is None else row.metadata
            made["changes"] = shown_changes(
                before, _document(row.input_data, row.expected_output, labels, metadata)
            )
        return made

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        upload = upload_of_batch(request, self.batch.pk)
        if "discard" in request.POST:
            discard_batch(batch=self.batch, actor=self.person)
            messages.info(request, f"{self.batch.file_name} was thrown away; nothing of it was written.")
            address = branch_url(UPLOAD, self.dataset, self.branch)
        else:
            result = apply_or_start(batch=self.batch, actor=self.person)
            if isinstance(result, JobRun):
                address = job_address(result)
            else:
                messages.success(
                    request,
                    f"{self.batch.file_name}: {result.added:,} added, {result.changed:,} changed, "
                    f"{result.unchanged:,} unchanged, {result.refused:,} refused.",
                )
                address = request.path
        if upload is not None:
            forget_upload(request, upload)
        return HttpResponseRedirect(address)


def _document(given: Any, expected: Any, labels: Any, metadata: Any) -> dict[str, Any]:
    return {"input": given, "output": expected, "labels": labels or {}, "metadata": metadata or {}}


class RefusedRowsPage(PreviewPage):
    """The refused rows as a file: line, errors, and the row as it stood there."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        response = StreamingHttpResponse(refused_rows(self.batch), content_type="application/x-ndjson")
        response["Content-Disposition"] = f'attachment; filename="refused-{self.batch.pk}.jsonl"'
        return response

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse(status=405)


class ImportBatchAdmin(ConsoleAdmin):
    """Imports of all datasets that the person may import into."""

    list_display = (
        "named",
        "of_dataset",
        "state_shown",
        "rows_read",
        "rows_new",
        "rows_changed",
        "rows_refused",
        "created_at",
    )
    list_display_links = None
    list_filter = ("state",)
    list_select_related = ("branch__dataset",)
    ordering = ("-created_at",)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_somewhere(request.user, Action.IMPORT)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImportBatch]:
        visible = allowed_datasets(request.user, Action.IMPORT)
        return super().get_queryset(request).filter(branch__dataset__in=visible)  # type: ignore[no-any-return]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> Any:
        batch = self.get_object(request, object_id)
        if batch is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return HttpResponseRedirect(reverse(f"admin:{PREVIEW}", args=[batch.branch.dataset_id, batch.pk]))

    def named(self, batch: ImportBatch) -> SafeString:
        address = reverse(f"admin:{PREVIEW}", args=[batch.branch.dataset_id, batch.pk])
        return format_html('<a class="gd-link" href="{}">{}</a>', address, batch.file_name)

    named.short_description = "File"  # type: ignore[attr-defined]

    def of_dataset(self, batch: ImportBatch) -> str:
        return str(batch.branch)

    of_dataset.short_description = "Into"  # type: ignore[attr-defined]

    def state_shown(self, batch: ImportBatch) -> SafeString:
        tone = {"applied": "validated", "discarded": "pending", "staged": "running"}[batch.state]
        return format_html('<span class="gd-status gd-status-{}">{}</span>', tone, batch.state)

    state_shown.short_description = "State"  # type: ignore[attr-defined]
