"""A restore by a real worker that is killed in the middle: the next one does it, once, with one safety backup."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from datasets_app.models import AuditEvent, Dataset, JobRun
from datasets_app.services.curation.datasets import create_dataset
from exports_app.services.backups import create_backup
from exports_app.services.restore_requests import RestoreRequest, request_restore


@pytest.mark.slow
@pytest.mark.fault
def test_restore__worker_killed_in_the_middle__the_next_one_does_it_once(
    committed_db: str,
    worker: Callable[[], subprocess.Popen[bytes]],
    reaches: Callable[..., JobRun],
    other_session: psycopg.Connection[Any],
    tmp_path: Path,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.GOLDEN_BACKUP_DIR = tmp_path
    monkeypatch.setenv("GOLDEN_BACKUP_DIR", str(tmp_path))
    create_dataset(name="cards", actor=None)
    create_backup(directory=tmp_path, actor=None)
    create_dataset(name="later", actor=None)
    request = RestoreRequest(replace=True)
    job = request_restore(request=request, actor=None, confirm="replace")
    with other_session.transaction():  # holds the restore up where it wants the tables for itself
        other_session.execute("LOCK TABLE datasets_app_dataset IN ACCESS SHARE MODE")
        first = worker()
        reaches(job, "running")
        first.kill()
        first.wait()
    assert Dataset.objects.count() == 2

    # let the killed worker have been silent for long, instead of waiting for that
    other_session.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    worker()
    with suppress(AlreadyEnqueued):  # the first worker may have put it into the queue and not come to do it
        app.configure_task("golden.wake_stalled", queueing_lock="golden.wake_stalled").defer(timestamp=0)
    job = reaches(job, "done", "failed")

    assert (job.state, job.message) == ("done", "")
    assert [dataset.name for dataset in Dataset.objects.all()] == ["cards"]
    event = AuditEvent.objects.get(action="restore")
    assert event.details["job"] == str(job.pk)
    safety = Path(job.result["safety_backup"])
    assert (safety.parent.name, [path.name for path in safety.parent.iterdir()]) == (
        f"restore-{job.pk}",
        [safety.name],
    )
    assert b'"later"' in (safety / "golden_dataset_backup.json").read_bytes()
    shutil.rmtree(safety.parent)
