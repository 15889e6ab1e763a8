"""Exports that are kept: the same bytes again, never stale, never damaged, gone after a redaction."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from datasets_app.services.curation.manager import DatasetManager
from datasets_app.services.versioning.redacting import redact
from exports_app.services import kept_exports
from exports_app.services.exporting import ExportOptions, ExportResult, export_version


@pytest.fixture
def manager(db: None, settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DatasetManager:
    settings.GOLDEN_DATA_DIR = tmp_path / "data"  # type: ignore[attr-defined]
    monkeypatch.setattr(kept_exports, "SMALLEST_ROWS", 1)
    made = DatasetManager.create("words", type="text_classification")
    made.add_examples(
        [{"id": f"e{n}", "input": {"text": f"text {n}"}, "output": {"label": "a"}} for n in range(80)]
    )
    made.commit("first")
    made.tag("v1")
    return made


def export(manager: DatasetManager, path: Path, ref: str = "v1") -> ExportResult:
    return export_version(
        dataset=manager.dataset, ref=ref, output=path, actor=None, options=ExportOptions(replace=True)
    )


def kept_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "data" / "exports").glob("*.jsonl"))


def test_export__second_time__copies_the_kept_file(manager: DatasetManager, tmp_path: Path) -> None:
    first = export(manager, tmp_path / "a.jsonl")
    [kept] = kept_files(tmp_path)
    assert kept.read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    again = export(manager, tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    assert (
        (again.rows, again.files[0].sha256)
        == (first.rows, first.files[0].sha256)
        == (
            80,
            hashlib.sha256((tmp_path / "a.jsonl").read_bytes()).hexdigest(),
        )
    )


def test_export__kept_file_with_a_flipped_bit__is_made_anew(manager: DatasetManager, tmp_path: Path) -> None:
    export(manager, tmp_path / "a.jsonl")
    [kept] = kept_files(tmp_path)
    data = bytearray(kept.read_bytes())
    data[100] ^= 1
    kept.write_bytes(data)
    export(manager, tmp_path / "b.jsonl")
    assert (tmp_path / "b.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    [mended] = kept_files(tmp_path)
    assert mended.read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def test_export__after_a_redaction__keeps_nothing_of_the_text(
    manager: DatasetManager, tmp_path: Path, django_capture_on_commit_callbacks: object
) -> None:
    export(manager, tmp_path / "a.jsonl")
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        redact(dataset=manager.dataset, example="e7", reason="personal data", actor=None)
    assert kept_files(tmp_path) == []
    result = export(manager, tmp_path / "b.jsonl")
    assert (result.rows, result.redacted) == (79, 1)
    assert (export(manager, tmp_path / "c.jsonl").redacted_names) == ("e7",)


def test_export__no_room__keeps_the_newest(manager: DatasetManager, tmp_path: Path, settings: object) -> None:
    settings.GOLDEN_EXPORT_CACHE_MB = 0.01  # type: ignore[attr-defined]
    export(manager, tmp_path / "a.jsonl")
    first = kept_files(tmp_path)
    manager.add_examples([{"id": "more", "input": {"text": "more"}, "output": {"label": "b"}}])
    manager.commit("second")
    export(manager, tmp_path / "b.jsonl", "HEAD")
    assert len(kept_files(tmp_path)) == 1
    assert kept_files(tmp_path) != first


def test_export__nothing_may_be_kept__keeps_nothing(
    manager: DatasetManager, tmp_path: Path, settings: object
) -> None:
    settings.GOLDEN_EXPORT_CACHE_MB = 0  # type: ignore[attr-defined]
    export(manager, tmp_path / "a.jsonl")
    assert kept_files(tmp_path) == []
