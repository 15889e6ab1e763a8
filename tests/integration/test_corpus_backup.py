"""A backup of a corpus: its exact bytes, and that it comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from datasets_app.errors import EmbeddingTrouble
from datasets_app.models import (
    Analysis,
    ChangedChunk,
    Chunk,
    Embedding,
    LexicalSegment,
)
from datasets_app.services.corpus.verifying import verify_corpus
from exports_app.errors import RestoreRefused
from exports_app.services import restored_retrieval
from exports_app.services.backups import BackupOptions, create_backup
from exports_app.services.verification import verify_directory
from goldenproject.kit.clock import frozen
from goldenproject.kit.guards import missing_guards
from tests.integration.corpus_backup_files import MAIN, METADATA, NOON, restored, written
from tests.integration.corpus_data import (
    NUMBERS,
    chunk_id,
    document,
    make_corpus,
)
from tests.integration.test_backup_commands import manage
from tests.integration.test_backup_round_trip import everything, files
from tests.template_database import cloned, connected_to

# --- the bytes --------------------------------------------------------------------------------------------------------
EXPECTED = """{
  "version": "1.0",
  "created_at": "2026-06-01T12:00:00Z",
  "metadata": {
    "total_analyses": 1,
    "total_chunks": 1,
    "total_artifacts": 1,
    "total_datasets": 0,
    "total_examples": 0,
    "total_commits": 0,
    "total_test_queries": 0,
    "total_labels": 0
  },
  "analyses": [
    {
      "id": "11111111-1111-4111-8111-111111111111",
      "url": "https://docs.python.org/3/library/json.html",
      "content_type": "documentation",
      "status": "completed",
      "created_at": "2026-05-01T08:30:00.250000Z",
      "findings": [
        {
          "agent": "reader",
          "category": "fact",
          "content": "Größe “1”",
          "confidence": 0.1
        },
        {
          "agent": "reader",
          "category": "",
          "content": "sure",
          "confidence": 1.0
        }
      ],
      "chunks": [
        {
          "id": "22222222-2222-4222-8222-222222222222",
          "content": "one\\ntwo",
          "section_title": "",
          "section_path": "json/basic",
          "content_type": "text",
          "chunk_index": 0
        }
      ],
      "artifact": {
        "id": "33333333-3333-4333-8333-333333333333",
        "summary": "",
        "key_findings": [],
        "metadata": {
          "n": 1.50
        }
      }
    }
  ],
  "analyses_not_completed": [
    {
      "id": "44444444-4444-4444-8444-444444444444",
      "url": "https://docs.python.org/3/library/csv.html",
      "content_type": "documentation",
      "status": "pending",
      "created_at": "2026-05-01T08:31:00Z",
      "findings": [],
      "chunks": [],
      "artifact": null
    }
  ],
"""


def exact_analyses() -> list[dict[str, Any]]:
    first = {
        "id": "11111111-1111-4111-8111-111111111111",
        "url": "https://docs.python.org/3/library/json.html",
        "content_type": "documentation",
        "status": "completed",
        "created_at": "2026-05-01T10:30:00.25+02:00",
        "findings": [
            {"agent": "reader", "category": "fact", "content": "Größe “1”", "confidence": 0.1},
            {"agent": "reader", "category": "", "content": "sure", "confidence": 1.0},
        ],
        "chunks": [
            {
                "id": "22222222-2222-4222-8222-222222222222",
                "content": "one\ntwo",
                "section_title": "",
                "section_path": "json/basic",
                "content_type": "text",
                "chunk_index": 0,
            }
        ],
        "artifact": {
            "id": "33333333-3333-4333-8333-333333333333",
            "summary": "",
            "key_findings": [],
            "metadata": {"n": 1.5},
        },
    }
    second = {
        **first,
        "id": "44444444-4444-4444-8444-444444444444",
        "url": "https://docs.python.org/3/library/csv.html",
        "status": "pending",
        "created_at": "2026-05-01T08:31:00Z",
        "findings": [],
        "chunks": [],
        "artifact": None,
    }
    return [first, second]


def test_backup__of_a_small_corpus__has_exactly_these_bytes(committed_db: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    written(source, exact_analyses())
    main = source / MAIN
    main.write_text(main.read_text().replace('"n": 1.5', '"n": 1.50'))
    assert restored(source).findings == []
    with frozen(NOON):
        create_backup(directory=tmp_path / "b", actor=None)
    text = (tmp_path / "b" / MAIN).read_text(encoding="utf-8")
    assert text[: len(EXPECTED)] == EXPECTED
    assert json.loads((tmp_path / "b" / METADATA).read_text()) == {
        "total_analyses": 1,
        "total_chunks": 1,
        "total_artifacts": 1,
        "total_datasets": 0,
        "total_examples": 0,
        "total_commits": 0,
        "total_test_queries": 0,
        "total_labels": 0,
        "last_updated": "2026-06-01T12:00:00Z",
        "changes": [],
    }


def test_backup__with_numbers_that_python_cannot_hold__keeps_them_as_they_are(
    committed_db: str, tmp_path: Path
) -> None:
    make_corpus()
    create_backup(directory=tmp_path, actor=None)
    text = (tmp_path / MAIN).read_text(encoding="utf-8")
    assert '"exact": 1.50,' in text
    assert '"large": 123456789012345678901234567890,' in text
    with cloned() as name, connected_to(name):
        restored(tmp_path)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM datasets_app_artifact WHERE metadata::text = (%s::jsonb)::text",
                [NUMBERS],
            )
            assert cursor.fetchone() == (4,)


def test_backup__with_a_corpus_in_shards__restores_and_gives_the_same_bytes(
    committed_db: str, tmp_path: Path
) -> None:
    make_corpus()
    make_corpus(3, "second")
    options = BackupOptions(inline_examples=0)
    create_backup(directory=tmp_path / "a", actor=None, options=options)
    assert (tmp_path / "a" / "golden_dataset_shards" / "history_chunks").is_dir()
    assert verify_directory(tmp_path / "a").errors == []
    before = everything()
    with cloned() as name, connected_to(name):
        assert restored(tmp_path / "a").findings == []
        assert everything() == before
        create_backup(directory=tmp_path / "b", actor=None, options=options)
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_restore__of_a_corpus__leaves_it_true_searchable_and_embedded(
    committed_db: str, tmp_path: Path
) -> None:
    corpus = make_corpus()
    create_backup(directory=tmp_path, actor=None)
    with cloned() as name, connected_to(name):
        assert restored(tmp_path, embeddings=True).findings == []
        found = verify_corpus(deep=True)
        assert (found.errors, found.stats["embedded"]) == ([], 12)
        assert Embedding.objects.count() == 12
        assert not ChangedChunk.objects.exists()
        assert sum(LexicalSegment.objects.values_list("chunk_count", flat=True)) == 12
        assert missing_guards() == []
        Chunk.objects.filter(pk=chunk_id(corpus, 0, 0)).update(content="later")
        assert ChangedChunk.objects.count() == 1
        assert verify_corpus(deep=True).errors[0].startswith("chunk without an embedding of minilm")


def test_restore__without_embeddings__says_nothing_and_verify_misses_them(
    committed_db: str, tmp_path: Path
) -> None:
    make_corpus()
    create_backup(directory=tmp_path, actor=None)
    with cloned() as name, connected_to(name):
        assert restored(tmp_path).findings == []
        assert not Embedding.objects.exists()
        assert len(verify_corpus().errors) == 12


def test_restore__embedding_model_that_does_not_answer__is_a_finding_and_strict_refuses(
    committed_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise EmbeddingTrouble("The endpoint answered 429 five times.")

    monkeypatch.setattr(restored_retrieval, "embed_texts", fail)
    folder = written(tmp_path, [document(0)])
    with pytest.raises(RestoreRefused, match="answered 429 five times"):
        restored(folder, embeddings=True, strict=True)
    assert not Analysis.objects.exists()
    assert restored(folder, embeddings=True).findings == [
        "not all chunks have their vectors (The endpoint answered 429 five times.): run golden_embed"
    ]
    assert Chunk.objects.count() == 2


@pytest.mark.slow
def test_golden_restore__without_embeddings__ends_with_exit_code_2(committed_db: str, tmp_path: Path) -> None:
    folder = written(tmp_path, [document(0)])
    done = manage("golden_restore", str(folder), "--no-embeddings", database=committed_db)
    assert (done.returncode, done.stderr) == (2, "")
    assert "Error: chunk without an embedding of minilm: " in done.stdout


@pytest.mark.slow
def test_golden_restore__a_url_that_breaks_the_contract__restores_and_ends_with_exit_code_2(
    committed_db: str, tmp_path: Path
) -> None:
    done = manage(
        "golden_restore",
        str(written(tmp_path, [document(0, url="https://example.com/")])),
        database=committed_db,
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert f"Finding: analysis {document(0)['id']}: the URL https://example.com/ breaks" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Validation failed: analyses 1, chunks 2, artifacts 1, ")
