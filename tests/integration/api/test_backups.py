"""Backups and restores over the API: started, watched, listed, downloaded; what is refused; what a kill leaves."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from datasets_app.models import AuditEvent, Dataset, JobRun
from datasets_app.services.access.tokens import create_token
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.jobs import run_job
from exports_app import jobs
from exports_app.backup import guards
from exports_app.errors import NotTheOwner
from exports_app.services import restores
from exports_app.services.archives import create_archive
from exports_app.services.backups import create_backup
from exports_app.services.dumps import record_dump
from exports_app.services.restore_requests import require_owner
from exports_app.services.scratch import DrillResult
from tests.integration.backup_data import documents

from .conftest import Api

MAIN = "golden_dataset_backup.json"


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, settings: Any) -> Path:
    """The backup folder, not made yet."""
    settings.GOLDEN_BACKUP_DIR = tmp_path / "backup"
    settings.GOLDEN_DATA_DIR = tmp_path / "data"
    return tmp_path / "backup"


@pytest.fixture
def admin(committed_db: str) -> Api:
    """An administrator's client, in a database where commits are real."""
    user = User.objects.create_user("root")
    user.groups.add(Group.objects.get(name="administrator"))
    return Api(create_token(user=user, name="test", scopes=["backup"], actor=user)[1])


@pytest.fixture
def words(committed_db: str) -> DatasetManager:
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(5))
    manager.commit("first")
    return manager


def done(api: Api, answer: Any, state: str = "done") -> dict[str, Any]:
    """Do the job that an answer tells of, and return it as the API tells it then."""
    assert answer.status_code == 202, answer.content
    run_job(job_id=answer.json()["id"])
    job: dict[str, Any] = api.get(f"jobs/{answer.json()['id']}").json()
    assert job["state"] == state, job["result"]
    return job


def test_backup__with_words__is_made_listed_and_downloaded(
    admin: Api, words: DatasetManager, folders: Path
) -> None:
    job = done(admin, admin.post("backups", {"description": "Five words"}))

    (listed,) = admin.get("backups").json()["results"]
    assert listed["sha256"] == job["result"]["sha256"]
    assert (listed["by"], listed["format"], listed["place"]) == ("root", "json", str(folders))
    assert (listed["changed"], listed["totals"]["total_examples"]) == (True, 5)
    answer = admin.get("backups/download")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    assert answer["Content-Type"] == "application/zip"
    assert archive.read(f"golden-backup/{MAIN}") == (folders / MAIN).read_bytes()
    assert b"Five words" in archive.read("golden-backup/golden_dataset_metadata.json")
    assert AuditEvent.objects.filter(action="backup.download").count() == 1


def test_backup__of_what_did_not_change__touches_no_file(
    admin: Api, words: DatasetManager, folders: Path
) -> None:
    done(admin, admin.post("backups"))
    before = (folders / MAIN).read_bytes()
    admin.get("backups/download").close()

    job = done(admin, admin.post("backups"))

    assert job["result"]["changed_since_the_last"] is False
    assert (folders / MAIN).read_bytes() == before
    assert [row["changed"] for row in admin.get("backups").json()["results"]] == [False, True]


def test_backup__asked_for_twice__is_one_job(admin: Api) -> None:
    first, second = (admin.post("backups", {"description": "same"}) for _ in "12")
    assert first.json()["id"] == second.json()["id"]
    assert JobRun.objects.count() == 1


def test_backup__archive__is_in_the_folder_and_not_in_the_download(
    admin: Api, words: DatasetManager, folders: Path
) -> None:
    made = done(admin, admin.post("backups", {"archive": True}))["result"]
    done(admin, admin.post("backups"))

    (archive,) = admin.get("backups/archives").json()["results"]

    assert archive == {
        "name": made["archive"],
        "created_at": archive["created_at"],
        "bytes": (folders / made["archive"]).stat().st_size,
        "encrypted": False,
    }
    answer = admin.get("backups/download")
    names = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))).namelist()
    assert names == [f"golden-backup/{MAIN}", "golden-backup/golden_dataset_metadata.json"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"encrypt": True}, "Only archives are encrypted."),
        ({"output": "/etc"}, "unknown field"),
        ({"destination": "s3://bucket"}, "unknown field"),
        ({"description": "x" * 2001}, "no more than 2000"),
    ],
)
def test_backup__bad_request__is_refused_and_starts_nothing(
    admin: Api, body: dict[str, Any], message: str
) -> None:
    answer = admin.post("backups", body)
    assert answer.status_code == 400
    assert message in answer.content.decode()
    assert not JobRun.objects.exists()


def test_list__of_backups_to_urls__shows_no_secrets_and_goes_on_by_the_cursor(
    api: Api, words_backup: Any
) -> None:
    record_dump(words_backup, None, "s3://key:secret@bucket/golden?token=abc")
    record_dump(words_backup, None, "/mnt/second")

    page = api.get("backups?limit=1").json()
    rest = api.get(f"backups?limit=1&cursor={page['next_cursor']}").json()

    assert [row["place"] for row in page["results"] + rest["results"]] == [
        "/mnt/second",
        "s3://bucket/golden",
    ]
    assert (rest["next_cursor"], rest["results"][0]["format"], rest["results"][0]["changed"]) == (
        None,
        "dump",
        None,
    )


@pytest.fixture
def words_backup(db: None, tmp_path: Path) -> Any:
    create_dataset(name="texts", actor=None)
    return create_backup(directory=tmp_path / "elsewhere", actor=None, recorded=False)


def test_verify__stored_backup__passes_and_a_damaged_one_fails(
    admin: Api, words: DatasetManager, folders: Path
) -> None:
    done(admin, admin.post("backups"))
    job = done(admin, admin.post("backups/verify", {"source": "folder", "deep": True}))
    assert job["result"]["examples"] == 5
    main = folders / MAIN
    main.write_bytes(main.read_bytes().replace(b"quoted", b"quotes", 1))

    job = done(admin, admin.post("backups/verify", {"source": "folder", "deep": True}), "failed")

    assert job["result"]["error"]["code"] == "verification_failed"
    verdicts = AuditEvent.objects.filter(action="backup.verify").order_by("id")
    assert [event.succeeded for event in verdicts] == [True, False]


@pytest.mark.parametrize("name", ["../backup", "/etc/passwd", "nothing.tar.zst", ".", "backup/x", "folder"])
@pytest.mark.parametrize("address", ["backups/verify", "restores"])
def test_source__that_is_not_in_the_listing__is_no_backup(
    admin: Api, folders: Path, name: str, address: str
) -> None:
    folders.mkdir()
    (folders / "notes.txt").write_text("not ours")

    answer = admin.post(address, {"source": name})

    assert (answer.status_code, answer.json()["code"]) == (404, "no_backup")
    assert not JobRun.objects.exists()


@pytest.mark.parametrize("confirm", ["", "yes", "Replace", "replace all"])
def test_restore__replace_without_the_word__is_refused(
    admin: Api, words: DatasetManager, folders: Path, confirm: str
) -> None:
    create_backup(directory=folders, actor=None)
    answer = admin.post("restores", {"source": "folder", "replace": True, "confirm": confirm})
    assert (answer.status_code, answer.json()["code"]) == (400, "not_confirmed")
    assert not JobRun.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"replace": True, "confirm": "replace", "on_conflict": "skip"},
        {"into_scratch": True, "replace": True},
        {"into_scratch": True, "dry_run": True},
        {"on_conflict": "merge"},
        {"safety_dir": "/tmp/elsewhere"},
    ],
)
def test_restore__options_that_do_not_go_together__are_refused(
    admin: Api, words: DatasetManager, folders: Path, body: dict[str, Any]
) -> None:
    create_backup(directory=folders, actor=None)
    assert admin.post("restores", {"source": "folder", **body}).status_code == 400
    assert not JobRun.objects.exists()


def test_restore__replace__brings_all_back_names_the_safety_backup_and_keeps_the_job(
    admin: Api, words: DatasetManager, folders: Path
) -> None:
    create_backup(directory=folders, actor=None)
    later = create_dataset(name="later", actor=None)
    old = JobRun.objects.create(kind="open_worktree", dataset=later, state="done")

    looked = done(admin, admin.post("restores", {"source": "folder", "replace": True, "dry_run": True}))
    assert Dataset.objects.filter(name="later").exists()
    assert looked["result"]["totals_now"]["total_datasets"] == 2
    assert looked["result"]["totals"]["total_datasets"] == 1
    body = {"source": "folder", "replace": True, "confirm": "replace", "sha256": looked["result"]["sha256"]}
    job = done(admin, admin.post("restores", body))

    result = job["result"]
    assert [dataset.name for dataset in Dataset.objects.all()] == ["words"]
    assert (result["findings"], result["verification"]["valid"]) == ([], True)
    assert (Path(result["safety_backup"]) / MAIN).is_file()
    assert b'"later"' in (Path(result["safety_backup"]) / MAIN).read_bytes()
    old.refresh_from_db()
    assert old.dataset is None
    (listed,) = admin.get("restores").json()["results"]
    assert (listed["by"], listed["is_drill"], listed["succeeded"]) == ("root", False, True)
    assert listed["safety_backup"] == result["safety_backup"]
    page = str(dict(jobs._restore_facts(JobRun.objects.get(pk=job["id"]))))
    assert "5 examples" in page


def test_restore__backup_replaced_since_it_was_looked_at__is_refused(
    admin: Api, words: DatasetManager, folders: Path
) -> None:
    looked = create_backup(directory=folders, actor=None).sha256
    create_dataset(name="later", actor=None)
    create_backup(directory=folders, actor=None)
    body = {"source": "folder", "replace": True, "confirm": "replace", "sha256": looked}

    job = done(admin, admin.post("restores", body), "failed")

    assert job["result"]["error"]["code"] == "another_backup"
    assert Dataset.objects.count() == 2


def test_restore__killed_after_the_commit__is_not_done_again(
    admin: Api, words: DatasetManager, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_backup(directory=folders, actor=None)
    create_dataset(name="later", actor=None)
    asked = admin.post("restores", {"source": "folder", "replace": True, "confirm": "replace"})
    with monkeypatch.context() as patch:
        patch.setattr(restores, "index_afterwards", _killed)
        with pytest.raises(KeyboardInterrupt):
            run_job(job_id=asked.json()["id"])
    assert JobRun.objects.get().state == "running"
    create_dataset(name="between", actor=None)

    job = done(admin, asked)

    assert {dataset.name for dataset in Dataset.objects.all()} == {"words", "between"}
    event = AuditEvent.objects.get(action="restore")
    assert job["result"]["safety_backup"] == event.details["safety_backup"]
    assert b'"later"' in (Path(job["result"]["safety_backup"]) / MAIN).read_bytes()
    assert job["result"]["totals"]["total_examples"] == 5


def test_restore__killed_before_the_commit__is_done_once_with_one_safety_backup(
    admin: Api, words: DatasetManager, folders: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create_backup(directory=folders, actor=None)
    create_dataset(name="later", actor=None)
    asked = admin.post("restores", {"source": "folder", "replace": True, "confirm": "replace"})
    with monkeypatch.context() as patch:
        patch.setattr(restores, "rebuild_trees", _killed)
        with pytest.raises(KeyboardInterrupt):
            run_job(job_id=asked.json()["id"])
    assert Dataset.objects.count() == 2

    job = done(admin, asked)

    assert Dataset.objects.count() == 1
    safety = tmp_path / "data" / "safety-backups" / f"restore-{job['id']}"
    assert [str(path) for path in safety.iterdir()] == [job["result"]["safety_backup"]]


def _killed(*args: Any, **options: Any) -> Any:
    raise KeyboardInterrupt


def test_restore__with_findings__ends_done_and_tells_them(
    admin: Api, words: DatasetManager, folders: Path
) -> None:
    create_backup(directory=folders, actor=None)
    metadata = folders / "golden_dataset_metadata.json"
    metadata.write_text(metadata.read_text().replace('"total_chunks": 0', '"total_chunks": 7'))

    job = done(admin, admin.post("restores", {"source": "folder", "replace": True, "confirm": "replace"}))

    (finding,) = job["result"]["findings"]
    assert "7" in finding
    assert ("Finding", finding) in jobs._restore_facts(JobRun.objects.get(pk=job["id"]))
    assert admin.get("restores").json()["results"][0]["has_findings"] is True


def test_restore__of_an_archive_into_what_holds_it__is_refused_and_skipped(
    admin: Api, words: DatasetManager, folders: Path
) -> None:
    name = create_archive(place=str(folders), actor=None).name
    refused = done(admin, admin.post("restores", {"source": name}), "failed")
    assert refused["result"]["error"]["code"] == "restore_conflict"

    job = done(admin, admin.post("restores", {"source": name, "on_conflict": "skip"}))

    assert job["result"]["datasets"] == {"add": [], "update": [], "skip": ["words"]}
    assert job["result"]["directory"] == f"{folders}/{name}"


def test_restore__drill__is_run_with_its_flags_and_changes_nothing(
    admin: Api, words: DatasetManager, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_backup(directory=folders, actor=None)
    calls = []

    def drill(*, place: str, actor: Any, options: Any) -> DrillResult:
        calls.append((place, actor.get_username(), options.arguments))
        document = {"findings": ["odd"], "verification": {"valid": True, "errors": [], "warnings": []}}
        return DrillResult(place, "golden_scratch_x", 2, document, {"restore": 1.5})

    monkeypatch.setattr(jobs, "run_drill", drill)
    job = done(admin, admin.post("restores", {"source": "folder", "into_scratch": True, "embeddings": False}))

    assert calls == [(str(folders), "root", ("--no-embeddings",))]
    assert (job["result"]["drill"]["passed"], job["result"]["findings"]) == (False, ["odd"])
    facts = jobs._restore_facts(JobRun.objects.get(pk=job["id"]))
    assert ("Drill", "passed with findings") in facts


def test_job__while_a_restore_holds_the_tables__can_be_followed(
    admin: Api, words: DatasetManager, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_backup(directory=folders, actor=None)
    asked = admin.post("restores", {"source": "folder", "replace": True, "confirm": "replace"})
    seen, rebuild = [], restores.rebuild_trees

    def looks(datasets: Any) -> int:
        seen.append(_states_seen_by_another(asked.json()["id"], admin))
        return rebuild(datasets)

    monkeypatch.setattr(restores, "rebuild_trees", looks)
    done(admin, asked)
    assert seen == [("running", "running")]


def _states_seen_by_another(job: str, admin: Api) -> tuple[str, str]:
    """Ask as the web server would: in another session, which gives up at once when it would have to wait."""
    from concurrent.futures import ThreadPoolExecutor

    from django.test import Client

    def ask() -> tuple[str, str]:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '2s'")
            over_api = admin.get(f"jobs/{job}").json()["state"]
            browser = Client()
            person = User.objects.get(username="root")
            User.objects.filter(pk=person.pk).update(is_staff=True)
            browser.force_login(person)
            part = browser.get(f"/admin/datasets_app/jobrun/{job}/progress/")
            return over_api, "running" if "running" in part.text else part.text
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(ask).result()


@pytest.mark.django_db
def test_restores__by_a_release_manager__are_read_and_not_started(api_of: Callable[..., Api]) -> None:
    manager = api_of("release_manager")
    assert manager.get("restores").json() == {"results": [], "next_cursor": None}
    assert manager.post("restores", {"source": "folder"}).status_code == 403


def test_restore__by_a_database_role_that_is_not_the_owner__is_refused_before_the_work(
    admin: Api, words: DatasetManager, folders: Path
) -> None:
    create_backup(directory=folders, actor=None)
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE pg_read_all_data")
        try:
            with pytest.raises(NotTheOwner, match="pg_read_all_data"):
                require_owner()
        finally:
            cursor.execute("RESET ROLE")
    require_owner()


def test_restore__while_others_work_with_the_tables__fails_and_says_so(
    admin: Api, words: DatasetManager, folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_backup(directory=folders, actor=None)
    monkeypatch.setattr(guards, "_LOCK_WAIT", "50ms")
    asked = admin.post("restores", {"source": "folder", "replace": True, "confirm": "replace"})
    other = connection.copy()
    with closing(other), other.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE datasets_app_dataset IN ACCESS SHARE MODE")
        job = done(admin, asked, "failed")
    assert job["result"]["error"]["code"] == "tables_in_use"
    assert Dataset.objects.count() == 1
