"""Uploaded files between the steps of an import: kept in the media storage, known to the session that brought them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import PurePath
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.http import HttpRequest

from datasets_app.services.curation.file_formats import columns_of, format_of
from goldenproject.kit.clock import now, random_uuid
from goldenproject.kit.errors import BadInput, NotFound

_FOLDER = "imports"
_KEPT_FOR = timedelta(days=1)
_SESSION_KEY = "golden_imports"
_MAX_KEPT = 20


@dataclass
class Upload:
    """A file that waits for its mapping: the name it came under, its format, and where it is kept."""

    token: str
    name: str
    format: str
    path: str
    dataset_id: str
    batch_id: str = ""

    def open(self) -> BinaryIO:
        try:
            return default_storage.open(self.path, "rb")  # type: ignore[return-value]
        except FileNotFoundError as error:
            raise NotFound(
                "The uploaded file is gone.", hint="Upload it again; it is kept for a day."
            ) from error


def keep_upload(request: HttpRequest, *, file: File[Any], format_name: str, dataset_id: Any) -> Upload:
    """Store an uploaded file and return it; its columns were read once, so it is known to be readable.

    Raises BadInput for a format that is not known or a file that is too large, MalformedRow for one that is not what
    its name says.
    """
    if (file.size or 0) > settings.GOLDEN_MAX_UPLOAD_BYTES:
        limit = settings.GOLDEN_MAX_UPLOAD_BYTES // 2**20
        raise BadInput(
            f"{file.name} is larger than {limit} MB.", hint="Import it with manage.py golden_import."
        )
    name = PurePath(file.name or "file").name
    if format_name == "xlsx" or (not format_name and name.lower().endswith(".xlsx")):
        file, format_name = _csv_of_sheet(file), "csv"
    kept_format = format_of(name, format_name or None)
    if not columns_of(file, kept_format):  # type: ignore[arg-type]
        raise BadInput(f"{name} has no rows.")
    forget_old_uploads()
    token = random_uuid().hex
    path = default_storage.save(f"{_FOLDER}/{token}.{kept_format}", file)
    upload = Upload(token, name, kept_format, path, str(dataset_id))
    remember(request, upload)
    return upload


def _csv_of_sheet(file: File[Any]) -> File[Any]:
    """Return the first sheet of a workbook as CSV, so that line n is row n of the sheet."""
    from import_export.formats import base_formats  # brings all of openpyxl along

    try:
        sheet = base_formats.XLSX().create_dataset(file.read())
    except Exception as error:  # openpyxl raises whatever comes
        raise BadInput(f"{file.name} cannot be read as XLSX: {error}") from error
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(sheet.headers or [])
    writer.writerows(["" if cell is None else cell for cell in row] for row in sheet)
    return File(io.BytesIO(text.getvalue().encode()), name=file.name)


def remember(request: HttpRequest, upload: Upload) -> None:
    kept = dict(request.session.get(_SESSION_KEY, {}))
    kept[upload.token] = asdict(upload)
    request.session[_SESSION_KEY] = dict(list(kept.items())[-_MAX_KEPT:])


def find_upload(request: HttpRequest, token: str, dataset_id: Any) -> Upload:
    """Return an upload of this session. Raises NotFound."""
    kept = request.session.get(_SESSION_KEY, {}).get(token)
    if kept is None or kept["dataset_id"] != str(dataset_id):
        raise NotFound("This upload is not known here.", hint="Upload the file again.")
    return Upload(**kept)


def upload_of_batch(request: HttpRequest, batch_id: Any) -> Upload | None:
    for kept in request.session.get(_SESSION_KEY, {}).values():
        if kept["batch_id"] == str(batch_id):
            return Upload(**kept)
    return None


def forget_upload(request: HttpRequest, upload: Upload) -> None:
    kept = dict(request.session.get(_SESSION_KEY, {}))
    kept.pop(upload.token, None)
    request.session[_SESSION_KEY] = kept
    default_storage.delete(upload.path)


def forget_old_uploads() -> None:
    """Delete files that nobody came back for."""
    for path in _kept_files():
        try:
            if now() - default_storage.get_modified_time(path) > _KEPT_FOR:
                default_storage.delete(path)
        except FileNotFoundError:  # another process was first
            continue


def _kept_files() -> Iterable[str]:
    try:
        return [f"{_FOLDER}/{name}" for name in default_storage.listdir(_FOLDER)[1]]
    except FileNotFoundError:
        return []
