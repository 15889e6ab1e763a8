"""Backup → empty database → restore → backup: the same bytes but for created_at."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.contrib.auth.models import User

from exports_app.services.backups import create_backup
from exports_app.services.restores import restore_backup
from tests.integration.backup_data import make_history
from tests.template_database import cloned, connected_to


def files(folder: Path) -> dict[str, str]:
    """Digest of each file without its moments of creation (a diff of the bytes themselves would take minutes)."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            lines = path.read_bytes().splitlines(keepends=True)
            kept = b"".join(line for line in lines if line[:16] not in (b'  "created_at": ', b'  "last_updated"'))
            found[str(path.relative_to(folder))] = hashlib.sha256(kept).hexdigest()
    return found


def test_backup__restored_into_an_empty_database__gives_the_same_bytes_again(
    committed_db: str, tmp_path: Path
) -> None:
    make_history()
    first = create_backup(directory=tmp_path / "first", actor=None)
    with cloned() as name, connected_to(name):
        result = restore_backup(directory=tmp_path / "first", actor=None)
        assert (result.findings, result.new_people) == ([], ["ann", "bob"])
        second = create_backup(directory=tmp_path / "second", actor=None)
        assert not User.objects.get(username="ann").is_active
    assert first.sha256 == second.sha256
    assert files(tmp_path / "first") == files(tmp_path / "second")
