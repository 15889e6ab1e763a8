"""golden_backup, golden_restore, golden_verify as cron and people call them; and the native dump."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from datasets_app.models import AuditEvent, Dataset, Example
from datasets_app.services.versioning.verifying import verify_database
from exports_app.errors import RestoreConflict
from exports_app.services.dumps import create_dump, restore_dump
from exports_app.services.restores import RestoreOptions
from exports_app.services.verification import verify_directory
from goldenproject.kit.guards import missing_guards
from tests.integration.backup_data import make_history
from tests.integration.test_backup_round_trip import everything
from tests.template_database import ROOT, cloned, connected_to


def run_json(capsys: pytest.CaptureFixture[str], *arguments: Any) -> dict[str, Any]:
    capsys.readouterr()
    call_command(*arguments, "--json")
    return json.loads(capsys.readouterr().out)


def manage(*arguments: str, database: str | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, against `database` on the server of the tests."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": os.environ["DJANGO_SETTINGS_MODULE"], **environ}
    if database is not None:
        env["DATABASE_URL"] = database_url(database)
    command = [sys.executable, str(ROOT / "manage.py"), *arguments]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)


def database_url(name: str) -> str:
    given = connection.get_connection_params()
    host = str(given["host"]).replace("/", "%2F")
    return f"postgresql://{given['user']}:{given.get('password') or ''}@{host}:{given['port']}/{name}"


def test_commands__backup_verify_restore__say_what_they_did(
    committed_db: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_history()
    made = run_json(capsys, "golden_backup", "--output", str(tmp_path))
    assert (made["changed"], made["totals"]["total_datasets"]) == (True, 2)
    verified = run_json(capsys, "golden_verify", str(tmp_path), "--deep")
    assert (verified["valid"], verified["errors"], verified["stats"]["datasets"]) == (True, [], 2)
    with cloned() as name, connected_to(name):
        restored = run_json(capsys, "golden_restore", str(tmp_path))
        assert restored["verification"]["valid"]
        assert restored["counts"]["examples"] == made["totals"]["total_examples"]
        call_command("golden_verify")
        assert (
            capsys.readouterr()
            .out.splitlines()[-1]
            .startswith("Validation passed: analyses 4, chunks 12, artifacts 3, ")
        )


def test_verify__of_a_folder__connects_to_no_database(committed_db: str, tmp_path: Path) -> None:
    make_history()
    call_command("golden_backup", "--output", str(tmp_path), "--json")
    done = manage("golden_verify", str(tmp_path), DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith("Validation passed: analyses 4, chunks 12, artifacts 3, ")


def test_verify__of_a_damaged_folder__fails_with_exit_code_1(committed_db: str, tmp_path: Path) -> None:
    make_history()
    call_command("golden_backup", "--output", str(tmp_path), "--json")
    main = tmp_path / "golden_dataset_backup.json"
    main.write_bytes(main.read_bytes().replace(b'"ours"', b'"hers"', 1))
    done = manage("golden_verify", str(tmp_path), DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == 1
    assert "does not match its checksum" in done.stdout
    assert done.stdout.splitlines()[-1] == "Validation failed: 1 error"


def test_restore__of_a_wrong_folder__ends_with_an_error_and_exit_code_1(
    committed_db: str, tmp_path: Path
) -> None:
    done = manage("golden_restore", str(tmp_path / "none"), database=committed_db)
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no such folder" in done.stderr


@pytest.mark.slow
def test_restore__counts_that_differ__restores_reports_and_ends_with_exit_code_2(
    committed_db: str, tmp_path: Path
) -> None:
    make_history()
    call_command("golden_backup", "--output", str(tmp_path), "--json")
    metadata = tmp_path / "golden_dataset_metadata.json"
    document = json.loads(metadata.read_text())
    metadata.write_text(json.dumps({**document, "total_commits": 99}))
    with cloned() as name:
        strict = manage("golden_restore", str(tmp_path), "--strict", database=name)
        assert strict.returncode == 1
        assert "total_commits is 99" in strict.stderr
        done = manage("golden_restore", str(tmp_path), "--json", database=name)
        assert (done.returncode, done.stderr) == (2, "")
        assert json.loads(done.stdout)["findings"] == [
            f"golden_dataset_metadata.json: total_commits is 99, the backup has {document['total_commits']}"
        ]


def test_dump__restored_in_place_of_other_data__is_exact(committed_db: str, tmp_path: Path) -> None:
    make_history()
    before = everything()
    create_dump(directory=tmp_path, actor=None)
    assert verify_directory(tmp_path).errors == []
    with cloned() as name, connected_to(name):
        Dataset.objects.create(name="in the way")
        with pytest.raises(RestoreConflict, match="holds data already"):
            restore_dump(directory=tmp_path, actor=None)
        options = RestoreOptions(replace=True, safety_dir=tmp_path / "safety")
        result = restore_dump(directory=tmp_path, actor=None, options=options)
        assert everything() == before
        assert missing_guards() == []
        assert verify_database(deep=True).errors == []
        assert AuditEvent.objects.filter(action="restore").count() == 1
        assert result.safety_backup is not None
        assert verify_directory(result.safety_backup, deep=True).stats["datasets"] == 1


def test_dump__flipped_bit__is_found_before_anything_is_written(committed_db: str, tmp_path: Path) -> None:
    make_history()
    create_dump(directory=tmp_path, actor=None)
    dump = next(tmp_path.glob("*.dump"))
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 1
    dump.write_bytes(data)
    assert "with the checksum" in verify_directory(tmp_path).errors[0]
    rows = Example.objects.count()
    done = manage("golden_restore", str(tmp_path), "--replace", database=committed_db)
    assert done.returncode == 1
    assert "found" in done.stderr
    assert Example.objects.count() == rows
