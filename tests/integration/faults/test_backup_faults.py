"""What must not lose anything: kills, full disks, damaged and foreign files, two at once, concurrent writers."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from datasets_app.models import Example
from datasets_app.services.curation.examples import update_example
from datasets_app.services.curation.manager import DatasetManager
from exports_app.backup import layout, loading
from exports_app.errors import BackupInUse, DamagedBackup, DiskFull, InvalidBackup, NewerBackup, RestoreFailed
from exports_app.services.backups import BackupOptions, create_backup
from exports_app.services.restores import RestoreOptions, restore_backup
from exports_app.services.verification import verify_directory
from goldenproject.kit.errors import GoldenError
from goldenproject.kit.guards import missing_guards
from tests.forking import in_child
from tests.integration.backup_data import documents, make_history, row
from tests.integration.test_backup_round_trip import everything, files
from tests.template_database import cloned, connected_to

pytestmark = pytest.mark.fault
MAIN = "golden_dataset_backup.json"
SHARDED = BackupOptions(inline_examples=0)
NEVER = 10**9
CALLS = ("fsync", "rename", "replace")


class _Bomb:
    """Counts calls; at the given one it kills the process as kill -9 does."""

    def __init__(self, at: int) -> None:
        self.at, self.calls = at, 0

    def on(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == self.at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return called


def backup_with_bomb(folder: Path, at: int) -> Callable[[], None]:
    def work() -> None:
        bomb = _Bomb(at)
        for name in CALLS:
            setattr(os, name, bomb.on(getattr(os, name)))
        create_backup(directory=folder, actor=None, options=SHARDED)

    return work


@pytest.mark.slow
def test_backup__killed_at_any_step__leaves_the_old_or_the_new_backup_whole(
    committed_db: str, tmp_path: Path
) -> None:
    make_history(12)
    source = tmp_path / "source"
    old = create_backup(directory=source, actor=None, options=SHARDED)
    branch = DatasetManager.create("more", type="text_classification")
    branch.add_examples(documents(3))
    new = create_backup(directory=tmp_path / "new", actor=None, options=SHARDED)
    bomb = _Bomb(NEVER)
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, bomb.on(getattr(os, name)))
        shutil.copytree(source, tmp_path / "counted")
        create_backup(directory=tmp_path / "counted", actor=None, options=SHARDED)
    # a few while the files are written, and all while they take the place of the old ones
    steps = [*random.Random(5).sample(range(1, bomb.calls - 6), 6), *range(bomb.calls - 6, bomb.calls + 1)]
    found = set()
    for at in steps:
        folder = tmp_path / "tried"
        shutil.copytree(source, folder)
        assert in_child(backup_with_bomb(folder, at))[0] == -signal.SIGKILL
        assert verify_directory(folder, deep=True).errors == [], f"killed at step {at}"
        found.add(json.loads(layout.main_file(folder).read_bytes())["sha256"])
        again = create_backup(directory=folder, actor=None, options=SHARDED)
        assert again.sha256 == new.sha256
        assert {p.name for p in folder.iterdir()} == {MAIN, layout.METADATA, layout.SHARDS}
        assert verify_directory(folder, deep=True).errors == []
        shutil.rmtree(folder)
    assert found == {old.sha256, new.sha256}


@pytest.mark.slow
@pytest.mark.parametrize("replace", [False, True], ids=["into an empty database", "replacing"])
def test_restore__killed_at_any_step__leaves_the_database_as_it_was(
    committed_db: str, tmp_path: Path, replace: bool
) -> None:
    make_history(12)
    create_backup(directory=tmp_path / "b", actor=None)
    options = RestoreOptions(replace=replace, safety_dir=tmp_path / "safety", embeddings=False)

    def restore(at: int) -> Callable[[], None]:
        def work() -> None:
            bomb = _Bomb(at)
            loading.psycopg.Cursor.execute = bomb.on(psycopg.Cursor.execute)  # type: ignore[method-assign]
            restore_backup(directory=tmp_path / "b", actor=None, options=options)

        return work

    with cloned() as name, connected_to(name):
        if replace:
            DatasetManager.create("in the way", type="text_classification").add_examples(documents(4))
        before = everything()
        steps = sorted(random.Random(7).sample(range(1, 220), 9))
        for at in steps:
            assert in_child(restore(at))[0] == -signal.SIGKILL, f"not killed at step {at}"
            assert everything() == before, f"killed at step {at}"
            assert missing_guards() == []
        assert in_child(restore(NEVER))[0] == 0
        after = everything()
    assert after == everything()


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 512 kB."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = tmp_path_factory.mktemp("small")
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("options", [BackupOptions(), SHARDED], ids=["one file", "shards"])
def test_backup__disk_full__says_so_and_keeps_the_old_backup(
    committed_db: str, small_disk: Path, options: BackupOptions
) -> None:
    folder = small_disk / f"b{options.inline_examples}"
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(5))
    create_backup(directory=folder, actor=None, options=options)
    before = files(folder, with_times=True)
    manager.add_examples(documents(1500))
    with pytest.raises(DiskFull, match="the disk is full"):
        create_backup(directory=folder, actor=None, options=options)
    assert files(folder, with_times=True) == before
    assert verify_directory(folder, deep=True).errors == []


@pytest.mark.parametrize("options", [BackupOptions(), SHARDED], ids=["one file", "shards"])
def test_restore__any_flipped_bit__is_refused_before_anything_is_written(
    committed_db: str, tmp_path: Path, options: BackupOptions
) -> None:
    make_history(10)
    create_backup(directory=tmp_path, actor=None, options=options)
    chance = random.Random(11)
    targets = [path for path in sorted(tmp_path.rglob("*.json*")) if path.name != layout.METADATA]
    with cloned() as name, connected_to(name):
        before = everything()
        for path in targets:
            good = path.read_bytes()
            for _ in range(3 if options is SHARDED else 60):
                at, bit = chance.randrange(len(good)), 1 << chance.randrange(8)
                if good.rfind(b"\n", 0, at) == good.find(b'\n  "created_at"'):
                    continue  # the one line that no checksum covers
                path.write_bytes(good[:at] + bytes([good[at] ^ bit]) + good[at + 1 :])
                with pytest.raises((DamagedBackup, InvalidBackup, NewerBackup)):
                    restore_backup(directory=tmp_path, actor=None)
                assert not verify_directory(tmp_path).valid
            path.write_bytes(good)
        assert everything() == before
        restore_backup(directory=tmp_path, actor=None)


@pytest.mark.parametrize("options", [BackupOptions(), SHARDED], ids=["one file", "shards"])
def test_restore__truncated_file__is_refused(
    committed_db: str, tmp_path: Path, options: BackupOptions
) -> None:
    make_history(10)
    create_backup(directory=tmp_path, actor=None, options=options)
    for path in (p for p in sorted(tmp_path.rglob("*.json*")) if p.name != layout.METADATA):
        good = path.read_bytes()
        for length in (0, 1, len(good) // 3, len(good) - 1):
            path.write_bytes(good[:length])
            with pytest.raises((DamagedBackup, InvalidBackup)):
                restore_backup(directory=tmp_path, actor=None, options=RestoreOptions(replace=True))
        path.unlink()
        with pytest.raises(GoldenError):
            restore_backup(directory=tmp_path, actor=None, options=RestoreOptions(replace=True))
        path.write_bytes(good)
    assert Example.objects.exists()


def foreign(tmp_path: Path, **changes: Any) -> Path:
    """A backup as another tool writes it: no checksums, a layout of its own."""
    document = {
        "version": "1.0",
        "created_at": datetime(2026, 5, 1, tzinfo=UTC).isoformat(),
        "metadata": {"total_analyses": 0, "total_chunks": 0, "total_artifacts": 0},
        "analyses": [],
    }
    (tmp_path / MAIN).write_text(json.dumps({**document, **changes}, indent=4))
    return tmp_path


ANALYSIS = {
    "id": "5b0d3b3e-8c5e-4b0e-9a55-6f2f5a6e5a11",
    "url": "https://docs.python.org/3/",
    "content_type": "article",
    "status": "completed",
    "created_at": "2026-05-01T00:00:00Z",
    "findings": [],
    "chunks": [],
    "artifact": None,
}


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"version": "2.0"}, NewerBackup, "the backup has format 2.0; this version reads up to 1.0"),
        ({"version": "1.1"}, NewerBackup, "the backup has format 1.1"),
        ({"version": 1}, InvalidBackup, "found the version 1, expected one like “1.0”"),
        ({"created_at": "yesterday"}, InvalidBackup, "“created_at” is missing or no time"),
        (
            {"metadata": {"total_analyses": -1}},
            InvalidBackup,
            "metadata.total_analyses is -1, expected a count",
        ),
        ({"analyses": {}}, InvalidBackup, "“analyses” is no list"),
        ({"analyses": [ANALYSIS, ANALYSIS]}, InvalidBackup, "analyses\\[1\\]: duplicate record: id 5b0d3b3e"),
        (
            {"analyses": [{"id": "x"}]},
            InvalidBackup,
            "analyses\\[0\\], url: found nothing, expected this field",
        ),
        ({"datasets": [{"name": "x"}]}, InvalidBackup, "datasets\\[0\\]: the field “id” is missing"),
    ],
)
def test_restore__wrong_structure__is_refused_and_named(
    committed_db: str, tmp_path: Path, changes: dict[str, Any], error: type[Exception], told: str
) -> None:
    before = everything()
    with pytest.raises(error, match=told):
        restore_backup(directory=foreign(tmp_path, **changes), actor=None)
    assert everything() == before


def reseal(folder: Path, old: bytes, new: bytes) -> None:
    """Change a backup as a forger would who leaves out all checksums."""
    document = json.loads((folder / MAIN).read_bytes().replace(old, new))
    document.pop("sha256"), document.pop("files")
    (folder / MAIN).write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b'"main work"', b'"fine work"', "Commit .* does not prove sound: what it says has the hash"),
        (b'"label":"theirs"', b'"label":"forged"', "a content does not match its hash"),
    ],
)
def test_restore__forged_without_checksums__is_refused_by_the_hash_chain(
    committed_db: str, tmp_path: Path, old: bytes, new: bytes, told: str
) -> None:
    make_history(10)
    create_backup(directory=tmp_path, actor=None)
    reseal(tmp_path, old, new)
    with cloned() as name, connected_to(name):
        before = everything()
        with pytest.raises(RestoreFailed, match=told):
            restore_backup(directory=tmp_path, actor=None)
        assert everything() == before
        assert missing_guards() == []


def test_backup__two_at_once_into_one_folder__the_second_is_told(committed_db: str, tmp_path: Path) -> None:
    make_history(10)
    with layout.locked(tmp_path, writing=True):
        with pytest.raises(BackupInUse, match="another process is using this backup folder"):
            create_backup(directory=tmp_path, actor=None)
        with pytest.raises(BackupInUse, match="another process is writing this backup folder"):
            verify_directory(tmp_path)
    create_backup(directory=tmp_path, actor=None)
    with layout.locked(tmp_path, writing=False):
        assert verify_directory(tmp_path).valid


@pytest.mark.slow
def test_backup__under_concurrent_writers__is_one_snapshot(committed_db: str, tmp_path: Path) -> None:
    """A writer moves one unit of weight from row to row in each transaction: every snapshot holds the same sum."""
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(40))
    for n in range(40):
        update_example(example=row(manager, f"e{n}"), actor=None, labels={"n": 100})
    stop = threading.Event()
    parameters = connection.get_connection_params()
    wanted = {k: parameters[k] for k in ("host", "port", "user", "password") if parameters.get(k)}

    def write() -> None:
        chance = random.Random(3)
        change = "UPDATE datasets_app_example SET labels = jsonb_build_object('n', (labels->>'n')::int + %s) WHERE id = %s"
        with psycopg.connect(**wanted, dbname=committed_db) as raw:
            ids = [r[0] for r in raw.execute("SELECT id FROM datasets_app_example ORDER BY id").fetchall()]
            while not stop.is_set():
                a, b = sorted(chance.sample(ids, 2))
                raw.execute(change, [1, a])
                raw.execute(change, [-1, b])
                raw.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            folder = tmp_path / str(number)
            create_backup(directory=folder, actor=None)
            assert verify_directory(folder, deep=True).errors == []
            examples = json.loads((folder / MAIN).read_bytes())["examples"]
            assert sum(example["labels"]["n"] for example in examples) == 4000
    finally:
        stop.set()
        writer.join()
