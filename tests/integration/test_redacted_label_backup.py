"""Backups after a redaction hold nothing of it and restore soundly; one of before is named, and redacted again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group, User

from datasets_app.models import Dataset
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.versioning.redacting import redact
from datasets_app.services.versioning.verifying import verify_database
from exports_app.services.backups import create_backup
from exports_app.services.restores import RestoreOptions, restore_backup
from exports_app.services.verification import verify_directory
from labeling_app.models import LabelHistory
from labeling_app.services.queues import QueueOptions, create_queue
from labeling_app.services.verifying import verify_labels
from tests.integration.labeling.labeling_data import text_rows
from tests.integration.labeling.redacted_data import SECRET, fill_with_secret, places_of
from tests.template_database import cloned, connected_to


def member(name: str, role: str = "labeler") -> Any:
    made = User.objects.create_user(name)
    made.groups.add(Group.objects.get(name=role))
    return made


def said_of_t1() -> Dataset:
    manager = DatasetManager.create("texts", type="text_classification")
    manager.add_examples(text_rows(4))
    manager.commit("first")
    first, second = (
        create_queue(dataset=manager.dataset, name=name, actor=None, options=QueueOptions(overlap=2))
        for name in ("first", "second")
    )
    labelers = [member(name) for name in ("labeler", "second-labeler", "third-labeler")]
    fill_with_secret(first, second, labelers, member("reviewer", "reviewer"))
    return manager.dataset


def files_with(words: str, directory: Path) -> list[str]:
    return sorted(
        path.name for path in directory.rglob("*") if path.is_file() and words.encode() in path.read_bytes()
    )


@pytest.mark.usefixtures("committed_db")
def test_backup__after_a_redaction__holds_nothing_of_it_and_restores_soundly(tmp_path: Path) -> None:
    dataset = said_of_t1()
    create_backup(directory=tmp_path / "before", actor=None)
    assert files_with(SECRET, tmp_path / "before") != []
    redact(dataset=dataset, example="t1", reason="personal data", actor=None)
    create_backup(directory=tmp_path / "after", actor=None)
    assert files_with(SECRET, tmp_path / "after") == []
    assert verify_directory(tmp_path / "after").errors == []
    with cloned() as name, connected_to(name):
        restore_backup(directory=tmp_path / "after", actor=None)
        assert places_of(SECRET) == places_of(SECRET, "datasets_app") == []
        assert LabelHistory.objects.filter(event="redacted").count() == 2
        assert verify_labels(deep=True).errors == []


@pytest.mark.slow
@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("options", [RestoreOptions(on_conflict="update"), RestoreOptions(replace=True)])
def test_restore__backup_of_before_a_redaction__says_so_and_it_is_redacted_again(
    tmp_path: Path, options: RestoreOptions
) -> None:
    dataset = said_of_t1()
    create_backup(directory=tmp_path / "before", actor=None)
    redact(dataset=dataset, example="t1", reason="personal data", actor=None)
    result = restore_backup(directory=tmp_path / "before", actor=None, options=options)
    assert any("is newer than the backup: redact it again" in told for told in result.findings)
    assert places_of(SECRET) != []
    redact(dataset=Dataset.objects.get(), example="t1", reason="again", actor=None)
    assert places_of(SECRET) == places_of(SECRET, "datasets_app") == []
    assert verify_labels(deep=True).errors == []
    assert verify_database(deep=True).errors == []
