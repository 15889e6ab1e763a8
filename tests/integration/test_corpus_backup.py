"""The corpus in backups of format 1.0: exact bytes, files of other tools, what is refused, found, added and kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from datasets_app.errors import EmbeddingTrouble
from datasets_app.models import (
    Analysis,
    ChangedChunk,
    Chunk,
    Corpus,
    Embedding,
    ExpectedChunk,
    LexicalSegment,
    RetrievalRun,
    TestQuery,
)
from datasets_app.models.guards import missing_guards
from datasets_app.services.corpus.verifying import verify_corpus
from exports_app.errors import InvalidBackup, RestoreConflict, RestoreRefused
from exports_app.services import restored_retrieval
from exports_app.services.backups import BackupOptions, create_backup
from exports_app.services.restores import RestoreOptions, RestoreResult, restore_backup
from exports_app.services.verification import verify_directory
from goldenproject.kit.clock import frozen
from tests.integration.corpus_data import (
    NUMBERS,
    chunk_id,
    document,
    foreign_document,
    make_analysis,
    make_corpus,
    make_id,
    make_query,
)
from tests.integration.test_backup_commands import manage
from tests.integration.test_backup_round_trip import everything, files
from tests.template_database import cloned, connected_to

MAIN, METADATA = "golden_dataset_backup.json", "golden_dataset_metadata.json"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def written(folder: Path, analyses: list[dict[str, Any]], indent: int = 4, **changes: Any) -> Path:
    """Write a backup as another tool does."""
    text = json.dumps(foreign_document(analyses, **changes), indent=indent)
    (folder / MAIN).write_text(text)
    return folder


def restored(folder: Path, **options: Any) -> RestoreResult:
    chosen = RestoreOptions(**{"embeddings": False, "safety_dir": folder.parent / "safety", **options})
    return restore_backup(directory=folder, actor=None, options=chosen)


def rows() -> dict[str, list[str]]:
    """Every record of the database, but for the default corpus that the restore itself may have made."""
    return {name: lines for name, lines in everything().items() if name != "audit_events"}


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
    "total_test_queries": 0
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


# --- into a database that holds data ----------------------------------------------------------------------------------------
def test_restore__analyses_that_are_there__are_refused_and_nothing_changes(
    committed_db: str, tmp_path: Path
) -> None:
    make_corpus()
    create_backup(directory=tmp_path, actor=None)
    before = everything()
    with pytest.raises(
        RestoreConflict, match="holds 6 analyses, among them .*, already; nothing was changed"
    ):
        restored(tmp_path)
    assert everything() == before


@pytest.mark.parametrize(("on_conflict", "content"), [("skip", "mine"), ("update", "changed once")])
def test_restore__on_conflict__leaves_or_replaces_analyses_and_queries(
    committed_db: str, tmp_path: Path, on_conflict: str, content: str
) -> None:
    corpus = make_corpus()
    create_backup(directory=tmp_path / "b", actor=None)
    saved = everything()
    Chunk.objects.filter(pk=chunk_id(corpus, 1, 2)).update(content="mine")
    TestQuery.objects.filter(pk=make_id("default", "query", 1)).update(text="mine?")
    local = make_analysis(corpus, 20)
    make_query(corpus, 9, {chunk_id(corpus, 0, 0): 1, chunk_id(corpus, 20, 0): 1})
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM datasets_app_changedchunk")
    result = restored(tmp_path / "b", on_conflict=on_conflict)
    assert (result.analyses[on_conflict], result.queries[on_conflict]) == (6, 3)
    assert (result.safety_backup is not None) == (on_conflict == "update")
    assert Chunk.objects.get(pk=chunk_id(corpus, 1, 2)).content == content
    assert Analysis.objects.filter(pk=local.pk).exists()
    assert TestQuery.objects.count() == 4
    assert RetrievalRun.objects.count() == 1
    assert [e for e in verify_corpus(deep=True).errors if "embedding" not in e] == []
    if on_conflict == "update":
        kept = everything()
        assert set(saved["Chunk"]) <= set(kept["Chunk"])
        assert set(saved["Finding"]) <= set(kept["Finding"])
        assert ChangedChunk.objects.count() == 0  # looked at again when the restore had been committed


def test_restore__beside_another_corpus__adds_with_history_and_runs(
    committed_db: str, tmp_path: Path
) -> None:
    make_corpus()
    create_backup(directory=tmp_path, actor=None)
    saved = everything()
    with cloned() as name, connected_to(name):
        local = make_corpus(4, "local")
        taken = make_analysis(local, 30, url="https://docs.python.org/3/library/default0.html")
        result = restored(tmp_path)
        assert (result.analyses["add"], result.queries["add"], result.findings) == (6, 3, [])
        assert Corpus.objects.count() == 2
        assert RetrievalRun.objects.count() == 2
        assert Analysis.objects.get(pk=taken.pk).url_violation == ""
        assert set(saved["Chunk"]) <= set(everything()["Chunk"])
        changed = Chunk.history.filter(id=chunk_id(Corpus.objects.get(name="default"), 1, 2))
        assert [h.history_type for h in changed.order_by("history_id")] == ["+", "~"]
        assert [e for e in verify_corpus(deep=True).errors if "embedding" not in e] == []
        make_query(Corpus.objects.get(name="default"), 40, {})


def test_restore__into_a_corpus_of_the_same_name__takes_its_url_and_names_the_conflict(
    committed_db: str, tmp_path: Path
) -> None:
    folder = written(tmp_path, [document(0)])
    corpus = Corpus.objects.create(name="default")
    mine = make_analysis(corpus, 1, url=document(0)["url"])
    assert restored(folder).findings == [
        f"analysis {document(0)['id']}: the URL {document(0)['url']} breaks the contract: "
        f"analysis {mine.pk} has the same canonical URL"
    ]
    assert Analysis.objects.filter(corpus=corpus).count() == 2


def test_restore__update_that_would_lose_an_expected_chunk__is_refused(
    committed_db: str, tmp_path: Path
) -> None:
    corpus = make_corpus()
    create_backup(directory=tmp_path / "b", actor=None)
    extra = Chunk.objects.create(
        id=make_id("extra"), analysis_id=make_id("default", 0), content="more", chunk_index=50
    )
    make_query(corpus, 9, {extra.pk: 1})
    before = everything()
    with pytest.raises(RestoreConflict, match=f"expects chunk {extra.pk}, which the backup's analysis"):
        restored(tmp_path / "b", on_conflict="update")
    assert {n for n, lines in everything().items() if lines != before[n]} == set()


# --- what changed -----------------------------------------------------------------------------------------------------------
def test_backup__after_changes_of_the_corpus__tells_them(committed_db: str, tmp_path: Path) -> None:
    corpus = make_corpus()
    with frozen(NOON):
        create_backup(directory=tmp_path, actor=None)
    Analysis.objects.filter(pk=make_id("default", 5)).update(status="completed")
    Chunk.objects.filter(pk=chunk_id(corpus, 0, 1)).update(content="better")
    make_analysis(corpus, 7)
    ExpectedChunk.objects.filter(query_id=make_id("default", "query", 1)).update(relevance=3)
    TestQuery.objects.filter(pk=make_id("default", "query", 0)).update(category="new")
    with frozen(NOON + timedelta(days=1)):
        create_backup(directory=tmp_path, actor=None)
    Analysis.objects.filter(pk=make_id("default", 7)).update(status="failed")
    with frozen(NOON + timedelta(days=2)):
        create_backup(directory=tmp_path, actor=None, options=BackupOptions("Took one out"))
    with frozen(NOON + timedelta(days=3)):
        create_backup(directory=tmp_path, actor=None, options=BackupOptions("Nothing at all"))
    told = [tuple(c.values()) for c in json.loads((tmp_path / METADATA).read_text())["changes"]]
    assert told == [
        ("2026-06-01T12:00:00Z", "added", 4, "4 analyses added"),
        ("2026-06-01T12:00:00Z", "added", 3, "3 test queries added"),
        ("2026-06-02T12:00:00Z", "added", 2, "2 analyses added"),
        ("2026-06-02T12:00:00Z", "modified", 1, "1 analysis modified"),
        ("2026-06-02T12:00:00Z", "modified", 2, "2 test queries modified"),
        ("2026-06-03T12:00:00Z", "removed", 1, "Took one out"),
    ]


def test_backup__of_a_version_without_corpora__still_restores(committed_db: str, tmp_path: Path) -> None:
    create_backup(directory=tmp_path, actor=None)
    made = json.loads((tmp_path / MAIN).read_text())
    known = {"version", "created_at", "metadata", "analyses", "people", "example_types", "audit_events"}
    made = {key: value for key, value in made.items() if key in known}
    del made["metadata"]["total_test_queries"]
    (tmp_path / MAIN).write_text(json.dumps(made))
    (tmp_path / METADATA).unlink()
    with cloned() as name, connected_to(name):
        assert restored(tmp_path).findings == []
        assert not Corpus.objects.exists()
