"""Files of an export appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import pytest

from exports_app.writers.published_files import (
    CannotWrite,
    FileExists,
    HashedFile,
    PublishedDirectory,
    PublishedFile,
)


def test_published_file__done__has_name_bytes_and_hash(tmp_path: Path) -> None:
    with PublishedFile(tmp_path / "a", replace=False) as file:
        file.write(b"one")
        assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (file.written().size_bytes, file.written().sha256) == (3, hashlib.sha256(b"one").hexdigest())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_published_file__interrupted__leaves_nothing_and_keeps_the_old(
    tmp_path: Path, error: type[BaseException]
) -> None:
    (tmp_path / "a").write_text("old")
    with pytest.raises(error), PublishedFile(tmp_path / "a", replace=True) as file:  # noqa: PT012
        file.write(b"half")
        raise error
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_published_file__made_meanwhile_by_another__is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(FileExists), PublishedFile(tmp_path / "a", replace=False) as file:  # noqa: PT012
        file.write(b"ours")
        (tmp_path / "a").write_text("theirs")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "theirs")]


def test_published_file__disk_full__says_so_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CannotWrite) as caught, PublishedFile(tmp_path / "a", replace=False) as file:
        file.write(b"x")
    assert caught.value.message == f"{tmp_path / 'a'} cannot be written: No space left on device."
    assert list(tmp_path.iterdir()) == []


def test_hashed_file__full_device__names_the_file() -> None:
    with pytest.raises(CannotWrite, match="/dev/full cannot be written: No space left on device."):
        with open("/dev/full", "wb", buffering=0) as device:
            HashedFile(Path("/dev/full"), device).write(b"x")


def test_published_directory__empty_one_there__becomes_the_new(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with PublishedDirectory(tmp_path / "d", replace=False) as directory:
        directory.add("a", b"one")
    digest = hashlib.sha256(b"one").hexdigest()
    assert (tmp_path / "d" / "SHA256SUMS").read_text() == f"{digest}  a\n"
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_published_directory__foreign_file_there__refused_then_kept_when_forced(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "mine").write_text("mine")
    with pytest.raises(FileExists), PublishedDirectory(tmp_path / "d", replace=False):
        pass
    with PublishedDirectory(tmp_path / "d", replace=True) as directory:
        directory.add("a", b"one")
    assert sorted(path.name for path in (tmp_path / "d").iterdir()) == ["SHA256SUMS", "a", "mine"]


def test_published_directory__failure__leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), PublishedDirectory(tmp_path / "d", replace=False) as directory:  # noqa: PT012
        directory.open("a").write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
