"""Retrieval benchmarks in the shape of BEIR into a corpus: corpus.jsonl, queries.jsonl, qrels/*.tsv.

A document becomes a chunk: its id is uuid5(corpus, _id), its section path the _id, so that the same folder names the same
chunks. Documents of one canonical URL are the chunks of one analysis. A query has the id uuid5(corpus, "query " + _id).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from django.db import transaction

from datasets_app.domain.roles import Action
from datasets_app.errors import InvalidAnalysis, InvalidQuery, MalformedRow, UrlContractBroken
from datasets_app.models import Corpus
from datasets_app.services.access import record
from datasets_app.services.corpus.bulk_analyses import BulkAnalyses, SavedCounts, SavePolicy
from datasets_app.services.corpus.bulk_queries import BulkQueries, QueryPolicy, SavedQueryCounts
from datasets_app.services.corpus.changing import changing, tell_changed
from datasets_app.services.corpus.drafts import AnalysisDraft, ChunkDraft, QueryDraft, check_chunk
from datasets_app.services.corpus.json_files import Tally, json_lines
from datasets_app.services.corpus.qrels import Judgments, choose_split, read_judgments
from datasets_app.services.corpus.url_rules import contract_columns
from goldenproject.kit.errors import BadInput
from goldenproject.kit.read_ahead import batches_ahead

Progress = Callable[..., None]
_BATCH_ROWS: Final = 1_000
_POLICY: Final = SavePolicy("update", frozenset({"chunks"}), keep_chunks=True)
_QUERY_POLICY: Final = QueryPolicy("update", drop_unknown=True, keep_labels=True)


@dataclass(frozen=True)
class BeirOptions:
    """How a folder is taken.

    `source_url` is the address of documents that carry none (metadata.url): of the whole collection, or with {id} of
    each document. `split` names the file in qrels/ (default: the only one, else test). `tags` go to new queries.
    With `judged_only` queries without judgments in that split are left out.
    """

    source_url: str = ""
    split: str = ""
    content_type: str = "document"
    tags: tuple[str, ...] = ()
    judged_only: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class BeirReport:
    """What became of documents (as chunks), queries and judgments of a folder."""

    split: str
    documents: int = 0
    empty_documents: int = 0
    analyses_added: int = 0
    analyses_updated: int = 0
    chunks_added: int = 0
    chunks_updated: int = 0
    queries: int = 0
    queries_added: int = 0
    queries_updated: int = 0
    queries_unchanged: int = 0
    judgments: int = 0
    judged_not_relevant: int = 0
    unknown_documents: int = 0
    unknown_queries: int = 0
    without_expected: int = 0
    warnings: tuple[str, ...] = ()
    dry_run: bool = False

    def document(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {**asdict(self), "warnings": list(self.warnings)}


def chunk_id_of(corpus: Corpus, document_id: str) -> uuid.UUID:
    """Return the id of the chunk that a document of BEIR becomes."""
    return uuid.uuid5(corpus.pk, document_id)


def query_id_of(corpus: Corpus, query_id: str) -> uuid.UUID:
    """Return the id of the test query that a query of BEIR becomes."""
    return uuid.uuid5(corpus.pk, f"query {query_id}")


def import_beir(
    *,
    corpus: Corpus,
    folder: Path,
    actor: Any,
    options: BeirOptions | None = None,
    progress: Progress | None = None,
) -> BeirReport:
    """Import a folder in one transaction: new documents and queries are added, changed ones updated, none removed.

    The same folder twice changes nothing; tags, difficulty, category and pass rule of known queries stay as they are.
    Documents without text and judgments of unknown documents or queries are left out with a warning. A judgment of 0
    or less is kept as 0, not relevant. `progress` is told the documents read.
    Raises MalformedRow, InvalidAnalysis (also for the same _id twice), InvalidQuery, UrlContractBroken, BadInput.
    """
    options = options or BeirOptions()
    folder = Path(folder)
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            raise BadInput(f"{folder} has no {name}; expected corpus.jsonl, queries.jsonl and qrels/*.tsv.")
    qrels = choose_split(folder, options.split)
    with changing(corpus=corpus, actor=actor, action=Action.IMPORT, reason=f"import {folder.name}"):
        documents = _Documents(corpus, options)
        saved = documents.save(folder / "corpus.jsonl", progress)
        queries = _Queries(corpus, options, read_judgments(qrels))
        counts = queries.save(folder / "queries.jsonl")
        if saved.written or counts.added or counts.updated:
            summary = f"{folder.name}: {saved.chunks_added} documents, {counts.added} queries added to {corpus.name}"
            record(actor, "corpus.import", None, summary, corpus=corpus.name)
        if saved.written:
            tell_changed(corpus, actor, saved.written + counts.judgments)
        if options.dry_run:
            transaction.set_rollback(True)
    return _report(documents, saved, queries, counts, qrels.stem, options)


def _report(
    documents: _Documents,
    saved: SavedCounts,
    queries: _Queries,
    counts: SavedQueryCounts,
    split: str,
    options: BeirOptions,
) -> BeirReport:
    return BeirReport(
        split=split,
        documents=documents.read,
        empty_documents=documents.empty.count,
        analyses_added=saved.added,
        analyses_updated=saved.updated,
        chunks_added=saved.chunks_added,
        chunks_updated=saved.chunks_updated,
        queries=queries.read,
        queries_added=counts.added,
        queries_updated=counts.updated,
        queries_unchanged=counts.unchanged,
        judgments=counts.judgments,
        judged_not_relevant=queries.judgments.not_relevant,
        unknown_documents=counts.unknown_chunks,
        unknown_queries=queries.unknown_queries,
        without_expected=counts.without_expected,
        warnings=(*documents.empty.warnings(), *queries.warnings(counts)),
        dry_run=options.dry_run,
    )


# Documents ----------------------------------------------------------------------------------------------------------


class _Documents:
    """Stages documents as chunks of the analyses that their addresses make."""

    def __init__(self, corpus: Corpus, options: BeirOptions) -> None:
        self._corpus = corpus
        self._options = options
        self._lines: dict[
            str, int | None
        ] = {}  # number of the staged analysis by canonical URL, None: refused
        self._canonical: tuple[str, str] = ("", "")
        self.read = 0
        self.empty = Tally(
            lambda n: f"{n:,} {'document has' if n == 1 else 'documents have'} no text, left out"
        )

    def save(self, path: Path, progress: Progress | None) -> SavedCounts:
        bulk = BulkAnalyses(self._corpus)
        for batch in batches_ahead(json_lines(path), _BATCH_ROWS):
            for place, row in batch:
                if isinstance(row, MalformedRow):
                    bulk.refuse(place, row)
                    continue
                try:
                    self._stage(bulk, row, place)
                except (InvalidAnalysis, UrlContractBroken) as error:
                    bulk.refuse(place, error)
            self.read += len(batch)
            if progress:
                progress(self.read)
        for document_id in bulk.repeated_chunk_paths():
            bulk.refuse(path.name, InvalidAnalysis(f"{path.name}: the _id “{document_id}” occurs twice."))
        return bulk.save(_POLICY)

    def _stage(self, bulk: BulkAnalyses, row: dict[str, Any], place: str) -> None:
        document_id = _id_of(row, place, InvalidAnalysis)
        title, text = _text(row, "title", place), _text(row, "text", place)
        if not text.strip():
            title, text = "", title  # a document that is all title is found by it
        if not text.strip():
            self.empty.add(f"{place} (_id {document_id})")
            return
        chunk = ChunkDraft(text, title, document_id, "", None, chunk_id_of(self._corpus, document_id))
        check_chunk(chunk, place, "document")
        line = self._line_of(bulk, self._url_of(row, document_id, place), place)
        if line is not None:
            bulk.add_chunk(line, chunk, None)

    def _url_of(self, row: dict[str, Any], document_id: str, place: str) -> str:
        metadata = row.get("metadata")
        url = metadata.get("url") if isinstance(metadata, dict) else None
        if isinstance(url, str) and url:
            return url
        if not self._options.source_url:
            raise InvalidAnalysis(
                f"{place}: the document {document_id} has no metadata.url, so nobody knows its source.",
                hint="Say the address of the collection with --source-url, or of each document with {id} in it.",
                place=place,
            )
        return self._options.source_url.replace("{id}", quote(document_id, safe=""))

    def _line_of(self, bulk: BulkAnalyses, url: str, place: str) -> int | None:
        """Return the number of the analysis of `url`, staged now if it was not; None when its URL was refused before."""
        if url != self._canonical[0]:  # documents of one source mostly follow each other
            self._canonical = (url, contract_columns(url)[0])
        canonical = self._canonical[1]
        if canonical not in self._lines:
            self._lines[canonical] = None
            draft = AnalysisDraft(url=canonical, content_type=self._options.content_type, place=place)
            self._lines[canonical] = bulk.add_source(draft)
        return self._lines[canonical]


def _id_of(row: Mapping[str, Any], place: str, error: type[BadInput]) -> str:
    value = row.get("_id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        found = "nothing" if "_id" not in row else repr(value)[:40]
        raise error(f"{place}, _id: found {found}, expected an id.", place=place, field="_id", found=found)
    return value


def _text(row: Mapping[str, Any], name: str, place: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        found = type(value).__name__
        raise InvalidAnalysis(f"{place}, {name}: found {found}, expected a string.", place=place, field=name)
    return value


# Queries ------------------------------------------------------------------------------------------------------------


class _Queries:
    """Stages queries with their judgments, and knows which judgments were of unknown queries or documents."""

    def __init__(self, corpus: Corpus, options: BeirOptions, judgments: Judgments) -> None:
        self._corpus = corpus
        self._options = options
        self._left = dict(judgments.by_query)
        self._first_unknown: list[uuid.UUID] = []
        self._empty = Tally(lambda n: f"{n:,} {'query has' if n == 1 else 'queries have'} no text, left out")
        self.judgments = judgments
        self.read = 0
        self.unknown_queries = 0

    def save(self, path: Path) -> SavedQueryCounts:
        bulk = BulkQueries(self._corpus)
        for place, row in json_lines(path):
            self.read += 1
            if isinstance(row, MalformedRow):
                bulk.refuse(place, row)
                continue
            try:
                for draft in self._draft(row, place):
                    bulk.add(draft)
            except (InvalidQuery, InvalidAnalysis) as error:
                bulk.refuse(place, error)
        counts = bulk.save(_QUERY_POLICY)
        self.unknown_queries = sum(len(judged) for judged in self._left.values())
        self._first_unknown = bulk.first_unknown
        return counts

    def _draft(self, row: dict[str, Any], place: str) -> Iterator[QueryDraft]:
        """Yield the query of a line, unless it is to be left out."""
        query_id = _id_of(row, place, InvalidQuery)
        judged = self._left.pop(query_id, {})
        text = _text(row, "text", place)
        if not text.strip():
            self._empty.add(f"{place} (_id {query_id})")
            return
        if not judged and self._options.judged_only:
            return
        yield QueryDraft(
            text=text,
            expected={chunk_id_of(self._corpus, name): relevance for name, relevance in judged.items()},
            tags=self._options.tags,
            external_id=query_id,
            id=query_id_of(self._corpus, query_id),
            place=place,
        )

    def warnings(self, counts: SavedQueryCounts) -> list[str]:
        told = self._empty.warnings()
        if counts.unknown_chunks:
            names = self._names_of(self._first_unknown)
            told.append(
                f"{counts.unknown_chunks:,} judgments of unknown documents, left out: {_some(names)}."
            )
        if self.unknown_queries:
            told.append(
                f"{self.unknown_queries:,} judgments of unknown queries, left out: {_some(list(self._left))}."
            )
        if counts.without_expected:
            told.append(f"{counts.without_expected:,} queries expect no chunk: evaluations leave them out.")
        return told

    def _names_of(self, chunk_ids: list[uuid.UUID]) -> list[str]:
        wanted = set(chunk_ids)
        judged = {name for names in self.judgments.by_query.values() for name in names}
        return sorted(name for name in judged if chunk_id_of(self._corpus, name) in wanted)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" …" if len(names) > 5 else "")
