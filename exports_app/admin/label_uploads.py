"""Files of labels between upload and import, and exports that a job has made: kept for a day in the media storage.

They lie beside the uploads of imports, whose tidying takes them along.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any, BinaryIO

from django.conf import settings
from django.core.files.base import File
from django.core.files.storage import default_storage
from django.http import HttpRequest

from datasets_app.admin.uploads import forget_old_uploads
from exports_app.integrations.tools import tool_called
from goldenproject.kit.clock import random_uuid
from goldenproject.kit.errors import BadInput, NotFound

FOLDER = "imports"
_SESSION_KEY = "golden_label_files"
_MAX_KEPT = 10
_PATH = re.compile(rf"{FOLDER}/[0-9a-f]{{32}}[\w.]*")


@dataclass
class LabelUpload:
    """An uploaded file of labels: the name it came under, its tool, where it is kept, and how it is to be read."""

    token: str
    name: str
    tool: str
    path: str
    size: int
    queue_id: str
    options: dict[str, Any] = field(default_factory=dict)

    def open(self) -> BinaryIO:
        return open_kept(self.path)


def keep_label_file(
    request: HttpRequest, *, file: File[Any], tool: str, queue_id: Any, options: dict[str, Any]
) -> LabelUpload:
    """Store an uploaded file. Raises BadInput for one that is too large or empty, or for an unknown tool."""
    name = PurePath(file.name or "file").name[:200]
    limit = settings.GOLDEN_MAX_UPLOAD_BYTES
    if (file.size or 0) > limit:
        raise BadInput(
            f"{name} is larger than {limit // 2**20} MB.", hint="Bring it in with manage.py golden_labels."
        )
    if not file.size:
        raise BadInput(f"{name} is empty.")
    chosen = tool_called(tool)
    forget_old_uploads()
    token = random_uuid().hex
    path = default_storage.save(f"{FOLDER}/{token}.labels", file)
    upload = LabelUpload(token, name, chosen.name, path, int(file.size), str(queue_id), options)
    remember(request, upload)
    return upload


def remember(request: HttpRequest, upload: LabelUpload) -> None:
    kept = dict(request.session.get(_SESSION_KEY, {}))
    kept[upload.token] = asdict(upload)
    request.session[_SESSION_KEY] = dict(list(kept.items())[-_MAX_KEPT:])


def find_label_file(request: HttpRequest, token: str, queue_id: Any) -> LabelUpload:
    """Return an upload of this session for this queue. Raises NotFound."""
    kept = request.session.get(_SESSION_KEY, {}).get(token)
    if kept is None or kept["queue_id"] != str(queue_id):
        raise NotFound("This upload is not known here.", hint="Upload the file again.")
    return LabelUpload(**kept)


def forget_label_file(request: HttpRequest, upload: LabelUpload, *, delete: bool = True) -> None:
    """Let the session forget an upload; without `delete` the file stays for the job that reads it."""
    kept = dict(request.session.get(_SESSION_KEY, {}))
    kept.pop(upload.token, None)
    request.session[_SESSION_KEY] = kept
    if delete:
        default_storage.delete(upload.path)


def open_kept(path: str) -> BinaryIO:
    """Open a kept file for reading. Raises NotFound, also for a path that is none of ours."""
    if _PATH.fullmatch(path) is None:
        raise NotFound("This is no kept file of labels.")
    try:
        return default_storage.open(path, "rb")  # type: ignore[return-value]
    except FileNotFoundError as error:
        raise NotFound("The file is gone.", hint="Upload it again; it is kept for a day.") from error
