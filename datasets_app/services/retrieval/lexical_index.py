"""The lexical index of a corpus, kept up with its chunks: small new segments, bits for what is gone, merges.

Triggers mark every chunk that changed, whatever changed it (ChangedChunk). `refresh` takes the marks, indexes the
chunks of completed analyses anew and sets the bits of what they replace, all in one transaction: who searches meanwhile
reads the state before. One process refreshes a corpus at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
from django.db import connection, transaction

from datasets_app.domain.retrieval.compaction import SegmentSize, next_merge
from datasets_app.domain.retrieval.english import terms
from datasets_app.domain.retrieval.postings import (
    MAX_CHUNKS,
    MergePart,
    PackedSegment,
    SegmentBuilder,
    TermPostings,
    merged,
)
from datasets_app.models import Corpus, LexicalSegment
from datasets_app.models.corpus import searched_text
from datasets_app.services.retrieval.segment_cache import deleted_bits, deleted_mask
from goldenproject.kit.database_io import advisory_lock, binary_cursor, copy_rows, try_advisory_lock

INLINE_MARKS = 20_000
"""Up to this many changed chunks are indexed by the search that meets them; more are left to the job."""

_ROUND = MAX_CHUNKS
_READ_CHUNKS = 1000
_ANALYZE_FROM = 5000

_TAKE_MARKS = """
DELETE FROM datasets_app_changedchunk
 WHERE id IN (SELECT id FROM datasets_app_changedchunk WHERE corpus_id = %s LIMIT %s)
RETURNING chunk_id
"""
_MARK_ALL = """
INSERT INTO datasets_app_changedchunk (corpus_id, chunk_id)
SELECT a.corpus_id, c.id FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
 WHERE a.corpus_id = %s AND a.status = 'completed' ORDER BY c.id
"""
_READ = """
SELECT c.id, c.section_title, c.content
  FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
 WHERE c.id = ANY(%s::uuid[]) AND a.corpus_id = %s AND a.status = 'completed'
 ORDER BY c.id
"""
_READ_IDS = "SELECT chunk_ids, deleted FROM datasets_app_lexicalsegment WHERE id = %s"
_COPY_TERMS = "COPY datasets_app_lexicalterm (segment_id, term, document_frequency, postings) FROM STDIN (FORMAT BINARY)"


class RefreshReport(NamedTuple):
    """How many changed chunks were looked at, how many of them are in the index now, and in how many segments it is."""

    looked_at: int
    indexed: int
    segments: int


def refresh(corpus: Corpus, progress: Callable[..., None] | None = None) -> RefreshReport:
    """Bring every change of the corpus' chunks into its index, in one transaction; waits for another that does so.

    `progress(done, total)` counts changed chunks. Flat memory: a segment at a time.
    """
    with transaction.atomic():
        advisory_lock(_lock(corpus))
        return _refresh(corpus, progress, MAX_CHUNKS)


def refresh_if_few(corpus: Corpus) -> str:
    """Bring the changes in if they are few and nobody does so already; return a warning for the reader, or "".

    Costs one look-up when nothing has changed.
    """
    waiting = waiting_count(corpus, INLINE_MARKS + 1)
    if not waiting:
        return ""
    if waiting > INLINE_MARKS:
        return (
            f"More than {INLINE_MARKS:,} changed chunks wait to be indexed; the lexical search does not see them yet. "
            "The job “embed” indexes them (golden_embed does so at once)."
        )
    with transaction.atomic():
        if try_advisory_lock(_lock(corpus)):
            _refresh(corpus, None, INLINE_MARKS)
    return ""


def waiting_count(corpus: Corpus, at_most: int) -> int:
    """Return how many changes wait to be indexed, counting no further than `at_most`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT FROM datasets_app_changedchunk WHERE corpus_id = %s LIMIT %s) marks",
            [corpus.pk, at_most],
        )
        return int(cursor.fetchone()[0])


def rebuild(corpus: Corpus, progress: Callable[..., None] | None = None) -> RefreshReport:
    """Throw the index of the corpus away and make it anew, in one transaction."""
    with transaction.atomic():
        advisory_lock(_lock(corpus))
        _drop(list(LexicalSegment.objects.filter(corpus=corpus).values_list("id", flat=True)))
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM datasets_app_changedchunk WHERE corpus_id = %s", [corpus.pk])
            cursor.execute(_MARK_ALL, [corpus.pk])
        return _refresh(corpus, progress, MAX_CHUNKS)


def _lock(corpus: Corpus) -> str:
    return f"lexical index {corpus.pk}"


def _refresh(corpus: Corpus, progress: Callable[..., None] | None, most_merged: int) -> RefreshReport:
    total = waiting_count(corpus, 1_000_000_000) if progress else 0
    looked_at = indexed = 0
    while changed := _take_marks(corpus):
        _mark_gone(corpus, changed)
        for packed in _segments_of(corpus, changed):
            _write(corpus, packed)
            indexed += packed.chunk_count
        looked_at += len(changed)
        if progress:
            progress(min(looked_at, total), total)
    if looked_at:
        _compact(corpus, most_merged)
    if looked_at >= _ANALYZE_FROM:
        _analyze()
    return RefreshReport(looked_at, indexed, LexicalSegment.objects.filter(corpus=corpus).count())


def _take_marks(corpus: Corpus) -> list[UUID]:
    """Take up to a segment's worth of marks away and return their chunks, each once, in the order of their ids."""
    with binary_cursor() as cursor:
        rows = cursor.execute(_TAKE_MARKS, [corpus.pk, _ROUND]).fetchall()
    return sorted({row[0] for row in rows})


def _mark_gone(corpus: Corpus, chunk_ids: Sequence[UUID]) -> None:
    """Set the bits of the chunks in all segments that hold them, a segment at a time."""
    wanted = np.frombuffer(b"".join(chunk_id.bytes for chunk_id in chunk_ids), "S16")
    for segment_id in LexicalSegment.objects.filter(corpus=corpus).values_list("id", flat=True):
        with binary_cursor() as cursor:
            packed_ids, deleted = cursor.execute(_READ_IDS, [segment_id]).fetchone()  # type: ignore[misc]
        ids = np.frombuffer(packed_ids, "S16")
        # the shorter list is looked up in the longer one; both are sorted
        if len(wanted) < len(ids):
            places = np.searchsorted(ids, wanted)
            places = places[ids[np.minimum(places, len(ids) - 1)] == wanted]
        else:
            found = np.searchsorted(wanted, ids)
            places = np.flatnonzero(wanted[np.minimum(found, len(wanted) - 1)] == ids)
        if not len(places):
            continue
        gone = deleted_mask(deleted, len(ids))
        gone = np.zeros(len(ids), np.bool_) if gone is None else gone
        if not gone[places].all():
            gone[places] = True
            LexicalSegment.objects.filter(pk=segment_id).update(
                deleted=deleted_bits(gone), deleted_count=int(gone.sum())
            )


def _segments_of(corpus: Corpus, chunk_ids: Sequence[UUID]) -> Iterator[PackedSegment]:
    """Yield segments of those of the chunks that are golden."""
    builder = SegmentBuilder()
    for start in range(0, len(chunk_ids), _READ_CHUNKS):
        with binary_cursor() as cursor:
            rows = cursor.execute(_READ, [chunk_ids[start : start + _READ_CHUNKS], corpus.pk]).fetchall()
        for chunk_id, section_title, content in rows:
            if builder.is_full:
                yield builder.build()
                builder = SegmentBuilder()
            builder.add(chunk_id.bytes, terms(searched_text(section_title, content)))
    if len(builder):
        yield builder.build()


def _write(corpus: Corpus, packed: PackedSegment) -> None:
    segment = LexicalSegment.objects.create(
        corpus=corpus,
        chunk_count=packed.chunk_count,
        term_total=packed.term_total,
        chunk_ids=packed.chunk_ids,
        lengths=packed.lengths,
    )
    rows: Iterator[tuple[Any, ...]] = ((segment.pk, *found) for found in packed.terms)
    copy_rows(_COPY_TERMS, rows, ["int8", "text", "int4", "bytea"])


def _compact(corpus: Corpus, most_chunks: int) -> None:
    """Merge segments until there is nothing to merge."""
    while True:
        rows = LexicalSegment.objects.filter(corpus=corpus).values_list(
            "id", "chunk_count", "deleted_count", "term_total"
        )
        sizes = [SegmentSize(pk, count - gone, gone, total) for pk, count, gone, total in rows]
        group = next_merge(sizes, most_chunks)
        if not group:
            return
        if sum(size.alive for size in sizes if size.segment_id in group):
            _write(corpus, merged([_merge_part(segment_id) for segment_id in group]))
        _drop(group)


def _merge_part(segment_id: int) -> MergePart:
    segment = LexicalSegment.objects.get(pk=segment_id)
    gone = deleted_mask(bytes(segment.deleted), segment.chunk_count)
    stays = np.ones(segment.chunk_count, np.bool_) if gone is None else ~gone
    return MergePart(bytes(segment.chunk_ids), bytes(segment.lengths), stays, _terms_of(segment_id))


def _terms_of(segment_id: int) -> list[TermPostings]:
    statement = (
        "SELECT term, document_frequency, postings FROM datasets_app_lexicalterm WHERE segment_id = %s"
    )
    with binary_cursor() as cursor:
        rows = cursor.execute(statement, [segment_id]).fetchall()
    return [TermPostings(*row) for row in rows]


def _drop(segment_ids: Sequence[int]) -> None:
    with connection.cursor() as cursor:
        ids = list(segment_ids)
        cursor.execute("DELETE FROM datasets_app_lexicalterm WHERE segment_id = ANY(%s)", [ids])
        cursor.execute("DELETE FROM datasets_app_lexicalsegment WHERE id = ANY(%s)", [ids])


def _analyze() -> None:
    """Tell the planner how big the tables are now, where this role may; autovacuum would only come later."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'datasets_app_lexicalterm'::regclass"
        )
        if cursor.fetchone()[0]:
            cursor.execute("ANALYZE datasets_app_lexicalterm, datasets_app_lexicalsegment")
