"""Download the backup that the console made."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from datasets_app.domain.roles import Action
from datasets_app.services.access import record, require
from exports_app.backup import layout
from exports_app.writers.zip_files import zip_folder
from goldenproject.kit.admin import error_page
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import GoldenError


@require_safe
def download_backup(request: HttpRequest) -> HttpResponseBase:
    """Send the folder GOLDEN_BACKUP_DIR as a zip, to who may back up everything. It is not written to meanwhile."""
    try:
        require(request.user, Action.BACKUP)
        file = _zipped(Path(settings.GOLDEN_BACKUP_DIR))
    except GoldenError as error:
        return error_page(request, error, admin.site.each_context(request))
    with acting(request.user, "download the backup"):
        record(request.user, "backup.download", None, settings.GOLDEN_BACKUP_DIR.name)
    return FileResponse(file, as_attachment=True, filename="golden-backup.zip")


def _zipped(folder: Path) -> Any:
    with layout.locked(folder, writing=False):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it, and then it is gone
        zip_folder(folder, file, "golden-backup")
    file.seek(0)
    return file
