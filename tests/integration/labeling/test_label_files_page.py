"""The page of a queue's files and the command: a look before anything is written, large files as jobs, downloads."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from datasets_app.models import JobRun
from datasets_app.services.jobs import run_job
from exports_app.errors import LabelFileRefused
from exports_app.services import label_jobs
from goldenproject.kit.commands import FileTrouble
from labeling_app.models import Label, LabelingQueue
from tests.integration.labeling.labeling_data import answer
from tests.integration.labeling.test_label_files import task

Make = Callable[..., LabelingQueue]


@pytest.fixture
def queue(queue_factory: Make, settings: Any, tmp_path: Path) -> LabelingQueue:
    settings.MEDIA_ROOT = str(tmp_path / "media")
    return queue_factory(overlap=2)


@pytest.fixture
def curator(client: Client, person: Callable[..., Any]) -> Client:
    client.force_login(person("curator"))
    return client


def address(queue: LabelingQueue) -> str:
    return reverse("label_files", args=[queue.pk])


def upload(client: Client, queue: LabelingQueue, tasks: Any, **typed: str) -> str:
    """Upload a file, and return where the browser is sent."""
    file = SimpleUploadedFile("labels.json", json.dumps(tasks).encode())
    asked = {
        "do": "upload",
        "tool": "label_studio",
        "people": "yes",
        "suggestions": "yes",
        "file": file,
        **typed,
    }
    response = client.post(address(queue), asked)
    assert response.status_code == 302, response.content.decode()
    return response.headers["Location"]


def token(place: str) -> str:
    return place.partition("?upload=")[2]


def test_page__upload__shows_what_would_happen_and_brings_it_in_on_request(
    curator: Client, queue: LabelingQueue
) -> None:
    place = upload(curator, queue, [task("question 1", ("guest", "a"), ("other", "b"))])
    page = curator.get(place)
    assert "Bring in 2 labels" in page.content.decode()
    assert page.context["counts"][0] == ("new labels", 2, "new")
    assert not Label.objects.exists()
    done = curator.post(address(queue), {"do": "apply", "upload": token(place)}, follow=True)
    assert "labels.json: 2 labels added." in done.content.decode()
    assert Label.objects.count() == 2
    assert curator.get(place).status_code == 404, "the upload is gone"


def test_page__bad_rows__are_listed_and_left_out_on_request(curator: Client, queue: LabelingQueue) -> None:
    place = upload(curator, queue, [task("question 1", ("guest", "a")), task("unheard of", ("guest", "a"))])
    html = curator.get(place).content.decode()
    assert "task 2: no example of the queue fits the task" in html
    assert "Bring in the rest, leave out 1 row" in html
    curator.post(address(queue), {"do": "apply", "upload": token(place), "skip": "yes"})
    assert Label.objects.count() == 1


def test_page__read_another_way__is_looked_at_anew(curator: Client, queue: LabelingQueue) -> None:
    place = upload(curator, queue, [task("unheard of", ("guest", "a"))])
    asked = {"do": "options", "upload": token(place), "add_examples": "yes", "fields": "label = label\n"}
    curator.post(address(queue), asked)
    page = curator.get(place)
    assert (page.context["result"].examples_added, page.context["result"].refused) == (1, 0)
    again = curator.post(address(queue), {**asked, "fields": "label"})
    assert "expected a control = a field" in again.content.decode()
    curator.post(address(queue), {"do": "discard", "upload": token(place)})
    assert curator.get(place).status_code == 404


def test_page__a_file_that_is_none__says_so(curator: Client, queue: LabelingQueue) -> None:
    file = SimpleUploadedFile("labels.json", b'[{"data": {}')
    place = curator.post(address(queue), {"do": "upload", "tool": "label_studio", "file": file}).headers[
        "Location"
    ]
    assert "Task 1: no JSON" in curator.get(place).content.decode()
    nothing = curator.post(address(queue), {"do": "upload", "tool": "label_studio"})
    assert "Choose a file first." in nothing.content.decode()
    assert "not known here" in curator.post(address(queue), {"do": "dance"}).content.decode()


def test_page__a_large_file__is_looked_at_and_brought_in_by_jobs(
    curator: Client, queue: LabelingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exports_app.admin.label_files.BYTES_AT_ONCE", 10)
    place = upload(curator, queue, [task("question 1", ("guest", "a"))])
    assert "This file is large" in curator.get(place).content.decode()
    for what, labels in (("look", 0), ("apply", 1)):
        curator.post(address(queue), {"do": what, "upload": token(place)})
        job = JobRun.objects.get(kind=label_jobs.IMPORT_JOB, state=JobRun.State.QUEUED)
        run_job(job_id=job.pk)
        job.refresh_from_db()
        assert (job.state, job.result["added"], job.result["dry_run"]) == ("done", 1, what == "look")
        assert Label.objects.count() == labels
        assert curator.get(reverse("admin:datasets_app_jobrun_change", args=[job.pk])).status_code == 200


def test_page__download__is_the_tools_own_file(
    curator: Client, queue: LabelingQueue, labelers: list[Any]
) -> None:
    answer(queue, labelers[0], "a")
    response = curator.post(address(queue), {"do": "export", "tool": "argilla"})
    assert response.headers["Content-Disposition"] == 'attachment; filename="texts-queue-1-argilla.json"'
    (record,) = json.loads(b"".join(response.streaming_content))  # type: ignore[attr-defined]
    assert record["fields"] == {"text": "question 1"}


def test_page__many_labels__are_written_by_a_job_and_downloaded_from_its_page(
    curator: Client, queue: LabelingQueue, labelers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_jobs, "LABELS_AT_ONCE", 0)
    answer(queue, labelers[0], "a")
    curator.post(address(queue), {"do": "export", "tool": "prodigy", "unlabeled": "yes"})
    job = JobRun.objects.get(kind=label_jobs.EXPORT_JOB)
    run_job(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.result["labels"]) == ("done", 1)
    page = curator.get(reverse("admin:datasets_app_jobrun_change", args=[job.pk])).content.decode()
    assert f"?download={job.pk}" in page
    response = curator.get(f"{address(queue)}?download={job.pk}")
    assert len(b"".join(response.streaming_content).splitlines()) == 10  # type: ignore[attr-defined]
    for wrong in ("x", "0" * 32):
        assert curator.get(f"{address(queue)}?download={wrong}").status_code == 404


@pytest.mark.parametrize(
    ("role", "sees", "brings", "takes"),
    [
        ("reviewer", 200, 403, 200),
        ("labeler", 403, 403, 403),
        ("viewer", 403, 403, 403),
        ("curator", 200, 302, 200),
    ],
)
def test_page__by_role__lets_import_in_and_review_out(
    client: Client,
    person: Callable[..., Any],
    queue: LabelingQueue,
    role: str,
    sees: int,
    brings: int,
    takes: int,
) -> None:
    client.force_login(person(role))
    page = client.get(address(queue))
    assert page.status_code == sees
    assert ("Bring labels in" in page.content.decode()) is (role == "curator")
    file = SimpleUploadedFile("labels.json", b"[]")
    asked = {"do": "upload", "tool": "label_studio", "file": file}
    assert client.post(address(queue), asked).status_code == brings
    taken = client.post(address(queue), {"do": "export", "tool": "doccano"})
    taken.close()
    assert taken.status_code == takes


def told(*arguments: str) -> dict[str, Any]:
    out = io.StringIO()
    call_command("golden_labels", *arguments, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def test_command__out_and_in_again__keeps_every_label(
    queue: LabelingQueue, queue_factory: Make, labelers: list[Any], tmp_path: Path
) -> None:
    for labeler in labelers[:2]:
        answer(queue, labeler, "a")
    other = queue_factory(overlap=2)
    written = told("export", queue.name, str(tmp_path), "--tool", "doccano", "--dataset", "texts")
    path = tmp_path / "texts-queue-1-doccano.zip"
    assert (written["path"], written["labels"]) == (str(path), 2)
    with pytest.raises(FileTrouble, match="is there already"):
        told("export", queue.name, str(path), "--tool", "doccano")
    brought = told("import", str(other.pk), str(path), "--tool", "doccano")
    assert (brought["added"], brought["refused"]) == (2, 0)
    assert sorted(other.labels.values_list("annotator", flat=True)) == ["labeler", "second-labeler"]
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == [path.name]


def test_command__in_words__tells_what_is_refused(
    queue: LabelingQueue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps([task("question 1", ("guest", "a")), task("unheard of", ("guest", "a"))]))
    with pytest.raises(LabelFileRefused, match="labels.json, task 2: no example"):
        call_command("golden_labels", "import", queue.name, str(path), "--tool", "label_studio")
    out = io.StringIO()
    call_command(
        "golden_labels",
        "import",
        queue.name,
        str(path),
        "--tool",
        "label_studio",
        "--on-error",
        "skip",
        stdout=out,
    )
    assert out.getvalue().splitlines()[:2] == [
        "Brought in 1 label by 1 annotator into queue 1: 2 tasks read, 0 labels changed, 0 here already.",
        "1 row refused.",
    ]
    with pytest.raises(FileTrouble, match="cannot be read"):
        told("import", queue.name, str(tmp_path / "none"), "--tool", "prodigy")
