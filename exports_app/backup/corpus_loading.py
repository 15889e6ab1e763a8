"""The corpus of a backup into the tables: analyses batch by batch, with lifted guards, in the restore's transaction.

Into a database that holds data, corpora are matched by id, then by name; analyses and test queries by id. One that is
there is left or replaced as a whole, with its history; evaluation runs come only with a corpus that was not there.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import orjson
import psycopg
from psycopg.types.json import Jsonb

from datasets_app.domain.url_contract import same_source_as
from datasets_app.services.corpus.corpora import default_corpus
from datasets_app.services.corpus.drafts import AnalysisDraft
from datasets_app.services.corpus.url_rules import contract_columns
from exports_app.backup.analyses import exact_artifact
from exports_app.backup.census import parsed_document
from exports_app.backup.clearing import delete_analyses, delete_queries
from exports_app.backup.opened import Backup, loaded_document
from exports_app.errors import RestoreConflict
from goldenproject.kit.database_io import copy_rows

_BATCH = 500
_BATCH_BYTES = 8 << 20
_IDS_AT_ONCE = 10_000
_ANALYSIS = (
    "COPY datasets_app_analysis (id, corpus_id, url, canonical_url, url_violation, content_type, status, created_at) "
    "FROM STDIN (FORMAT BINARY)",
    ("uuid", "uuid", "text", "text", "text", "varchar", "varchar", "timestamptz"),
)
_FINDING = (
    "COPY datasets_app_finding (id, analysis_id, position, agent, category, content, confidence) "
    "FROM STDIN (FORMAT BINARY)",
    ("uuid", "uuid", "int4", "varchar", "varchar", "text", "float8"),
)
_CHUNK = (
    "COPY datasets_app_chunk (id, analysis_id, content, section_title, section_path, content_type, chunk_index) "
    "FROM STDIN (FORMAT BINARY)",
    ("uuid", "uuid", "text", "text", "text", "varchar", "int4"),
)
_ARTIFACT = (
    "COPY datasets_app_artifact (id, analysis_id, summary, key_findings, metadata) FROM STDIN (FORMAT BINARY)",
    ("uuid", "uuid", "text", "jsonb", "jsonb"),
)
_DETAILS = (
    "CREATE TEMP TABLE golden_detail ON COMMIT DROP AS SELECT r.* FROM golden_stage s CROSS JOIN LATERAL "
    "json_to_record(s.doc) AS r (id uuid, corpus_id uuid, url_violation text, finding_ids uuid[], "
    "finding_positions int[])"
)


@dataclass(frozen=True)
class _Detail:
    """What format 1.0 has no place for: the corpus, and the ids and places of the findings."""

    corpus: uuid.UUID
    violation: str = ""
    finding_ids: Sequence[uuid.UUID] = ()
    positions: Sequence[int] = ()


@dataclass
class CorpusChoice:
    """What becomes of what is there already: "error", "skip" or "update"; nothing is there in a whole restore."""

    whole: bool
    on_conflict: str = "error"
    analyses: dict[str, int] = field(default_factory=lambda: {"add": 0, "update": 0, "skip": 0})
    queries: dict[str, int] = field(default_factory=lambda: {"add": 0, "update": 0, "skip": 0})
    findings: list[str] = field(default_factory=list)


class CorpusLoader:
    """Loads corpora, analyses and what hangs on them; `stage(name)` brings the lines of a section into golden_stage."""

    def __init__(
        self,
        cursor: psycopg.Cursor[Any],
        backup: Backup,
        choice: CorpusChoice,
        stage: Callable[[str], None],
        step: Callable[[int], None],
    ) -> None:
        self._cursor, self._backup, self._choice = cursor, backup, choice
        self._stage, self._step = stage, step
        self._corpora: dict[uuid.UUID, uuid.UUID] = {}
        self._default: uuid.UUID | None = None
        self._left: set[uuid.UUID] = set()

    def prepare(self) -> None:
        """Find out what is there already, before anything of the corpus is loaded. Raises RestoreConflict."""
        self._cursor.execute(
            "CREATE TEMP TABLE golden_corpus (old uuid PRIMARY KEY, new uuid) ON COMMIT DROP"
        )
        for name in ("analysis", "query"):
            self._cursor.execute(
                f"CREATE TEMP TABLE golden_added_{name} (id uuid PRIMARY KEY) ON COMMIT DROP"
            )
        if not self._choice.whole:
            self._match_corpora()
            self._settle_analyses()
        self._settle_queries()

    def _match_corpora(self) -> None:
        self._stage("corpora")
        self._cursor.execute(
            "INSERT INTO golden_corpus SELECT (s.doc->>'id')::uuid, coalesce(i.id, n.id) FROM golden_stage s "
            "LEFT JOIN datasets_app_corpus i ON i.id = (s.doc->>'id')::uuid "
            "LEFT JOIN datasets_app_corpus n ON n.name = s.doc->>'name' WHERE coalesce(i.id, n.id) IS NOT NULL"
        )
        self._cursor.execute("SELECT old, new FROM golden_corpus")
        self._corpora = dict(self._cursor.fetchall())

    def _settle_analyses(self) -> None:
        known = list(known_ids(self._cursor, "datasets_app_analysis", self._backup.analysis_ids()))
        if known and self._choice.on_conflict == "error":
            raise there_already("analysis", "analyses", known)
        if self._choice.on_conflict == "update":
            delete_analyses(self._cursor, known)
        else:
            self._left = set(known)
        self._choice.analyses["skip" if self._left else "update"] = len(known)

    def _settle_queries(self) -> None:
        self._stage("test_queries")
        self._cursor.execute(
            "INSERT INTO golden_added_query SELECT (doc->>'id')::uuid FROM golden_stage RETURNING id"
        )
        count = self._cursor.rowcount
        known: list[uuid.UUID] = []
        if not self._choice.whole:
            self._cursor.execute(
                "SELECT id FROM datasets_app_testquery WHERE id IN (SELECT id FROM golden_added_query)"
            )
            known = [row[0] for row in self._cursor.fetchall()]
        if known and self._choice.on_conflict == "error":
            raise there_already("test query", "test queries", known)
        if known and self._choice.on_conflict == "update":
            delete_queries(self._cursor, known)
        elif known:
            self._cursor.execute("DELETE FROM golden_added_query WHERE id = ANY(%s)", [known])
        self._choice.queries["update" if self._choice.on_conflict == "update" else "skip"] = len(known)
        self._choice.queries["add"] = count - len(known)

    # analyses -----------------------------------------------------------------------------------------------------

    def load_analyses(self) -> dict[str, int]:
        """Load every analysis that is to come in, with its findings, chunks and artifact; return the rows by kind."""
        self._stage("analysis_details")
        self._cursor.execute(_DETAILS)
        self._cursor.execute("CREATE UNIQUE INDEX ON golden_detail (id)")
        self._cursor.execute("ANALYZE golden_detail")
        counts = {"analyses": 0, "findings": 0, "chunks": 0, "artifacts": 0}
        for records in _batched_records(self._backup.records()):
            found = [(_parsed(record), record) for record in records]
            wanted = [(draft, record) for draft, record in found if draft.id not in self._left]
            if wanted:
                self._load_batch(wanted, counts)
            self._step(len(records))
        self._choice.analyses["add"] = counts["analyses"] - self._choice.analyses["update"]
        self._mark_changed()
        return counts

    def _load_batch(self, found: list[tuple[AnalysisDraft, bytes]], counts: dict[str, int]) -> None:
        drafts = [draft for draft, _ in found]
        details = self._details(drafts)
        urls = self._urls(drafts, details)
        if not self._choice.whole:
            self._refuse_taken("chunk", [c.id for d in drafts for c in d.chunks])
            self._refuse_taken("artifact", [d.artifact.id for d in drafts if d.artifact])
        counts["analyses"] += copy_rows(
            _ANALYSIS[0],
            (
                (d.id, details[d.id].corpus, d.url, *urls[d.id], d.content_type, d.status, d.created_at)
                for d in drafts
            ),
            _ANALYSIS[1],
        )
        self._cursor.execute(
            "INSERT INTO golden_added_analysis SELECT unnest(%s::uuid[])", [[d.id for d in drafts]]
        )
        counts["findings"] += copy_rows(_FINDING[0], _finding_rows(drafts, details), _FINDING[1])
        counts["chunks"] += copy_rows(_CHUNK[0], _chunk_rows(drafts), _CHUNK[1])
        counts["artifacts"] += copy_rows(_ARTIFACT[0], _artifact_rows(found), _ARTIFACT[1])

    def _details(self, drafts: Sequence[AnalysisDraft]) -> dict[Any, _Detail]:
        self._cursor.execute(
            "SELECT id, corpus_id, url_violation, finding_ids, finding_positions FROM golden_detail WHERE id = ANY(%s)",
            [[draft.id for draft in drafts]],
        )
        found: dict[Any, _Detail] = {
            pk: _Detail(self._corpora.get(corpus, corpus), violation, ids, positions)
            for pk, corpus, violation, ids, positions in self._cursor.fetchall()
        }
        for draft in drafts:
            if draft.id not in found:
                found[draft.id] = _Detail(self._default_corpus())
        return found

    def _default_corpus(self) -> uuid.UUID:
        if self._default is None:
            self._default = default_corpus().pk
        return self._default

    def _urls(
        self, drafts: Sequence[AnalysisDraft], details: dict[Any, _Detail]
    ) -> dict[Any, tuple[str, str]]:
        """Return (canonical_url, url_violation) of each.

        Whoever claims a URL that is taken breaks the contract. Of two that claim one, the backup knows which it is.
        """
        made = {draft.id: contract_columns(draft.url) for draft in drafts}
        self._cursor.execute(
            "SELECT corpus_id, canonical_url, id, id IN (SELECT id FROM golden_added_analysis) "
            "FROM datasets_app_analysis WHERE url_violation = '' AND corpus_id = ANY(%s) AND canonical_url = ANY(%s)",
            [list({detail.corpus for detail in details.values()}), [url for url, _ in made.values()]],
        )
        rows = self._cursor.fetchall()
        taken = {(corpus, url): pk for corpus, url, pk, _ in rows}
        here = {pk for _, _, pk, is_added in rows if not is_added}
        for draft in drafts:
            url, violation = made[draft.id]
            if violation or details[draft.id].violation:
                made[draft.id] = (url, violation or details[draft.id].violation)
                continue
            owner = taken.setdefault((details[draft.id].corpus, url), draft.id)
            if owner != draft.id:
                made[draft.id] = (url, same_source_as(owner))
                if owner in here:  # the backup itself was looked at before
                    self._choice.findings.append(
                        f"analysis {draft.id}: the URL {draft.url} breaks the contract: {made[draft.id][1]}"
                    )
        return made

    def _refuse_taken(self, kind: str, ids: Iterable[Any]) -> None:
        self._cursor.execute(
            f"SELECT id, analysis_id FROM datasets_app_{kind} WHERE id = ANY(%s::uuid[]) LIMIT 1", [list(ids)]
        )
        row = self._cursor.fetchone()
        if row is not None:
            raise RestoreConflict(
                f"The database holds {kind} {row[0]} already, in analysis {row[1]}, which the backup does not replace; "
                "nothing was changed.",
                hint="Delete that analysis first, or restore with --replace.",
            )

    # afterwards ---------------------------------------------------------------------------------------------------

    def _mark_changed(self) -> None:
        """Let the lexical index look at every chunk that came in: the triggers that mark them are off."""
        self._cursor.execute(
            "INSERT INTO datasets_app_changedchunk (corpus_id, chunk_id) SELECT a.corpus_id, c.id "
            "FROM golden_added_analysis n JOIN datasets_app_analysis a ON a.id = n.id "
            "JOIN datasets_app_chunk c ON c.analysis_id = a.id"
        )

    def refuse_lost_expectations(self) -> None:
        """Raise RestoreConflict when a test query here expects a chunk that the backup's analysis no longer has."""
        if self._choice.whole:
            return
        self._cursor.execute(
            "SELECT e.query_id, e.chunk_id FROM datasets_app_expectedchunk e "
            "WHERE NOT EXISTS (SELECT 1 FROM datasets_app_chunk c WHERE c.id = e.chunk_id) LIMIT 1"
        )
        row = self._cursor.fetchone()
        if row is not None:
            raise RestoreConflict(
                f"Test query {row[0]} expects chunk {row[1]}, which the backup's analysis does not have; "
                "nothing was changed.",
                hint="Change what the query expects, or restore with --replace.",
            )


def condition(section: str, *, whole: bool) -> str:
    """Return which records (r) of a section of the corpus come in, as SQL."""
    if section == "expected_chunks":
        return (
            " WHERE r.query_id IN (SELECT id FROM golden_added_query) "
            "AND EXISTS (SELECT 1 FROM datasets_app_chunk c WHERE c.id = r.chunk_id)"
        )
    if section == "source_checks":
        return " WHERE r.analysis_id IN (SELECT id FROM golden_added_analysis)"
    return "" if whole else _ADDITIVE[section]


_ADDED_CORPUS = " WHERE r.{} NOT IN (SELECT old FROM golden_corpus)"
_ADDED_ANALYSIS = " WHERE r.{} IN (SELECT id FROM golden_added_analysis)"
_ADDED_QUERY = " WHERE r.{} IN (SELECT id FROM golden_added_query)"
_ADDITIVE = {
    "corpora": _ADDED_CORPUS.format("id"),
    "history_corpora": _ADDED_CORPUS.format("id"),
    "retrieval_runs": _ADDED_CORPUS.format("corpus_id"),
    # runs are loaded before their results, with shifted numbers
    "retrieval_results": " WHERE EXISTS (SELECT 1 FROM datasets_app_retrievalrun k WHERE k.id = r.run_id + {offset})",
    "history_analyses": _ADDED_ANALYSIS.format("id"),
    "history_findings": _ADDED_ANALYSIS.format("analysis_id"),
    "history_chunks": _ADDED_ANALYSIS.format("analysis_id"),
    "history_artifacts": _ADDED_ANALYSIS.format("analysis_id"),
    "test_queries": _ADDED_QUERY.format("id"),
    "history_test_queries": _ADDED_QUERY.format("id"),
    "history_expected_chunks": _ADDED_QUERY.format("query_id"),
}


def known_ids(cursor: psycopg.Cursor[Any], table: str, ids: Iterable[uuid.UUID]) -> Iterator[uuid.UUID]:
    """Yield those of `ids` that `table` holds."""
    for some in _batched(ids, _IDS_AT_ONCE):
        cursor.execute(f"SELECT id FROM {table} WHERE id = ANY(%s)", [list(some)])
        yield from (row[0] for row in cursor.fetchall())


def there_already(kind: str, kinds: str, ids: Sequence[uuid.UUID]) -> RestoreConflict:
    told = f"{kind} {ids[0]}" if len(ids) == 1 else f"{len(ids)} {kinds}, among them {ids[0]},"
    return RestoreConflict(
        f"The database holds {told} already; nothing was changed.",
        hint="--on-conflict skip leaves what is there, --on-conflict update puts the backup's in its place, "
        "--replace replaces the whole database.",
    )


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def _batched_records(records: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield analyses in lists that are neither long nor large: one of them may be a whole book."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record)
        if len(batch) >= _BATCH or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _parsed(record: bytes) -> AnalysisDraft:
    return parsed_document(loaded_document(record), "analysis")


def _finding_rows(drafts: Sequence[AnalysisDraft], details: dict[Any, _Detail]) -> Iterator[tuple[Any, ...]]:
    for draft in drafts:
        assert draft.id is not None
        detail = details[draft.id]
        exact = len(detail.finding_ids) == len(detail.positions) == len(draft.findings)
        for number, finding in enumerate(draft.findings):
            pk = detail.finding_ids[number] if exact else uuid.uuid5(draft.id, f"finding {number}")
            yield (
                pk,
                draft.id,
                detail.positions[number] if exact else number,
                finding.agent,
                finding.category,
                finding.content,
                float(finding.confidence),
            )


def _chunk_rows(drafts: Sequence[AnalysisDraft]) -> Iterator[tuple[Any, ...]]:
    for draft in drafts:
        for c in draft.chunks:
            yield c.id, draft.id, c.content, c.section_title, c.section_path, c.content_type, c.chunk_index


def _artifact_rows(found: Sequence[tuple[AnalysisDraft, bytes]]) -> Iterator[tuple[Any, ...]]:
    for draft, record in found:
        artifact = exact_artifact(record)
        if artifact is None or draft.artifact is None:
            continue
        key_findings, metadata = artifact["key_findings"], artifact["metadata"]
        yield (
            draft.artifact.id,
            draft.id,
            draft.artifact.summary,
            Jsonb([] if key_findings is None else key_findings, orjson.dumps),
            Jsonb({} if metadata is None else metadata, orjson.dumps),
        )
