"""The three ways back of the guide, walked with its commands: deleted, corrupted by a migration, a new environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, migrations, transaction
from django.db.migrations.state import ProjectState

from datasets_app.models import AuditEvent, Chunk
from exports_app.backup.guards import golden_tables, lifted_guards
from exports_app.services.evaluations import CorpusEvaluation, evaluate_all
from goldenproject.kit.guards import missing_guards
from tests.integration.asked_corpus import TEXTS
from tests.integration.corpus_data import make_id
from tests.integration.test_backup_round_trip import everything
from tests.template_database import cloned, connected_to

pytestmark = pytest.mark.slow


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    call_command(*arguments, "--json")
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def golden() -> dict[str, list[str]]:
    """Every golden record but the traces of evaluations, which come after the restore."""
    left_out = {"retrieval_runs", "retrieval_results", "audit_events"}
    return {name: rows for name, rows in everything().items() if name not in left_out}


def assert_back(restored: dict[str, Any], evaluated: CorpusEvaluation) -> None:
    assert restored["findings"] == []
    assert restored["verification"]["errors"] == []
    (again,) = restored["evaluations"]
    assert (again["passed"], again["metrics"]) == (evaluated.passed, evaluated.metrics)
    assert missing_guards() == []


def test_disaster_1__somebody_deleted_everything__restore_replace_brings_all_back(
    evaluated: CorpusEvaluation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, folder = golden(), str(tmp_path / "backups")
    run_json(capsys, "golden_backup", "--output", folder)
    with transaction.atomic(), lifted_guards(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE " + ", ".join(golden_tables()) + " CASCADE")
    assert not Chunk.objects.exists() and not AuditEvent.objects.exists()

    assert run_json(capsys, "golden_verify", folder, "--deep")["valid"]
    restored = run_json(
        capsys, "golden_restore", folder, "--replace", "--evaluate", "--fail-under", "pass_rate=0.9"
    )
    assert_back(restored, evaluated)
    assert golden() == before
    assert run_json(capsys, "golden_verify", "--deep")["errors"] == []


FAULTY = migrations.RunSQL(
    "ALTER TABLE datasets_app_chunk ADD COLUMN language text NOT NULL DEFAULT 'en';"
    "UPDATE datasets_app_chunk SET content = substr(content, 1, 0) || 'en';"  # into the wrong column
    "DELETE FROM datasets_app_finding;",
    "ALTER TABLE datasets_app_chunk DROP COLUMN language;",
)
FIXED = migrations.RunSQL(
    "ALTER TABLE datasets_app_chunk ADD COLUMN language text NOT NULL DEFAULT 'en';",
    "ALTER TABLE datasets_app_chunk DROP COLUMN language;",
)


def migrate(operation: migrations.RunSQL, *, back: bool = False) -> None:
    migration = migrations.Migration("0099_language", "datasets_app")
    migration.operations = [operation]
    with connection.schema_editor(atomic=True) as editor:
        (migration.unapply if back else migration.apply)(ProjectState(), editor)


def test_disaster_2__a_migration_corrupted_the_data__rolled_back_restored_and_migrated_anew(
    evaluated: CorpusEvaluation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, folder = golden(), str(tmp_path / "backups")
    run_json(capsys, "golden_backup", "--output", folder)
    migrate(FAULTY)
    call_command("golden_embed", "--json")
    (worse,) = evaluate_all(actor=None, floors={"ndcg@10": 0.9})
    assert worse.metrics["ndcg@10"] < evaluated.metrics["ndcg@10"] == 1.0
    assert len(worse.failures) == 1  # the gate sees it

    migrate(FAULTY, back=True)
    assert golden() != before  # which brings no data back
    restored = run_json(
        capsys, "golden_restore", folder, "--replace", "--evaluate", "--safety-dir", str(tmp_path / "safety")
    )
    assert_back(restored, evaluated)
    assert golden() == before
    assert run_json(capsys, "golden_verify", restored["safety_backup"])["stats"]["chunks"] == 8
    assert run_json(capsys, "golden_verify", "--deep")["errors"] == []
    migrate(FIXED)
    assert run_json(capsys, "golden_verify", "--deep")["errors"] == []
    assert [chunk.content for chunk in Chunk.objects.filter(analysis_id=make_id("json"))] == list(
        TEXTS["json"]
    )


def test_disaster_3__a_new_environment__is_as_the_old_one(
    evaluated: CorpusEvaluation,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOLDEN_BACKUP_PASSPHRASE", "twelve or more of them")
    before, archives = golden(), str(tmp_path / "archives")
    made = run_json(capsys, "golden_backup", "--output", archives, "--encrypt")
    with cloned() as name, connected_to(name):  # a database that was empty and is migrated
        restored = run_json(capsys, "golden_restore", archives)
        assert restored["findings"] == []
        assert golden() == before
        again = run_json(capsys, "golden_backup", "--output", str(tmp_path / "again"))
        assert again["sha256"] == made["sha256"]
        assert run_json(capsys, "golden_verify", "--deep")["errors"] == []
        (found,) = evaluate_all(actor=None)
        assert (found.passed, found.metrics) == (evaluated.passed, evaluated.metrics)
