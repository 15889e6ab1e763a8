"""Verify a backup without a database, or the database with its guards and the age of its last backup."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson

from datasets_app.domain import tree
from datasets_app.domain.commits import CommitRecord
from datasets_app.domain.content import is_tombstone
from datasets_app.models import AuditEvent, DatasetCommit
from datasets_app.services.access import record
from datasets_app.services.corpus.verifying import verify_corpus
from datasets_app.services.versioning.verifying import VERIFY_ACTION, verify_database
from exports_app.backup import layout
from exports_app.backup.dumping import is_dump, open_dump
from exports_app.backup.opened import Backup, parsed_time
from exports_app.backup.reading import findings, open_backup
from exports_app.backup.records import unsealed
from exports_app.backup.shard_checks import check_shards
from exports_app.errors import DamagedBackup, InvalidBackup, NewerBackup
from exports_app.services.backups import last_backup
from goldenproject.kit.clock import now
from labeling_app.services.verifying import verify_labels

OLD_BACKUP = timedelta(days=8)
_CONTENT_AT = len('{"hash":"') + 64 + len('","content":')
_MAX_NAMED = 20
Progress = Callable[[int, int], None]


@dataclass
class VerificationResult:
    """`valid` when there are no errors; `stats` are counts by kind of record."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        return not self.errors

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong but URLs that break the contract, and vectors that golden_embed makes."""
        return all(
            "URL breaks the contract" in error or "chunk without an embedding" in error
            for error in self.errors
        )

    def as_dict(self) -> dict[str, Any]:
        return {"valid": self.valid, "errors": self.errors, "warnings": self.warnings, "stats": self.stats}

    def as_text(self) -> str:
        """Errors and warnings, a line each, then the line that says passed or failed with the counts."""
        lines = [f"Error: {text}" for text in self.errors] + [f"Warning: {text}" for text in self.warnings]
        names = (
            "analyses",
            "chunks",
            "artifacts",
            "test_queries",
            "datasets",
            "examples",
            "working_rows",
            "commits",
            "labels",
        )
        counts = "".join(
            f"{name.replace('_', ' ')} {self.stats[name]}, " for name in names if name in self.stats
        )
        told = "no errors" if self.valid else f"{len(self.errors)} error{'s' if len(self.errors) > 1 else ''}"
        return "\n".join([*lines, f"Validation {'passed' if self.valid else 'failed'}: {counts}{told}"])


def verify_directory(
    directory: Path, *, deep: bool = False, progress: Progress | None = None
) -> VerificationResult:
    """Verify the backups in a folder from their files alone; nothing connects to a database.

    Checked: structure, the checksum of the whole, of each shard and of each record, duplicate ids, counts. `deep` also
    hashes every content, rebuilds the tree of every version and the hash of every commit (memory: about 250 bytes an
    example). Raises NoBackup, BackupInUse; what is wrong with the files is in the result.
    """
    result = VerificationResult()
    with layout.locked(directory, writing=False):
        if is_dump(directory):
            _verify_dump(directory, result)
            if not layout.main_file_exists(directory):
                return result
        try:
            backup = open_backup(directory)
            total = sum(part.count for parts in backup.parts.values() for part in parts if part.is_shard)
            for done in check_shards(backup, records=True):
                if progress is not None:
                    progress(done, total)
            result.errors += findings(backup)
        except (DamagedBackup, InvalidBackup, NewerBackup) as error:
            result.errors.append(error.message)
            return result
        _add_stats(backup, result)
        if empty := backup.census.empty_chunks:
            result.warnings.append(f"{empty} chunk{'s' if empty > 1 else ''} without text")
        if backup.created_at is not None and now() - backup.created_at > OLD_BACKUP:
            result.warnings.append(
                f"the backup is of {backup.created_at:%Y-%m-%d}; nothing may have changed since"
            )
        if deep:
            _DeepCheck(backup, result).run()
    return result


def _verify_dump(directory: Path, result: VerificationResult) -> None:
    try:
        dump = open_dump(directory)
    except (DamagedBackup, InvalidBackup, NewerBackup) as error:
        result.errors.append(error.message)
    else:
        result.stats |= {name.removeprefix("total_"): count for name, count in dump.totals.items()}
        result.stats["dump_bytes"] = dump.path.stat().st_size


def _add_stats(backup: Backup, result: VerificationResult) -> None:
    result.stats |= {name: backup.count(name) for name in backup.parts if name != "files"}
    census = backup.census
    result.stats |= {
        "analyses": census.completed,
        "chunks": census.chunks,
        "artifacts": census.artifacts,
        "analyses_not_completed": census.not_completed,
    }


class _DeepCheck:
    """Hashes and trees of a backup, from its files."""

    def __init__(self, backup: Backup, result: VerificationResult) -> None:
        self._backup = backup
        self._errors: list[str] = []
        self._result = result

    def run(self) -> None:
        blobs = self._blobs()
        changes = self._changes(blobs)
        self._commits(changes)
        self._result.errors += self._errors[:_MAX_NAMED]
        if len(self._errors) > _MAX_NAMED:
            self._result.errors.append(f"… and {len(self._errors) - _MAX_NAMED} more")

    def _blobs(self) -> set[bytes]:
        found = set()
        for line in self._backup.lines("blobs"):
            text = (unsealed(line) or line)[_CONTENT_AT:-1]
            name = orjson.loads(line)["hash"]
            if hashlib.sha256(text).hexdigest() != name and not is_tombstone(orjson.loads(text)):
                self._errors.append(f"content {name}: does not match its hash")
            found.add(bytes.fromhex(name))
        return found

    def _changes(self, blobs: set[bytes]) -> dict[int, bytearray]:
        """Return the changes of each commit, packed: UUID, then the new hash (zeros for none)."""
        packed: dict[int, bytearray] = {}
        for line in self._backup.lines("changes"):
            fields = orjson.loads(line)
            new = bytes.fromhex(fields["new_hash"]) if fields["new_hash"] else bytes(32)
            if fields["new_hash"] and new not in blobs:
                self._errors.append(
                    f"example {fields['example_id']}: its content {fields['new_hash']} is missing"
                )
            packed.setdefault(fields["commit_id"], bytearray()).extend(
                uuid.UUID(fields["example_id"]).bytes + new
            )
        return packed

    def _commits(self, changes: dict[int, bytearray]) -> None:
        records = [orjson.loads(line) for line in self._backup.lines("commits")]
        source = tree.DictSource()
        roots: dict[str, bytes] = {"": tree.EMPTY_ROOT}
        for fields in sorted(records, key=lambda f: (f["generation"], f["id"])):
            name = fields["commit_hash"]
            parent = roots.get(fields["parent_commit_hash"])
            if parent is None:
                self._errors.append(f"commit {name[:12]}: its parent is missing")
                continue
            written = _apply(parent, bytes(changes.get(fields["id"], b"")), source)
            source.nodes.update(written.nodes)
            roots[name] = written.root
            if written.root.hex() != fields["root_hash"] or written.count != fields["example_count"]:
                self._errors.append(f"commit {name[:12]}: its changes do not give its tree")
            if _record(fields).hash() != name:
                self._errors.append(f"commit {name[:12]}: does not match its hash")


def _apply(parent: bytes, packed: bytes, source: tree.DictSource) -> tree.Written:
    size = tree.ENTRY_BYTES
    if parent == tree.EMPTY_ROOT:
        return tree.build_packed(packed)
    changes = {
        packed[at : at + 16]: None
        if packed[at + 16 : at + size] == bytes(32)
        else packed[at + 16 : at + size]
        for at in range(0, len(packed), size)
    }
    return tree.update(parent, changes, source)


def _record(fields: dict[str, Any]) -> CommitRecord:
    moment = parsed_time(fields["committed_at"])
    assert moment is not None
    return CommitRecord(
        parents=tuple(h for h in (fields["parent_commit_hash"], fields["merge_parent_hash"]) if h),
        root=fields["root_hash"],
        added=fields["examples_added"],
        removed=fields["examples_removed"],
        modified=fields["examples_modified"],
        author=fields["author"],
        message=fields["message"],
        committed_at=moment,
    )


def verify_installation(
    *, deep: bool = False, actor: Any = None, check_backup: bool = True
) -> VerificationResult:
    """Verify the database and the last backup's age.

    Datasets: hashes, trees, chains, references, guards. The corpus: URL contract, references, history, vectors. Labels:
    history, counts, decisions, references. What changed since the last good run, with `deep` all of it.
    """
    # read first: a commit that is made meanwhile may be looked at, and the next run looks at it again
    newest = DatasetCommit.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    found = verify_database(deep=deep)
    corpus = verify_corpus(deep=deep, since=_covered("corpus"))
    labels = verify_labels(deep=deep, since=_covered("labels"))
    counts = {"test_queries" if name == "queries" else name: count for name, count in corpus.stats.items()}
    result = VerificationResult(
        [*found.errors, *corpus.errors, *labels.errors],
        [*found.warnings, *corpus.warnings],
        {**counts, **found.stats, **labels.stats},
    )
    if check_backup:
        _check_last_backup(result)
    if result.valid:
        what = "deep" if deep else "what changed"
        record(
            actor,
            VERIFY_ACTION,
            None,
            what,
            newest_commit=newest,
            stats=result.stats,
            corpus=corpus.covered,
            labels=labels.covered,
        )
    return result


def _covered(part: str) -> dict[str, Any] | None:
    """Return what the last good run covered of the corpus or the labels; None when there was none."""
    event = AuditEvent.objects.filter(action=VERIFY_ACTION, succeeded=True).order_by("-id").first()
    return None if event is None else event.details.get(part)


def _check_last_backup(result: VerificationResult) -> None:
    last = last_backup()
    if last is None:
        result.warnings.append("there is no backup yet: run golden_backup")
    elif now() - last.at > OLD_BACKUP:
        result.warnings.append(f"the last backup is of {last.at:%Y-%m-%d}: run golden_backup")
