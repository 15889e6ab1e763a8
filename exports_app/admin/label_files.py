"""The page of a queue's files: labels of other tools come in after a look at what they would do, and go out."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import URLPattern, reverse
from unfold.widgets import UnfoldAdminFileFieldWidget

from datasets_app.admin.jobs import job_address, visible_jobs
from datasets_app.domain.roles import Action
from datasets_app.models import JobRun
from datasets_app.services.access import may, require
from exports_app.admin.label_uploads import (
    LabelUpload,
    find_label_file,
    forget_label_file,
    keep_label_file,
    open_kept,
    remember,
)
from exports_app.integrations.annotated import as_uuid
from exports_app.integrations.tools import TOOLS, tool_called
from exports_app.services.label_export import LabelExportOptions, export_label_file, export_name
from exports_app.services.label_files import LabelImport, LabelImportOptions, import_label_file
from exports_app.services.label_jobs import (
    BYTES_AT_ONCE,
    EXPORT_JOB,
    start_label_export,
    start_label_import,
    wants_export_job,
)
from exports_app.services.queue_shapes import answer_shape
from goldenproject.kit.errors import BadInput, GoldenError, NotFound
from labeling_app.console.base import QueuePage, label_page
from labeling_app.models import Label

_YES = "yes"


class LabelFilesPage(QueuePage):
    """Upload, look, bring in; and a download for each tool. Bringing in asks for the right to import besides."""

    title = "Files of labels"
    template_name = "exports_app/labels/files.html"
    action = Action.REVIEW
    tab = "files"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        if wanted := request.GET.get("download"):
            return self._made(wanted)
        return super().get(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        upload = self._upload(self.request.GET.get("upload", ""))
        result, error = self._look(upload)
        annotators = Label.objects.filter(queue=self.queue).values("annotator").distinct()
        return super().get_context_data(
            upload=upload,
            is_large=upload is not None and upload.size > BYTES_AT_ONCE,
            result=result,
            trouble=error,
            counts=_counts(result),
            options=upload.options if upload is not None else {"people": True, "suggestions": True},
            tool_title=tool_called(upload.tool).title if upload is not None else "",
            tools=TOOLS.values(),
            file_input=UnfoldAdminFileFieldWidget().render("file", None, {"id": "lb-file"}),
            fields=[part.name for part in answer_shape(self.queue).parts],
            label_count=Label.objects.filter(queue=self.queue).count(),
            annotator_count=annotators.count(),
            may_import=may(self.person, Action.IMPORT, self.queue.dataset),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        what = request.POST.get("do", "")
        if what == "export":
            return self._export()
        require(self.person, Action.IMPORT, self.queue.dataset)
        if what == "upload":
            return self._keep()
        upload = self._upload(request.POST.get("upload", ""))
        if upload is None or what not in ("options", "look", "apply", "discard"):
            raise BadInput("This button is not known here; load the page again.")
        if what == "options":
            upload.options = _options(request.POST)
            remember(request, upload)
            return self._back(upload)
        if what == "discard":
            forget_label_file(request, upload)
            return self._back()
        if what == "look":
            return self._start(upload, {**upload.options, "dry_run": True})
        return self._apply(upload)

    # --- in --------------------------------------------------------------------------------------------------------

    def _upload(self, token: str) -> LabelUpload | None:
        return find_label_file(self.request, token, self.queue.pk) if token else None

    def _keep(self) -> HttpResponseBase:
        file = self.request.FILES.get("file")
        if file is None:
            raise BadInput("Choose a file first.")
        upload = keep_label_file(
            self.request,
            file=file,
            tool=self.request.POST.get("tool", ""),
            queue_id=self.queue.pk,
            options=_options(self.request.POST),
        )
        return self._back(upload)

    def _look(self, upload: LabelUpload | None) -> tuple[LabelImport | None, GoldenError | None]:
        """Return what a small file would do, or why it cannot be read."""
        if upload is None or upload.size > BYTES_AT_ONCE:
            return None, None
        require(self.person, Action.IMPORT, self.queue.dataset)
        try:
            return self._run(upload, LabelImportOptions(**upload.options, dry_run=True)), None
        except GoldenError as error:
            return None, error

    def _run(self, upload: LabelUpload, options: LabelImportOptions) -> LabelImport:
        with upload.open() as file:
            return import_label_file(
                queue=self.queue,
                source=file,
                tool=upload.tool,
                actor=self.person,
                file_name=upload.name,
                options=options,
            )

    def _apply(self, upload: LabelUpload) -> HttpResponseBase:
        skips = self.request.POST.get("skip") == _YES
        options = {**upload.options, "on_error": "skip" if skips else "stop"}
        if upload.size > BYTES_AT_ONCE:
            return self._start(upload, options)
        result = self._run(upload, replace(LabelImportOptions(**options), dry_run=False))
        forget_label_file(self.request, upload)
        messages.success(self.request, f"{upload.name}: {_in_words(result)}")
        return self._back()

    def _start(self, upload: LabelUpload, options: dict[str, Any]) -> HttpResponseBase:
        job = start_label_import(
            queue=self.queue,
            path=upload.path,
            name=upload.name,
            tool=upload.tool,
            options=options,
            actor=self.person,
        )
        if not options.get("dry_run"):
            forget_label_file(self.request, upload, delete=False)
        return HttpResponseRedirect(job_address(job))

    def _back(self, upload: LabelUpload | None = None) -> HttpResponseRedirect:
        address = files_address(self.queue.pk)
        return HttpResponseRedirect(f"{address}?upload={upload.token}" if upload is not None else address)

    # --- out -------------------------------------------------------------------------------------------------------

    def _export(self) -> HttpResponseBase:
        require(self.person, Action.VIEW, self.queue.dataset)
        tool = tool_called(self.request.POST.get("tool", "")).name
        unlabeled = self.request.POST.get("unlabeled") == _YES
        if wants_export_job(self.queue):
            job = start_label_export(queue=self.queue, tool=tool, unlabeled=unlabeled, actor=self.person)
            return HttpResponseRedirect(job_address(job))
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it, and then it is gone
        try:
            options = LabelExportOptions(unlabeled=unlabeled)
            export_label_file(queue=self.queue, tool=tool, file=file, actor=self.person, options=options)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return FileResponse(file, as_attachment=True, filename=export_name(self.queue, tool))

    def _made(self, job_id: str) -> HttpResponseBase:
        """Send what a job has written."""
        require(self.person, Action.VIEW, self.queue.dataset)
        jobs = visible_jobs(self.person).filter(kind=EXPORT_JOB, state=JobRun.State.DONE)
        key = as_uuid(job_id)
        job = jobs.filter(pk=key, arguments__queue=str(self.queue.pk)).first() if key else None
        if job is None:
            raise NotFound("There is no such export here.", hint="Make one with the buttons of this page.")
        return FileResponse(open_kept(job.result["path"]), as_attachment=True, filename=job.result["file"])


def files_address(queue_id: Any) -> str:
    """Return the address of the page."""
    return reverse("label_files", args=[queue_id])


def _options(typed: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "people": typed.get("people") == _YES,
        "add_examples": typed.get("add_examples") == _YES,
        "suggestions": typed.get("suggestions") == _YES,
        "annotator": typed.get("annotator", "").strip(),
        "fields": _fields(typed.get("fields", "")),
    }
    LabelImportOptions(**options).checked()
    return options


def _fields(text: str) -> dict[str, str]:
    """Return control → field from "control = field", a line each. Raises BadInput."""
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        control, sign, name = (part.strip() for part in line.partition("="))
        if not sign or not control or not name:
            raise BadInput(f"“{line[:60]}”: expected a control = a field, such as sentiment = label.")
        found[control] = name
    return found


def _counts(result: LabelImport | None) -> list[tuple[str, int, str]]:
    """Return (what, how many, tone) of what is worth a number."""
    if result is None:
        return []
    counts = [
        ("new labels", result.added, "new"),
        ("here already", result.same, "unchanged"),
        ("refused", result.refused, "refused"),
    ]
    if result.changed:
        counts.insert(1, ("changed", result.changed, "changed"))
    if result.suggestions:
        counts.insert(-1, ("suggestions", result.suggestions, "new"))
    if result.examples_added:
        counts.insert(0, ("new examples", result.examples_added, "new"))
    return counts


def _in_words(result: LabelImport) -> str:
    told = [
        (result.added, "label", "added"),
        (result.changed, "label", "changed"),
        (result.same, "label", "here already"),
    ]
    told += [(result.examples_added, "example", "added"), (result.suggestions, "suggestion", "taken over")]
    told += [(result.refused, "row", "left out")]
    parts = [f"{n:,} {what}{'s' if n != 1 else ''} {done}" for n, what, done in told if n]
    return f"{', '.join(parts) or 'nothing was new'}."


def label_file_urls() -> list[URLPattern]:
    """Return the addresses of this page, for the project's urls."""
    return [label_page("<uuid:queue_id>/files/", LabelFilesPage, "label_files")]
