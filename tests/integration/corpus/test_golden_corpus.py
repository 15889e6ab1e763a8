"""golden_corpus and the imports behind it: files of format 1.0, test queries, and benchmarks in the shape of BEIR."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from datasets_app.errors import MalformedRow
from datasets_app.models import Analysis, Artifact, Chunk, Corpus, ExpectedChunk, TestQuery
from datasets_app.services.corpus.beir import BeirOptions, chunk_id_of, import_beir
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.corpus.importing import CorpusImportOptions, import_corpus
from goldenproject.kit.errors import BadInput, Forbidden
from tests.integration.commands.conftest import Run

CHUNK_ID = "6f1f2f26-9f5f-4b6e-8d9a-0a1b2c3d4e5f"


def _analysis(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "id": str(uuid.UUID(int=number)),
        "url": f"https://docs.python.org/3/library/m{number}.html",
        "content_type": "documentation",
        "status": "completed",
        "created_at": f"2025-01-0{number}T00:00:00Z",
        "findings": [{"agent": "a", "category": "c", "content": "found", "confidence": 0.5}],
        "chunks": [
            {
                "id": CHUNK_ID if number == 1 else str(uuid.UUID(int=1000 + number)),
                "content": "text",
                "section_title": "title",
                "section_path": "a/b",
                "content_type": "text",
                "chunk_index": 0,
            }
        ],
        "artifact": {
            "id": str(uuid.UUID(int=2000 + number)),
            "summary": "s",
            "key_findings": [],
            "metadata": {},
        },
        **changes,
    }


def _backup(path: Path, *analyses: dict[str, Any], **more: Any) -> Path:
    totals = {
        "total_analyses": len(analyses),
        "total_chunks": len(analyses),
        "total_artifacts": len(analyses),
    }
    document = {
        "version": "1.0",
        "created_at": "2025-02-01T00:00:00Z",
        "metadata": totals,
        "analyses": analyses,
        **more,
    }
    path.write_text(json.dumps(document))
    return path


def _jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _beir(folder: Path, corpus: list[Any], queries: list[Any], qrels: str, split: str = "test") -> Path:
    (folder / "qrels").mkdir(exist_ok=True)
    _jsonl(folder / "corpus.jsonl", *corpus)
    _jsonl(folder / "queries.jsonl", *queries)
    (folder / "qrels" / f"{split}.tsv").write_text(qrels)
    return folder


DOCUMENTS = [
    {
        "_id": "d1",
        "title": "One",
        "text": "first text",
        "metadata": {"url": "https://docs.python.org/3/a.html#x"},
    },
    {"_id": "d2", "title": "", "text": "second", "metadata": {"url": "https://docs.python.org/3/a.html#y"}},
    {
        "_id": "d3",
        "title": "Only a title",
        "text": "",
        "metadata": {"url": "https://docs.python.org/3/b.html"},
    },
]
QUERIES = [{"_id": "q1", "text": "What is first?"}, {"_id": "q2", "text": "And what is nowhere?"}]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n"


# Format 1.0 ---------------------------------------------------------------------------------------------------------


def test_import__backup_of_another_tool__keeps_ids_and_times(run: Run, tmp_path: Path) -> None:
    file = _backup(tmp_path / "golden_dataset_backup.json", _analysis(1), _analysis(2))
    ran = run("golden_corpus", "import", file, "--json")
    assert ran.code == 0, ran.err
    told = ran.document["imports"][0]
    assert (ran.document["corpus"], told["added"], told["chunks_added"], told["warnings"]) == (
        "default",
        2,
        2,
        [],
    )
    first = Analysis.objects.get(pk=uuid.UUID(int=1))
    assert first.created_at.isoformat() == "2025-01-01T00:00:00+00:00"
    assert str(first.chunks.get().pk) == CHUNK_ID
    assert Artifact.objects.count() == 2
    again = run("golden_corpus", "import", file)
    assert again.out == (
        "Imported 2 analyses into “default”: 0 added, 0 updated, 2 unchanged, 0 skipped; 0 chunks added, "
        "0 updated, 0 removed.\n"
    )


def test_import__wrong_counts_and_empty_chunk__are_warned_of(corpus: Corpus, tmp_path: Path) -> None:
    empty = {**_analysis(2)["chunks"][0], "content": "  "}
    file = _backup(tmp_path / "b.json", _analysis(1), _analysis(2, chunks=[empty], mood="fine"), releases=[])
    document = json.loads(file.read_text())
    document["metadata"]["total_chunks"] = 7
    file.write_text(json.dumps(document))
    report = import_corpus(corpus=corpus, source=file, actor=None)
    assert (report.added, report.chunks_added, report.empty_chunks) == (2, 1, 1)
    assert report.warnings == (
        "b.json tells total_chunks 7, but holds 2.",
        "b.json holds more (releases); an import takes only analyses, golden_restore takes all.",
        "1 chunk has no text, left out: b.json analysis 2, chunks[0].",
        "Fields that format 1.0 does not know were left out: mood.",
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"version": "2.0", "analyses": []}, "found version '2.0', expected 1.0"),
        ({"metadata": {}}, "found no list “analyses”"),
        ("text", "found no list “analyses”"),
        ({"analyses": [], "chunks": [{"analysis_id": "x"}]}, "chunk 1 belongs to analysis 'x', which is not"),
    ],
)
def test_import__document_of_another_shape__is_refused(
    corpus: Corpus, tmp_path: Path, document: Any, message: str
) -> None:
    file = tmp_path / "b.json"
    file.write_text(json.dumps(document))
    with pytest.raises(BadInput, match=message):
        import_corpus(corpus=corpus, source=file, actor=None)


def test_import__several_bad_lines__names_each_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    file = _jsonl(
        tmp_path / "a.jsonl",
        _analysis(1),
        {"url": 5, "content_type": "x"},
        _analysis(3, url="https://example.com/"),
        {
            "url": "https://docs.python.org/3/",
            "content_type": "x",
            "chunks": [{"content": "a", "chunk_index": -1}],
        },
    )
    with file.open("a") as lines:
        lines.write('{"url": NaN}\n')
    ran = run("golden_corpus", "import", file, "--json")
    assert ran.code == 1
    assert [(row["place"], row["code"]) for row in ran.error["details"]["refused"]] == [
        ("a.jsonl line 2", "invalid_analysis"),
        ("a.jsonl line 3", "url_contract_broken"),
        ("a.jsonl line 4", "invalid_analysis"),
        ("a.jsonl line 5", "malformed_row"),
    ]
    assert not Analysis.objects.exists()


def test_import__dry_run__tells_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    analyses = _jsonl(tmp_path / "a.jsonl", _analysis(1))
    queries = _jsonl(tmp_path / "q.jsonl", {"text": "What?", "expected": [CHUNK_ID]})
    ran = run(
        "golden_corpus", "import", analyses, "--queries", queries, "--corpus", "new", "--create", "--dry-run"
    )
    assert ran.code == 0, ran.err
    assert ran.out.startswith("Would import 1 analyses into “new”: 1 added")
    assert not Corpus.objects.exists()
    assert not Analysis.objects.exists()


def test_import__unknown_corpus__says_how_to_make_it(run: Run, tmp_path: Path) -> None:
    ran = run("golden_corpus", "import", _jsonl(tmp_path / "a.jsonl", _analysis(1)), "--corpus", "x")
    assert (ran.code, ran.err) == (
        1,
        "There is no corpus “x”.\nThere is none yet. Say --create to make it.\n",
    )


def test_import_corpus__viewer__is_forbidden(corpus: Corpus, viewer: Any, tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        import_corpus(corpus=corpus, source=_jsonl(tmp_path / "a.jsonl", _analysis(1)), actor=viewer)


def test_import_corpus__first_line_is_a_chunk__is_told(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(MalformedRow, match="expected url .an analysis. or text"):
        import_corpus(corpus=corpus, source=_jsonl(tmp_path / "a.jsonl", {"content": "x"}), actor=None)


# Test queries -------------------------------------------------------------------------------------------------------


def test_import__queries__are_saved_with_judgments_and_known_again(run: Run, tmp_path: Path) -> None:
    analyses = _jsonl(tmp_path / "a.jsonl", _analysis(1), _analysis(2))
    second = str(uuid.UUID(int=1002))
    queries = _jsonl(
        tmp_path / "q.jsonl",
        {
            "id": "q-1",
            "text": "One?",
            "expected": [CHUNK_ID, {"chunk": second, "relevance": 3}],
            "tags": ["x"],
        },
        {"text": "Two?", "expected": [], "difficulty": "hard", "pass_rule": {"rule": "all", "k": 5}},
    )
    ran = run("golden_corpus", "import", analyses, "--queries", queries, "--json")
    assert ran.code == 0, ran.err
    told = ran.document["imports"][1]
    assert (told["added"], told["judgments"], told["without_expected"]) == (2, 2, 1)
    assert told["warnings"] == ["1 query expects no chunk: q.jsonl line 2."]
    query = TestQuery.objects.get(external_id="q-1")
    assert query.tags == ["x"]
    assert set(query.expectations.values_list("relevance", flat=True)) == {1, 3}
    again = run("golden_corpus", "import", "--queries", queries, "--json").document["imports"][0]
    assert (again["added"], again["unchanged"]) == (0, 2)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": ""}, "text: found an empty string"),
        ({"text": "a", "expected": ["x"]}, "expected.0.: found 'x', expected the UUID of a chunk"),
        ({"text": "a", "expected": [str(uuid.UUID(int=9))]}, "expected chunks of corpus “default”"),
        ({"text": "a", "expected": [CHUNK_ID, CHUNK_ID]}, "a second time"),
        ({"text": "a", "expected": [{"chunk": CHUNK_ID, "relevance": -1}]}, "from 0 to 32767"),
        ({"text": "a", "difficulty": "mild"}, "easy, medium, hard or nothing"),
        ({"text": "a", "pass_rule": {"rule": "luck"}}, "luck"),
        ({"text": "a", "tags": "x"}, "tags: found str, expected a list"),
        ({"text": "a", "expcted": []}, "expcted: found this field"),
    ],
)
def test_import__bad_query__is_refused(corpus: Corpus, tmp_path: Path, row: Any, message: str) -> None:
    file = _jsonl(tmp_path / "q.jsonl", {"text": "fine"}, row)
    with pytest.raises(BadInput, match=message):
        import_corpus(corpus=corpus, source=file, actor=None, options=CorpusImportOptions("queries"))
    assert not TestQuery.objects.exists()


# BEIR ---------------------------------------------------------------------------------------------------------------


def test_import_beir__folder__groups_documents_by_source(run: Run, tmp_path: Path) -> None:
    folder = _beir(tmp_path, DOCUMENTS, QUERIES, QRELS)
    ran = run("golden_corpus", "import-beir", folder, "--corpus", "docs", "--create")
    assert (ran.code, ran.out) == (
        0,
        "Imported 3 documents into “docs”: 3 chunks added, 0 updated, of 2 new sources.\n"
        "2 queries: 2 added, 0 updated, 0 unchanged; 2 judgments of the split test, of which 1 not relevant.\n"
        "1 queries expect no chunk: evaluations leave them out.\n",
    )
    corpus = get_corpus("docs")
    chunks = Chunk.objects.order_by("analysis__created_at", "chunk_index")
    assert list(chunks.values_list("analysis__url", "section_path", "chunk_index")) == [
        ("https://docs.python.org/3/a.html", "d1", 0),
        ("https://docs.python.org/3/a.html", "d2", 1),
        ("https://docs.python.org/3/b.html", "d3", 0),
    ]
    assert Chunk.objects.get(pk=chunk_id_of(corpus, "d3")).content == "Only a title"
    query = TestQuery.objects.get(pk=uuid.uuid5(corpus.pk, "query q1"))
    assert dict(query.expectations.values_list("chunk__section_path", "relevance")) == {"d1": 2, "d2": 0}


def test_import_beir__same_folder_again__changes_nothing(corpus: Corpus, tmp_path: Path) -> None:
    folder = _beir(tmp_path, DOCUMENTS, QUERIES, QRELS)
    import_beir(corpus=corpus, folder=folder, actor=None)
    TestQuery.objects.filter(external_id="q1").update(tags=["kept"], difficulty="hard")
    before = [model.history.count() for model in (Analysis, Chunk, TestQuery, ExpectedChunk)]
    report = import_beir(corpus=corpus, folder=folder, actor=None)
    assert (report.chunks_added, report.chunks_updated, report.analyses_updated) == (0, 0, 0)
    assert (report.queries_added, report.queries_updated, report.queries_unchanged) == (0, 0, 2)
    assert [model.history.count() for model in (Analysis, Chunk, TestQuery, ExpectedChunk)] == before
    assert TestQuery.objects.get(external_id="q1").tags == ["kept"]


def test_import_beir__changed_folder__adds_after_what_is_there(corpus: Corpus, tmp_path: Path) -> None:
    import_beir(corpus=corpus, folder=_beir(tmp_path, DOCUMENTS, QUERIES, QRELS), actor=None)
    new = {**DOCUMENTS[0], "_id": "d0"}
    changed = {**DOCUMENTS[1], "text": "other"}
    report = import_beir(corpus=corpus, folder=_beir(tmp_path, [new, changed], QUERIES, QRELS), actor=None)
    assert (report.chunks_added, report.chunks_updated) == (1, 1)
    kept = Chunk.objects.filter(analysis__url__endswith="a.html").order_by("chunk_index")
    assert list(kept.values_list("section_path", "chunk_index")) == [("d1", 0), ("d2", 1), ("d0", 2)]


def test_import_beir__unknown_names_and_empty_documents__are_counted(corpus: Corpus, tmp_path: Path) -> None:
    documents = [*DOCUMENTS, {"_id": "d4", "title": "", "text": " "}]
    qrels = "q1 0 d1 1\nq1 0 d9 1\nq9 0 d1 1\nq2 0 d4 -1\n"
    report = import_beir(corpus=corpus, folder=_beir(tmp_path, documents, QUERIES, qrels, "dev"), actor=None)
    assert (report.split, report.documents, report.empty_documents, report.judgments) == ("dev", 4, 1, 1)
    assert (report.unknown_documents, report.unknown_queries, report.judged_not_relevant) == (2, 1, 1)
    assert report.warnings == (
        "1 document has no text, left out: corpus.jsonl line 4 (_id d4).",
        "2 judgments of unknown documents, left out: d4, d9.",
        "1 judgments of unknown queries, left out: q9.",
        "1 queries expect no chunk: evaluations leave them out.",
    )


def test_import_beir__no_url_anywhere__names_the_option(run: Run, tmp_path: Path) -> None:
    folder = _beir(tmp_path, [{"_id": "d1", "title": "", "text": "x"}], QUERIES, QRELS)
    ran = run("golden_corpus", "import-beir", folder)
    assert ran.code == 1
    assert "--source-url" in ran.err
    ran = run(
        "golden_corpus",
        "import-beir",
        folder,
        "--source-url",
        "https://api.semanticscholar.org/CorpusID:{id}",
    )
    assert ran.code == 0, ran.err
    assert Analysis.objects.get().url == "https://api.semanticscholar.org/CorpusID:d1"


@pytest.mark.parametrize(
    ("documents", "queries", "qrels", "message"),
    [
        ([DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[0]], QUERIES, QRELS, "the _id “d1” occurs twice"),
        ([{"text": "x"}], QUERIES, QRELS, "corpus.jsonl line 1, _id: found nothing"),
        (DOCUMENTS, [QUERIES[0], QUERIES[0]], QRELS, "which queries.jsonl line 1 has too"),
        (DOCUMENTS, QUERIES, "q1\td1\n", "test.tsv line 1: found 2 columns"),
        (DOCUMENTS, QUERIES, "q1\td1\t1\nq1\td2\thigh\n", "test.tsv line 2: found the score 'high'"),
        (DOCUMENTS, QUERIES, "q1\td1\t1\nq1\td1\t2\n", "an earlier line judges 1"),
    ],
)
def test_import_beir__bad_file__is_refused(
    corpus: Corpus, tmp_path: Path, documents: Any, queries: Any, qrels: str, message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        import_beir(corpus=corpus, folder=_beir(tmp_path, documents, queries, qrels), actor=None)
    assert not Analysis.objects.exists()


def test_import_beir__unknown_split__names_those_there_are(corpus: Corpus, tmp_path: Path) -> None:
    folder = _beir(tmp_path, DOCUMENTS, QUERIES, QRELS)
    with pytest.raises(BadInput) as caught:
        import_beir(corpus=corpus, folder=folder, actor=None, options=BeirOptions(split="train"))
    assert str(caught.value).endswith("has no split “train”. Splits: test.")


# The rest of the command --------------------------------------------------------------------------------------------


def test_golden_corpus__create_list_show_delete__tell_what_is_there(run: Run, tmp_path: Path) -> None:
    assert run("golden_corpus", "create", "docs").out == "Made corpus “docs”.\n"
    run("golden_corpus", "import", _jsonl(tmp_path / "a.jsonl", _analysis(1)), "--corpus", "docs")
    assert run("golden_corpus", "list").out == "docs  1 analyses, 1 chunks, 0 test queries\n"
    assert run("golden_corpus", "show", "--corpus", "docs", "--json").document["findings"] == 1
    assert run("golden_corpus", "delete-analysis", uuid.UUID(int=1)).code == 2
    ran = run("golden_corpus", "delete-analysis", uuid.UUID(int=1), "--yes", "--json")
    assert ran.document["url"] == "https://docs.python.org/3/library/m1.html"
    assert not Analysis.objects.exists()
