"""Finished exports of whole versions, kept by what they hold, so that the next one of the same version is a copy.

A version never changes, so neither does its export. The name of a kept file is a hash over everything that its bytes
depend on: the state of the dataset, the schemas (they type the numbers), what was redacted, the form of a line. Each
file is checked against its SHA-256 as it is copied; a redaction throws all of them away at once.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.db.models import Count, Max

from datasets_app.domain.canonical import canonical_bytes
from datasets_app.models import DatasetCommit, ExampleType

FORM_OF_LINES = "jsonl-1"
SMALLEST_ROWS = 10_000
_BLOCK = 1 << 20


@dataclass(frozen=True)
class KeptFacts:
    """What is known of a kept file without reading it."""

    rows: int
    size_bytes: int
    sha256: str
    redacted: int
    redacted_names: tuple[str, ...]


class KeptFileDamaged(Exception):
    """A kept export does not match its SHA-256."""


def key_of(commit: DatasetCommit) -> str:
    """Return the name of the export of a version: 64 hex digits."""
    redactions = commit.dataset.redactions.aggregate(count=Count("pk"), newest=Max("pk"))
    types = ExampleType.objects.order_by("name").values_list("name", "input_schema", "output_schema")
    whole = [FORM_OF_LINES, str(commit.dataset_id), commit.root_hash, redactions, [list(t) for t in types]]
    return hashlib.sha256(canonical_bytes(whole)).hexdigest()


def find(key: str) -> KeptFacts | None:
    """Return the facts of a kept export, None when there is none."""
    try:
        facts = json.loads(_facts_path(key).read_text())
        if _data_path(key).stat().st_size != facts["size_bytes"]:
            return None
    except (OSError, ValueError, KeyError):
        return None
    return KeptFacts(**{**facts, "redacted_names": tuple(facts["redacted_names"])})


def copy_into(key: str, facts: KeptFacts, sink: BinaryIO) -> None:
    """Copy a kept export. Raises KeptFileDamaged, after which it is no longer kept; what was copied must be thrown away."""
    digest = hashlib.sha256()
    with _data_path(key).open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            sink.write(block)
    if digest.hexdigest() != facts.sha256:
        _forget(key)
        raise KeptFileDamaged(key)
    os.utime(_facts_path(key))


def keep(key: str, source: Path, facts: KeptFacts) -> None:
    """Keep a copy of a finished export, if it is large enough to be worth it; the longest unused ones make room.

    A disk that is full is no reason for an export to fail: then nothing is kept.
    """
    limit = settings.GOLDEN_EXPORT_CACHE_MB * 1_000_000
    if facts.rows < SMALLEST_ROWS or facts.size_bytes > limit:
        return
    temporary = _folder() / f".{key}.{secrets.token_hex(4)}.part"
    try:
        _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_room(limit - facts.size_bytes)
        shutil.copyfile(source, temporary)
        os.replace(temporary, _data_path(key))
        temporary.write_text(json.dumps(asdict(facts)))
        os.replace(temporary, _facts_path(key))
    except OSError:
        temporary.unlink(missing_ok=True)
        _forget(key)


def forget_all(**_: object) -> None:
    """Throw every kept export away."""
    for path in _folder().glob("*.json"):
        _forget(path.stem)


def _make_room(limit_bytes: int) -> None:
    kept = sorted(_folder().glob("*.json"), key=lambda path: path.stat().st_mtime)
    sizes = {path.stem: _size(_data_path(path.stem)) for path in kept}
    while kept and sum(sizes.values()) > limit_bytes:
        oldest = kept.pop(0).stem
        del sizes[oldest]
        _forget(oldest)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _forget(key: str) -> None:
    _facts_path(key).unlink(missing_ok=True)
    _data_path(key).unlink(missing_ok=True)


def _folder() -> Path:
    return Path(settings.GOLDEN_DATA_DIR) / "exports"


def _data_path(key: str) -> Path:
    return _folder() / f"{key}.jsonl"


def _facts_path(key: str) -> Path:
    return _folder() / f"{key}.json"
