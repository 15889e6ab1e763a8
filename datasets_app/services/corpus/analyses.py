"""Analyses saved, changed and deleted, one or many, always whole: with findings, chunks and artifact."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from django.db import connection

from datasets_app.domain.roles import Action
from datasets_app.errors import ExpectedByQueries, InvalidAnalysis
from datasets_app.models import Analysis, Artifact, Chunk, Corpus, Finding, TestQuery
from datasets_app.services.access import record
from datasets_app.services.corpus.bulk_analyses import (
    BulkAnalyses,
    SavedCounts,
    SavePolicy,
    broken_contract,
)
from datasets_app.services.corpus.changing import changing, tell_changed
from datasets_app.services.corpus.drafts import (
    AnalysisDraft,
    ArtifactDraft,
    ChunkDraft,
    FindingDraft,
    RefusedDraft,
    check_artifact,
    check_chunk,
    check_chunks,
    check_finding,
    checked_analysis,
    refuse,
)
from datasets_app.services.corpus.url_rules import contract_columns
from goldenproject.kit.clock import random_uuid
from goldenproject.kit.errors import NotFound
from goldenproject.kit.retries import retried

__all__ = ["SavePolicy", "SavedCounts"]

Progress = Callable[..., None]
_NAMED_QUERIES = 20


@retried()
def save_analysis(*, corpus: Corpus, draft: AnalysisDraft, actor: Any) -> Analysis:
    """Save a new analysis with its parts and return it.

    Raises InvalidAnalysis (naming the field), UrlContractBroken (details: url, reason), or AnalysisExists when its id
    is there already.
    """
    analysis_id = draft.id or random_uuid()
    with changing(corpus=corpus, actor=actor, action=Action.EDIT, reason=f"add analysis {draft.url:.200}"):
        bulk = BulkAnalyses(corpus)
        bulk.add(replace(draft, id=analysis_id))
        bulk.save(SavePolicy())
        record(actor, "corpus.analysis.add", None, draft.url, corpus=corpus.name, analysis=str(analysis_id))
        tell_changed(corpus, actor)
    return Analysis.objects.get(pk=analysis_id)


@retried()
def save_analyses(
    *,
    corpus: Corpus,
    drafts: Iterable[AnalysisDraft | RefusedDraft],
    actor: Any,
    on_existing: str = "refuse",
    progress: Progress | None = None,
) -> SavedCounts:
    """Save many analyses in one transaction: all of them or nothing, in flat memory.

    An analysis is there already when its id is, or, for a draft without id, when its canonical URL is: it is refused,
    skipped, or updated to be as the draft says, with all its parts. Everything that is refused is collected, then the
    whole is refused with the first twenty named. `drafts` may not query the database while it is read in a thread.
    `progress` is told the analyses read so far. Raises InvalidAnalysis, UrlContractBroken, AnalysisExists,
    ExpectedByQueries.
    """
    policy = SavePolicy(on_existing=on_existing)
    with changing(corpus=corpus, actor=actor, action=Action.EDIT, reason="save analyses"):
        bulk = BulkAnalyses(corpus)
        for number, draft in enumerate(drafts, 1):
            if isinstance(draft, RefusedDraft):
                bulk.refuse(draft.place, draft.error)
            else:
                bulk.add(draft if draft.place else replace(draft, place=f"analysis {number}"))
            if progress:
                progress(number)
        counts = bulk.save(policy)
        tell_saved(corpus, actor, counts, "corpus.analysis.save")
    return counts


def tell_saved(corpus: Corpus, actor: Any, counts: SavedCounts, action: str, source: str = "") -> None:
    """Record a bulk save for the audit and tell who derives from chunks; nothing when nothing was written."""
    if not counts.written:
        return
    summary = f"{counts.added} analyses added, {counts.updated} updated in {corpus.name}"
    record(actor, action, None, f"{source}: {summary}" if source else summary, corpus=corpus.name)
    tell_changed(corpus, actor, counts.written)


@retried()
def update_analysis(
    *,
    analysis: Analysis,
    actor: Any,
    url: str | None = None,
    content_type: str | None = None,
    status: str | None = None,
) -> Analysis:
    """Change what is given of an analysis. Raises InvalidAnalysis, UrlContractBroken."""
    corpus = analysis.corpus
    with changing(
        corpus=corpus, actor=actor, action=Action.EDIT, reason=f"edit analysis {analysis.url:.200}"
    ):
        current = _current(analysis)
        before = current.status
        draft = AnalysisDraft(
            url=current.url if url is None else url,
            content_type=current.content_type if content_type is None else content_type,
            status=current.status if status is None else status,
        )
        checked_analysis(draft, "")
        current.content_type, current.status = draft.content_type, draft.status
        if draft.url != current.url:
            _set_url(current, draft.url)
        current.save()
        record(actor, "corpus.analysis.update", None, current.url, analysis=str(current.pk))
        if before != current.status:
            tell_changed(corpus, actor)
    return current


def _set_url(analysis: Analysis, url: str) -> None:
    canonical_url, violation = contract_columns(url)
    if violation:
        raise broken_contract(url, violation)
    others = Analysis.objects.filter(corpus=analysis.corpus_id, canonical_url=canonical_url, url_violation="")
    other = others.exclude(pk=analysis.pk).first()
    if other is not None:
        raise broken_contract(url, f"analysis {other.pk} has the same canonical URL")
    analysis.url, analysis.canonical_url, analysis.url_violation = url, canonical_url, ""


@retried()
def replace_findings(*, analysis: Analysis, findings: Sequence[FindingDraft], actor: Any) -> list[Finding]:
    """Make these the findings of an analysis, in this order. Raises InvalidAnalysis."""
    for number, finding in enumerate(findings):
        check_finding(finding, "", f"findings[{number}]")

    def stage(bulk: BulkAnalyses, line: int) -> None:
        bulk.add_findings(line, findings)

    _replace_part(analysis, "findings", stage, actor)
    return list(Finding.objects.filter(analysis=analysis.pk))


@retried()
def replace_chunks(*, analysis: Analysis, chunks: Sequence[ChunkDraft], actor: Any) -> list[Chunk]:
    """Make these the chunks of an analysis: known by id, else by chunk_index; the others are deleted.

    Raises InvalidAnalysis, and ExpectedByQueries when a test query expects a chunk that would be gone.
    """
    check_chunks(chunks, "")
    for number, chunk in enumerate(chunks):
        _check_has_text(chunk.content, f"chunks[{number}].content")

    def stage(bulk: BulkAnalyses, line: int) -> None:
        for number, chunk in enumerate(chunks):
            bulk.add_chunk(line, chunk, number if chunk.chunk_index is None else chunk.chunk_index)

    if _replace_part(analysis, "chunks", stage, actor):
        tell_changed(analysis.corpus, actor)
    return list(Chunk.objects.filter(analysis=analysis.pk))


@retried()
def save_artifact(*, analysis: Analysis, draft: ArtifactDraft | None, actor: Any) -> Artifact | None:
    """Make this the artifact of an analysis; None takes it away. Raises InvalidAnalysis."""
    if draft is not None:
        check_artifact(draft, "")

    def stage(bulk: BulkAnalyses, line: int) -> None:
        if draft is not None:
            bulk.add_artifact(line, draft)

    _replace_part(analysis, "artifact", stage, actor)
    return Artifact.objects.filter(analysis=analysis.pk).first()


def _replace_part(
    analysis: Analysis, part: str, stage: Callable[[BulkAnalyses, int], None], actor: Any
) -> int:
    """Replace one part of an analysis; return whether anything changed, as 0 or 1."""
    policy = SavePolicy("update", frozenset({part}), keep_source=True)
    reason = f"edit {part} of {analysis.url:.200}"
    with changing(corpus=analysis.corpus, actor=actor, action=Action.EDIT, reason=reason):
        bulk = BulkAnalyses(analysis.corpus)
        stage(bulk, bulk.add_known(_current(analysis)))
        counts = bulk.save(policy)
        if counts.updated:
            record(actor, f"corpus.{part}.replace", None, analysis.url, analysis=str(analysis.pk))
    return counts.updated


@retried()
def update_chunk(
    *,
    chunk: Chunk,
    actor: Any,
    content: str | None = None,
    section_title: str | None = None,
    section_path: str | None = None,
    content_type: str | None = None,
    chunk_index: int | None = None,
) -> Chunk:
    """Change what is given of a chunk; its vector becomes stale with its text. Raises InvalidAnalysis."""
    given = {
        "content": content,
        "section_title": section_title,
        "section_path": section_path,
        "content_type": content_type,
        "chunk_index": chunk_index,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    analysis = Analysis.objects.select_related("corpus").get(pk=chunk.analysis_id)
    reason = f"edit chunk {chunk.pk}"
    with changing(corpus=analysis.corpus, actor=actor, action=Action.EDIT, reason=reason):
        current = Chunk.objects.select_for_update().filter(pk=chunk.pk).first()
        if current is None:
            raise NotFound(f"There is no chunk {chunk.pk} any more.")
        for name, value in changes.items():
            setattr(current, name, value)
        fields = {name: getattr(current, name) for name in given}
        check_chunk(ChunkDraft(**fields), f"chunk {chunk.pk}", "chunk")
        _check_has_text(current.content, "content")
        twins = Chunk.objects.filter(analysis=analysis, chunk_index=current.chunk_index).exclude(pk=chunk.pk)
        if twins.exists():
            found = f"{current.chunk_index}, which another chunk has"
            refuse(f"chunk {chunk.pk}", "chunk_index", found, "each chunk_index once in an analysis")
        current.save(update_fields=list(changes))
        record(actor, "corpus.chunk.update", None, str(current), chunk=str(chunk.pk), fields=sorted(changes))
        tell_changed(analysis.corpus, actor)
    current.refresh_from_db()
    return current


@retried()
def delete_analysis(*, analysis: Analysis, actor: Any) -> None:
    """Delete an analysis with its parts. Raises ExpectedByQueries, naming test queries that expect its chunks."""
    corpus = analysis.corpus
    with changing(
        corpus=corpus, actor=actor, action=Action.EDIT, reason=f"delete analysis {analysis.url:.200}"
    ):
        current = _current(analysis)
        _refuse_expected(current)
        with connection.cursor() as cursor:
            for table in ("finding", "chunk", "artifact", "sourcecheck"):
                cursor.execute(f"DELETE FROM datasets_app_{table} WHERE analysis_id = %s", [current.pk])
            cursor.execute("DELETE FROM datasets_app_analysis WHERE id = %s", [current.pk])
        record(actor, "corpus.analysis.delete", None, current.url, analysis=str(current.pk))
        tell_changed(corpus, actor)


def _refuse_expected(analysis: Analysis) -> None:
    queries = TestQuery.objects.filter(expectations__chunk__analysis=analysis).order_by("created_at", "id")
    names = list(queries.distinct().values_list("id", "text")[: _NAMED_QUERIES + 1])
    if not names:
        return
    shown = "; ".join(f"“{text:.80}”" for _, text in names[:_NAMED_QUERIES])
    more = "; …" if len(names) > _NAMED_QUERIES else ""
    raise ExpectedByQueries(
        f"Test queries expect chunks of {analysis.url:.200}: {shown}{more}.",
        hint="Change or delete these queries first.",
        analysis=str(analysis.pk),
        queries=[str(pk) for pk, _ in names[:_NAMED_QUERIES]],
    )


def _current(analysis: Analysis) -> Analysis:
    current = Analysis.objects.select_for_update().filter(pk=analysis.pk).first()
    if current is None:
        raise NotFound(f"There is no analysis {analysis.pk} any more.")
    return current


def get_analysis(analysis_id: uuid.UUID | str) -> Analysis:
    """Return the analysis of this id with its corpus. Raises NotFound."""
    try:
        wanted = uuid.UUID(str(analysis_id))
    except ValueError as error:
        raise NotFound(f"“{analysis_id}” is no UUID of an analysis.") from error
    analysis = Analysis.objects.select_related("corpus").filter(pk=wanted).first()
    if analysis is None:
        raise NotFound(f"There is no analysis {wanted}.")
    return analysis


def _check_has_text(content: str, where: str) -> None:
    if not content.strip():
        raise InvalidAnalysis(
            f"{where}: found no text, expected a chunk that can be found.",
            place="",
            field=where,
            found="no text",
            expected="a chunk that can be found",
        )
