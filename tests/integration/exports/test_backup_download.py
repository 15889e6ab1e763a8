"""The backup of the console is downloaded by who may back up, and by nobody else."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from datasets_app.models import AuditEvent, JobRun
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.jobs import run_job, start_job
from tests.integration.people import client_of

ADDRESS = "/admin/backup/download/"


def test_download__after_a_backup_job__is_the_folder_as_a_zip(
    committed_db: str, tmp_path: Path, settings: Any
) -> None:
    settings.GOLDEN_BACKUP_DIR = tmp_path / "backup"
    create_dataset(name="cards", actor=None)
    job = start_job(kind="backup", dataset=None, actor=None)
    run_job(job_id=job.pk)
    client = client_of("release_manager")
    page = client.get(f"/admin/datasets_app/jobrun/{job.pk}/change/")
    assert page.status_code == 404  # somebody else's job about everything
    JobRun.objects.filter(pk=job.pk).update(started_by=User.objects.get(username="a-release_manager"))
    assert ADDRESS in client.get(f"/admin/datasets_app/jobrun/{job.pk}/change/").text

    answer = client.get(ADDRESS)

    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    main = archive.read("golden-backup/golden_dataset_backup.json")
    assert main == (tmp_path / "backup" / "golden_dataset_backup.json").read_bytes()
    assert json.loads(main)
    assert AuditEvent.objects.filter(action="backup.download").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["viewer", "labeler", "reviewer", "curator"])
def test_download__without_the_right__is_refused(role: str, tmp_path: Path, settings: Any) -> None:
    settings.GOLDEN_BACKUP_DIR = tmp_path
    assert client_of(role).get(ADDRESS).status_code == 403


@pytest.mark.django_db
def test_download__no_backup_yet__says_so(tmp_path: Path, settings: Any) -> None:
    settings.GOLDEN_BACKUP_DIR = tmp_path / "nothing"
    answer = client_of("administrator").get(ADDRESS)
    assert answer.status_code == 404
    assert "there is no such folder" in answer.text


@pytest.mark.django_db
def test_download__signed_out__goes_to_the_sign_in_page(client: Client) -> None:
    assert client.get(ADDRESS)["Location"].startswith("/admin/login/")
