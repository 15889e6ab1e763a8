"""Temporary folders of archives: gone at the end, and those of killed processes gone with the next."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from exports_app.backup.temporary import temporary_folder


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def age(folder: Path) -> None:
    os.utime(folder, (1, 1))


def test_temporary_folder__error_inside__is_removed_and_nobody_else_could_read_it(parent: Path) -> None:
    def fail() -> None:
        with temporary_folder() as folder:
            (folder / "secret").write_text("x")
            assert folder.stat().st_mode & 0o777 == 0o700
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(parent.iterdir()) == []


def test_temporary_folder__of_a_killed_process__goes_with_the_next(parent: Path) -> None:
    child = os.fork()
    if child == 0:
        with temporary_folder() as folder:
            (folder / "secret").write_text("x")
            age(folder)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (abandoned,) = parent.iterdir()
    with temporary_folder() as folder:
        assert list(parent.iterdir()) == [folder]
        assert folder != abandoned


def test_temporary_folder__in_use_young_or_of_another_name__stays(parent: Path) -> None:
    young, other = parent / "golden-backup-young", parent / "other"
    young.mkdir()
    other.mkdir()
    age(other)
    with temporary_folder() as used:
        age(used)
        with temporary_folder() as second:
            assert set(parent.iterdir()) == {young, other, used, second}
    assert set(parent.iterdir()) == {young, other}
