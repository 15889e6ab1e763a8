"""Backups of a corpus by other tools, and what is found in content that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datasets_app.models import (
    Analysis,
    Chunk,
    Corpus,
    ExpectedChunk,
)
from datasets_app.services.corpus.verifying import verify_corpus
from exports_app.errors import InvalidBackup, RestoreRefused
from exports_app.services.backups import create_backup
from exports_app.services.verification import verify_directory
from tests.integration.corpus_backup_files import MAIN, METADATA, restored, rows, written
from tests.integration.corpus_data import (
    chunk_id,
    document,
    foreign_document,
    make_corpus,
    make_id,
)
from tests.integration.test_backup_round_trip import everything
from tests.template_database import cloned, connected_to


# --- files of other tools -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("indent", [2, None], ids=["our layout", "one line"])
def test_restore__file_of_another_tool__goes_to_the_default_corpus_and_begins_its_history(
    committed_db: str, tmp_path: Path, indent: int
) -> None:
    folder = written(tmp_path, [document(0), document(1, status="failed", artifact=None)], indent)
    assert verify_directory(folder).errors == []
    assert restored(folder).findings == []
    assert [(a.corpus.name, a.status) for a in Analysis.objects.all()] == [
        ("default", "completed"),
        ("default", "failed"),
    ]
    assert [h.history_type for h in Chunk.history.filter(id=make_id("document", 0, "chunk", 0))] == ["+"]
    assert [e for e in verify_corpus(deep=True).errors if "embedding" not in e] == []
    create_backup(directory=tmp_path / "b", actor=None)
    again = json.loads((tmp_path / "b" / MAIN).read_text())
    assert again["analyses"] == [document(0)]
    assert again["analyses_not_completed"] == [document(1, status="failed", artifact=None)]
    assert again["metadata"]["total_chunks"] == 2


def test_restore__two_files_of_another_tool__adds_the_second_to_the_first(
    committed_db: str, tmp_path: Path
) -> None:
    restored(written(tmp_path, [document(0)]))
    restored(written(tmp_path, [document(1)]))
    assert Analysis.objects.count() == 2
    assert Corpus.objects.count() == 1


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in document().items() if key != name}


def with_chunk(**changes: Any) -> dict[str, Any]:
    first, second = document()["chunks"]
    return document(chunks=[first, {**second, **changes}])


@pytest.mark.parametrize(
    ("analyses", "told"),
    [
        ([without("url")], "analyses[0], url: found nothing, expected this field"),
        ([without("artifact")], "analyses[0], artifact: found nothing, expected this field"),
        ([document(chunks={})], "analyses[0], chunks: found an object, expected a list"),
        ([document(created_at="then")], "analyses[0], created_at: found 'then', expected an ISO 8601 time"),
        ([document(status="done")], "analyses[0], status: found 'done', expected"),
        ([document(id="7")], "analyses[0], id: found '7', expected a UUID"),
        ([with_chunk(chunk_index=-1)], "chunk_index: found -1, expected"),
        ([with_chunk(chunk_index=0)], "chunk_index: found 0"),
        ([with_chunk(id=document()["chunks"][0]["id"])], "analyses[0], chunks[1].id: found"),
        ([document(), document()], "analyses[1]: duplicate record: id"),
        ([document(), {**document(), "id": str(make_id(1))}], "analyses[1]: duplicate record: chunk id"),
        (
            [document(chunks=[]), document(1, chunks=[], artifact=document()["artifact"])],
            "analyses[1]: duplicate record: artifact id",
        ),
        (
            [document(findings=[{"agent": "a", "category": "", "content": "b", "confidence": 1.5}])],
            "findings[0].confidence: found 1.5",
        ),
    ],
)
def test_verify__wrong_analyses__are_named_without_a_database(
    tmp_path: Path, analyses: list[dict[str, Any]], told: str
) -> None:
    (found,) = verify_directory(raw(tmp_path, analyses)).errors
    assert told in found


def test_restore__a_wrong_analysis_among_good_ones__is_refused_and_nothing_is_written(
    committed_db: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidBackup, match="analyses\\[1\\], artifact: found nothing, expected this field"):
        restored(raw(tmp_path, [document(1), without("artifact")]))
    assert not Analysis.objects.exists()


def raw(folder: Path, analyses: list[dict[str, Any]]) -> Path:
    made = {**foreign_document([document()]), "analyses": analyses}
    (folder / MAIN).write_text(json.dumps(made))
    return folder


# --- findings -------------------------------------------------------------------------------------------------------------
def test_restore__urls_that_break_the_contract__are_restored_and_named(
    committed_db: str, tmp_path: Path
) -> None:
    twice = document(2, url="https://DOCS.python.org:443/3/howto/0.html")
    folder = written(tmp_path, [document(0), document(1, url="https://example.com/x"), twice])
    found = verify_directory(folder).errors
    assert [text.split(":")[0] for text in found] == [
        f"analysis {document(1)['id']}",
        f"analysis {document(2)['id']}",
    ]
    assert found[1].endswith(f"analysis {document(0)['id']} has the same canonical URL")
    before = rows()
    with pytest.raises(RestoreRefused, match=r"breaks the contract: .* \(and 1 more\)"):
        restored(folder, strict=True)
    assert rows() == before
    assert restored(folder).findings == found
    assert {a.pk: bool(a.url_violation) for a in Analysis.objects.all()} == {
        make_id("document", 0): False,
        make_id("document", 1): True,
        make_id("document", 2): True,
    }
    create_backup(directory=tmp_path / "b", actor=None)
    saved = everything()
    with cloned() as name, connected_to(name):
        assert restored(tmp_path / "b").findings == found
        assert everything() == saved


def test_restore__counts_that_differ__are_found(committed_db: str, tmp_path: Path) -> None:
    totals = {"total_analyses": 2, "total_chunks": 2, "total_artifacts": 0}
    folder = written(tmp_path, [document(0)], metadata=totals)
    told = [f"{MAIN}: total_analyses is 2, found 1", f"{MAIN}: total_artifacts is 0, found 1"]
    assert verify_directory(folder).errors == told
    assert restored(folder).findings == told


def test_verify__metadata_file_without_a_total__is_found(tmp_path: Path) -> None:
    folder = written(tmp_path, [document(0)])
    (folder / METADATA).write_text(json.dumps({"total_analyses": 1, "total_chunks": "2", "changes": []}))
    assert verify_directory(folder).errors == [
        f"{METADATA}: total_chunks is missing or no count",
        f"{METADATA}: total_artifacts is missing or no count",
    ]


@pytest.mark.parametrize(
    "change", [{"action": "exploded"}, {"count": -1}, {"count": True}, {"description": 5}]
)
def test_verify__wrong_change_in_the_metadata_file__is_named(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = written(tmp_path, [document(0)])
    good = {"date": "2026-05-01", "action": "added", "count": 1, "description": "one"}
    (folder / METADATA).write_text(json.dumps({"changes": [good, {**good, **change}]}))
    (error,) = verify_directory(folder).errors
    assert "changes[1] is " in error and "expected a date, an action (added, removed, modified)" in error


def test_verify__file_without_analyses__says_what_is_missing(tmp_path: Path) -> None:
    made = foreign_document([])
    del made["analyses"]
    (tmp_path / MAIN).write_text(json.dumps(made, indent=2) + "\n")
    assert verify_directory(tmp_path).errors == [f"{tmp_path / MAIN}: the field “analyses” is missing."]


def test_verify__chunks_without_text__warns(tmp_path: Path) -> None:
    made = document(0)
    made["chunks"][0]["content"] = " \n"
    assert "1 chunk without text" in verify_directory(written(tmp_path, [made])).warnings


def test_restore__expected_chunks_that_are_missing__are_left_out_and_found(
    committed_db: str, tmp_path: Path
) -> None:
    corpus = make_corpus()
    create_backup(directory=tmp_path, actor=None)
    made = json.loads((tmp_path / MAIN).read_text())
    made.pop("sha256"), made.pop("files")
    made["analyses"][0]["chunks"].pop(0)
    made["metadata"]["total_chunks"] -= 1
    (tmp_path / MAIN).write_text(json.dumps(made))
    (tmp_path / METADATA).unlink()
    lost = chunk_id(corpus, 0, 0)
    with cloned() as name, connected_to(name):
        assert restored(tmp_path).findings == [
            f"test query {make_id('default', 'query', 0)}: expects chunk {lost}, which is missing"
        ]
        assert ExpectedChunk.objects.count() == 5
