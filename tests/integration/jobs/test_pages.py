"""The pages of jobs: who sees what, what moves, and where a job can be started."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from datasets_app.models import Dataset, ExampleType, JobRun
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import add_example
from datasets_app.services.curation.importing import ImportOptions
from datasets_app.services.curation.staging import stage_file
from datasets_app.services.jobs import run_job, start_job, thresholds
from datasets_app.services.versioning.commits import commit
from datasets_app.services.versioning.refs import create_branch


def person(role: str | None) -> tuple[User, Client]:
    user = User.objects.create_user(f"a-{role}", is_staff=True)
    if role:
        user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return user, client


@pytest.fixture
def job(db: None) -> JobRun:
    dataset = create_dataset(name="queries", actor=None)
    return start_job(kind="open_worktree", dataset=dataset, arguments={"branch": dataset.main.pk}, actor=None)


@pytest.mark.django_db
def test_job_page__waiting__asks_again_for_its_progress(job: JobRun) -> None:
    page = person("viewer")[1].get(f"/admin/datasets_app/jobrun/{job.pk}/change/")

    assert page.status_code == 200
    assert f'hx-get="/admin/datasets_app/jobrun/{job.pk}/progress/"' in page.text
    assert "Open a branch for editing · queries" in page.text


@pytest.mark.django_db
def test_job_progress__running__shows_words_and_numbers(job: JobRun) -> None:
    JobRun.objects.filter(pk=job.pk).update(state="running", done=1500, total=3000, message="Writing")

    part = person("viewer")[1].get(f"/admin/datasets_app/jobrun/{job.pk}/progress/")

    assert '<progress class="gd-bar" max="3000" value="1500">' in part.text
    assert "1,500 of 3,000" in part.text
    assert "<html" not in part.text


@pytest.mark.django_db
def test_job_progress__over__stops_asking(job: JobRun) -> None:
    JobRun.objects.filter(pk=job.pk).update(state="failed", message="It broke.\nHere.", result={"error": {}})

    part = person("viewer")[1].get(f"/admin/datasets_app/jobrun/{job.pk}/progress/")

    assert "hx-get" not in part.text
    assert "It broke." in part.text


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["change", "progress"])
def test_job_page__of_a_dataset_that_one_may_not_see__is_not_found(job: JobRun, address: str) -> None:
    assert person(None)[1].get(f"/admin/datasets_app/jobrun/{job.pk}/{address}/").status_code == 404


@pytest.mark.django_db
def test_job_list__shows_the_visible_jobs_alone(job: JobRun) -> None:
    other = start_job(kind="verify", dataset=None, actor=None)
    _, client = person("viewer")

    page = client.get("/admin/datasets_app/jobrun/")

    assert str(job.pk) in page.text
    assert str(other.pk) not in page.text
    assert "Verify everything now" not in page.text


@pytest.mark.django_db
def test_start__by_a_release_manager__leads_to_the_job() -> None:
    user, client = person("release_manager")
    assert "Verify everything now" in client.get("/admin/datasets_app/jobrun/").text

    answer = client.post("/admin/datasets_app/jobrun/start/verify/")

    job = JobRun.objects.get()
    assert (job.kind, job.started_by) == ("verify", user)
    assert answer["Location"] == f"/admin/datasets_app/jobrun/{job.pk}/change/"


@pytest.mark.django_db
def test_start__by_a_curator__is_refused() -> None:
    assert person("curator")[1].post("/admin/datasets_app/jobrun/start/backup/").status_code == 403
    assert not JobRun.objects.exists()


@pytest.mark.django_db
def test_start__by_a_link__is_not_a_way() -> None:
    assert person("administrator")[1].get("/admin/datasets_app/jobrun/start/verify/").status_code == 405


def test_backup_job__of_everything__is_in_the_folder(
    committed_db: str, tmp_path: Path, settings: Any
) -> None:
    settings.GOLDEN_BACKUP_DIR = tmp_path / "backup"
    create_dataset(name="queries", actor=None)
    job = start_job(kind="backup", dataset=None, actor=None)

    run_job(job_id=job.pk)

    job.refresh_from_db()
    assert (job.state, job.message) == ("done", "")
    assert (tmp_path / "backup" / "golden_dataset_backup.json").is_file()
    assert Dataset.objects.count() == 1


@pytest.mark.django_db
def test_import_wizard__big_file__leads_to_the_job_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thresholds, "ROWS_IMPORTED_AT_ONCE", 1)
    user, client = person("curator")
    text = ExampleType.objects.get(name="text_classification")
    dataset = create_dataset(name="queries", actor=user, default_type=text)
    lines = b"".join(b'{"input": {"text": "t%d"}, "output": {"label": "x"}}\n' % n for n in range(3))
    batch = stage_file(
        branch=dataset.main,
        file=io.BytesIO(lines),
        file_name="three.jsonl",
        options=ImportOptions(),
        actor=user,
    )
    preview = f"/admin/datasets_app/dataset/{dataset.pk}/import/{batch.pk}/"

    answers = [client.post(preview, {"apply": ""})["Location"] for _ in range(2)]

    job = JobRun.objects.get()
    assert answers == [f"/admin/datasets_app/jobrun/{job.pk}/change/"] * 2
    assert job.arguments == {"batch": str(batch.pk), "file": "three.jsonl"}
    JobRun.objects.filter(pk=job.pk).update(state="done", result={"added": 3})
    assert f'href="{preview}"' in client.get(answers[0]).text


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["branches", "changes"])
def test_open_a_branch__big_one__leads_to_the_job(monkeypatch: pytest.MonkeyPatch, page: str) -> None:
    monkeypatch.setattr(thresholds, "ROWS_OPENED_AT_ONCE", 0)
    user, client = person("curator")
    text = ExampleType.objects.get(name="text_classification")
    dataset = create_dataset(name="queries", actor=user, default_type=text)
    add_example(
        branch=dataset.main,
        example_type=text,
        input_data={"text": "a"},
        expected_output={"label": "b"},
        actor=user,
    )
    commit(branch=dataset.main, message="one", actor=user)
    side = create_branch(dataset=dataset, name="side", start="main", actor=user)

    answer = client.post(
        f"/admin/datasets_app/dataset/{dataset.pk}/{page}/?branch={side.pk}", {"do": "open", "name": "side"}
    )

    job = JobRun.objects.get()
    assert (job.kind, job.arguments) == ("open_worktree", {"branch": side.pk})
    assert answer["Location"] == f"/admin/datasets_app/jobrun/{job.pk}/change/"
