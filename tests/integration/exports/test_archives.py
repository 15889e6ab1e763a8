"""Archives through the commands: made, thinned out, found, opened; and what goes wrong on the way."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from django.core.management import call_command
from fsspec.implementations.memory import MemoryFileSystem

from datasets_app.models import AuditEvent, Dataset
from datasets_app.services.curation.examples import update_example
from datasets_app.services.curation.manager import DatasetManager
from exports_app.backup import destinations
from exports_app.backup.encryption import fresh_key
from exports_app.errors import (
    DamagedBackup,
    DestinationFailed,
    InvalidRetention,
    MissingDriver,
    MissingKey,
    NoBackup,
    UnknownDestination,
    WrongKey,
)
from exports_app.services import archives
from exports_app.services.archives import ArchiveOptions, create_archive, opened_source
from goldenproject.kit.commands import UsageError
from goldenproject.kit.errors import BadInput
from tests.integration.backup_data import documents, row
from tests.template_database import cloned, connected_to

MAIN, METADATA = "golden_dataset_backup.json", "golden_dataset_metadata.json"
START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("GOLDEN_BACKUP_KEY", fresh_key())
    monkeypatch.delenv("GOLDEN_BACKUP_PASSPHRASE", raising=False)
    yield
    assert list(temporary.iterdir()) == []  # whatever happened, nothing is left
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


@pytest.fixture
def words(committed_db: str) -> DatasetManager:
    manager = DatasetManager.create("words", type="text_classification")
    manager.add_examples(documents(5))
    return manager


def run_json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    call_command(*arguments, "--json")
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    monkeypatch.setattr(archives, "now", lambda: moment)


@pytest.mark.parametrize("place", ["{tmp}/archives", "file://{tmp}/archives", "memory://bucket/archives"])
@pytest.mark.parametrize("arguments", [["--archive"], ["--compress", "gzip", "--encrypt"]], ids=str)
def test_archive__at_any_destination__is_verified_and_restored(
    words: DatasetManager,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    place: str,
    arguments: list[str],
) -> None:
    place = place.format(tmp=tmp_path)
    made = run_json(capsys, "golden_backup", "--output", place, *arguments)
    file_system, folder = fsspec.core.url_to_fs(place)
    ending = ".tar.gz.enc" if "--encrypt" in arguments else ".tar.zst"
    assert [Path(name).name for name in file_system.ls(folder, detail=False)] == [made["archive"]["name"]]
    assert made["archive"]["name"].endswith(ending)
    assert (made["directory"], made["totals"]["total_examples"]) == (place, 5)
    assert (
        AuditEvent.objects.get(action="backup").details["directory"] == f"{place}/{made['archive']['name']}"
    )
    for source in (place, f"{place}/{made['archive']['name']}"):
        verified = run_json(capsys, "golden_verify", source, "--deep")
        assert (verified["valid"], verified["stats"]["examples"]) == (True, 5)
    with cloned() as name, connected_to(name):
        restored = run_json(capsys, "golden_restore", place)
        assert restored["directory"] == f"{place}/{made['archive']['name']}"
        assert restored["verification"]["valid"]
        assert Dataset.objects.get().name == "words"
        told = AuditEvent.objects.get(action="restore")
        assert told.details["directory"] == f"{place}/{made['archive']['name']}"


def test_archive__after_archive__goes_on_with_the_log_of_changes(
    words: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, START)
    first = create_archive(place=str(tmp_path / "a"), actor=None, options=ArchiveOptions(encrypt=True))
    same = create_archive(place=str(tmp_path / "a"), actor=None)
    update_example(example=row(words, "e1"), actor=None, expected_output={"label": "b"})
    third = create_archive(place=str(tmp_path / "a"), actor=None)
    assert [first.backup.changed, same.backup.changed, third.backup.changed] == [True, False, True]
    assert first.backup.sha256 == same.backup.sha256
    assert [r.name[14:30] for r in (first, same, third)] == [
        "20261121T020000Z",
        "20261121T020001Z",  # no two have one name, however fast they follow each other
        "20261121T020002Z",
    ]
    with opened_source(str(tmp_path / "a")) as source:
        told = json.loads((source.folder / METADATA).read_bytes())["changes"]
    assert told == first.backup.changes + third.backup.changes
    assert [(change["action"], change["count"]) for change in told] == [("added", 5), ("modified", 1)]
    assert AuditEvent.objects.filter(action="backup_change").count() == len(told)


def test_archive__of_what_did_not_change__holds_the_same_bytes(
    words: DatasetManager, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = (run_json(capsys, "golden_backup", "--output", f"{tmp_path}/a", "--archive") for _ in "12")
    assert (one["changed"], two["changed"]) == (True, False)
    assert one["archive"]["sha256"] == two["archive"]["sha256"]
    assert one["archive"]["name"] != two["archive"]["name"]


def test_archive__the_one_before_cannot_be_read__warns_and_the_log_goes_on_from_the_database(
    words: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = create_archive(place=str(tmp_path), actor=None, options=ArchiveOptions(encrypt=True))
    monkeypatch.setenv("GOLDEN_BACKUP_KEY", fresh_key())
    words.add_examples(documents(8)[5:])
    second = create_archive(place=str(tmp_path), actor=None, options=ArchiveOptions(encrypt=True))
    assert len(second.warnings) == 1
    assert "GOLDEN_BACKUP_KEY is not what this archive was encrypted with" in second.warnings[0]
    with opened_source(str(tmp_path)) as source:
        told = json.loads((source.folder / METADATA).read_bytes())["changes"]
    assert [change["count"] for change in told if change["action"] == "added"][-1] == 3
    assert told[: len(first.backup.changes)] == first.backup.changes


def test_archive__native_dump__is_packed_and_verified(
    words: DatasetManager, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_json(capsys, "golden_backup", "--output", str(tmp_path / "a"), "--format", "dump", "--encrypt")
    verified = run_json(capsys, "golden_verify", str(tmp_path / "a"))
    assert (verified["valid"], verified["stats"]["examples"]) == (True, 5)


def test_keep__rules__delete_older_archives_and_nothing_else(
    words: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"golden-backup-{START - timedelta(days=n):%Y%m%dT%H%M%SZ}.tar.zst" for n in range(1, 20)]
    for name in [*names, "golden-backup-of-mine.tar", "notes.txt"]:
        (tmp_path / name).write_bytes(b"x")
    at(monkeypatch, START)
    arguments = ("golden_backup", "--output", str(tmp_path), "--keep", "daily=3,weekly=2")
    dry = run_json(capsys, *arguments, "--keep-dry-run")
    assert (len(dry["retention"]["deleted"]), dry["retention"]["dry_run"]) == (16, True)
    assert dry["retention"]["deleted"][0] == names[-1]
    assert set(names) <= {path.name for path in tmp_path.iterdir()}
    done = run_json(capsys, *arguments)
    left = sorted(path.name for path in tmp_path.iterdir() if path.is_file())
    assert left == [
        f"golden-backup-{START - timedelta(days=6):%Y%m%d}T020000Z.tar.zst",  # Sunday: the newest of its week
        names[1],
        names[0],
        done["archive"]["name"],
        "golden-backup-of-mine.tar",
        "notes.txt",
    ]
    event = AuditEvent.objects.get(action="backup.retention")
    assert event.details["deleted"] == done["retention"]["deleted"]


def test_source__at__takes_the_newest_of_that_time(
    words: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for day in range(3):
        at(monkeypatch, START + timedelta(days=day))
        made.append(create_archive(place=str(tmp_path), actor=None).name)
    for when, number in [
        ("", 2),
        (made[0], 0),
        ("2026-11-22", 1),
        ("2026-11-22T01:59", 0),
        ("2027-01-01", 2),
    ]:
        with opened_source(str(tmp_path), when) as source:
            assert source.shown == f"{tmp_path}/{made[number]}"
    with pytest.raises(NoBackup, match=r"nothing of 2026-11-20; the oldest of 3 is golden-backup-20261121"):
        with opened_source(str(tmp_path), "2026-11-20"):
            pass
    with pytest.raises(BadInput, match="--at: found 'yesterday'"), opened_source(str(tmp_path), "yesterday"):
        pass


def test_put__upload_that_fails_half_way__leaves_nothing_behind(
    words: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_archive(place=str(tmp_path / "a"), actor=None)
    before = sorted(path.name for path in (tmp_path / "a").iterdir())

    def half(self: Any, source: str, target: str, **_: Any) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:100])
        raise ConnectionResetError("the line went dead")

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.put_file", half)
    with pytest.raises(DestinationFailed, match="could not put golden-backup-.* there: the line went dead"):
        create_archive(place=str(tmp_path / "a"), actor=None)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == before
    assert AuditEvent.objects.filter(action="backup").count() == 1


def test_put__what_comes_back_differs__is_refused_and_removed(
    words: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flipped(self: Any, source: str, target: str, **_: Any) -> None:
        data = bytearray(Path(source).read_bytes())
        data[50] ^= 1
        Path(target).write_bytes(data)

    monkeypatch.setattr("fsspec.implementations.local.LocalFileSystem.put_file", flipped)
    with pytest.raises(DestinationFailed, match=r"came back as \d+ bytes with the checksum"):
        create_archive(place=str(tmp_path / "a"), actor=None)
    assert list((tmp_path / "a").iterdir()) == []


def test_put__leftovers_of_killed_uploads__go_after_a_day(words: DatasetManager, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    fresh = datetime.now(UTC) - timedelta(hours=1)
    old = fresh - timedelta(days=2)
    leftovers = [f".golden-backup-{m:%Y%m%dT%H%M%SZ}.tar.zst.unfinished" for m in (old, fresh)]
    for name in leftovers:
        (folder / name).write_bytes(b"half")
    made = create_archive(place=str(folder), actor=None)
    assert sorted(path.name for path in folder.iterdir()) == [leftovers[1], made.name]


def test_destination__object_store__is_put_under_its_name_at_once(
    words: DatasetManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Object stores show an object when it is complete; a rename would be a second copy."""
    monkeypatch.setattr(MemoryFileSystem, "protocol", ("s3", "memory"))
    monkeypatch.setattr(MemoryFileSystem, "mv", None)
    made = create_archive(place="memory://bucket", actor=None)
    assert list(MemoryFileSystem.store) == [f"/bucket/{made.name}"]


@pytest.mark.parametrize(
    ("place", "error", "told", "hint"),
    [
        ("s3://bucket/golden", MissingDriver, "the driver of s3:// is not installed", "pip install s3fs"),
        ("gs://bucket/golden", MissingDriver, "the driver of gs:// is not installed", "pip install gcsfs"),
        ("az://box/golden", MissingDriver, "the driver of az:// is not installed", "pip install adlfs"),
        ("sftp://ann:hush@host/x", MissingDriver, "sftp://host/x: the driver", "pip install paramiko"),
        ("what://ann:hush@host/x", UnknownDestination, "what://host/x: found the scheme what://", "Known"),
        ("simplecache::s3://bucket", UnknownDestination, "chained URLs", ""),
    ],
)
def test_destination__not_reachable__says_what_to_do_and_no_secret(
    db: None, place: str, error: type[Exception], told: str, hint: str
) -> None:
    with pytest.raises(error, match=told) as caught:
        call_command("golden_backup", "--output", place, "--archive")
    assert hint in str(caught.value)
    assert "hush" not in str(caught.value) and "ann" not in str(caught.value)


def test_destination__errors_of_drivers__show_no_secret(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "memory://ann:hu%2Fsh@bucket/x?token=topsecret"

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"cannot list {place}: hu/sh is wrong, topsecret too")

    monkeypatch.setattr(MemoryFileSystem, "ls", broken)
    with pytest.raises(DestinationFailed) as caught:
        create_archive(place=place, actor=None)
    assert caught.value.message == (
        "memory://bucket/x: could not list it: cannot list memory://***@bucket/x?***: *** is wrong, *** too"
    )
    assert caught.value.__cause__ is None


def test_shown__urls__are_without_secrets() -> None:
    shown = destinations.shown
    assert shown("sftp://ann:hush@host:22/x/y") == "sftp://host:22/x/y"
    assert shown("https://host/x?sig=hush#part") == "https://host/x"
    assert shown("/a/b@c") == "/a/b@c"


def test_encrypt__no_key__is_told_before_anything_is_done(
    db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOLDEN_BACKUP_KEY")
    with pytest.raises(MissingKey, match="must be in the environment"):
        call_command("golden_backup", "--output", str(tmp_path / "a"), "--encrypt")
    assert not (tmp_path / "a").exists()


def test_restore__wrong_key_or_damaged_archive__is_refused_and_names_the_source(
    words: DatasetManager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a"
    made = create_archive(place=str(folder), actor=None, options=ArchiveOptions(encrypt=True))
    good = (folder / made.name).read_bytes()
    (folder / made.name).write_bytes(good[:-1])
    with pytest.raises(DamagedBackup, match=f"^{folder}/{made.name}: the archive ends early"):
        call_command("golden_restore", str(folder))
    (folder / made.name).write_bytes(good)
    monkeypatch.setenv("GOLDEN_BACKUP_KEY", fresh_key())
    with pytest.raises(WrongKey):
        call_command("golden_restore", str(folder), "--replace")
    assert Dataset.objects.get().name == "words"


def test_verify__archive_whose_content_was_changed__names_the_source(
    words: DatasetManager, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = create_archive(place=str(tmp_path), actor=None, options=ArchiveOptions(compression="none"))
    path = tmp_path / made.name
    path.write_bytes(path.read_bytes().replace(b"text 3", b"text 4"))
    verified = run_json(capsys, "golden_verify", str(path))
    assert not verified["valid"]
    assert verified["errors"][0].startswith(f"{path}/{MAIN}:")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ([], UsageError),
        (["--output", "x", "--archive", "--git-commit"], UsageError),
        (["--output", "x", "--format", "dump", "--git-commit"], UsageError),
        (["--output", "x", "--keep", "fortnightly=2"], InvalidRetention),
        (["--output", "x", "--keep-last", "0"], InvalidRetention),
    ],
    ids=str,
)
def test_backup__options_that_make_no_sense__are_refused(
    db: None, arguments: list[str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call_command("golden_backup", *arguments)


def test_make_key__prints_a_key_and_needs_no_database(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("golden_backup", "--make-key")
    assert len(capsys.readouterr().out.strip()) == 44


def test_verify__at_without_a_source__is_refused(db: None) -> None:
    with pytest.raises(UsageError, match="--at chooses among archives"):
        call_command("golden_verify", "--at", "2026-11-21")
