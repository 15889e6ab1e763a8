"""The backup that lies in GOLDEN_BACKUP_DIR, as a zip for whoever may back up everything."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path
from typing import IO, Any

from django.contrib import admin
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from datasets_app.domain.roles import Action
from datasets_app.services.access import record, require
from exports_app.backup import layout
from exports_app.services.stored_backups import backup_folder
from goldenproject.kit.admin import error_page
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import GoldenError

NAME = "golden-backup"


@require_safe
def download_backup(request: HttpRequest) -> HttpResponseBase:
    """Send the backup to a browser, or a page that tells why not."""
    try:
        return zipped_backup(request.user)
    except GoldenError as error:
        return error_page(request, error, admin.site.each_context(request))


def zipped_backup(actor: Any) -> FileResponse:
    """Return the backup in the folder as a zip; it is not written to meanwhile. Raises Forbidden, NoBackup, BackupInUse.

    Only what belongs to the backup is in it: archives and native dumps beside it stay where they are.
    """
    require(actor, Action.BACKUP)
    folder = backup_folder()
    with layout.locked(folder, writing=False):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it, and then it is gone
        try:
            _zip(folder, file)
        except BaseException:
            file.close()
            raise
    file.seek(0)
    with acting(actor, "download the backup"):
        record(actor, "backup.download", None, folder.name)
    return FileResponse(file, as_attachment=True, filename=f"{NAME}.zip", content_type="application/zip")


def _zip(folder: Path, file: IO[bytes]) -> None:
    files = {layout.MAIN: layout.main_file(folder), layout.METADATA: layout.metadata_file(folder)}
    shards = sorted((folder / layout.SHARDS).rglob("*.jsonl"))
    files |= {path.relative_to(folder).as_posix(): path for path in shards}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in files.items():
            if path.is_file():
                archive.write(path, f"{NAME}/{name}")
