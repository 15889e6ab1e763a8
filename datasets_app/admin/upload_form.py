"""The upload form of import-export. Imported where it is shown: import-export brings all of openpyxl along."""

from __future__ import annotations

from typing import Any

from import_export.formats import base_formats
from import_export.resources import Resource
from unfold.contrib.import_export.forms import ImportForm


class JsonLines(base_formats.Format):  # type: ignore[misc]
    """What import-export offers in its list of formats; the rows are read by the import service."""

    def get_title(self) -> str:
        return "jsonl"


class Parquet(base_formats.Format):  # type: ignore[misc]
    def get_title(self) -> str:
        return "parquet"


FORMATS: list[Any] = [JsonLines, base_formats.CSV, base_formats.TSV, base_formats.JSON, Parquet]
if base_formats.XLSX.is_available():
    FORMATS.append(base_formats.XLSX)


class ExampleResource(Resource):  # type: ignore[misc]
    """The one thing that can be imported here; import-export's form wants to be told."""

    @classmethod
    def get_display_name(cls) -> str:
        return "Examples"


class UploadForm(ImportForm):  # type: ignore[misc]
    """The upload form of import-export; the format may be left to the name of the file."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(FORMATS, [ExampleResource], **kwargs)
        self.fields["format"].required = False
        self.fields["format"].help_text = "Left open, the ending of the file's name tells."

    @property
    def format_name(self) -> str:
        chosen = self.cleaned_data.get("format")
        return str(FORMATS[int(chosen)]().get_title()) if chosen else ""
