"""Backup → empty database → restore → backup: the same bytes but for created_at; and what a restore does beside."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from datasets_app.models import AuditEvent, Dataset, DatasetCommit, Example, ExampleType, JobRun
from datasets_app.services.curation.examples import delete_examples, update_example
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.versioning.refs import get_branch
from datasets_app.services.versioning.verifying import verify_database
from datasets_app.services.versioning.worktrees import row_count, status
from exports_app.backup.analyses import IN_DOCUMENTS
from exports_app.backup.tables import SECTIONS
from exports_app.errors import RestoreConflict
from exports_app.services import backups
from exports_app.services.backups import BackupOptions, create_backup
from exports_app.services.restores import RestoreOptions, restore_backup
from exports_app.services.verification import verify_directory
from goldenproject.kit.clock import frozen
from goldenproject.kit.errors import Forbidden
from goldenproject.kit.guards import missing_guards
from tests.integration.backup_data import documents, make_history, row
from tests.template_database import cloned, connected_to

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MANY_SHARDS = BackupOptions(inline_examples=0)


def files(folder: Path, *, with_times: bool = False) -> dict[str, str]:
    """Digest of each file without its moments of creation (a diff of the bytes themselves would take minutes)."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            lines = path.read_bytes().splitlines(keepends=True)
            times = (b'  "created_at": ', b'  "last_updated"')
            kept = b"".join(line for line in lines if with_times or line[:16] not in times)
            found[str(path.relative_to(folder))] = hashlib.sha256(kept).hexdigest()
    return found


def everything() -> dict[str, list[str]]:
    """Every record of the database in the form of the backup."""
    found = {}
    with connection.cursor() as cursor:
        for section in SECTIONS:
            cursor.execute(section.line_sql())
            found[section.name] = [line for (line,) in cursor.fetchall()]
        for label in IN_DOCUMENTS:
            cursor.execute(f"SELECT row_to_json(t)::text FROM datasets_app_{label.lower()} t ORDER BY id")
            found[label] = [line for (line,) in cursor.fetchall()]
    return found


def derived() -> tuple[list[str], list[str]]:
    """Examples whose search text is not what the database's function makes of them, and the indexes of all tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT search_text FROM datasets_app_example WHERE search_text <> "
            "lower(golden_search_text(input_data, expected_output, labels, metadata))"
        )
        stale = [text for (text,) in cursor.fetchall()]
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'datasets_app%' ORDER BY 1")
        return stale, [definition for (definition,) in cursor.fetchall()]


def uncommitted() -> tuple[int, int, int]:
    found = status(get_branch(Dataset.objects.get(name="words")))
    return found.added, found.modified, found.removed


def metadata(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "golden_dataset_metadata.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("options", [BackupOptions(), MANY_SHARDS], ids=["one file", "shards"])
def test_backup__restored_into_an_empty_database__gives_the_same_bytes_again(
    committed_db: str, tmp_path: Path, options: BackupOptions
) -> None:
    make_history()
    before = everything()
    indexes = derived()[1]
    first = create_backup(directory=tmp_path / "first", actor=None, options=options)
    with cloned() as name, connected_to(name):
        result = restore_backup(directory=tmp_path / "first", actor=None)
        people = ["ann", "bob", "labeler", "reviewer", "second-labeler"]
        assert (result.findings, result.new_people) == ([], people)
        assert not User.objects.get(username="ann").is_active
        after = everything()
        assert {name for name in before if before[name] != after[name]} == set()
        assert missing_guards() == []
        assert verify_database(deep=True).errors == []
        assert derived() == ([], indexes)
        dirty = uncommitted()
        second = create_backup(directory=tmp_path / "second", actor=None, options=options)
    assert dirty == uncommitted()
    assert first.sha256 == second.sha256
    assert files(tmp_path / "first") == files(tmp_path / "second")
    assert verify_directory(tmp_path / "second", deep=True).errors == []


def test_restore__into_an_empty_database__leaves_one_audit_entry_and_lets_work_go_on(
    committed_db: str, tmp_path: Path
) -> None:
    make_history()
    create_backup(directory=tmp_path, actor=None)
    events = AuditEvent.objects.exclude(action__startswith="backup").count()
    with cloned() as name, connected_to(name):
        restore_backup(directory=tmp_path, actor=None)
        assert AuditEvent.objects.filter(action="restore").count() == 1
        assert AuditEvent.objects.exclude(action__in=("restore", "backup_change")).count() == events
        branch = get_branch(Dataset.objects.get(name="words"))
        rows = row_count(branch)
        assert rows == Example.objects.filter(branch=branch).count()
        update_example(example=row(branch, "e9"), actor=None, expected_output={"label": "new"})
        with pytest.raises(Exception, match="append-only"), transaction.atomic():
            DatasetCommit.objects.update(message="forged")


def test_backup__twice_without_a_change__touches_no_byte(committed_db: str, tmp_path: Path) -> None:
    make_history()
    with frozen(NOON):
        create_backup(directory=tmp_path, actor=None, options=MANY_SHARDS)
    before = files(tmp_path, with_times=True)
    with frozen(NOON + timedelta(days=1)):
        again = create_backup(directory=tmp_path, actor=None, options=MANY_SHARDS)
    assert (again.changed, again.created_at) == (False, NOON)
    assert files(tmp_path, with_times=True) == before


def test_backup__after_edits__tells_what_was_added_removed_and_modified(
    committed_db: str, tmp_path: Path
) -> None:
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(10))
    with frozen(NOON):
        create_backup(directory=tmp_path, actor=None)
    manager.add_examples([{"id": "n1", "input": {"text": "new"}, "output": {"label": "n"}}])
    delete_examples(
        branch=manager.branch, uuids=[row(manager, "e1").uuid, row(manager, "e2").uuid], actor=None
    )
    update_example(example=row(manager, "e3"), actor=None, expected_output={"label": "b"})
    with frozen(NOON + timedelta(days=1)):
        create_backup(directory=tmp_path, actor=None)
    with frozen(NOON + timedelta(days=2)):
        update_example(example=row(manager, "e3"), actor=None, expected_output={"label": "c"})
        create_backup(directory=tmp_path, actor=None, options=BackupOptions("Relabeled e3"))
    told = metadata(tmp_path)
    assert told["changes"] == [
        {"date": "2026-05-01T12:00:00Z", "action": "added", "count": 10, "description": "10 examples added"},
        {"date": "2026-05-02T12:00:00Z", "action": "added", "count": 1, "description": "1 example added"},
        {
            "date": "2026-05-02T12:00:00Z",
            "action": "removed",
            "count": 2,
            "description": "2 examples removed",
        },
        {
            "date": "2026-05-02T12:00:00Z",
            "action": "modified",
            "count": 1,
            "description": "1 example modified",
        },
        {"date": "2026-05-03T12:00:00Z", "action": "modified", "count": 1, "description": "Relabeled e3"},
    ]
    assert (told["total_examples"], told["total_analyses"], told["last_updated"]) == (
        9,
        0,
        "2026-05-03T12:00:00Z",
    )


def test_restore__into_a_database_that_holds_the_dataset__is_refused_and_changes_nothing(
    committed_db: str, tmp_path: Path
) -> None:
    make_history()
    create_backup(directory=tmp_path, actor=None)
    before = everything()
    with pytest.raises(RestoreConflict, match="holds dataset “.*” .* already; nothing was changed"):
        restore_backup(directory=tmp_path, actor=None)
    assert everything() == before
    assert missing_guards() == []


def test_restore__replace__takes_a_safety_backup_that_brings_the_old_state_back(
    committed_db: str, tmp_path: Path
) -> None:
    dataset = make_history()
    create_backup(directory=tmp_path / "good", actor=None)
    good = everything()
    JobRun.objects.create(kind="export", dataset=dataset)
    doomed = DatasetManager.create("doomed", type="text_classification")
    JobRun.objects.create(kind="import", dataset=doomed.dataset)
    branch = get_branch(dataset)
    delete_examples(branch=branch, uuids=[e.uuid for e in Example.objects.filter(branch=branch)], actor=None)
    bad = everything()
    options = RestoreOptions(replace=True, safety_dir=tmp_path / "safety")
    result = restore_backup(directory=tmp_path / "good", actor=None, options=options)
    assert result.safety_backup is not None
    assert result.safety_backup.parent == tmp_path / "safety"
    assert everything() == good
    assert [j.dataset_id for j in JobRun.objects.order_by("kind")] == [dataset.pk, None]
    restore_backup(directory=result.safety_backup, actor=None, options=options)
    assert everything() == bad
    assert verify_database(deep=True).errors == []


def test_restore__beside_another_dataset__adds_with_its_history_and_shifts_numbers(
    committed_db: str, tmp_path: Path
) -> None:
    make_history()
    create_backup(directory=tmp_path, actor=None)
    ids = sorted(Example.objects.values_list("identity_id", "branch__name"))
    hashes = set(DatasetCommit.objects.values_list("commit_hash", flat=True))
    with cloned() as name, connected_to(name):
        local = DatasetManager.create("local", type="text_classification")
        local.add_examples(documents(7, "local"))
        local.commit("local")
        kept = list(Example.objects.values_list("pk", "identity_id"))
        result = restore_backup(directory=tmp_path, actor=None)
        assert sorted(result.datasets["add"]) == ["other", "words"]
        assert set(kept) <= set(Example.objects.values_list("pk", "identity_id"))
        restored = Example.objects.exclude(branch__dataset=local.dataset)
        assert sorted(restored.values_list("identity_id", "branch__name")) == ids
        assert (
            set(DatasetCommit.objects.exclude(dataset=local.dataset).values_list("commit_hash", flat=True))
            == hashes
        )
        words = get_branch(Dataset.objects.get(name="words"))
        example = row(words, "e6")
        assert [h.history_type for h in Example.history.filter(id=example.pk).order_by("history_id")] == [
            "+",
            "~",
            "~",
        ]
        assert verify_database(deep=True).errors == []
        local.add_examples(documents(9, "local"))
        local.commit("more")
        assert ExampleType.objects.filter(name="text_classification").count() == 1


@pytest.mark.parametrize(("on_conflict", "label"), [("skip", "edited"), ("update", "a")])
def test_restore__on_conflict__leaves_or_replaces_the_dataset_as_a_whole(
    committed_db: str, tmp_path: Path, on_conflict: str, label: str
) -> None:
    dataset = make_history()
    create_backup(directory=tmp_path / "b", actor=None)
    branch = get_branch(dataset)
    update_example(example=row(branch, "e12"), actor=None, expected_output={"label": "edited"})
    local = DatasetManager.create("local", type="text_classification")
    local.add_examples(documents(3, "local"))
    options = RestoreOptions(on_conflict=on_conflict, safety_dir=tmp_path / "safety")
    result = restore_backup(directory=tmp_path / "b", actor=None, options=options)
    assert sorted(result.datasets[on_conflict]) == ["other", "words"]
    assert row(get_branch(Dataset.objects.get(name="words")), "e12").expected_output == {"label": label}
    assert Example.objects.filter(branch=local.branch).count() == 3
    assert (result.safety_backup is not None) == (on_conflict == "update")
    assert verify_database(deep=True).errors == []


def test_restore__dry_run__tells_and_changes_nothing(committed_db: str, tmp_path: Path) -> None:
    make_history()
    create_backup(directory=tmp_path, actor=None)
    before = everything()
    result = restore_backup(
        directory=tmp_path, actor=None, options=RestoreOptions(replace=True, dry_run=True)
    )
    assert (result.dry_run, sorted(result.datasets["add"])) == (True, ["other", "words"])
    assert everything() == before
    assert not AuditEvent.objects.filter(action="restore").exists()


def test_backup_and_restore__as_a_curator__are_forbidden(committed_db: str, tmp_path: Path) -> None:
    make_history()
    bob = User.objects.get(username="bob")
    with pytest.raises(Forbidden):
        create_backup(directory=tmp_path, actor=bob)
    create_backup(directory=tmp_path, actor=User.objects.get(username="ann"))
    with pytest.raises(Forbidden):
        restore_backup(directory=tmp_path, actor=bob)
    assert backups.last_backup().actor_name == "ann"
