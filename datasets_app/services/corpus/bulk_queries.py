"""Test queries with their judgments into a corpus as sets: staged by COPY, checked as a whole, then written."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from datasets_app.domain.retrieval.pass_rules import checked_rule
from datasets_app.domain.strict_json import check_value
from datasets_app.errors import InvalidJson, InvalidQuery, QueryExists
from datasets_app.models import Corpus
from datasets_app.services.corpus.drafts import MAX_NAME, QueryDraft, text_trouble
from datasets_app.services.corpus.refusing import Refusals
from goldenproject.kit.clock import now, random_uuid
from goldenproject.kit.database_io import binary_cursor, copy_rows
from goldenproject.kit.errors import BadInput, GoldenError

DIFFICULTIES: Final = ("", "easy", "medium", "hard")
MAX_RELEVANCE: Final = 32767
MAX_TAG: Final = 60
FLUSH_ROWS: Final = 10_000
_ANALYZED_FROM: Final = 1_000

_CREATE: Final = (
    "DROP TABLE IF EXISTS golden_new_query",
    "DROP TABLE IF EXISTS golden_new_expected",
    """CREATE TEMP TABLE golden_new_query (line bigint, id uuid, has_id boolean, place text,
        external_id text COLLATE "C", text text, tags text[], difficulty text, category text, pass_rule text,
        created_at timestamptz, is_known boolean DEFAULT false, is_changed boolean DEFAULT false) ON COMMIT DROP""",
    """CREATE TEMP TABLE golden_new_expected (line bigint, chunk_id uuid, relevance smallint, is_there boolean
        DEFAULT false) ON COMMIT DROP""",
)
_COPIES: Final = {
    "query": (
        "COPY golden_new_query (line, id, has_id, place, external_id, text, tags, difficulty, category, pass_rule, "
        "created_at) FROM STDIN (FORMAT BINARY)",
        ["int8", "uuid", "bool", "text", "text", "text", "text[]", "text", "text", "text", "timestamptz"],
    ),
    "expected": (
        "COPY golden_new_expected (line, chunk_id, relevance) FROM STDIN (FORMAT BINARY)",
        ["int8", "uuid", "int2"],
    ),
}
_ANALYZE: Final = "ANALYZE golden_new_query, golden_new_expected"
_FIND_KNOWN: Final = """
    UPDATE golden_new_query n SET is_known = true FROM datasets_app_testquery q WHERE n.has_id AND q.id = n.id
"""
# The id from outside names the same query for life, whatever id of ours it came under.
_FIND_BY_EXTERNAL_ID: Final = """
    UPDATE golden_new_query n SET is_known = true, id = q.id
      FROM datasets_app_testquery q
     WHERE NOT n.is_known AND n.external_id <> '' AND q.corpus_id = %s AND q.external_id = n.external_id
"""
_FIND_CHUNKS: Final = """
    UPDATE golden_new_expected n SET is_there = true
      FROM datasets_app_chunk c JOIN datasets_app_analysis a ON a.id = c.analysis_id
     WHERE c.id = n.chunk_id AND a.corpus_id = %s
"""
_KEEP_LABELS: Final = """
    UPDATE golden_new_query n
       SET tags = q.tags, difficulty = q.difficulty, category = q.category, pass_rule = q.pass_rule::text
      FROM datasets_app_testquery q WHERE n.is_known AND q.id = n.id
"""
# What is wrong: place, what was found, what stands against it, how many in all, line.
_FIRST: Final = " ORDER BY 5 LIMIT 20"
_TWICE: Final = """
    SELECT place, {key}::text, first_place, count(*) OVER (), line FROM (
        SELECT n.line, n.place, n.{key}, first_value(n.place) OVER w AS first_place, row_number() OVER w AS nth
          FROM golden_new_query n WHERE {where} WINDOW w AS (PARTITION BY n.{key} ORDER BY n.line)) numbered
     WHERE nth > 1
"""
_IDS_TWICE: Final = _TWICE.format(key="id", where="n.has_id OR n.is_known")
_EXTERNAL_IDS_TWICE: Final = _TWICE.format(key="external_id", where="n.external_id <> ''")
_IDS_ELSEWHERE: Final = """
    SELECT n.place, n.id, c.name, count(*) OVER (), n.line
      FROM golden_new_query n JOIN datasets_app_testquery q ON q.id = n.id
      JOIN datasets_app_corpus c ON c.id = q.corpus_id
     WHERE n.is_known AND q.corpus_id <> %s
"""
_EXTERNAL_IDS_TAKEN: Final = """
    SELECT n.place, n.external_id, q.id, count(*) OVER (), n.line
      FROM golden_new_query n JOIN datasets_app_testquery q ON q.external_id = n.external_id
     WHERE n.external_id <> '' AND q.corpus_id = %s AND q.id <> n.id
"""
_KNOWN: Final = "SELECT place, id, text, count(*) OVER (), line FROM golden_new_query WHERE is_known"
_UNKNOWN_CHUNKS: Final = """
    SELECT n.place, e.chunk_id, '', count(*) OVER (), n.line
      FROM golden_new_expected e JOIN golden_new_query n ON n.line = e.line WHERE NOT e.is_there
"""
_FIRST_UNKNOWN: Final = """
    SELECT chunk_id FROM golden_new_expected WHERE NOT is_there GROUP BY chunk_id ORDER BY min(line), chunk_id LIMIT 20
"""
_SKIP: Final = (
    "DELETE FROM golden_new_expected e USING golden_new_query n WHERE n.line = e.line AND n.is_known",
    "DELETE FROM golden_new_query WHERE is_known",
)
_DROP_UNKNOWN: Final = "DELETE FROM golden_new_expected WHERE NOT is_there"


def _marking(change: str) -> str:
    """Count what `change` wrote, and mark the queries of it; it returns their ids."""
    return f"""
        WITH changed (query_id) AS ({change}), marked AS (
            UPDATE golden_new_query n SET is_changed = true FROM changed WHERE n.id = changed.query_id)
        SELECT count(*) FROM changed
    """


_UPDATE_QUERIES: Final = _marking("""
    UPDATE datasets_app_testquery q
       SET external_id = n.external_id, text = n.text, tags = n.tags, difficulty = n.difficulty,
           category = n.category, pass_rule = n.pass_rule::jsonb, created_at = coalesce(n.created_at, q.created_at)
      FROM golden_new_query n
     WHERE n.is_known AND q.id = n.id
       AND (q.external_id, q.text, q.tags::text[], q.difficulty, q.category, q.pass_rule, q.created_at)
           IS DISTINCT FROM (n.external_id, n.text, n.tags, n.difficulty, n.category, n.pass_rule::jsonb,
                             coalesce(n.created_at, q.created_at))
    RETURNING q.id
""")
# A microsecond apart, so that the order by created_at is the order of the file.
_ADD_QUERIES: Final = """
    INSERT INTO datasets_app_testquery
           (id, corpus_id, external_id, text, tags, difficulty, category, pass_rule, created_at)
    SELECT id, %s, external_id, text, tags, difficulty, category, pass_rule::jsonb,
           coalesce(created_at, %s + line * interval '1 microsecond')
      FROM golden_new_query WHERE NOT is_known ORDER BY line
"""
_REMOVE_EXPECTED: Final = _marking("""
    DELETE FROM datasets_app_expectedchunk e USING golden_new_query q
     WHERE q.is_known AND e.query_id = q.id AND NOT EXISTS (
           SELECT 1 FROM golden_new_expected n WHERE n.line = q.line AND n.chunk_id = e.chunk_id)
    RETURNING e.query_id
""")
_UPDATE_EXPECTED: Final = _marking("""
    UPDATE datasets_app_expectedchunk e SET relevance = n.relevance
      FROM golden_new_expected n JOIN golden_new_query q ON q.line = n.line
     WHERE q.is_known AND e.query_id = q.id AND e.chunk_id = n.chunk_id AND e.relevance <> n.relevance
    RETURNING e.query_id
""")
_ADD_EXPECTED: Final = _marking("""
    INSERT INTO datasets_app_expectedchunk (query_id, chunk_id, relevance)
    SELECT q.id, n.chunk_id, n.relevance
      FROM golden_new_expected n JOIN golden_new_query q ON q.line = n.line
     WHERE NOT q.is_known OR NOT EXISTS (
           SELECT 1 FROM datasets_app_expectedchunk e WHERE e.query_id = q.id AND e.chunk_id = n.chunk_id)
     ORDER BY n.line
    RETURNING query_id
""")
_NOTHING_EXPECTED: Final = """
    SELECT count(*) FROM golden_new_query n
     WHERE NOT EXISTS (SELECT 1 FROM golden_new_expected e WHERE e.line = n.line AND e.relevance > 0)
"""


@dataclass(frozen=True)
class SavedQueryCounts:
    """What became of the queries of a save. `without_expected` counts those that expect no relevant chunk.

    `judgments` is how many judgments the saved queries have, `unknown_chunks` how many were left out because there is
    no such chunk in the corpus.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    judgments: int = 0
    without_expected: int = 0
    unknown_chunks: int = 0


@dataclass(frozen=True)
class QueryPolicy:
    """How a save meets what is there (`on_existing`: refuse, skip, update), and chunks that are not (`drop_unknown`).

    With `keep_labels` known queries keep their tags, difficulty, category and pass rule.
    """

    on_existing: str = "refuse"
    drop_unknown: bool = False
    keep_labels: bool = False

    def __post_init__(self) -> None:
        if self.on_existing not in ("refuse", "skip", "update"):
            raise BadInput(f"on_existing is “{self.on_existing}”: expected refuse, skip or update.")


class BulkQueries:
    """Stages test queries and writes them; must live inside the transaction of its caller, who holds the corpus' lock."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._refusals = Refusals()
        self._lines = 0
        self.first_unknown: list[uuid.UUID] = []  # the first twenty chunks that `drop_unknown` did not find
        self._buffers: dict[str, list[Sequence[Any]]] = {"query": [], "expected": []}
        for statement in _CREATE:
            self._run(statement)

    def refuse(self, place: str, error: GoldenError) -> None:
        """Count something that must not be saved: `save` refuses the whole then."""
        self._refusals.add(place, error)

    def add(self, draft: QueryDraft) -> None:
        """Stage one query; what is wrong with it is told by `save`."""
        try:
            rule = checked_query(draft, draft.place)
        except BadInput as error:
            self.refuse(draft.place, error)
            return
        self._lines += 1
        query_id, has_id = draft.id or random_uuid(), draft.id is not None
        texts = (draft.external_id, draft.text, list(draft.tags), draft.difficulty, draft.category)
        stored_rule = orjson.dumps(rule).decode()
        self._put(
            "query", (self._lines, query_id, has_id, draft.place, *texts, stored_rule, draft.created_at)
        )
        for chunk_id, relevance in draft.expected.items():
            self._put("expected", (self._lines, chunk_id, relevance))

    def _put(self, table: str, row: Sequence[Any]) -> None:
        self._buffers[table].append(row)
        if len(self._buffers[table]) >= FLUSH_ROWS:
            self._send(table)

    def _send(self, table: str) -> None:
        statement, types = _COPIES[table]
        copy_rows(statement, self._buffers[table], types)
        self._buffers[table] = []

    def save(self, policy: QueryPolicy) -> SavedQueryCounts:
        """Write what was staged. Raises, with nothing written, when anything is refused: see `Refusals`."""
        for table in _COPIES:
            self._send(table)
        self._analyze()
        self._run(_FIND_KNOWN)
        self._run(_FIND_BY_EXTERNAL_ID, [self._corpus.pk])
        self._refuse_queries(policy)
        skipped = 0
        if policy.on_existing == "skip":
            skipped = [self._run(statement) for statement in _SKIP][-1]
        self._run(_FIND_CHUNKS, [self._corpus.pk])
        self._analyze()
        unknown = self._unknown_chunks(policy)
        if policy.keep_labels:
            self._run(_KEEP_LABELS)
        self._refusals.raise_any("Nothing was saved.")
        counts = self._write(skipped, unknown)
        for table in _COPIES:
            self._run(f"DROP TABLE golden_new_{table}")
        return counts

    def _unknown_chunks(self, policy: QueryPolicy) -> int:
        """Refuse or drop judgments of chunks that are not in the corpus; return how many were dropped."""
        if policy.drop_unknown:
            with binary_cursor() as cursor:
                cursor.execute(_FIRST_UNKNOWN)
                self.first_unknown = [row[0] for row in cursor.fetchall()]
            return self._run(_DROP_UNKNOWN)
        for place, found, _ in self._found(_UNKNOWN_CHUNKS):
            expected = f"chunks of corpus “{self._corpus}”"
            self.refuse(place, invalid_query(place, "expected", f"the chunk {found}", expected))
        return 0

    def _refuse_queries(self, policy: QueryPolicy) -> None:
        for place, found, first in self._found(_IDS_TWICE):
            error = invalid_query(place, "id", f"{found}, which {first} has too", "each query once")
            self.refuse(place, error)
        for place, found, first in self._found(_EXTERNAL_IDS_TWICE):
            error = invalid_query(place, "external id", f"“{found}”, which {first} has too", "each id once")
            self.refuse(place, error)
        for place, found, other in self._found(_IDS_ELSEWHERE, [self._corpus.pk]):
            self.refuse(
                place, invalid_query(place, "id", f"{found}, a query of corpus “{other}”", "an id of its own")
            )
        for place, found, other in self._found(_EXTERNAL_IDS_TAKEN, [self._corpus.pk]):
            text = f"“{found}”, which query {other} has"
            self.refuse(place, invalid_query(place, "external id", text, "an id of its own"))
        if policy.on_existing == "refuse":
            for place, found, text in self._found(_KNOWN):
                at = f"{place}: " if place else ""
                message = f"{at}query {found} (“{text:.100}”) is there already."
                self.refuse(
                    place, QueryExists(message, hint="Update it, or skip what is there.", id=str(found))
                )

    def _write(self, skipped: int, unknown: int) -> SavedQueryCounts:
        known = self._count("SELECT count(*) FROM golden_new_query WHERE is_known")
        if known:
            for statement in (_UPDATE_QUERIES, _REMOVE_EXPECTED, _UPDATE_EXPECTED):
                self._count(statement)
        added = self._run(_ADD_QUERIES, [self._corpus.pk, now()])
        self._count(_ADD_EXPECTED)
        updated = self._count("SELECT count(*) FROM golden_new_query WHERE is_known AND is_changed")
        return SavedQueryCounts(
            added=added,
            updated=updated,
            unchanged=known - updated,
            skipped=skipped,
            judgments=self._count("SELECT count(*) FROM golden_new_expected"),
            without_expected=self._count(_NOTHING_EXPECTED),
            unknown_chunks=unknown,
        )

    def _analyze(self) -> None:
        """Tell the planner how many are known now; believing them few, it would compare all with all."""
        if self._lines >= _ANALYZED_FROM:
            self._run(_ANALYZE)

    def _run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        with binary_cursor() as cursor:
            cursor.execute(statement, parameters or None)  # type: ignore[arg-type]
            return cursor.rowcount

    def _count(self, statement: str) -> int:
        with binary_cursor() as cursor:
            cursor.execute(statement)  # type: ignore[arg-type]
            return int(cursor.fetchone()[0])  # type: ignore[index]

    def _found(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[str, Any, Any]]:
        with binary_cursor() as cursor:
            cursor.execute(statement + _FIRST, parameters or None)  # type: ignore[arg-type]
            rows = cursor.fetchall()
        if rows:
            self._refusals.count += rows[0][3] - len(rows)
        return [row[:3] for row in rows]


def checked_query(draft: QueryDraft, place: str) -> dict[str, Any]:
    """Return the pass rule of `draft` as it is stored when every value can be. Raises InvalidQuery, InvalidPassRule."""
    for name, least, most in (("text", 1, 0), ("category", 0, MAX_NAME), ("external_id", 0, 0)):
        trouble = text_trouble(getattr(draft, name), least=least, most=most)
        if trouble:
            raise invalid_query(place, name, *trouble)
    if not draft.text.strip():
        raise invalid_query(place, "text", "no text", "a question")
    for number, tag in enumerate(draft.tags):
        trouble = text_trouble(tag, least=1, most=MAX_TAG)
        if trouble:
            raise invalid_query(place, f"tags[{number}]", *trouble)
    if draft.difficulty not in DIFFICULTIES:
        raise invalid_query(place, "difficulty", repr(draft.difficulty), "easy, medium, hard or nothing")
    _check_expected(draft.expected, place)
    try:
        check_value(draft.pass_rule)
    except InvalidJson as error:
        raise invalid_query(place, "pass_rule", error.details["found"], error.details["expected"]) from error
    return checked_rule(draft.pass_rule).document()


def _check_expected(expected: Mapping[uuid.UUID, int], place: str) -> None:
    for chunk_id, relevance in expected.items():
        if not isinstance(chunk_id, uuid.UUID):
            raise invalid_query(place, "expected", repr(chunk_id), "ids of chunks")
        whole = isinstance(relevance, int) and not isinstance(relevance, bool)
        if not whole or not 0 <= relevance <= MAX_RELEVANCE:
            wanted = f"a whole number from 0 to {MAX_RELEVANCE}"
            raise invalid_query(place, f"relevance of {chunk_id}", repr(relevance), wanted)


def invalid_query(place: str, field: str, found: str, expected: str) -> InvalidQuery:
    """Return the error that tells what is wrong with a field of a query."""
    at = ", ".join(part for part in (place, field) if part)
    return InvalidQuery(
        f"{at}: found {found}, expected {expected}.", place=place, field=field, found=found, expected=expected
    )
