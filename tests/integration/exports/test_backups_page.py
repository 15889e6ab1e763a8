"""The console's page of backups: what it tells, what each button starts, and who is asked before a restore."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from datasets_app.domain.roles import ALLOWED, Action, Role
from datasets_app.models import AuditEvent, Dataset, JobRun
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.jobs import run_job
from exports_app.services.archives import create_archive
from exports_app.services.backups import create_backup
from goldenproject.kit.clock import frozen, now
from tests.integration.people import client_of

PAGE = "/admin/backup/"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.GOLDEN_BACKUP_DIR = tmp_path / "backup"
    settings.GOLDEN_DATA_DIR = tmp_path / "data"
    return tmp_path / "backup"


def started(client: Client, address: str = PAGE, **typed: str) -> JobRun:
    """Press a button and return the job that it leads to."""
    answer = client.post(address, typed)
    assert answer.status_code == 302, answer.text
    match = re.fullmatch(r"/admin/datasets_app/jobrun/(.+)/change/", answer["Location"])
    assert match is not None
    return JobRun.objects.get(pk=match[1])


def looked(client: Client, **typed: str) -> str:
    """Do a dry run and return the address that its job's page leads to."""
    job = started(client, do="look", source="folder", **typed)
    run_job(job_id=job.pk)
    page = client.get(f"/admin/datasets_app/jobrun/{job.pk}/change/").text
    match = re.search(r'href="(/admin/backup/restore/[^"]+)"', page)
    assert match is not None, page
    return match[1]


@pytest.mark.django_db
@pytest.mark.parametrize("role", [None, *Role])
def test_page__by_a_role__is_shown_and_restores_as_its_rights_say(role: Role | None, folder: Path) -> None:
    client = client_of(role and role.value)
    rights = ALLOWED[role] if role else frozenset()
    create_backup(directory=folder, actor=None)
    before = (AuditEvent.objects.count(), JobRun.objects.count())

    page = client.get(PAGE)

    assert page.status_code == (200 if Action.BACKUP in rights else 403)
    assert ("See what would happen" in page.text) == (Action.RESTORE in rights)
    assert (PAGE in client.get("/admin/").text) == (Action.BACKUP in rights)
    assert (AuditEvent.objects.count(), JobRun.objects.count()) == before
    nowhere = client.get(f"{PAGE}restore/{uuid.uuid4()}/")
    assert nowhere.status_code == (404 if Action.RESTORE in rights else 403)
    for do in ("backup", "verify"):
        answer = client.post(PAGE, {"do": do})
        assert answer.status_code == (302 if Action.BACKUP in rights else 403)
    for do in ("look", "drill"):
        answer = client.post(PAGE, {"do": do, "source": "folder"})
        assert answer.status_code == (302 if Action.RESTORE in rights else 403)
    kinds = set(JobRun.objects.values_list("kind", flat=True))
    expected = {"backup", "verify"} if Action.BACKUP in rights else set()
    assert kinds == expected | ({"restore"} if Action.RESTORE in rights else set())


@pytest.mark.django_db
def test_page__signed_out__goes_to_the_sign_in_page(client: Client) -> None:
    assert client.get(PAGE)["Location"].startswith("/admin/login/")
    assert client.get(f"{PAGE}restore/{uuid.uuid4()}/")["Location"].startswith("/admin/login/")


@pytest.mark.django_db
def test_page__no_backup_yet__warns(folder: Path) -> None:
    text = client_of("release_manager").get(PAGE).text
    assert "There is no backup yet" in text
    assert "/admin/backup/download/" not in text
    assert not folder.exists()


@pytest.mark.django_db
def test_page__old_backup__warns_and_a_fresh_one_does_not(folder: Path) -> None:
    create_backup(directory=folder, actor=None)
    client = client_of("release_manager")
    assert "days old" not in client.get(PAGE).text
    with frozen(now() + timedelta(days=9)):
        assert "The last backup is 9 days old" in client.get(PAGE).text


@pytest.mark.django_db
def test_page__archives__are_listed_with_their_sizes(folder: Path) -> None:
    with frozen(datetime(2026, 5, 1, tzinfo=UTC)):
        made = create_archive(place=str(folder), actor=None)
    text = client_of("release_manager").get(PAGE).text
    assert made.name in text
    assert "/admin/backup/download/" not in text  # there are archives alone


@pytest.mark.django_db
def test_page__scripts__are_files_of_this_site(folder: Path) -> None:
    create_backup(directory=folder, actor=None)
    text = client_of("administrator").get(PAGE).text
    assert not re.search(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)", text)
    assert not re.search(r"\son[a-z]+=", text)


@pytest.mark.django_db
def test_back_up__with_words__starts_the_job_with_them() -> None:
    client = client_of("release_manager")
    job = started(client, do="backup", description="  Added 5 tutorials ", encrypt="yes")
    assert (job.kind, job.arguments) == (
        "backup",
        {"description": "Added 5 tutorials", "archive": True, "encrypt": True},
    )


@pytest.mark.django_db
def test_verify__of_what_is_not_there__is_refused() -> None:
    answer = client_of("release_manager").post(PAGE, {"do": "verify", "source": "../../etc"})
    assert answer.status_code == 404
    assert not JobRun.objects.exists()


@pytest.mark.django_db
def test_button__unknown__is_told_over_the_same_page() -> None:
    answer = client_of("administrator").post(PAGE, {"do": "burn"})
    assert (answer.status_code, "not known here" in answer.text) == (200, True)


def test_restore__looked_at_and_confirmed_by_the_word__replaces_everything(
    committed_db: str, folder: Path
) -> None:
    client = client_of("administrator")
    create_dataset(name="cards", actor=None)
    create_backup(directory=folder, actor=None)
    create_dataset(name="later", actor=None)

    address = looked(client, way="replace")
    page = client.get(address)
    refused = client.post(address, {"confirm": "yes"})

    assert "Replace everything that is here" in page.text
    row = r"<td>Datasets</td><td[^>]*>2</td><td[^>]*>1</td>"
    assert re.search(row, page.text)
    assert (refused.status_code, "expected “replace”" in refused.text) == (200, True)
    assert {dataset.name for dataset in Dataset.objects.all()} == {"cards", "later"}
    job = started(client, address, confirm="replace")
    run_job(job_id=job.pk)
    job.refresh_from_db()
    assert job.state == "done", job.message
    assert [dataset.name for dataset in Dataset.objects.all()] == ["cards"]
    told = client.get(PAGE).text
    assert "Safety backup" in told
    assert f"/admin/datasets_app/jobrun/{job.pk}/change/" in told


def test_restore__added__leaves_what_is_there_as_it_was_said(committed_db: str, folder: Path) -> None:
    client = client_of("administrator")
    create_dataset(name="cards", actor=None)
    create_backup(directory=folder, actor=None)
    create_dataset(name="later", actor=None)

    address = looked(client, way="add", on_conflict="skip")
    assert "Datasets to skip: cards" in client.get(address).text
    job = started(client, address)
    run_job(job_id=job.pk)

    job.refresh_from_db()
    assert (job.state, job.result["datasets"]["skip"]) == ("done", ["cards"])
    assert Dataset.objects.count() == 2


def test_restore__backup_made_anew_since_it_was_looked_at__is_refused(
    committed_db: str, folder: Path
) -> None:
    client = client_of("administrator")
    create_backup(directory=folder, actor=None)
    create_dataset(name="later", actor=None)
    address = looked(client, way="replace")
    create_backup(directory=folder, actor=None)

    job = started(client, address, confirm="replace")
    run_job(job_id=job.pk)

    job.refresh_from_db()
    assert (job.state, job.result["error"]["code"]) == ("failed", "another_backup")
    assert Dataset.objects.count() == 1


def test_restore_page__of_a_restore_that_was_no_dry_run__is_not_there(
    committed_db: str, folder: Path
) -> None:
    client = client_of("administrator")
    create_backup(directory=folder, actor=None)
    job = started(client, looked(client, way="replace"), confirm="replace")
    run_job(job_id=job.pk)
    assert client.get(f"{PAGE}restore/{job.pk}/").status_code == 404
