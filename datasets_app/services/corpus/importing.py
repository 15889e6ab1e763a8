"""Files into a corpus, all or nothing: analyses of format 1.0 (JSON, or one a line), and test queries (one a line)."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

from django.db import transaction

from datasets_app.domain.roles import Action
from datasets_app.errors import InvalidAnalysis, MalformedRow
from datasets_app.models import Corpus
from datasets_app.services.access import record
from datasets_app.services.corpus.analyses import tell_saved
from datasets_app.services.corpus.bulk_analyses import BulkAnalyses, SavePolicy
from datasets_app.services.corpus.bulk_queries import BulkQueries, QueryPolicy, invalid_query
from datasets_app.services.corpus.changing import MANY_ROWS, changing, refresh_statistics
from datasets_app.services.corpus.drafts import (
    AnalysisDraft,
    QueryDraft,
    RefusedDraft,
    parse_analysis,
    parse_moment,
    parse_uuid,
    unknown_keys,
)
from datasets_app.services.corpus.json_files import Tally, json_document, json_lines
from goldenproject.kit.errors import BadInput
from goldenproject.kit.read_ahead import batches_ahead

Progress = Callable[..., None]
KINDS: Final = ("", "analyses", "queries")
_QUERY_KEYS: Final = frozenset(
    {
        "id",
        "external_id",
        "text",
        "expected",
        "tags",
        "difficulty",
        "category",
        "pass_rule",
        "created_at",
    }
)
_TOTALS: Final = ("total_analyses", "total_chunks", "total_artifacts")
_BATCH_ROWS: Final = 200


@dataclass(frozen=True)
class CorpusImportOptions:
    """How a file is taken: what it holds (`kind` analyses or queries, empty: told by its content), and what is there."""

    kind: str = ""
    on_existing: str = "update"
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BadInput(f"The kind is “{self.kind}”: expected analyses or queries.")


@dataclass(frozen=True)
class CorpusImportReport:
    """What became of the rows of a file; the counts of chunks are zero for queries, those of judgments for analyses."""

    kind: str
    read: int = 0
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    chunks_added: int = 0
    chunks_updated: int = 0
    chunks_removed: int = 0
    empty_chunks: int = 0
    judgments: int = 0
    without_expected: int = 0
    warnings: tuple[str, ...] = ()
    dry_run: bool = False

    def document(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {**asdict(self), "warnings": list(self.warnings)}


def import_corpus(
    *,
    corpus: Corpus,
    source: Path,
    actor: Any,
    options: CorpusImportOptions | None = None,
    progress: Progress | None = None,
) -> CorpusImportReport:
    """Import a file into a corpus, in one transaction. JSONL is streamed, JSON is read whole.

    An analysis is known by its id, else by its URL; a test query by its id (a UUID is ours, any other text is the id
    from outside), else by its text. Chunks without text are left out with a warning. `progress` is told the rows read.
    Raises MalformedRow, InvalidAnalysis, InvalidQuery, InvalidPassRule, UrlContractBroken, ExpectedByQueries, Forbidden.
    """
    options = options or CorpusImportOptions()
    rows, kind, warnings = _opened(Path(source), options.kind)
    reason = f"import {Path(source).name}"
    with changing(corpus=corpus, actor=actor, action=Action.IMPORT, reason=reason):
        importer = _import_analyses if kind == "analyses" else _import_queries
        report = importer(corpus, rows, actor, Path(source).name, options, progress)
        if options.dry_run:
            transaction.set_rollback(True)
    return replace(report, warnings=(*warnings, *report.warnings), dry_run=options.dry_run)


Rows = Iterator[tuple[str, Any]]


def _opened(source: Path, kind: str) -> tuple[Rows, str, list[str]]:
    """Return the rows of a file with their places, what they are, and what to mind."""
    if source.suffix.lower() == ".json":
        return _rows_of_document(json_document(source), source.name, kind)
    if source.suffix.lower() not in (".jsonl", ".ndjson"):
        raise BadInput(
            f"{source.name}: found the ending “{source.suffix}”, expected .json (format 1.0) or .jsonl."
        )
    rows = json_lines(source)
    first = next(rows, None)
    if first is None:
        raise MalformedRow(f"{source.name} is empty: expected an analysis or a test query a line.")
    return chain([first], rows), kind or _kind_of(first[1], source.name), []


def _kind_of(row: dict[str, Any] | MalformedRow, name: str) -> str:
    if isinstance(row, MalformedRow):
        raise row
    if "url" in row:
        return "analyses"
    if "text" in row:
        return "queries"
    keys = ", ".join(sorted(row)) or "nothing"
    raise MalformedRow(
        f"{name}: the first line has the keys {keys}; expected url (an analysis) or text (a test query).",
        hint="A chunk comes inside the “chunks” of its analysis.",
    )


def _rows_of_document(document: Any, name: str, kind: str) -> tuple[Rows, str, list[str]]:
    if kind == "queries" or (isinstance(document, list) and document and "text" in _keys(document[0])):
        if not isinstance(document, list):
            raise MalformedRow(f"{name}: found no list, expected a list of test queries.")
        return _numbered(document, name, "query"), "queries", []
    if isinstance(document, list):
        return _numbered(document, name, "analysis"), "analyses", []
    analyses = document.get("analyses") if isinstance(document, dict) else None
    if not isinstance(analyses, list):
        raise MalformedRow(
            f"{name}: found no list “analyses”, expected a backup of format 1.0 or a list of analyses."
        )
    if document.get("version", "1.0") != "1.0":
        raise MalformedRow(
            f"{name}: found version {document['version']!r}, expected 1.0.",
            hint="A newer format needs a newer version of this program.",
        )
    _refuse_stray_chunks(document, name)
    return _numbered(analyses, name, "analysis"), "analyses", list(_mind(document, name))


def _keys(value: Any) -> Iterable[str]:
    return value.keys() if isinstance(value, dict) else ()


def _numbered(items: list[Any], name: str, what: str) -> Rows:
    return ((f"{name} {what} {number}", item) for number, item in enumerate(items, 1))


def _refuse_stray_chunks(document: dict[str, Any], name: str) -> None:
    ids = {analysis.get("id") for analysis in document["analyses"] if isinstance(analysis, dict)}
    chunks = document.get("chunks")
    for number, chunk in enumerate(chunks if isinstance(chunks, list) else [], 1):
        if isinstance(chunk, dict) and chunk.get("analysis_id") not in ids:
            raise InvalidAnalysis(
                f"{name}: chunk {number} belongs to analysis {chunk.get('analysis_id')!r:.60}, which is not in the "
                "file; expected the chunks inside their analyses."
            )


def _mind(document: dict[str, Any], name: str) -> Iterator[str]:
    """Yield what a reader of a backup should know: totals that differ, and what only a restore takes."""
    totals = document.get("metadata")
    analyses = [analysis for analysis in document["analyses"] if isinstance(analysis, dict)]
    found = (
        len(analyses),
        sum(len(a["chunks"]) for a in analyses if isinstance(a.get("chunks"), list)),
        sum(a.get("artifact") is not None for a in analyses),
    )
    for key, count in zip(_TOTALS, found, strict=True):
        told = totals.get(key, count) if isinstance(totals, dict) else count
        if told != count:
            yield f"{name} tells {key} {told}, but holds {count}."
    others = sorted(document.keys() - {"version", "created_at", "metadata", "analyses"})
    if others:
        yield f"{name} holds more ({', '.join(others)}); an import takes only analyses, golden_restore takes all."


# Analyses -----------------------------------------------------------------------------------------------------------


def _import_analyses(
    corpus: Corpus, rows: Rows, actor: Any, name: str, options: CorpusImportOptions, progress: Progress | None
) -> CorpusImportReport:
    parsing = _AnalysisParsing()
    policy = SavePolicy(options.on_existing)
    bulk = BulkAnalyses(corpus)
    read = 0
    for batch in batches_ahead(parsing.drafts(rows), _BATCH_ROWS):
        for draft in batch:
            if isinstance(draft, RefusedDraft):
                bulk.refuse(draft.place, draft.error)
            else:
                bulk.add(draft)
        read += len(batch)
        if progress:
            progress(read)
    counts = bulk.save(policy)
    tell_saved(corpus, actor, counts, "corpus.import", name)
    return CorpusImportReport(
        kind="analyses",
        read=read,
        empty_chunks=parsing.empty.count,
        warnings=tuple(parsing.warnings()),
        **asdict(counts),
    )


class _AnalysisParsing:
    """Turns documents into drafts, and remembers what was left out."""

    def __init__(self) -> None:
        self.empty = Tally(lambda n: f"{n:,} {'chunk has' if n == 1 else 'chunks have'} no text, left out")
        self._unknown: set[str] = set()

    def drafts(self, rows: Rows) -> Iterator[AnalysisDraft | RefusedDraft]:
        for place, document in rows:
            try:
                if isinstance(document, MalformedRow):
                    raise document
                draft = parse_analysis(document, place, complete=False)
            except BadInput as error:
                yield RefusedDraft(place, error)
                continue
            self._unknown |= unknown_keys(document)
            yield self._without_empty(draft)

    def _without_empty(self, draft: AnalysisDraft) -> AnalysisDraft:
        if all(chunk.content.strip() for chunk in draft.chunks):
            return draft
        kept = []
        for number, chunk in enumerate(draft.chunks):
            if chunk.content.strip():
                index = number if chunk.chunk_index is None else chunk.chunk_index
                kept.append(replace(chunk, chunk_index=index))
            else:
                self.empty.add(f"{draft.place}, chunks[{number}]")
        return replace(draft, chunks=kept)

    def warnings(self) -> list[str]:
        unknown = sorted(self._unknown)
        told = (
            [f"Fields that format 1.0 does not know were left out: {', '.join(unknown)}."] if unknown else []
        )
        return self.empty.warnings() + told


# Test queries -------------------------------------------------------------------------------------------------------


def _import_queries(
    corpus: Corpus, rows: Rows, actor: Any, name: str, options: CorpusImportOptions, progress: Progress | None
) -> CorpusImportReport:
    policy = QueryPolicy(options.on_existing)
    bulk = BulkQueries(corpus)
    nothing_expected = Tally(lambda n: f"{n:,} {'query expects' if n == 1 else 'queries expect'} no chunk")
    read = 0
    for read, (place, document) in enumerate(rows, 1):
        try:
            if isinstance(document, MalformedRow):
                raise document
            draft = parse_query(document, place, corpus.pk)
        except BadInput as error:
            bulk.refuse(place, error)
            continue
        if not any(draft.expected.values()):
            nothing_expected.add(place)
        bulk.add(draft)
        if progress:
            progress(read)
    counts = bulk.save(policy)
    if counts.added or counts.updated:
        summary = f"{name}: {counts.added} test queries added, {counts.updated} updated in {corpus.name}"
        record(actor, "corpus.import", None, summary, corpus=corpus.name)
    if counts.added + counts.updated >= MANY_ROWS:
        refresh_statistics()
    facts = {key: value for key, value in asdict(counts).items() if key != "unknown_chunks"}
    return CorpusImportReport(kind="queries", read=read, warnings=tuple(nothing_expected.warnings()), **facts)


def parse_query(document: Any, place: str, corpus_id: uuid.UUID) -> QueryDraft:
    """Return the draft that `document` describes: {"id"?, "text", "expected", "tags", "difficulty", "category", "pass_rule"}.

    `expected` lists chunk ids or {"chunk", "relevance"}. Raises InvalidQuery. Without an id the text names the query.
    """
    if not isinstance(document, dict):
        raise invalid_query(place, "", type(document).__name__, "an object")
    unknown = sorted(document.keys() - _QUERY_KEYS)
    if unknown:
        raise invalid_query(place, unknown[0], "this field", f"only {', '.join(sorted(_QUERY_KEYS))}")
    for name, kind, wanted in (("tags", list, "a list"), ("pass_rule", dict, "an object")):
        if not isinstance(document.get(name, kind()), kind):
            raise invalid_query(place, name, type(document[name]).__name__, wanted)
    created_at = parse_moment(document["created_at"]) if "created_at" in document else None
    if "created_at" in document and created_at is None:
        raise invalid_query(place, "created_at", repr(document["created_at"])[:40], "an ISO 8601 time")
    text = _text(document, "text", place)
    given, external_id = _text(document, "id", place), _text(document, "external_id", place)
    own_id = parse_uuid(given)
    if own_id is None and not given and not external_id:
        own_id = uuid.uuid5(corpus_id, f"query text {text}")
    return QueryDraft(
        text=text,
        expected=_parse_expected(document.get("expected", []), place),
        tags=document.get("tags", []),
        difficulty=_text(document, "difficulty", place),
        category=_text(document, "category", place),
        pass_rule=document.get("pass_rule", {}),
        external_id=external_id or ("" if own_id else given),
        id=own_id,
        created_at=created_at,
        place=place,
    )


def _text(document: dict[str, Any], name: str, place: str) -> str:
    value = document.get(name, "")
    if name == "id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise invalid_query(place, name, type(value).__name__, "a string")
    return value


def _parse_expected(items: Any, place: str) -> dict[uuid.UUID, int]:
    if not isinstance(items, list):
        raise invalid_query(place, "expected", type(items).__name__, "a list of chunks")
    expected: dict[uuid.UUID, int] = {}
    for number, item in enumerate(items):
        where = f"expected[{number}]"
        judged = item if isinstance(item, dict) else {"chunk": item}
        if not judged.keys() <= {"chunk", "relevance"}:
            raise invalid_query(place, where, f"the keys {', '.join(sorted(judged))}", "chunk and relevance")
        chunk_id, relevance = parse_uuid(judged.get("chunk")), judged.get("relevance", 1)
        if chunk_id is None:
            raise invalid_query(place, where, repr(judged.get("chunk"))[:60], "the UUID of a chunk")
        if isinstance(relevance, bool) or not isinstance(relevance, int):
            raise invalid_query(place, where, f"the relevance {relevance!r:.40}", "a whole number")
        if chunk_id in expected:
            raise invalid_query(place, where, f"{chunk_id} a second time", "each chunk once")
        expected[chunk_id] = relevance
    return expected
