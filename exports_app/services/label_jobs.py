"""Files of labels that are too large for a request: what the worker does, and when it is asked to."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from typing import Any

from django.core.files.base import File
from django.core.files.storage import default_storage

from datasets_app.models import JobRun
from datasets_app.services.jobs import start_job
from exports_app.integrations.tools import tool_called
from exports_app.services.label_export import LabelExportOptions, export_label_file, export_name
from exports_app.services.label_files import LabelImportOptions, import_label_file
from goldenproject.kit.clock import random_uuid
from goldenproject.kit.errors import NotFound
from labeling_app.models import Label, LabelingQueue
from labeling_app.services.queues import get_queue

IMPORT_JOB, EXPORT_JOB = "label_import", "label_export"
BYTES_AT_ONCE = 2 * 1024 * 1024
LABELS_AT_ONCE = 20_000
FOLDER = "imports"
Report = Callable[..., None]


def start_label_import(
    *, queue: LabelingQueue, path: str, name: str, tool: str, options: dict[str, Any], actor: Any
) -> JobRun:
    """Start the job that brings in the kept file at `path`; with options["dry_run"], the one that looks at it."""
    arguments = {"queue": str(queue.pk), "path": path, "file": name, "tool": tool, "options": options}
    return start_job(kind=IMPORT_JOB, dataset=queue.dataset, actor=actor, arguments=arguments)


def run_label_import(job: JobRun, report: Report) -> dict[str, Any]:
    """Do the import that a job asks for. Raises NotFound when the file is gone."""
    asked = job.arguments
    try:
        file = default_storage.open(asked["path"], "rb")
    except FileNotFoundError as error:
        raise NotFound("The file is gone.", hint="Upload it again; it is kept for a day.") from error
    with file:
        result = import_label_file(
            queue=get_queue(asked["queue"]),
            source=file,  # type: ignore[arg-type]
            tool=asked["tool"],
            actor=job.started_by,
            file_name=asked["file"],
            options=LabelImportOptions(**asked["options"]),
            progress=report,
        )
    if not result.dry_run:
        default_storage.delete(asked["path"])
    return result.document()


def wants_export_job(queue: LabelingQueue) -> bool:
    """Whether a queue has so many labels that a job is to write them."""
    return Label.objects.filter(queue=queue)[LABELS_AT_ONCE : LABELS_AT_ONCE + 1].exists()


def start_label_export(*, queue: LabelingQueue, tool: str, unlabeled: bool, actor: Any) -> JobRun:
    """Start the job that writes the labels of a queue for a tool into a kept file."""
    # a time of its own, so that a second export is not taken for the first
    arguments = {
        "queue": str(queue.pk),
        "tool": tool_called(tool).name,
        "unlabeled": unlabeled,
        "call": random_uuid().hex[:8],
    }
    return start_job(kind=EXPORT_JOB, dataset=queue.dataset, actor=actor, arguments=arguments)


def run_label_export(job: JobRun, report: Report) -> dict[str, Any]:
    """Write the export that a job asks for into the media storage."""
    asked = job.arguments
    queue, tool = get_queue(asked["queue"]), tool_called(asked["tool"])
    report(0, None, f"Writing for {tool.title}")
    with tempfile.TemporaryFile() as file:
        told = export_label_file(
            queue=queue,
            tool=tool.name,
            file=file,
            actor=job.started_by,
            options=LabelExportOptions(unlabeled=bool(asked["unlabeled"])),
        )
        file.seek(0)
        path = default_storage.save(f"{FOLDER}/{random_uuid().hex}.{tool.extension}", File(file))
    return {**told.document(), "file": export_name(queue, tool.name), "path": path}
