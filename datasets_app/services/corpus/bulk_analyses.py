"""Analyses with their parts into a corpus as sets: staged by COPY, checked as a whole, then inserted, updated, removed.

Everything is staged before anything is written, so that what is wrong is told in one go, and nothing is half done.
Memory holds one buffer of rows; the rest waits in temporary tables of the database. Equal rows are left alone: they
get no history.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from datasets_app.errors import AnalysisExists, ExpectedByQueries, InvalidAnalysis, UrlContractBroken
from datasets_app.models import Analysis, Corpus
from datasets_app.services.corpus import analysis_sql as sql
from datasets_app.services.corpus.drafts import (
    AnalysisDraft,
    ArtifactDraft,
    ChunkDraft,
    FindingDraft,
    checked_analysis,
)
from datasets_app.services.corpus.refusing import Refusals
from datasets_app.services.corpus.url_rules import contract_columns
from goldenproject.kit.clock import now, random_uuid
from goldenproject.kit.database_io import binary_cursor, copy_rows
from goldenproject.kit.errors import BadInput, GoldenError

PARTS: Final = frozenset({"findings", "chunks", "artifact"})
FLUSH_ROWS: Final = 10_000
_ANALYZED_FROM: Final = 1_000


@dataclass(frozen=True)
class SavedCounts:
    """What became of the analyses of a save, and of their chunks. An analysis is updated when any part of it is."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    chunks_added: int = 0
    chunks_updated: int = 0
    chunks_removed: int = 0

    @property
    def written(self) -> int:
        """How many rows of analyses and chunks changed."""
        return self.added + self.updated + self.chunks_added + self.chunks_updated + self.chunks_removed


@dataclass(frozen=True)
class SavePolicy:
    """How a save meets what is there: `on_existing` is refuse, skip or update; `parts` are replaced in known analyses.

    With `keep_chunks` chunks that are not in the drafts stay, and new ones go after them. With `keep_source` the
    analyses themselves stay as they are, also those whose URL breaks the contract since a restore.
    """

    on_existing: str = "refuse"
    parts: frozenset[str] = PARTS
    keep_chunks: bool = False
    keep_source: bool = False

    def __post_init__(self) -> None:
        if self.on_existing not in ("refuse", "skip", "update"):
            raise BadInput(f"on_existing is “{self.on_existing}”: expected refuse, skip or update.")


class BulkAnalyses:
    """Stages analyses and writes them; must live inside the transaction of its caller, who holds the corpus' lock."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._refusals = Refusals()
        self._lines = 0
        self._rows = 0
        self._buffers: dict[str, list[Sequence[Any]]] = {name: [] for name in sql.COPIES}
        with binary_cursor() as cursor:
            for statement in (*sql.CREATE, sql.WORK_MEMORY):
                cursor.execute(statement)

    @property
    def staged(self) -> int:
        """How many analyses were staged so far."""
        return self._lines

    def refuse(self, place: str, error: GoldenError) -> None:
        """Count something that must not be saved: `save` refuses the whole then."""
        self._refusals.add(place, error)

    def add(self, draft: AnalysisDraft) -> None:
        """Stage one analysis with its parts; what is wrong with it is told by `save`."""
        place = draft.place
        try:
            checked_analysis(draft, place)
            for number, chunk in enumerate(draft.chunks):
                _check_has_text(chunk, place, number)
            line = self.add_source(draft)
        except (InvalidAnalysis, UrlContractBroken) as error:
            self.refuse(place, error)
            return
        self.add_findings(line, draft.findings)
        for number, chunk in enumerate(draft.chunks):
            self.add_chunk(line, chunk, number if chunk.chunk_index is None else chunk.chunk_index)
        if draft.artifact is not None:
            self.add_artifact(line, draft.artifact)

    def add_source(self, draft: AnalysisDraft) -> int:
        """Stage an analysis without its parts and return its number, by which parts are staged after it.

        Raises UrlContractBroken.
        """
        canonical_url, violation = contract_columns(draft.url)
        if violation:
            raise broken_contract(draft.url, violation, draft.place)
        has_id = draft.id is not None
        return self._put_analysis(
            (draft.id or random_uuid(), has_id, draft.place, draft.url, canonical_url),
            (draft.content_type, draft.status, draft.created_at),
        )

    def add_known(self, analysis: Analysis) -> int:
        """Stage an analysis that is there, for the `keep_source` of its parts, and return its number."""
        return self._put_analysis(
            (analysis.pk, True, "", analysis.url, analysis.canonical_url),
            (analysis.content_type, analysis.status, analysis.created_at),
        )

    def _put_analysis(self, identity: Sequence[Any], facts: Sequence[Any]) -> int:
        self._lines += 1
        self._put("analysis", (self._lines, *identity, *facts))
        return self._lines

    def add_findings(self, line: int, findings: Iterable[FindingDraft]) -> None:
        for position, finding in enumerate(findings):
            row = (
                line,
                position,
                finding.agent,
                finding.category,
                finding.content,
                float(finding.confidence),
            )
            self._put("finding", row)

    def add_chunk(self, line: int, chunk: ChunkDraft, chunk_index: int | None) -> None:
        """Stage a chunk of analysis `line`. Without index (for `keep_chunks`) it comes after those before it."""
        self._put(
            "chunk",
            (
                line,
                self._rows,
                chunk.id or random_uuid(),
                chunk.id is not None,
                chunk_index,
                chunk.section_title,
                chunk.section_path,
                chunk.content_type,
                chunk.content,
            ),
        )

    def add_artifact(self, line: int, artifact: ArtifactDraft) -> None:
        key_findings, metadata = (
            orjson.dumps(v).decode() for v in (artifact.key_findings, artifact.metadata)
        )
        artifact_id = artifact.id or random_uuid()
        self._put(
            "artifact", (line, artifact_id, artifact.id is not None, artifact.summary, key_findings, metadata)
        )

    def repeated_chunk_paths(self) -> list[str]:
        """Return the section paths of the first twenty staged chunks whose id came before."""
        self._send("chunk")
        with binary_cursor() as cursor:
            cursor.execute(sql.REPEATED_PATHS)
            return [row[0] for row in cursor.fetchall()]

    def _put(self, table: str, row: Sequence[Any]) -> None:
        buffer = self._buffers[table]
        buffer.append(row)
        self._rows += 1
        if len(buffer) >= FLUSH_ROWS:
            self._send(table)

    def _send(self, table: str) -> None:
        statement, types = sql.COPIES[table]
        copy_rows(statement, self._buffers[table], types)
        self._buffers[table] = []

    # Writing --------------------------------------------------------------------------------------------------------

    def save(self, policy: SavePolicy) -> SavedCounts:
        """Write what was staged. Raises, with nothing written, when anything is refused: see `Refusals`."""
        for table in sql.COPIES:
            self._send(table)
        self._analyze()
        if self._run(sql.FIND_KNOWN) + self._run(sql.FIND_BY_URL, [self._corpus.pk]):
            self._analyze()
        if not policy.keep_source:
            self._refuse_analyses(policy)
        skipped = self._skip_known() if policy.on_existing == "skip" else 0
        if self._run(sql.FIND_CHUNKS) + self._run(sql.MATCH_CHUNKS_BY_INDEX):
            self._analyze()
        self._refuse_parts(policy)
        self._refusals.raise_any("Nothing was saved.")
        counts = self._write(policy, skipped)
        for table in sql.COPIES:
            self._run(f"DROP TABLE golden_new_{table}")
        return counts

    def _analyze(self) -> None:
        """Tell the planner how many are known now; believing them few, it would compare all with all."""
        if self._rows >= _ANALYZED_FROM:
            self._run(sql.ANALYZE)

    def _run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        with binary_cursor() as cursor:
            cursor.execute(statement, parameters or None)  # type: ignore[arg-type]
            return cursor.rowcount

    def _count(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        with binary_cursor() as cursor:
            cursor.execute(statement, parameters or None)  # type: ignore[arg-type]
            return int(cursor.fetchone()[0])  # type: ignore[index]

    def _refuse_analyses(self, policy: SavePolicy) -> None:
        for place, found, first in self._found(sql.IDS_TWICE):
            self.refuse(place, _invalid(place, "id", f"{found}, which {first} has too", "each id once"))
        for place, found, other in self._found(sql.IDS_ELSEWHERE, [self._corpus.pk]):
            self.refuse(
                place, _invalid(place, "id", f"{found}, an analysis of corpus “{other}”", "an id of its own")
            )
        for place, url, first in self._found(sql.URLS_TWICE):
            self.refuse(place, broken_contract(url, f"{first} claims the same canonical URL", place))
        for place, url, other in self._found(sql.URLS_TAKEN, [self._corpus.pk]):
            self.refuse(place, broken_contract(url, f"analysis {other} has the same canonical URL", place))
        if policy.on_existing == "refuse":
            for place, found, url in self._found(sql.KNOWN):
                self.refuse(place, _exists(place, found, url))

    def _refuse_parts(self, policy: SavePolicy) -> None:
        for place, found, first in self._found(sql.CHUNKS_TWICE):
            self.refuse(
                place, _invalid(place, "chunks", f"the id {found}, which {first} has too", "each id once")
            )
        for place, found, other in self._found(sql.CHUNKS_ELSEWHERE):
            self.refuse(
                place,
                _invalid(place, "chunks", f"the id {found}, a chunk of analysis {other}", "ids of its own"),
            )
        for place, found, first in self._found(sql.ARTIFACTS_TWICE):
            text = f"{found}, which {first} has too"
            self.refuse(place, _invalid(place, "artifact.id", text, "each id once"))
        for place, found, other in self._found(sql.ARTIFACTS_ELSEWHERE):
            text = f"{found}, the artifact of analysis {other}"
            self.refuse(place, _invalid(place, "artifact.id", text, "an id of its own"))
        if "chunks" in policy.parts and not policy.keep_chunks:
            for place, found, query in self._found(sql.EXPECTED_CHUNKS_GONE):
                self.refuse(place, _expected(place, found, query))

    def _found(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[str, Any, Any]]:
        """Return the first rows (place, found, other) of a question for what is wrong, and count all of them."""
        with binary_cursor() as cursor:
            cursor.execute(statement + sql.FIRST, parameters or None)  # type: ignore[arg-type]
            rows = cursor.fetchall()
        if rows:
            self._refusals.count += rows[0][3] - len(rows)
        return [row[:3] for row in rows]

    def _skip_known(self) -> int:
        for table in ("finding", "chunk", "artifact"):
            self._run(sql.SKIP_PARTS.format(table=table))
        return self._run(sql.SKIP_ANALYSES)

    def _write(self, policy: SavePolicy, skipped: int) -> SavedCounts:
        known = self._count("SELECT count(*) FROM golden_new_analysis WHERE is_known")
        chunks = [0, 0, 0]
        if known and not policy.keep_source:
            self._run(sql.UPDATE_ANALYSES)
        added = self._run(sql.ADD_ANALYSES, [self._corpus.pk, now()])
        if "findings" in policy.parts:
            for statement in sql.FINDINGS_OF_KNOWN if known else ():
                self._count(statement)
            self._count(sql.ADD_FINDINGS)
        if "chunks" in policy.parts:
            if policy.keep_chunks:
                self._run(sql.KEEP_INDEXES)
                self._run(sql.NEXT_INDEXES)
            elif known:
                chunks[2] = self._count(sql.REMOVE_CHUNKS)
            chunks[1] = self._count(sql.UPDATE_CHUNKS) if known else 0
            chunks[0] = self._count(sql.ADD_CHUNKS)
        if "artifact" in policy.parts:
            for statement in sql.ARTIFACTS_OF_KNOWN if known else ():
                self._count(statement)
            self._count(sql.ADD_ARTIFACTS)
        updated = self._count("SELECT count(*) FROM golden_new_analysis WHERE is_known AND is_changed")
        return SavedCounts(added, updated, known - updated, skipped, *chunks)


def broken_contract(url: str, reason: str, place: str = "") -> UrlContractBroken:
    """Return the error that tells why `url` cannot be the address of a source."""
    at = f"{place}: " if place else ""
    return UrlContractBroken(
        f"{at}the URL “{url:.200}” breaks the contract: {reason}.",
        hint="Store the real canonical address of the source.",
        url=url,
        reason=reason,
    )


def _check_has_text(chunk: ChunkDraft, place: str, number: int) -> None:
    if not chunk.content.strip():
        raise _invalid(place, f"chunks[{number}].content", "no text", "a chunk that can be found")


def _invalid(place: str, field: str, found: str, expected: str) -> InvalidAnalysis:
    at = ", ".join(part for part in (place, field) if part)
    return InvalidAnalysis(
        f"{at}: found {found}, expected {expected}.", place=place, field=field, found=found, expected=expected
    )


def _exists(place: str, found: uuid.UUID, url: str) -> AnalysisExists:
    at = f"{place}: " if place else ""
    return AnalysisExists(
        f"{at}analysis {found} of {url} is there already.",
        hint="Update it, or skip what is there.",
        id=str(found),
        url=url,
    )


def _expected(place: str, chunk_id: uuid.UUID, query: str) -> ExpectedByQueries:
    at = f"{place}: " if place else ""
    return ExpectedByQueries(
        f"{at}chunk {chunk_id} would be gone, but the test query “{query:.100}” expects it.",
        hint="Change the test queries first.",
        chunk=str(chunk_id),
        query=query,
    )
