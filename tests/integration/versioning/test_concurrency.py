"""Several people at once: no lost edit, one winner of a race, work that survives a killed process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.db import connection, transaction

from datasets_app.errors import NothingToCommit, RefMoved
from datasets_app.models import Branch, DatasetCommit, Example
from datasets_app.services.curation.examples import update_example
from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.versioning import commits
from datasets_app.services.versioning.verifying import verify_database
from tests.integration.threads import at_once

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def manager(committed_db: str) -> DatasetManager:
    made = DatasetManager.create("words", type="text_classification")
    made.add_examples(
        [{"id": f"e{n}", "input": {"text": f"text {n}"}, "output": {"label": "a"}} for n in range(50)]
    )
    made.commit("first")
    return made


def relabel(branch: Branch, external_id: str, label: str) -> None:
    row = Example.objects.get(branch=branch, identity__external_id=external_id)
    update_example(example=row, actor=None, expected_output={"label": label})


def test_commit__two_at_once__one_wins_and_the_other_is_told(manager: DatasetManager) -> None:
    relabel(manager.branch, "e1", "b")
    first, second = manager.branch, manager.branch
    barrier = threading.Barrier(2)

    def commit(branch: Branch, message: str) -> DatasetCommit:
        barrier.wait()
        return commits.commit(branch=branch, message=message, actor=None)

    results = at_once(lambda: commit(first, "one"), lambda: commit(second, "two"))
    made = [r for r in results if isinstance(r, DatasetCommit)]
    told = [r for r in results if isinstance(r, RefMoved | NothingToCommit)]
    assert (len(made), len(told)) == (1, 1), results
    assert DatasetCommit.objects.count() == 2
    assert verify_database(deep=True).errors == []


def test_commit__edits_meanwhile__are_committed_or_stay_dirty_but_never_lost(manager: DatasetManager) -> None:
    stop = threading.Event()
    written: dict[str, str] = {}

    def edit() -> None:
        number = 0
        while not stop.is_set() and number < 400:
            name = f"e{number % 50}"
            relabel(manager.branch, name, f"label {number}")
            written[name] = f"label {number}"
            number += 1

    def commit_often() -> int:
        made = 0
        for _ in range(25):
            try:
                commits.commit(branch=manager.branch, message="meanwhile", actor=None)
                made += 1
            except NothingToCommit:
                continue
        stop.set()
        return made

    results = at_once(edit, commit_often)
    assert results[0] is None
    assert isinstance(results[1], int)
    assert results[1] > 0
    try:
        manager.commit("the rest")
    except NothingToCommit:
        pass
    labels = {row.name: row.content.output["label"] for row in _head(manager)}
    assert {name: labels[name] for name in written} == written
    assert verify_database(deep=True).errors == []


def _head(manager: DatasetManager) -> list:
    from datasets_app.services.versioning.reading import page_at

    return page_at(manager.branch.commit, limit=1000)


def test_commit__rolled_back_edit__is_never_seen(manager: DatasetManager) -> None:
    with transaction.atomic():
        relabel(manager.branch, "e1", "never")
        transaction.set_rollback(True)
    assert manager.status().is_clean


_WORK = """
import sys, django
django.setup()
from datasets_app.services.curation.manager import DatasetManager
manager = DatasetManager("words")
documents = [{"id": f"k{n}", "input": {"text": f"killed {n}"}, "output": {"label": "k"}} for n in range(30000)]
print("ready", flush=True)
manager.add_examples(documents)
print("imported", flush=True)
manager.commit("big")
print("committed", flush=True)
"""


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("delay_s", [0.3, 1.0, 1.8, 2.4, 3.0])
def test_import_and_commit__kill_9_at_any_time__leave_all_or_nothing(
    manager: DatasetManager, committed_db: str, delay_s: float
) -> None:
    settings = connection.settings_dict
    url = f"postgresql://{settings['USER']}:{settings['PASSWORD']}@/{committed_db}?host={settings['HOST']}&port={settings['PORT']}"
    environment = {**os.environ, "DATABASE_URL": url, "PYTHONPATH": str(ROOT)}
    worker = subprocess.Popen(
        [sys.executable, "-c", _WORK], env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    time.sleep(delay_s)
    worker.send_signal(signal.SIGKILL)
    said = worker.stdout.read()
    worker.wait()
    worker.stdout.close()
    _wait_until_alone(committed_db)
    rows = Example.objects.filter(branch=manager.branch, identity__external_id__startswith="k").count()
    assert rows in (0, 30000)
    if "imported" in said:
        assert rows == 30000
    if "committed" in said:
        assert manager.branch.commit.message == "big"
    assert verify_database(deep=True).errors == []


def _wait_until_alone(database: str) -> None:
    """Wait until the server has noticed that the killed client is gone."""
    for _ in range(600):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                [database],
            )
            if cursor.fetchone()[0] == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the killed client's session is still there")
