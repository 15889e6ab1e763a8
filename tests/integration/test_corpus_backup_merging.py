"""A corpus' backup into a database that holds data, and what backups tell of changes."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from datasets_app.models import (
    Analysis,
    ChangedChunk,
    Chunk,
    Corpus,
    ExpectedChunk,
    RetrievalRun,
    TestQuery,
)
from datasets_app.services.corpus.verifying import verify_corpus
from exports_app.errors import RestoreConflict
from exports_app.services.backups import BackupOptions, create_backup
from goldenproject.kit.clock import frozen
from tests.integration.corpus_backup_files import MAIN, METADATA, NOON, restored, written
from tests.integration.corpus_data import (
    chunk_id,
    document,
    make_analysis,
    make_corpus,
    make_id,
    make_query,
)
from tests.integration.test_backup_round_trip import everything
from tests.template_database import cloned, connected_to


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


def test_backup__several_changes_in_ones_own_words__each_says_which_it_is(
    committed_db: str, tmp_path: Path
) -> None:
    make_corpus()
    with frozen(NOON):
        create_backup(directory=tmp_path, actor=None, options=BackupOptions("The first sources"))
    told = [tuple(c.values())[1:] for c in json.loads((tmp_path / METADATA).read_text())["changes"]]
    assert told == [
        ("added", 4, "The first sources (4 analyses added)"),
        ("added", 3, "The first sources (3 test queries added)"),
    ]


def test_restore__of_the_same_backup_again__tells_its_changes_once(committed_db: str, tmp_path: Path) -> None:
    change = {"date": "2026-05-01", "action": "added", "count": 1, "description": "one"}
    totals = {"total_analyses": 1, "total_chunks": 2, "total_artifacts": 1}
    folder = written(tmp_path, [document(0)])
    (folder / METADATA).write_text(json.dumps({**totals, "changes": [change]}))
    restored(folder)
    restored(folder, on_conflict="skip")
    restored(folder, on_conflict="update")
    create_backup(directory=tmp_path / "b", actor=None)
    assert json.loads((tmp_path / "b" / METADATA).read_text())["changes"] == [change]


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
