"""Download a version: one JSONL file, or a zip with a file for each part of a split."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, Any

from django.http import FileResponse, HttpRequest, HttpResponseBase, QueryDict

from datasets_app.admin.base import DatasetPage
from datasets_app.admin.versioning.ref_choices import ref_choices
from datasets_app.domain.splits import parse_split
from datasets_app.errors import UnknownRef
from datasets_app.models import ExampleType, ValidationStatus
from exports_app.services.exporting import STDOUT, ExportOptions, export_version
from exports_app.writers.zip_files import zip_folder
from goldenproject.kit.errors import BadInput


class ExportPage(DatasetPage):
    """Choose a version and what of it; the browser gets the file. Who may view may export."""

    tab = "export"
    title = "Export"
    template_name = "exports_app/export.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        newest_tag = self.dataset.version_tags.order_by("-id").values_list("name", flat=True).first()
        here = self.branch.name if not self.branch.is_default else newest_tag or self.branch.name
        return super().get_context_data(
            refs=ref_choices(self.dataset),
            typed=self.request.POST,
            ref=self.request.POST.get("ref") or self.request.GET.get("ref") or here,
            types=ExampleType.objects.all(),
            statuses=ValidationStatus.choices,
            has_commits=self.dataset.commits.exists(),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return self._download(request.POST)
        except UnknownRef as error:  # the page is there all the same
            raise BadInput(error.message, hint=error.hint) from error

    def _download(self, typed: QueryDict) -> FileResponse:
        ref = typed.get("ref", "").strip()
        split = typed.get("split", "").strip()
        options = ExportOptions(
            types=tuple(filter(None, typed.getlist("type"))),
            statuses=tuple(filter(None, typed.getlist("status"))),
            split=parse_split(split, _seed(typed.get("seed", ""))) if split else None,
            stratify=bool(split) and typed.get("stratify") == "yes",
        )
        name = f"{self.dataset.name}-{ref}".replace("/", "-")
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it, and then it is gone
        try:
            if split:
                self._zip(ref, options, name, file)
            else:
                self._export(ref, options, STDOUT, file)
        except BaseException:
            file.close()
            raise
        file.seek(0)
        return FileResponse(file, as_attachment=True, filename=f"{name}.zip" if split else f"{name}.jsonl")

    def _zip(self, ref: str, options: ExportOptions, name: str, file: IO[bytes]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            made = Path(folder) / "export"
            self._export(ref, options, made)
            zip_folder(made, file, name)

    def _export(self, ref: str, options: ExportOptions, output: Path, stdout: Any = None) -> None:
        export_version(
            dataset=self.dataset, ref=ref, output=output, actor=self.person, options=options, stdout=stdout
        )


def _seed(text: str) -> int:
    try:
        return int(text.strip() or 0)
    except ValueError as error:
        raise BadInput(f"Seed: found “{text}”, expected a whole number.") from error
