"""Analyses saved whole, one or many: what is written, what is refused, and that nothing is half done."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from datasets_app.errors import (
    AnalysisExists,
    ExpectedByQueries,
    InvalidAnalysis,
    UnknownCorpus,
    UrlContractBroken,
)
from datasets_app.models import Analysis, AuditEvent, ChangedChunk, Chunk, Corpus, Finding
from datasets_app.services.corpus.analyses import (
    SavedCounts,
    delete_analysis,
    replace_chunks,
    replace_findings,
    save_analyses,
    save_analysis,
    save_artifact,
    update_analysis,
    update_chunk,
)
from datasets_app.services.corpus.changing import corpus_changed
from datasets_app.services.corpus.corpora import create_corpus, get_corpus
from datasets_app.services.corpus.drafts import (
    AnalysisDraft,
    ArtifactDraft,
    ChunkDraft,
    FindingDraft,
    QueryDraft,
)
from datasets_app.services.corpus.queries import save_query
from goldenproject.kit.errors import Conflict, Forbidden

URL = "https://docs.python.org/3/library/json.html"
DRAFT = AnalysisDraft(
    url=URL,
    content_type="documentation",
    findings=[FindingDraft("reader", "function", "dumps writes", 0.75), FindingDraft("reader", "", "x", 1)],
    chunks=[
        ChunkDraft("Serialize obj.", "dumps", "json/dumps", "text"),
        ChunkDraft("Deserialize s.", "loads"),
    ],
    artifact=ArtifactDraft("JSON in and out", ["dumps", {"n": 1.5}], {"functions": 2}),
)


def _drafts(count: int) -> list[AnalysisDraft]:
    return [replace(DRAFT, url=f"https://docs.python.org/3/library/m{n}.html") for n in range(count)]


def test_save_analysis__with_all_parts__stores_them_in_order(corpus: Corpus, curator: Any) -> None:
    saved = save_analysis(corpus=corpus, draft=DRAFT, actor=curator)
    assert (saved.url, saved.canonical_url, saved.url_violation, saved.status) == (URL, URL, "", "completed")
    findings = saved.findings.values_list("position", "agent", "category", "content", "confidence")
    assert list(findings) == [(0, "reader", "function", "dumps writes", 0.75), (1, "reader", "", "x", 1.0)]
    chunks = saved.chunks.values_list(
        "chunk_index", "section_title", "section_path", "content_type", "content"
    )
    assert list(chunks) == [
        (0, "dumps", "json/dumps", "text", "Serialize obj."),
        (1, "loads", "", "", "Deserialize s."),
    ]
    assert (saved.artifact.summary, saved.artifact.key_findings) == ("JSON in and out", ["dumps", {"n": 1.5}])
    assert saved.artifact.metadata == {"functions": 2}
    assert Analysis.history.get().history_user_id == curator.pk
    assert AuditEvent.objects.get(action="corpus.analysis.add").actor_id == curator.pk


def test_save_analysis__new__tells_the_signal_inside_the_transaction(corpus: Corpus, curator: Any) -> None:
    heard: list[Any] = []

    def hear(sender: Any, **told: Any) -> None:
        heard.append((sender, told["corpus"], told["actor"]))

    corpus_changed.connect(hear)
    try:
        save_analysis(corpus=corpus, draft=DRAFT, actor=curator)
    finally:
        corpus_changed.disconnect(hear)
    assert heard == [(Corpus, corpus, curator)]
    assert ChangedChunk.objects.filter(corpus=corpus).count() == 2


def test_save_analysis__viewer__is_forbidden(corpus: Corpus, viewer: Any) -> None:
    with pytest.raises(Forbidden):
        save_analysis(corpus=corpus, draft=DRAFT, actor=viewer)
    assert not Analysis.objects.exists()


@pytest.mark.parametrize(
    "url", ["https://example.com/a", "placeholder", "http://localhost/x", "ftp://x.org/"]
)
def test_save_analysis__placeholder_url__breaks_the_contract(corpus: Corpus, url: str) -> None:
    with pytest.raises(UrlContractBroken) as caught:
        save_analysis(corpus=corpus, draft=replace(DRAFT, url=url), actor=None)
    assert caught.value.details["url"] == url
    assert caught.value.details["reason"]
    assert not Analysis.objects.exists()


def test_save_analysis__same_canonical_url__breaks_the_contract(corpus: Corpus) -> None:
    first = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    again = "https://DOCS.python.org:443/3/library/json.html#dumps"
    with pytest.raises(UrlContractBroken) as caught:
        save_analysis(corpus=corpus, draft=replace(DRAFT, url=again), actor=None)
    assert caught.value.details == {
        "url": again,
        "reason": f"analysis {first.pk} has the same canonical URL",
    }


def test_save_analysis__same_url_in_another_corpus__is_taken(corpus: Corpus) -> None:
    other = create_corpus(name="other", actor=None)
    save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    save_analysis(corpus=other, draft=DRAFT, actor=None)
    assert Analysis.objects.count() == 2


def test_save_analysis__known_id__exists_already(corpus: Corpus) -> None:
    first = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    with pytest.raises(AnalysisExists):
        save_analysis(corpus=corpus, draft=replace(DRAFT, id=first.pk), actor=None)


def test_save_analysis__chunk_without_text__is_refused(corpus: Corpus) -> None:
    with pytest.raises(InvalidAnalysis) as caught:
        save_analysis(corpus=corpus, draft=replace(DRAFT, chunks=[ChunkDraft(" \n")]), actor=None)
    assert caught.value.details["field"] == "chunks[0].content"


def test_save_analyses__many__are_added_in_the_order_given(corpus: Corpus) -> None:
    counts = save_analyses(corpus=corpus, drafts=iter(_drafts(30)), actor=None)
    assert counts == SavedCounts(added=30, chunks_added=60)
    assert list(Analysis.objects.values_list("url", flat=True)) == [draft.url for draft in _drafts(30)]
    assert Finding.objects.count() == 60


def test_save_analyses__same_again_with_update__writes_nothing(corpus: Corpus) -> None:
    save_analyses(corpus=corpus, drafts=_drafts(5), actor=None)
    events = AuditEvent.objects.count()
    counts = save_analyses(corpus=corpus, drafts=_drafts(5), actor=None, on_existing="update")
    assert counts == SavedCounts(unchanged=5)
    assert (Chunk.history.count(), Analysis.history.count(), Finding.history.count()) == (10, 5, 10)
    assert AuditEvent.objects.count() == events


def test_save_analyses__update__replaces_parts_and_keeps_ids(corpus: Corpus) -> None:
    saved = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    before = list(saved.chunks.values_list("id", flat=True))
    changed = replace(
        DRAFT,
        status="failed",
        findings=[FindingDraft("other", "", "y", 0)],
        chunks=[
            ChunkDraft("Serialize obj.", "dumps", "json/dumps", "text"),
            ChunkDraft("new"),
            ChunkDraft("3"),
        ],
        artifact=None,
    )
    counts = save_analyses(corpus=corpus, drafts=[changed], actor=None, on_existing="update")
    assert counts == SavedCounts(updated=1, chunks_added=1, chunks_updated=1)
    saved = Analysis.objects.get()
    assert saved.status == "failed"
    assert list(saved.chunks.values_list("id", flat=True))[:2] == before
    assert [chunk.content for chunk in saved.chunks.all()] == ["Serialize obj.", "new", "3"]
    assert list(saved.findings.values_list("agent", "confidence")) == [("other", 0.0)]
    assert not hasattr(saved, "artifact")


def test_save_analyses__skip__leaves_what_is_there(corpus: Corpus) -> None:
    save_analyses(corpus=corpus, drafts=_drafts(2), actor=None)
    changed = [replace(draft, content_type="other", chunks=[]) for draft in _drafts(3)]
    counts = save_analyses(corpus=corpus, drafts=changed, actor=None, on_existing="skip")
    assert counts == SavedCounts(added=1, skipped=2)
    assert Chunk.objects.count() == 4


def test_save_analyses__several_wrong__names_all_and_saves_nothing(corpus: Corpus) -> None:
    drafts = _drafts(4)
    drafts[1] = replace(drafts[1], url="https://example.com/")
    drafts[2] = replace(drafts[2], findings=[FindingDraft("a", "", "b", 1.5)])
    drafts[3] = replace(drafts[3], url=drafts[0].url)
    with pytest.raises(UrlContractBroken) as caught:
        save_analyses(corpus=corpus, drafts=drafts, actor=None)
    details = caught.value.details
    assert details["count"] == 3
    assert [(row["place"], row["code"]) for row in details["refused"]] == [
        ("analysis 2", "url_contract_broken"),
        ("analysis 3", "invalid_analysis"),
        ("analysis 4", "url_contract_broken"),
    ]
    assert details["refused"][2]["reason"] == "analysis 1 claims the same canonical URL"
    assert not Analysis.objects.exists()


def test_save_analyses__thousand_wrong__shows_twenty_and_counts_all(corpus: Corpus) -> None:
    save_analyses(corpus=corpus, drafts=_drafts(50), actor=None)
    with pytest.raises(AnalysisExists) as caught:
        save_analyses(corpus=corpus, drafts=_drafts(50), actor=None)
    assert caught.value.details["count"] == 50
    assert len(caught.value.details["refused"]) == 20
    assert caught.value.message.endswith("… and 30 more")


def test_save_analyses__chunk_id_twice__is_refused(corpus: Corpus) -> None:
    chunk = ChunkDraft("text", id=uuid.uuid4())
    drafts = [replace(draft, chunks=[chunk]) for draft in _drafts(2)]
    with pytest.raises(InvalidAnalysis, match="which analysis 1 has too"):
        save_analyses(corpus=corpus, drafts=drafts, actor=None)


def test_save_analyses__chunk_id_of_another_analysis__is_refused(corpus: Corpus) -> None:
    first = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    chunk = ChunkDraft("text", id=first.chunks.first().pk)
    draft = replace(_drafts(1)[0], chunks=[chunk])
    with pytest.raises(InvalidAnalysis, match=f"a chunk of analysis {first.pk}"):
        save_analyses(corpus=corpus, drafts=[draft], actor=None)


def test_save_analyses__artifact_id_twice_or_elsewhere__is_refused(corpus: Corpus) -> None:
    artifact = ArtifactDraft("s", id=uuid.uuid4())
    drafts = [replace(draft, artifact=artifact) for draft in _drafts(2)]
    with pytest.raises(InvalidAnalysis, match="artifact.id"):
        save_analyses(corpus=corpus, drafts=drafts, actor=None)
    save_analyses(corpus=corpus, drafts=drafts[:1], actor=None)
    with pytest.raises(InvalidAnalysis, match="the artifact of analysis"):
        save_analyses(corpus=corpus, drafts=drafts[1:], actor=None)


def test_save_analyses__id_of_another_corpus__is_refused(corpus: Corpus) -> None:
    other = create_corpus(name="other", actor=None)
    first = save_analysis(corpus=other, draft=DRAFT, actor=None)
    with pytest.raises(InvalidAnalysis, match="an analysis of corpus “other”"):
        save_analyses(corpus=corpus, drafts=[replace(DRAFT, id=first.pk)], actor=None, on_existing="update")


def test_save_analyses__expected_chunk_would_go__is_refused(corpus: Corpus) -> None:
    saved = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    last = saved.chunks.last()
    save_query(corpus=corpus, draft=QueryDraft("How to read JSON?", {last.pk: 1}), actor=None)
    fewer = replace(DRAFT, chunks=DRAFT.chunks[:1])
    with pytest.raises(ExpectedByQueries, match="How to read JSON"):
        save_analyses(corpus=corpus, drafts=[fewer], actor=None, on_existing="update")
    with pytest.raises(ExpectedByQueries, match="How to read JSON"):
        replace_chunks(analysis=saved, chunks=fewer.chunks, actor=None)
    with pytest.raises(ExpectedByQueries, match="How to read JSON"):
        delete_analysis(analysis=saved, actor=None)
    assert Chunk.objects.count() == 2


def test_save_analyses__created_at_given__is_kept(corpus: Corpus) -> None:
    moment = datetime(2025, 3, 1, 12, tzinfo=UTC)
    save_analyses(corpus=corpus, drafts=[replace(DRAFT, created_at=moment)], actor=None)
    assert Analysis.objects.get().created_at == moment


def test_replace_chunks__swapped_by_id__swaps_their_places(corpus: Corpus) -> None:
    saved = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    first, second = saved.chunks.all()
    swapped = [ChunkDraft(c.content, c.section_title, id=c.pk) for c in (second, first)]
    assert [chunk.pk for chunk in replace_chunks(analysis=saved, chunks=swapped, actor=None)] == [
        second.pk,
        first.pk,
    ]


def test_replace_chunks__of_analysis_that_breaks_the_contract__is_possible(corpus: Corpus) -> None:
    saved = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    Analysis.objects.filter(pk=saved.pk).update(url_violation="reserved host")
    replace_chunks(analysis=saved, chunks=[ChunkDraft("one")], actor=None)
    saved.refresh_from_db()
    assert (saved.url_violation, saved.chunks.count()) == ("reserved host", 1)


def test_replace_findings_and_artifact__are_replaced_and_taken_away(corpus: Corpus) -> None:
    saved = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    findings = replace_findings(analysis=saved, findings=[FindingDraft("a", "b", "c", 0.5)], actor=None)
    assert [finding.content for finding in findings] == ["c"]
    artifact = save_artifact(analysis=saved, draft=ArtifactDraft("new", [1], {}), actor=None)
    assert artifact is not None
    assert (artifact.pk, artifact.summary) == (saved.artifact.pk, "new")
    assert save_artifact(analysis=saved, draft=None, actor=None) is None
    assert saved.chunks.count() == 2


def test_update_analysis__status__tells_the_index(corpus: Corpus, curator: Any) -> None:
    saved = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    ChangedChunk.objects.all().delete()
    updated = update_analysis(analysis=saved, actor=curator, status="failed", url=URL + "?page=2")
    assert (updated.status, updated.canonical_url) == ("failed", URL + "?page=2")
    assert ChangedChunk.objects.count() == 2


def test_update_analysis__taken_or_placeholder_url__breaks_the_contract(corpus: Corpus) -> None:
    save_analyses(corpus=corpus, drafts=_drafts(2), actor=None)
    first, second = Analysis.objects.all()
    with pytest.raises(UrlContractBroken, match="has the same canonical URL"):
        update_analysis(analysis=second, actor=None, url=first.url)
    with pytest.raises(UrlContractBroken):
        update_analysis(analysis=second, actor=None, url="https://example.org/")


def test_update_chunk__text__is_changed_and_checked(corpus: Corpus) -> None:
    first, second = save_analysis(corpus=corpus, draft=DRAFT, actor=None).chunks.all()
    before = bytes(first.content_hash)
    updated = update_chunk(chunk=first, actor=None, content="Another text.")
    assert updated.content == "Another text."
    assert bytes(updated.content_hash) != before
    with pytest.raises(InvalidAnalysis, match="NUL"):
        update_chunk(chunk=first, actor=None, content="a\x00b")
    with pytest.raises(InvalidAnalysis, match="which another chunk has"):
        update_chunk(chunk=first, actor=None, chunk_index=second.chunk_index)
    with pytest.raises(InvalidAnalysis, match="-1"):
        update_chunk(chunk=first, actor=None, chunk_index=-1)


def test_delete_analysis__not_expected__goes_with_its_parts(corpus: Corpus, curator: Any) -> None:
    saved = save_analysis(corpus=corpus, draft=DRAFT, actor=None)
    delete_analysis(analysis=saved, actor=curator)
    assert not Analysis.objects.exists()
    assert not Chunk.objects.exists()
    assert Chunk.history.filter(history_type="-", history_user=curator).count() == 2


def test_get_corpus__unknown__names_those_there_are(corpus: Corpus) -> None:
    with pytest.raises(UnknownCorpus) as caught:
        get_corpus("docs")
    assert str(caught.value) == "There is no corpus “docs”. Corpora: default."
    with pytest.raises(Conflict):
        create_corpus(name="default", actor=None)
