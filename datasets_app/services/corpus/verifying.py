"""Prove that the corpus is whole: URLs keep the contract, references lead somewhere, texts have vectors, history is true.

A run that gets the `covered` of the last good one looks at what changed since, told by the ids of history rows, and at
what has no history (vectors). `deep`, or no `since`, reads everything, as sets or streams, in flat memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import models, transaction

from datasets_app.domain.url_contract import canonical_url, same_source_as, violation
from datasets_app.models import (
    Analysis,
    Artifact,
    Chunk,
    Corpus,
    EmbeddingModel,
    ExpectedChunk,
    Finding,
    TestQuery,
)
from datasets_app.services.corpus.url_rules import rules_digest, url_rules
from goldenproject.kit.database_io import binary_cursor, stream

MAX_NAMED = 20
VECTORS_WITHOUT_INDEX = 10_000
"""Up to so many vectors a search compares with all; beyond, the current model should have its HNSW index."""

_AUDITED: tuple[type[models.Model], ...] = (
    Corpus,
    Analysis,
    Finding,
    Chunk,
    Artifact,
    TestQuery,
    ExpectedChunk,
)


@dataclass
class CorpusFindings:
    """`covered` is what to give as `since` to the next run, when this one found no errors. Plain JSON."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stats: dict[str, int] = field(default_factory=dict)
    covered: dict[str, Any] = field(default_factory=dict)

    def add_errors(self, kind: str, names: list[str], count: int | None = None) -> None:
        """Add an error for each of the first 20 names, and of many how many more there are."""
        _add(self.errors, kind, names, count)

    def add_warnings(self, kind: str, names: list[str], count: int | None = None) -> None:
        _add(self.warnings, kind, names, count)


def _add(to: list[str], kind: str, names: list[str], count: int | None) -> None:
    to += [f"{kind}: {name}" for name in names[:MAX_NAMED]]
    more = (len(names) if count is None else count) - min(len(names), MAX_NAMED)
    if more > 0:
        to.append(f"… and {more} more of the kind “{kind}”")


def verify_corpus(*, deep: bool = False, since: dict[str, Any] | None = None) -> CorpusFindings:
    """Check every corpus of the database. Writes nothing.

    `since` is the `covered` of the last run without errors; only what changed since is looked at then. After a restore
    give None: a restore puts history back, so its ids tell nothing of what was written.
    """
    found = CorpusFindings()
    last = since or {}
    before = {name: int(mark) for name, mark in (last.get("history") or {}).items()}
    with transaction.atomic():
        writers, newest = _newest()
        # ids that went back tell that history itself was replaced
        whole = deep or any(before.get(name, -1) > mark for name, mark in newest.items()) or not before
        if writers:
            covered = {name: min(before.get(name, 0), mark) for name, mark in newest.items()}
        else:
            covered = newest
        found.covered = {"history": covered, "rules": rules_digest()}
        same_rules = last.get("rules") == found.covered["rules"]
        vectors = _vectors()
        if not whole and same_rules and newest == before and last.get("vectors") == vectors:
            found.stats, found.warnings = dict(last["stats"]), list(last["warnings"])
        else:
            marks = {} if whole else {name: before.get(name, 0) for name in newest}
            changed = {name: mark for name, mark in marks.items() if newest[name] > mark}
            _count(found)
            _check_urls(found, since=marks.get("analysis") if same_rules else None)
            if whole:
                _check_all_references(found)
            elif changed:
                _check_changed_references(found, marks)
            _check_texts(found)
            _check_queries(found)
            _check_history(found, changed, everything=deep)
            _check_embeddings(found)
        if not found.errors:
            found.covered |= {"vectors": vectors, "stats": found.stats, "warnings": list(found.warnings)}
        _check_index(found, vectors)
    return found


# --- what is covered ------------------------------------------------------------------------------------------------
def _table(model: type[models.Model]) -> str:
    return model._meta.db_table


def _history(model: type[models.Model]) -> str:
    return str(model.history.model._meta.db_table)  # type: ignore[attr-defined]


# A transaction that wrote history and is still open holds ids below the greatest one seen: these must not count as
# covered. So the marks move only when no other transaction of this database was writing in the snapshot that read them.
_WRITERS = """
    SELECT count(*) FROM pg_snapshot_xip(pg_current_snapshot()) x
      LEFT JOIN pg_stat_activity a ON a.backend_xid = x::xid
     WHERE a.datname IS NULL OR a.datname = current_database()
"""


def _newest() -> tuple[int, dict[str, int]]:
    """Return how many others are writing, and the newest id of each history."""
    names = [model._meta.model_name or "" for model in _AUDITED]
    newest = [f"(SELECT coalesce(max(history_id), 0) FROM {_history(model)})" for model in _AUDITED]
    # runs are append-only: their results are looked at once
    newest.append("(SELECT coalesce(max(id), 0) FROM datasets_app_retrievalrun)")
    writers, *marks = _row(f"SELECT ({_WRITERS}), {', '.join(newest)}")
    return writers, dict(zip([*names, "retrievalrun"], marks, strict=True))


def _row(sql: str, parameters: list[Any] | None = None) -> tuple[Any, ...]:
    with binary_cursor() as cursor:
        cursor.execute(sql, parameters or [])  # type: ignore[arg-type]
        return cursor.fetchone() or ()


def _names(sql: str, parameters: list[Any] | None = None) -> tuple[list[str], int]:
    """Run a query whose rows are (name, how many rows in all); return the names and that count."""
    with binary_cursor() as cursor:
        cursor.execute(sql, parameters or [])  # type: ignore[arg-type]
        rows = cursor.fetchall()
    return [str(row[0]) for row in rows], int(rows[0][1]) if rows else 0


def _first(inner: str) -> str:
    """Ask for the first names of a query and for the count of all."""
    return f"SELECT name, count(*) OVER () FROM ({inner}) broken (name) ORDER BY 1 LIMIT {MAX_NAMED}"


# --- counts ---------------------------------------------------------------------------------------------------------
_COUNTS = """
    WITH status AS (SELECT status, count(*) AS n FROM datasets_app_analysis GROUP BY status)
    SELECT coalesce((SELECT n FROM status WHERE status = 'completed'), 0),
           coalesce((SELECT n FROM status WHERE status = 'pending'), 0),
           coalesce((SELECT n FROM status WHERE status = 'failed'), 0),
           (SELECT count(*) FROM datasets_app_artifact t JOIN datasets_app_analysis a ON a.id = t.analysis_id
             WHERE a.status = 'completed'),
           (SELECT count(*) FROM datasets_app_finding f JOIN datasets_app_analysis a ON a.id = f.analysis_id
             WHERE a.status = 'completed'),
           (SELECT count(*) FROM datasets_app_testquery)
"""


def _count(found: CorpusFindings) -> None:
    names = ("analyses", "analyses_pending", "analyses_failed", "artifacts", "findings", "queries")
    found.stats.update(zip(names, _row(_COUNTS), strict=True))


# --- URLs -----------------------------------------------------------------------------------------------------------
_URLS = "SELECT a.id, a.corpus_id, a.url, a.canonical_url, a.url_violation FROM datasets_app_analysis a"
_CHANGED_URLS = f"""
    {_URLS} WHERE a.url_violation <> '' OR a.id IN (
        SELECT h.id FROM datasets_app_historicalanalysis h WHERE h.history_id > %s)
"""
_OTHERS = """
    SELECT a.id, min(o.id::text) FROM datasets_app_analysis a
      JOIN datasets_app_analysis o
        ON o.corpus_id = a.corpus_id AND o.canonical_url = a.canonical_url AND o.id <> a.id
     WHERE a.id = ANY (%s) GROUP BY a.id
"""
# both say that they keep the contract: only a database that lost its unique index holds such
_TWINS = _first("""
    SELECT min(id::text) || ' and ' || max(id::text) || ': ' || canonical_url FROM datasets_app_analysis
     WHERE url_violation = '' GROUP BY corpus_id, canonical_url HAVING count(*) > 1
""")


def _check_urls(found: CorpusFindings, *, since: int | None) -> None:
    """Compute the contract again, of all URLs or of those that changed since and those that are known to break it."""
    broken, wrong = _Named(), _Named()
    sql, parameters = (_URLS, []) if since is None else (_CHANGED_URLS, [since])
    rules = url_rules()
    for rows in stream(sql, parameters):
        doubtful = {}
        for pk, _, url, canonical, stored in rows:
            reason = violation(url, rules)
            if canonical != canonical_url(url):
                wrong.add(f"{pk} ({url}): {canonical}, expected {canonical_url(url)}")
            if reason:
                broken.add(f"analysis {pk} ({url}): {reason}")
            elif stored:
                doubtful[pk] = (url, stored)
        others = _others(list(doubtful))
        for pk, (url, stored) in doubtful.items():
            if pk in others:
                broken.add(f"analysis {pk} ({url}): {same_source_as(others[pk])}")
            else:
                wrong.add(f"{pk} ({url}): “{stored}”, but it keeps the contract")
    found.add_errors("URL breaks the contract", broken.names, broken.count)
    found.add_errors("URL columns are not what is computed", wrong.names, wrong.count)
    if since is None:
        found.add_errors("URL breaks the contract: one source twice", *_names(_TWINS))


class _Named:
    """The first names of a kind, and how many there are: errors of a million rows take no memory."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.count = 0

    def add(self, name: str) -> None:
        self.count += 1
        if self.count <= MAX_NAMED:
            self.names.append(name)


def _others(ids: list[Any]) -> dict[Any, str]:
    if not ids:
        return {}
    with binary_cursor() as cursor:
        cursor.execute(_OTHERS, [ids])
        return dict(cursor.fetchall())


# --- references -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Reference:
    """A column that must name a row; the foreign key holds it, unless something lifted it."""

    child: type[models.Model]
    column: str
    parent: type[models.Model]
    what: str
    is_warning: bool = False


_REFERENCES = (
    _Reference(Analysis, "corpus_id", Corpus, "analysis without its corpus"),
    _Reference(TestQuery, "corpus_id", Corpus, "test query without its corpus"),
    _Reference(Finding, "analysis_id", Analysis, "finding without its analysis"),
    _Reference(Chunk, "analysis_id", Analysis, "orphaned chunk: its analysis is missing", is_warning=True),
    _Reference(Artifact, "analysis_id", Analysis, "artifact without its analysis"),
    _Reference(ExpectedChunk, "query_id", TestQuery, "expected chunk without its test query"),
    _Reference(ExpectedChunk, "chunk_id", Chunk, "expected chunk that does not exist"),
)
_WITHOUT_RUN = _first("""
    SELECT DISTINCT r.run_id::text FROM datasets_app_retrievalresult r
     WHERE r.run_id > %s AND NOT EXISTS (SELECT 1 FROM datasets_app_retrievalrun n WHERE n.id = r.run_id)
""")


def _check_all_references(found: CorpusFindings) -> None:
    for ref in _REFERENCES:
        sql = _first(
            f"SELECT c.id::text || ' → ' || c.{ref.column} FROM {_table(ref.child)} c WHERE NOT EXISTS "
            f"(SELECT 1 FROM {_table(ref.parent)} p WHERE p.id = c.{ref.column})"
        )
        _tell_reference(found, ref, *_names(sql))
    found.add_errors("retrieval results of a missing run", *_names(_WITHOUT_RUN, [-1]))


def _check_changed_references(found: CorpusFindings, marks: dict[str, int]) -> None:
    """Look at the rows that were written since, and at those that name a row that was removed since."""
    for ref in _REFERENCES:
        child, parent = (marks[model._meta.model_name or ""] for model in (ref.child, ref.parent))
        sql = _first(
            f"SELECT c.id::text || ' → ' || c.{ref.column} FROM {_table(ref.child)} c WHERE NOT EXISTS "
            f"(SELECT 1 FROM {_table(ref.parent)} p WHERE p.id = c.{ref.column}) AND ("
            f"c.id IN (SELECT h.id FROM {_history(ref.child)} h WHERE h.history_id > %s) OR c.{ref.column} IN "
            f"(SELECT h.id FROM {_history(ref.parent)} h WHERE h.history_id > %s AND h.history_type = '-'))"
        )
        _tell_reference(found, ref, *_names(sql, [child, parent]))
    found.add_errors("retrieval results of a missing run", *_names(_WITHOUT_RUN, [marks["retrievalrun"]]))


def _tell_reference(found: CorpusFindings, ref: _Reference, names: list[str], count: int) -> None:
    (found.add_warnings if ref.is_warning else found.add_errors)(ref.what, names, count)


_WITHOUT_EXPECTED = _first("""
    SELECT q.id::text || ' (' || left(q.text, 80) || ')' FROM datasets_app_testquery q
     WHERE NOT EXISTS (SELECT 1 FROM datasets_app_expectedchunk e WHERE e.query_id = q.id)
""")


# the first characters decide of nearly all, so long texts are not unpacked
_WITHOUT_TEXT = _first(r"""
    SELECT c.id::text FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
     WHERE a.status = 'completed' AND left(c.content, 200) !~ '\S' AND c.content !~ '\S'
""")


def _check_texts(found: CorpusFindings) -> None:
    found.add_warnings("chunk without text", *_names(_WITHOUT_TEXT))


def _check_queries(found: CorpusFindings) -> None:
    found.add_warnings("test query without expected chunks", *_names(_WITHOUT_EXPECTED))


# --- history --------------------------------------------------------------------------------------------------------
def _check_history(found: CorpusFindings, changed: dict[str, int], *, everything: bool) -> None:
    """The last history row of a row equals it; with `everything`, each row that is gone says so in its last one."""
    for model in _AUDITED:
        name = model._meta.model_name or ""
        if everything:
            found.add_errors(f"{name} differs from its last history", *_names(_unrecorded(model)))
            found.add_errors(f"{name} is gone, unrecorded", *_names(_unrecorded_removals(model)))
        elif name in changed:
            found.add_errors(
                f"{name} differs from its last history", *_names(_unrecorded(model, "> %s"), [changed[name]])
            )


def _unrecorded(model: type[models.Model], newer: str = "") -> str:
    """SQL that names rows whose last history row differs or is missing.

    Expected plan: one pass over history to find the last of each row, then joins of sets. It must not hang on statistics,
    which a history that was just loaded has not yet: a look-up for each row may then walk all of history each time.
    """
    kept = {f.name for f in model.history.model._meta.concrete_fields}  # type: ignore[attr-defined]
    columns = [f.column for f in model._meta.concrete_fields if f.name in kept]
    mine, recorded = (", ".join(f"{alias}.{column}" for column in columns) for alias in "th")
    changed, condition = "", ""
    if newer:
        changed = f"WITH changed AS (SELECT DISTINCT id FROM {_history(model)} WHERE history_id {newer}) "
        condition = "WHERE id IN (SELECT id FROM changed)"
    return _first(
        f"{changed}SELECT t.id::text FROM (SELECT * FROM {_table(model)} {condition}) t "
        f"LEFT JOIN ({_last_of_each(model, condition)}) last ON last.id = t.id "
        f"LEFT JOIN {_history(model)} h ON h.history_id = last.history_id "
        f"WHERE h.id IS NULL OR h.history_type = '-' OR ({mine}) IS DISTINCT FROM ({recorded})"
    )


def _unrecorded_removals(model: type[models.Model]) -> str:
    return _first(
        f"SELECT h.id::text FROM ({_last_of_each(model)}) last "
        f"JOIN {_history(model)} h ON h.history_id = last.history_id WHERE h.history_type <> '-' "
        f"AND NOT EXISTS (SELECT 1 FROM {_table(model)} t WHERE t.id = h.id)"
    )


def _last_of_each(model: type[models.Model], condition: str = "") -> str:
    return f"SELECT id, max(history_id) AS history_id FROM {_history(model)} {condition} GROUP BY id"


# --- vectors --------------------------------------------------------------------------------------------------------
_CHUNK_COUNTS = """
    SELECT count(*) FILTER (WHERE a.status = 'completed'), count(*) FILTER (WHERE a.status <> 'completed')
      FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
"""
# One pass over both: chunks with and without a vector, and vectors that no chunk asks for.
_COVERAGE = """
    SELECT count(*) FILTER (WHERE c.completed), count(*) FILTER (WHERE NOT c.completed),
           count(*) FILTER (WHERE c.completed AND e.content_hash IS NOT NULL),
           count(*) FILTER (WHERE c.content_hash IS NULL)
      FROM (SELECT c.content_hash, a.status = 'completed' AS completed
              FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id) c
      FULL JOIN (SELECT content_hash FROM datasets_app_embedding WHERE model_id = %(model)s) e
        ON e.content_hash = c.content_hash
"""
_WITHOUT_VECTOR = f"""
    SELECT c.id::text FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
     WHERE a.status = 'completed' AND NOT EXISTS (
           SELECT 1 FROM datasets_app_embedding e WHERE e.model_id = %s AND e.content_hash = c.content_hash)
     ORDER BY 1 LIMIT {MAX_NAMED}
"""
_INDEX = "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass(%s) AND indisvalid"


def _check_embeddings(found: CorpusFindings) -> None:
    model = EmbeddingModel.objects.filter(is_current=True).first()
    if model is None:
        found.stats["chunks"], found.stats["chunks_not_completed"] = _row(_CHUNK_COUNTS)
        found.stats["embedded"] = 0
        if found.stats["chunks"]:
            found.warnings.append("there is no current embedding model: search is lexical alone")
        return
    with binary_cursor() as cursor:
        cursor.execute(_COVERAGE, {"model": model.pk})
        chunks, others, embedded, stale = cursor.fetchone() or (0, 0, 0, 0)
    found.stats |= {"chunks": chunks, "chunks_not_completed": others, "embedded": embedded}
    if embedded < chunks:
        names = list(_column(_WITHOUT_VECTOR, [model.pk]))
        found.add_errors(f"chunk without an embedding of {model.name}", names, chunks - embedded)
    if stale:
        found.warnings.append(
            f"stale embeddings: {stale} vector{'s' if stale > 1 else ''} of {model.name} of texts that no chunk has"
        )


# Vectors have no history. Hashes are uniform, so the sum of their first three bytes tells sets of them apart.
_FINGERPRINT = """
    SELECT m.id, m.name, count(e.content_hash), coalesce(sum(get_byte(e.content_hash, 0) * 65536
           + get_byte(e.content_hash, 1) * 256 + get_byte(e.content_hash, 2)), 0)::bigint
      FROM datasets_app_embeddingmodel m LEFT JOIN datasets_app_embedding e ON e.model_id = m.id
     WHERE m.is_current GROUP BY m.id
"""


def _vectors() -> list[Any]:
    """Return [id, name, how many vectors, a fingerprint of them] of the current model; empty without one."""
    return list(_row(_FINGERPRINT))


def _check_index(found: CorpusFindings, vectors: list[Any]) -> None:
    if not vectors or vectors[2] <= VECTORS_WITHOUT_INDEX:
        return
    index = EmbeddingModel(pk=vectors[0]).index_name
    if _row(_INDEX, [index]) == (0,):
        found.warnings.append(
            f"the {vectors[2]} vectors of {vectors[1]} have no HNSW index ({index}): searches read all of them"
        )


def _column(sql: str, parameters: list[Any]) -> Iterator[str]:
    with binary_cursor() as cursor:
        cursor.execute(sql, parameters)  # type: ignore[arg-type]
        yield from (str(row[0]) for row in cursor)
