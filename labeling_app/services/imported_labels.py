"""Labels that annotators gave elsewhere, brought in as sets: staged, matched with examples, compared, written.

The staged rows lie in temporary tables of the surrounding transaction. Imported annotators count: their labels use up
slots, and an item may end up with more labels than its queue asks for.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from datasets_app.domain.canonical import canonical_bytes, content_hash, loads_stored
from goldenproject.kit.clock import now
from goldenproject.kit.database_io import copy_rows
from labeling_app.models import LabelingQueue
from labeling_app.services.settling import settle
from labeling_app.services.slots import recount

MAX_ANNOTATOR = 200
_SETTLED_AT_ONCE = 5000
_MANY_TASKS = 1000


class StagedTask(NamedTuple):
    """A task of a file: where it is, and what tells its example. `inputs` are canonical JSON, best first."""

    number: int
    place: str
    example: uuid.UUID | None
    names: list[str]
    inputs: list[str]
    own_id: str


class StagedLabel(NamedTuple):
    """An answer of an annotator to a staged task; `value` is canonical JSON."""

    number: int
    annotator: str
    value: str
    confidence: float | None
    notes: str
    duration_ms: int | None
    labeled_at: datetime | None


class StagedSuggestion(NamedTuple):
    """What a model would answer to a staged task; `value` is canonical JSON."""

    number: int
    source: str
    value: str
    confidence: float | None


@dataclass(frozen=True)
class Unmatched:
    """A staged task without an item. `why` is unknown, ambiguous, gone, or outside: the dataset has it, the queue not.

    `name` is for people; `external_id` is what the file itself calls the example, "" when it does not.
    """

    number: int
    place: str
    why: str
    name: str
    external_id: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """What writing would do. `taken`: (place, annotator) who have given another answer here themselves."""

    new: int
    changed: int
    same: int
    superseded: int
    other_input: int
    taken: tuple[tuple[str, str], ...]


_TABLES = """
    DROP TABLE IF EXISTS golden_task, golden_given, golden_guess, golden_compared;
    CREATE TEMP TABLE golden_task (
        n int PRIMARY KEY, place text, example uuid, names text[], inputs text[], own_id text,
        item bigint, why text NOT NULL DEFAULT 'unknown', hash bytea, differs boolean NOT NULL DEFAULT false
    ) ON COMMIT DROP;
    CREATE TEMP TABLE golden_given (
        n int, annotator text, value text, confidence float8, notes text, duration_ms int, labeled_at timestamptz
    ) ON COMMIT DROP;
    CREATE TEMP TABLE golden_guess (n int, source text, value text, confidence float8) ON COMMIT DROP
"""
_COPY_TASKS = (
    "COPY golden_task (n, place, example, names, inputs, own_id) FROM STDIN (FORMAT BINARY)",
    ("int4", "text", "uuid", "text[]", "text[]", "text"),
)
_COPY_LABELS = (
    "COPY golden_given FROM STDIN (FORMAT BINARY)",
    ("int4", "text", "text", "float8", "text", "int4", "timestamptz"),
)
_COPY_GUESSES = ("COPY golden_guess FROM STDIN (FORMAT BINARY)", ("int4", "text", "text", "float8"))

_BY_EXAMPLE = """
    UPDATE golden_task t SET item = i.id FROM labeling_app_queueitem i
     WHERE t.item IS NULL AND i.queue_id = %(queue)s AND i.example_id = t.example
"""
_BY_NAME = """
    UPDATE golden_task t SET item = m.id
      FROM (SELECT DISTINCT ON (t.n) t.n, i.id
              FROM golden_task t CROSS JOIN unnest(t.names) WITH ORDINALITY u(name, place)
              JOIN datasets_app_exampleidentity x ON x.dataset_id = %(dataset)s AND x.external_id = u.name
              JOIN labeling_app_queueitem i ON i.queue_id = %(queue)s AND i.example_id = x.id
             WHERE t.item IS NULL ORDER BY t.n, u.place) m
     WHERE m.n = t.n
"""
# Hash join of the staged inputs with one pass over the branch's rows. Equal inputs of several examples: the number of
# the tool tells which one, or it cannot be told.
_BY_INPUT = """
    UPDATE golden_task t SET item = CASE WHEN m.examples = 1 OR m.own THEN m.item END,
           why = CASE WHEN m.examples = 1 OR m.own THEN t.why ELSE 'ambiguous' END
      FROM (SELECT w.n, (array_agg(i.id ORDER BY x.external_id IS NOT DISTINCT FROM w.own_id DESC, w.place, i.id))[1] AS item,
                   count(DISTINCT i.id) AS examples, bool_or(x.external_id IS NOT DISTINCT FROM w.own_id) AS own
              FROM (SELECT t.n, t.own_id, u.place, u.input::jsonb AS input
                      FROM golden_task t CROSS JOIN unnest(t.inputs) WITH ORDINALITY u(input, place)
                     WHERE t.item IS NULL) w
              JOIN datasets_app_example e ON e.branch_id = %(branch)s AND e.input_data = w.input
              JOIN datasets_app_exampleidentity x ON x.id = e.example_id
              JOIN labeling_app_queueitem i ON i.queue_id = %(queue)s AND i.example_id = e.example_id
             GROUP BY w.n) m
     WHERE m.n = t.n
"""
_BY_OWN_ID = """
    UPDATE golden_task t SET item = i.id
      FROM datasets_app_exampleidentity x JOIN labeling_app_queueitem i ON i.example_id = x.id
     WHERE t.item IS NULL AND t.inputs = '{}' AND t.own_id <> '' AND i.queue_id = %(queue)s
       AND x.dataset_id = %(dataset)s AND x.external_id = t.own_id
"""
_GONE = """
    UPDATE golden_task t SET item = NULL, why = 'gone'
      FROM labeling_app_queueitem i WHERE i.id = t.item AND i.state = 'gone'
"""
_OUTSIDE = """
    UPDATE golden_task t SET why = 'outside'
     WHERE t.item IS NULL AND t.why = 'unknown'
       AND (EXISTS (SELECT 1 FROM datasets_app_exampleidentity x
                     WHERE x.dataset_id = %(dataset)s AND (x.id = t.example OR x.external_id = ANY(t.names)))
            OR t.n IN (SELECT w.n FROM (SELECT t.n, u.input::jsonb AS input FROM golden_task t, unnest(t.inputs) u(input)
                                         WHERE t.item IS NULL AND t.why = 'unknown') w
                         JOIN datasets_app_example e ON e.branch_id = %(branch)s AND e.input_data = w.input))
"""
# The input that was labeled: what the file shows, where it shows it (then a change since is seen), else what is here.
_SHOWN = """
    UPDATE golden_task t
       SET hash = sha256(convert_to(coalesce(s.same, t.inputs[1]), 'UTF8')), differs = s.same IS NULL
      FROM (SELECT t.n, (SELECT u.input FROM unnest(t.inputs) u(input)
                          WHERE u.input::jsonb = e.input_data LIMIT 1) AS same
              FROM golden_task t JOIN labeling_app_queueitem i ON i.id = t.item
              JOIN datasets_app_example e ON e.branch_id = %(branch)s AND e.example_id = i.example_id
             WHERE t.inputs <> '{}') s
     WHERE s.n = t.n
"""
_WITHOUT_HASH = """
    SELECT t.n, e.input_data::text FROM golden_task t JOIN labeling_app_queueitem i ON i.id = t.item
      JOIN datasets_app_example e ON e.branch_id = %s AND e.example_id = i.example_id WHERE t.hash IS NULL
"""
_SET_HASH = (
    "UPDATE golden_task t SET hash = h.hash FROM unnest(%s::int[], %s::bytea[]) h(n, hash) WHERE h.n = t.n"
)
_UNMATCHED = """
    SELECT t.n, t.place, t.why, coalesce(t.names[1], t.example::text, nullif(t.own_id, ''), ''),
           coalesce(t.names[1], ''), t.inputs
      FROM golden_task t WHERE t.item IS NULL ORDER BY t.n LIMIT %s
"""

_LOCK = """
    SELECT 1 FROM labeling_app_queueitem WHERE id IN (SELECT item FROM golden_task WHERE item IS NOT NULL)
     ORDER BY id FOR NO KEY UPDATE
"""
_COMPARE = """
    CREATE TEMP TABLE golden_compared ON COMMIT DROP AS
    SELECT n.*, l.value AS before,
           CASE WHEN l.id IS NULL THEN 'new'
                WHEN l.value <> n.value THEN CASE WHEN l.source = 'import' THEN 'changed' ELSE 'taken' END
                WHEN l.source <> 'import'
                     OR (l.confidence IS NOT DISTINCT FROM n.confidence AND l.notes = n.notes) THEN 'same'
                ELSE 'changed' END AS verdict
      FROM (SELECT DISTINCT ON (t.item, g.annotator)
                   t.item, i.example_id, t.place, t.hash, t.n, g.annotator, u.id AS labeler, g.value::jsonb AS value,
                   round(g.confidence::numeric, 4) AS confidence, g.notes, g.duration_ms,
                   coalesce(g.labeled_at, %(at)s) AS labeled_at
              FROM golden_given g JOIN golden_task t ON t.n = g.n JOIN labeling_app_queueitem i ON i.id = t.item
              LEFT JOIN auth_user u ON %(people)s AND u.username = g.annotator
             ORDER BY t.item, g.annotator, g.labeled_at DESC NULLS LAST, g.n DESC) n
      LEFT JOIN labeling_app_label l ON l.item_id = n.item AND l.annotator = n.annotator
"""
_COUNTS = """
    SELECT count(*) FILTER (WHERE verdict = 'new'), count(*) FILTER (WHERE verdict = 'changed'),
           count(*) FILTER (WHERE verdict = 'same'),
           (SELECT count(*) FROM golden_given g JOIN golden_task t ON t.n = g.n WHERE t.item IS NOT NULL) - count(*),
           (SELECT count(*) FROM golden_task WHERE differs AND item IS NOT NULL)
      FROM golden_compared
"""
_TAKEN = "SELECT place, annotator FROM golden_compared WHERE verdict = 'taken' ORDER BY n LIMIT %s"
_SAY = """
    INSERT INTO labeling_app_labelhistory
           (example_id, queue_id, labeler_id, annotator, event, label_type, label_value, previous_value, labeled_at,
            confidence, notes, source, duration_ms, content_hash)
    SELECT example_id, %(queue)s, labeler, annotator, 'imported', %(label_type)s, value, before, labeled_at, confidence,
           notes, 'import', duration_ms, hash
      FROM golden_compared WHERE verdict IN ('new', 'changed') ORDER BY labeled_at, item, annotator
"""
_WRITE = """
    INSERT INTO labeling_app_label
           (queue_id, item_id, example_id, labeler_id, annotator, value, confidence, notes, source, content_hash,
            duration_ms, labeled_at)
    SELECT %(queue)s, item, example_id, labeler, annotator, value, confidence, notes, 'import', hash, duration_ms, labeled_at
      FROM golden_compared WHERE verdict IN ('new', 'changed') ORDER BY item, annotator
        ON CONFLICT (item_id, annotator) DO UPDATE
       SET labeler_id = excluded.labeler_id, value = excluded.value, confidence = excluded.confidence,
           notes = excluded.notes, source = excluded.source, content_hash = excluded.content_hash,
           duration_ms = excluded.duration_ms, labeled_at = excluded.labeled_at, bulk_id = NULL
"""
_TOUCHED = "SELECT DISTINCT item FROM golden_compared WHERE verdict IN ('new', 'changed') ORDER BY item"
_SUGGEST = """
    INSERT INTO labeling_app_suggestion AS s (item_id, source, value, confidence)
    SELECT DISTINCT ON (t.item, g.source) t.item, g.source, g.value::jsonb, round(g.confidence::numeric, 4)
      FROM golden_guess g JOIN golden_task t ON t.n = g.n WHERE t.item IS NOT NULL ORDER BY t.item, g.source, g.n DESC
        ON CONFLICT (item_id, source) DO UPDATE
       SET value = excluded.value, confidence = excluded.confidence, created_at = now()
     WHERE (s.value, s.confidence) IS DISTINCT FROM (excluded.value, excluded.confidence)
"""


class ImportedLabels:
    """The staged rows of one import into a queue. Must be used inside one transaction."""

    def __init__(self, queue: LabelingQueue, *, people: bool) -> None:
        self._queue = queue
        self._people = people
        self._places = {
            "queue": queue.pk,
            "dataset": queue.dataset_id,
            "branch": queue.branch_id,
            "label_type": queue.label_type,
        }
        self._run(_TABLES)

    def stage(
        self,
        tasks: Sequence[StagedTask],
        labels: Sequence[StagedLabel],
        suggestions: Sequence[StagedSuggestion],
    ) -> None:
        """Add rows. Values must have been checked against the type."""
        for (statement, types), rows in (
            (_COPY_TASKS, tasks),
            (_COPY_LABELS, labels),
            (_COPY_GUESSES, suggestions),
        ):
            if rows:
                copy_rows(statement, rows, types)

    def match(self) -> int:
        """Find the item of each task that has none yet; return how many are left without."""
        self._run("ANALYZE golden_task")
        with self._sets_joined_as_sets():
            self._find()
        self._hash_inputs()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM golden_task WHERE item IS NULL")
            return int(cursor.fetchone()[0])

    def _find(self) -> None:
        for statement in (_BY_EXAMPLE, _BY_NAME, _BY_INPUT, _BY_OWN_ID, _GONE, _OUTSIDE, _SHOWN):
            self._run(statement, self._places)

    @contextmanager
    def _sets_joined_as_sets(self) -> Iterator[None]:
        """Keep large files from being matched row by row.

        Of a queue or branch that was just made the planner knows nothing yet: it takes it for one row, and then reads
        all tasks again for each example.
        """
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM golden_task")
            if cursor.fetchone()[0] < _MANY_TASKS:
                yield
                return
        self._run("SELECT set_config('enable_nestloop', 'off', true), set_config('work_mem', '64MB', true)")
        yield
        self._run("SELECT set_config('enable_nestloop', 'on', true)")

    def _hash_inputs(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_WITHOUT_HASH, [self._queue.branch_id])
            rows = cursor.fetchall()
            hashes = [content_hash(canonical_bytes(loads_stored(text))) for _, text in rows]
            cursor.execute(_SET_HASH, [[number for number, _ in rows], hashes])

    def unmatched(self, most: int | None = None) -> Iterator[Unmatched]:
        """Yield the tasks without an example here, in the order of the file."""
        with connection.cursor() as cursor:
            cursor.execute(_UNMATCHED, [most])
            for number, place, why, name, external_id, inputs in cursor.fetchall():
                yield Unmatched(number, place, why, name, external_id, tuple(inputs))

    def compare(self, most_told: int) -> Compared:
        """Lock the items and say what `write` would do; at the most `most_told` of what is taken."""
        self._run(_LOCK)
        self._run(_COMPARE, {"people": self._people, "at": now()})
        with connection.cursor() as cursor:
            cursor.execute(_COUNTS)
            new, changed, same, superseded, other_input = cursor.fetchone()
            cursor.execute(_TAKEN, [most_told])
            return Compared(new, changed, same, superseded, other_input, tuple(cursor.fetchall()))

    def write(self) -> list[int]:
        """Write labels and their history; return the items that they are of."""
        self._run("ANALYZE golden_compared")
        self._run(_SAY, self._places)
        self._run(_WRITE, self._places)
        with connection.cursor() as cursor:
            cursor.execute(_TOUCHED)
            return [item for (item,) in cursor.fetchall()]

    def suggest(self) -> int:
        """Write the suggestions; return how many are new or other than before."""
        with connection.cursor() as cursor:
            cursor.execute(_SUGGEST)
            return int(cursor.rowcount)

    def settle(self, items: Sequence[int], actor: Any) -> Iterator[int]:
        """Count the labels of items and let follow what follows; yield how many are done."""
        if items:
            self._run("ANALYZE labeling_app_label")
            recount(queue=self._queue, item_ids=items)
        for start in range(0, len(items), _SETTLED_AT_ONCE):
            part = items[start : start + _SETTLED_AT_ONCE]
            settle(queue=self._queue, item_ids=part, actor=actor)
            yield start + len(part)

    def _run(self, statement: str, values: Any = None) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, values)


def annotator_trouble(name: str) -> str:
    """Return what is wrong with the name of an annotator; "" when nothing is."""
    if 0 < len(name) <= MAX_ANNOTATOR and name.isprintable():
        return ""
    return f"found the annotator {name[:50]!r}, expected 1 to {MAX_ANNOTATOR} printable characters"
