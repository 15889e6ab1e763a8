"""What verify tells of a corpus: each kind of damage by its own line, and only what changed since the last good run."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from datasets_app.models import (
    Analysis,
    Artifact,
    Chunk,
    Corpus,
    Embedding,
    EmbeddingModel,
    ExpectedChunk,
    Finding,
    TestQuery,
)
from datasets_app.services.corpus.url_rules import contract_columns
from datasets_app.services.corpus.verifying import CorpusFindings, verify_corpus

pytestmark = pytest.mark.django_db


def analysis(corpus: Corpus, url: str = "https://docs.golden.dev/a", **fields: Any) -> Analysis:
    canonical, reason = contract_columns(url)
    defaults = {
        "canonical_url": canonical,
        "url_violation": reason,
        "content_type": "article",
        "status": "completed",
    }
    return Analysis.objects.create(corpus=corpus, url=url, **(defaults | fields))


def chunk(of: Analysis, index: int = 0, content: str = "text", *, embedded: bool = True) -> Chunk:
    made = Chunk.objects.create(analysis=of, chunk_index=index, content=content)
    made.refresh_from_db()
    model = EmbeddingModel.objects.get(is_current=True)
    if embedded:
        Embedding.objects.get_or_create(
            model_id=model.pk, content_hash=made.content_hash, defaults={"vector": [1.0] * model.dimension}
        )
    return made


@pytest.fixture
def whole(corpus: Corpus) -> Analysis:
    """A corpus without a fault: one analysis with everything, one query, and an analysis that is pending."""
    EmbeddingModel.objects.filter(is_current=True).exists() or EmbeddingModel.objects.create(
        name="small", provider="openai", dimension=3, is_current=True
    )
    made = analysis(corpus)
    Finding.objects.create(analysis=made, position=0, agent="reader", content="found", confidence=0.5)
    Artifact.objects.create(analysis=made, summary="all", key_findings=["a"], metadata={"b": 1.5})
    query = TestQuery.objects.create(corpus=corpus, text="what?", tags=["x"])
    ExpectedChunk.objects.create(query=query, chunk=chunk(made))
    chunk(analysis(corpus, "https://docs.golden.dev/pending", status="pending"), embedded=False)
    return made


@contextmanager
def guards_lifted() -> Iterator[Any]:
    """As a restore works: no trigger and no foreign key fires."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
        tables = [
            model._meta.db_table
            for model in (Corpus, Analysis, Finding, Chunk, Artifact, TestQuery, ExpectedChunk)
        ]
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield cursor
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")


def after(covered: dict[str, Any]) -> CorpusFindings:
    return verify_corpus(deep=False, since=covered)


@pytest.fixture
def covered(whole: Analysis) -> dict[str, Any]:
    """What a run over the whole corpus covers. Its marks stand still while other transactions write, so they are made."""
    found = verify_corpus(deep=True, since=None)
    assert found.errors == []
    newest = {
        model._meta.model_name: model.history.order_by("-history_id")
        .values_list("history_id", flat=True)
        .first()
        or 0
        for model in (Corpus, Analysis, Finding, Chunk, Artifact, TestQuery, ExpectedChunk)
    }
    return {**found.covered, "history": {**newest, "retrievalrun": 0}}


def test_verify_corpus__whole__stats_and_no_findings(whole: Analysis) -> None:
    for deep in (False, True):
        found = verify_corpus(deep=deep, since=None)
        assert (found.errors, found.warnings) == ([], [])
        assert found.stats == {
            "analyses": 1,
            "analyses_pending": 1,
            "analyses_failed": 0,
            "artifacts": 1,
            "findings": 1,
            "queries": 1,
            "chunks": 1,
            "chunks_not_completed": 1,
            "embedded": 1,
        }
        assert sorted(found.covered) == ["history", "rules", "stats", "vectors", "warnings"]


def test_verify_corpus__empty__nothing_to_tell(db: None) -> None:
    found = verify_corpus(deep=True, since=None)
    assert (found.errors, found.warnings, found.stats["chunks"]) == ([], [], 0)


def test_verify_corpus__url_stored_as_broken__named_with_its_reason_every_time(
    whole: Analysis, covered: dict[str, Any]
) -> None:
    bad = analysis(whole.corpus, "http://localhost/x")
    told = (
        f"URL breaks the contract: analysis {bad.pk} (http://localhost/x): the host localhost is reserved: "
        "nobody outside can reach names under .localhost"
    )
    assert verify_corpus(deep=False, since=None).errors == [told]
    assert after(covered).errors == [told]
    assert after(after(covered).covered).errors == [told]


def test_verify_corpus__url_past_the_services__computed_again(
    whole: Analysis, covered: dict[str, Any]
) -> None:
    url = "https://placeholder.com/"
    bad = analysis(whole.corpus, url, url_violation="")
    odd = analysis(whole.corpus, "https://docs.golden.dev/b#c", canonical_url="https://docs.golden.dev/b#c")
    for found in (after(covered), verify_corpus(deep=True, since=None)):
        assert found.errors == [
            f"URL breaks the contract: analysis {bad.pk} ({url}): “placeholder” looks like a placeholder "
            "(pattern placeholder)",
            f"URL columns are not what is computed: {odd.pk} (https://docs.golden.dev/b#c): "
            "https://docs.golden.dev/b#c, expected https://docs.golden.dev/b",
        ]


def test_verify_corpus__rules_changed__every_url_is_looked_at_again(
    whole: Analysis, covered: dict[str, Any], settings: Any
) -> None:
    assert after(covered).errors == []
    settings.GOLDEN_URL_PLACEHOLDERS = [r"docs\.golden"]
    found = after(covered)
    assert len(found.errors) == 2
    assert "“docs.golden” looks like a placeholder" in found.errors[0]
    assert found.covered["rules"] != covered["rules"]


def test_verify_corpus__one_source_twice__named(whole: Analysis, covered: dict[str, Any]) -> None:
    twin = analysis(whole.corpus, "https://docs.golden.dev:443/a", url_violation="taken")
    told = (
        f"URL breaks the contract: analysis {twin.pk} (https://docs.golden.dev:443/a): "
        f"analysis {whole.pk} has the same canonical URL"
    )
    assert after(covered).errors == [told]
    assert verify_corpus(deep=True, since=None).errors == [told]
    Analysis.objects.filter(pk=twin.pk).update(
        url="https://docs.golden.dev/c", canonical_url="https://docs.golden.dev/c"
    )
    assert after(covered).errors == [
        f"URL columns are not what is computed: {twin.pk} (https://docs.golden.dev/c): “taken”, but it keeps the contract"
    ]


def test_verify_corpus__twins_without_their_unique_index__named(whole: Analysis) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("DROP INDEX analysis_url_once_per_corpus")
    twin = analysis(whole.corpus)
    first, second = sorted([str(whole.pk), str(twin.pk)])
    assert verify_corpus(deep=True, since=None).errors == [
        f"URL breaks the contract: one source twice: {first} and {second}: https://docs.golden.dev/a"
    ]


def test_verify_corpus__references_broken_under_lifted_guards__each_named(whole: Analysis) -> None:
    lost = uuid.uuid4()
    with guards_lifted() as cursor:
        for table in ("finding", "chunk", "artifact"):
            cursor.execute(
                f"UPDATE datasets_app_{table} SET analysis_id = %s WHERE analysis_id = %s", [lost, whole.pk]
            )
        cursor.execute("UPDATE datasets_app_testquery SET corpus_id = %s", [lost])
        cursor.execute("UPDATE datasets_app_expectedchunk SET chunk_id = %s", [lost])
    found = verify_corpus(deep=False, since=None)
    kinds = [line.rsplit(": ", 1)[0] for line in found.errors]
    assert kinds == [
        "test query without its corpus",
        "finding without its analysis",
        "artifact without its analysis",
        "expected chunk that does not exist",
    ]
    assert all(line.endswith(f" → {lost}") for line in found.errors)
    orphan = Chunk.objects.get(analysis_id=lost)
    assert f"orphaned chunk: its analysis is missing: {orphan.pk} → {lost}" in found.warnings


def test_verify_corpus__parent_removed_since__its_children_are_named(
    whole: Analysis, covered: dict[str, Any]
) -> None:
    """The removal is on record, as when somebody dropped the foreign key; the children were not touched."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("finding", "chunk", "artifact", "sourcecheck"):
            cursor.execute(
                "SELECT conname FROM pg_constraint WHERE contype = 'f' AND conrelid = %s::regclass "
                "AND confrelid = 'datasets_app_analysis'::regclass",
                [f"datasets_app_{table}"],
            )
            for (name,) in cursor.fetchall():
                cursor.execute(f"ALTER TABLE datasets_app_{table} DROP CONSTRAINT {name}")
        cursor.execute("DELETE FROM datasets_app_analysis WHERE id = %s", [whole.pk])
    found = after(covered)
    assert [line.split(":")[0] for line in found.errors] == [
        "finding without its analysis",
        "artifact without its analysis",
    ]
    assert found.warnings[0].startswith("orphaned chunk: its analysis is missing: ")


def test_verify_corpus__results_of_a_missing_run__named(whole: Analysis) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE datasets_app_retrievalresult DISABLE TRIGGER ALL")
        cursor.execute(
            "INSERT INTO datasets_app_retrievalresult (run_id, query_id, text, passed, metrics, expected, found) "
            "VALUES (77, %s, 'q', true, '{}', '[]', '[]')",
            [uuid.uuid4()],
        )
    assert verify_corpus(deep=False, since=None).errors == ["retrieval results of a missing run: 77"]


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("corpus", "description = 'x'"),
        ("analysis", "content_type = 'x'"),
        ("finding", "confidence = 1"),
        ("chunk", "section_path = 'x'"),
        ("artifact", "metadata = '{\"b\": 2}'"),
        ("testquery", "tags = '{y}'"),
        ("expectedchunk", "relevance = 2"),
    ],
)
def test_verify_corpus__row_changed_past_the_triggers__deep_names_it(
    whole: Analysis, covered: dict[str, Any], table: str, change: str
) -> None:
    with guards_lifted() as cursor:
        cursor.execute(
            f"UPDATE datasets_app_{table} SET {change} WHERE id = (SELECT min(id::text) FROM datasets_app_{table})::"
            + ("bigint" if table == "expectedchunk" else "uuid")
            + " RETURNING id"
        )
        pk = cursor.fetchone()[0]
    assert verify_corpus(deep=True, since=covered).errors == [f"{table} differs from its last history: {pk}"]
    assert after(covered).errors == []  # it left no trace in the history


def test_verify_corpus__row_removed_or_added_past_the_triggers__deep_names_it(whole: Analysis) -> None:
    added = uuid.uuid4()
    gone = str(Finding.objects.get().pk)
    with guards_lifted() as cursor:
        cursor.execute("DELETE FROM datasets_app_finding")
        cursor.execute(
            "INSERT INTO datasets_app_corpus (id, name, description) VALUES (%s, 'new', '')", [added]
        )
    assert verify_corpus(deep=True, since=None).errors == [
        f"corpus differs from its last history: {added}",
        f"finding is gone, unrecorded: {gone}",
    ]


def test_verify_corpus__chunk_without_vector__error(whole: Analysis, covered: dict[str, Any]) -> None:
    name = EmbeddingModel.objects.get(is_current=True).name
    bare = chunk(whole, 1, "new", embedded=False)
    for found in (verify_corpus(deep=False, since=None), after(covered)):
        assert found.errors == [f"chunk without an embedding of {name}: {bare.pk}"]
        assert (found.stats["chunks"], found.stats["embedded"]) == (2, 1)


def test_verify_corpus__many_of_a_kind__twenty_and_the_rest_counted(whole: Analysis) -> None:
    Chunk.objects.bulk_create(Chunk(analysis=whole, chunk_index=n, content=f"c{n}") for n in range(1, 31))
    errors = verify_corpus(deep=False, since=None).errors
    assert len(errors) == 21
    assert errors[20].startswith("… and 10 more of the kind “chunk without an embedding of")


def test_verify_corpus__text_edited__its_old_vector_is_stale(whole: Analysis) -> None:
    chunk(whole, 1, "new")
    Chunk.objects.filter(chunk_index=1).update(content="edited")
    found = verify_corpus(deep=False, since=None)
    assert len(found.errors) == 1
    assert [line for line in found.warnings if line.startswith("stale")] == [
        f"stale embeddings: 1 vector of {EmbeddingModel.objects.get(is_current=True).name} of texts that no chunk has"
    ]


def test_verify_corpus__no_current_model__warning(whole: Analysis) -> None:
    EmbeddingModel.objects.update(is_current=False)
    found = verify_corpus(deep=False, since=None)
    assert found.errors == []
    assert found.warnings == ["there is no current embedding model: search is lexical alone"]
    assert (found.stats["chunks"], found.stats["chunks_not_completed"], found.stats["embedded"]) == (1, 1, 0)


def test_verify_corpus__query_without_expected_chunks__warning(whole: Analysis) -> None:
    bare = TestQuery.objects.create(corpus=whole.corpus, text="and?")
    assert verify_corpus(deep=False, since=None).warnings == [
        f"test query without expected chunks: {bare.pk} (and?)"
    ]


def test_verify_corpus__chunk_without_text__warning(whole: Analysis) -> None:
    empty, blank = chunk(whole, 1, ""), chunk(whole, 2, " \n\t" * 100)
    chunk(whole, 3, " " * 300 + "text")
    assert [line for line in verify_corpus().warnings if "text" in line] == [
        f"chunk without text: {pk}" for pk in sorted([str(empty.pk), str(blank.pk)])
    ]


def test_verify_corpus__many_vectors_without_index__warning(
    whole: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets_app.services.corpus.verifying.VECTORS_WITHOUT_INDEX", 0)
    model = EmbeddingModel.objects.get(is_current=True)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX IF EXISTS {model.index_name}")
    assert verify_corpus(deep=False, since=None).warnings == [
        f"the 1 vectors of {model.name} have no HNSW index ({model.index_name}): searches read all of them"
    ]


def test_verify_corpus__nothing_changed__same_result_without_reading_rows(
    whole: Analysis, covered: dict[str, Any]
) -> None:
    TestQuery.objects.create(corpus=whole.corpus, text="and?")
    covered["history"]["testquery"] = TestQuery.history.latest("history_id").history_id
    covered |= {"warnings": ["kept"]}
    with CaptureQueriesContext(connection) as queries:
        found = after(covered)
    assert (found.errors, found.warnings, found.stats) == ([], ["kept"], covered["stats"])
    # the ORM asks nothing; a binary cursor, which is not captured here, asks for the marks and for the vectors
    assert {query["sql"].split()[0] for query in queries} <= {"SAVEPOINT", "RELEASE"}


def test_verify_corpus__vector_lost_or_swapped__is_seen_without_any_history(
    whole: Analysis, covered: dict[str, Any]
) -> None:
    Embedding.objects.all().delete()
    model = EmbeddingModel.objects.get(is_current=True)
    Embedding.objects.create(model_id=model.pk, content_hash=bytes(32), vector=[1.0] * model.dimension)
    found = after(covered)
    assert [line.split(":")[0] for line in found.errors] == [f"chunk without an embedding of {model.name}"]
    assert found.warnings[0].startswith("stale embeddings: 1 vector")


def test_verify_corpus__history_went_back__everything_is_looked_at(
    whole: Analysis, covered: dict[str, Any]
) -> None:
    covered["history"]["corpus"] += 1000  # as after a restore of an older backup
    bad = analysis(whole.corpus, "http://localhost/x", url_violation="")
    covered["history"]["analysis"] = Analysis.history.latest("history_id").history_id
    assert after(covered).errors[0].startswith(f"URL breaks the contract: analysis {bad.pk}")
