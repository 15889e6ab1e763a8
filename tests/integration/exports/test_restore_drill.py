"""The restore drill: a throw-away database that is gone afterwards, whatever happened, and the real one left alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from psycopg import sql

from datasets_app.models import AuditEvent
from datasets_app.services.curation.manager import DatasetManager
from exports_app.services import scratch
from exports_app.services.archives import ArchiveOptions, create_archive
from exports_app.services.backups import create_backup
from exports_app.services.evaluations import CorpusEvaluation
from goldenproject.kit.commands import UsageError
from tests.integration.backup_data import documents
from tests.integration.test_backup_commands import manage
from tests.integration.test_backup_round_trip import everything
from tests.template_database import ROOT, cloned, connected_to, maintenance

pytestmark = pytest.mark.usefixtures("drills_one_by_one")


def scratch_databases() -> set[str]:
    with maintenance() as raw:
        rows = raw.execute("SELECT datname FROM pg_database WHERE datname LIKE 'golden_scratch_%'").fetchall()
    return {name for (name,) in rows}


@pytest.fixture
def words(committed_db: str) -> DatasetManager:
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(5))
    manager.commit("first")
    return manager


@pytest.mark.slow
def test_drill__good_archive__is_verified_and_evaluated_and_leaves_one_audit_entry(
    evaluated: CorpusEvaluation, committed_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOLDEN_BACKUP_PASSPHRASE", "twelve or more of them")
    made = create_archive(place=str(tmp_path), actor=None, options=ArchiveOptions(encrypt=True))
    before, there = everything(), scratch_databases()
    done = manage("golden_restore", str(tmp_path), "--into-scratch", "--json", database=committed_db)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["drill"]["passed"]
    assert told["directory"] == f"{tmp_path}/{made.name}"
    assert told["verification"]["valid"]
    assert (told["counts"]["examples"], told["counts"]["chunks"]) == (5, 8)
    assert told["drill"]["vectors_copied"] == 8
    (again,) = told["evaluations"]
    assert (again["passed"], again["metrics"]) == (4, evaluated.metrics)
    assert "golden-backup-2" not in json.dumps({**told, "directory": ""})  # no temporary folder is named
    assert everything() == before
    assert scratch_databases() == there
    event = AuditEvent.objects.get(action="restore.drill")
    assert (event.succeeded, event.summary) == (True, f"passed: {tmp_path}/{made.name}")
    # told by the installation about itself: it makes no difference to the next backup
    assert not create_archive(place=str(tmp_path), actor=None).backup.changed


@pytest.mark.slow
def test_drill__count_that_differs__is_told_by_exit_code_2(
    words: DatasetManager, committed_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "scratch_database", cloned)  # which is migrated
    monkeypatch.setattr(scratch, "_migrate", lambda name: None)
    create_backup(directory=tmp_path, actor=None)
    metadata = tmp_path / "golden_dataset_metadata.json"
    document = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**document, "total_commits": 99}))
    found = scratch.run_drill(place=str(tmp_path), actor=None)
    assert (found.exit_code, len(found.document["findings"])) == (2, 1)
    assert found.as_text().splitlines()[-1].startswith(f"Restore drill passed with findings for {tmp_path}: ")


@pytest.mark.parametrize(
    ("stdout", "stderr", "told"),
    [
        ("", '{"error": {"code": "damaged_backup", "message": "b: damaged", "exit_code": 1}}', "b: damaged"),
        ("", "Traceback …\nMemoryError: too much\n", "MemoryError: too much"),
        ("", "", "it ended with exit code 1"),
    ],
)
def test_drill__restore_that_fails__is_told_and_recorded(
    words: DatasetManager,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stdout: str,
    stderr: str,
    told: str,
) -> None:
    create_backup(directory=tmp_path, actor=None)
    monkeypatch.setattr(scratch, "scratch_database", cloned)
    monkeypatch.setattr(
        scratch,
        "_manage",
        lambda name, *arguments: subprocess.CompletedProcess(
            [], int(arguments[0] != "migrate"), stdout, stderr
        ),
    )
    found = scratch.run_drill(place=str(tmp_path), actor=None)
    assert (found.exit_code, found.document["error"]["message"]) == (1, told)
    assert found.as_text() == f"Error: {told}\nRestore drill failed for {tmp_path}: nothing was restored"
    assert AuditEvent.objects.get(action="restore.drill").succeeded is False


@pytest.mark.slow
@pytest.mark.fault
def test_drill__terminated__drops_its_database(
    words: DatasetManager, committed_db: str, tmp_path: Path
) -> None:
    create_archive(place=str(tmp_path / "a"), actor=None)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "DATABASE_URL": scratch.database_url(committed_db), "TMPDIR": str(temporary)}
    command = [
        sys.executable,
        str(ROOT / "manage.py"),
        "golden_restore",
        str(tmp_path / "a"),
        "--into-scratch",
    ]
    there = scratch_databases()
    drill = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    # its own folder first: another process of the tests may be making a database for a drill of its own
    while not list(temporary.glob("golden-backup-*")) and time.monotonic() < deadline:
        os.sched_yield()
    while scratch_databases() == there and time.monotonic() < deadline:
        os.sched_yield()
    drill.send_signal(signal.SIGTERM)
    assert drill.wait(timeout=60) == 143
    assert scratch_databases() == there
    assert list(temporary.glob("golden-backup-*")) == []


def test_drop_leftovers__of_killed_drills__go_after_a_day(committed_db: str) -> None:
    names = [
        "golden_scratch_20200101t000000_0123abcd",
        "golden_scratch_29990101t000000_0123abcd",
        "golden_scratch_mine",
    ]
    with maintenance() as raw:
        for name in names:
            raw.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
    try:
        assert scratch.drop_leftovers() == names[:1]
        assert scratch_databases() >= set(names[1:])
    finally:
        with maintenance() as raw:
            for name in names:
                raw.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def test_copy_vectors__current_model__comes_with_its_vectors(
    committed_db: str, django_db_setup: None
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM datasets_app_embeddingmodel")
        cursor.execute(
            "INSERT INTO datasets_app_embeddingmodel (id, name, provider, options, dimension, is_current) "
            "VALUES (7, 'now', 'minilm', '{}', 3, true), (8, 'other', 'minilm', '{}', 3, false)"
        )
        cursor.execute(
            "INSERT INTO datasets_app_embedding (model_id, content_hash, vector) VALUES (7, '\\x01', '[1,2,3]'), (7, '\\x02', '[0,0,1]'), (8, '\\x01', '[1,1,1]')"
        )
    with cloned() as name:
        assert scratch._copy_vectors(name) == 2
        with connected_to(name), connection.cursor() as cursor:
            cursor.execute(
                "SELECT model_id, content_hash, vector::text FROM datasets_app_embedding ORDER BY 2"
            )
            rows: list[Any] = [(m, bytes(h), str(v)) for m, h, v in cursor.fetchall()]
    assert [(m, h) for m, h, _ in rows] == [(7, b"\x01"), (7, b"\x02")]


@pytest.mark.parametrize("option", ["--replace", "--dry-run", "--on-conflict=skip", "--safety-dir=x"])
def test_drill__options_about_what_is_there__are_refused(db: None, tmp_path: Path, option: str) -> None:
    with pytest.raises(UsageError, match="--into-scratch restores into an empty database"):
        call_command("golden_restore", str(tmp_path), "--into-scratch", option)


def test_restore__floor_without_an_evaluation__is_refused(db: None, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match="--fail-under says something with --evaluate or --into-scratch only"
    ):
        call_command("golden_restore", str(tmp_path), "--fail-under", "pass_rate=0.9")
