"""Records of a backup into the tables: COPY into a temporary table, one INSERT per section. Runs with lifted guards.

Into an empty database the records go as they are. Into one that holds data, bigserial numbers are shifted beyond those
that are there (history keeps its links), example types are matched by name, and only the chosen datasets come in.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson
import psycopg
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group

from exports_app.backup.corpus_loading import CorpusChoice, CorpusLoader, condition
from exports_app.backup.first_history import begin_histories
from exports_app.backup.indexes import dropped_indexes
from exports_app.backup.label_loading import (
    end_sessions,
    label_condition,
    label_scopes,
    note_running_sessions,
)
from exports_app.backup.label_tables import APP as LABELING
from exports_app.backup.opened import Backup, Part
from exports_app.backup.sections import Column, Section
from exports_app.backup.tables import CORPUS_SECTIONS, SECTIONS, id_spaces
from exports_app.backup.writing import CSV
from goldenproject.kit.read_ahead import batches_ahead

_READ_BYTES = 1 << 20
_BATCH = 5000
_SEARCHED = ("input_data", "expected_output", "labels", "metadata")
# what belongs to no one dataset: it may be there already, and stays as it is
_MAY_BE_THERE = ("redactions", "labeling_sessions", "webhooks", "labeling_keys")
Progress = Callable[[int, int], None]

_SCOPES = {
    "id": "dataset",
    "dataset_id": "dataset",
    "branch_id": "branch",
    "commit_id": "commit",
    "merge_id": "merge",
}


@dataclass
class Plan:
    """What to load: `datasets` (all when None), file number → number here for types that are here already."""

    datasets: frozenset[uuid.UUID] | None = None
    types: dict[int, int] = field(default_factory=dict)
    on_conflict: str = "error"  # of analyses and test queries

    @property
    def whole(self) -> bool:
        return self.datasets is None


class Loader:
    """Loads the sections of one backup in one transaction."""

    def __init__(
        self, cursor: psycopg.Cursor[Any], backup: Backup, plan: Plan, progress: Progress | None = None
    ) -> None:
        self._cursor = cursor
        self._backup = backup
        self._plan = plan
        self._progress = progress
        self._offsets: dict[str, int] = {}
        self._done = 0
        self._expected = sum(backup.count(s.name) for s in SECTIONS) + backup.census.analyses
        self.new_people: list[str] = []
        self.corpus = CorpusChoice(plan.whole, plan.on_conflict)
        self._corpus = CorpusLoader(cursor, backup, self.corpus, self._stage, self._step)

    def load(self) -> dict[str, int]:
        """Load all and return how many rows each section added."""
        self._match_people()
        self._match_groups()
        note_running_sessions(self._cursor)
        if not self._plan.whole:
            self._find_offsets()
            self._make_scopes()
        self._corpus.prepare()
        if not self._plan.whole:
            added = self._load_sections()
        else:
            with dropped_indexes(self._cursor):
                added = self._load_sections()
        self._corpus.refuse_lost_expectations()
        begin_histories(self._cursor)
        end_sessions(self._cursor)
        self._set_sequences()
        self._count_rows()
        return added

    def _load_sections(self) -> dict[str, int]:
        added = {}
        for section in SECTIONS:
            added[section.name] = self._load_section(section)
            if section.name == "corpora":
                added |= self._corpus.load_analyses()
        return added

    def _step(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(min(self._done, self._expected), self._expected)

    # names ---------------------------------------------------------------------------------------------------------

    def _match_people(self) -> None:
        """Make inactive users of the people whom the database does not know, and a table from name to id."""
        users = get_user_model()._default_manager
        names = self._backup.people
        known = set(users.filter(username__in=names).values_list("username", flat=True))
        self.new_people = [name for name in names if name not in known]
        user = get_user_model()
        users.bulk_create(
            user(username=name, is_active=False, password=make_password(None)) for name in self.new_people
        )
        rows = users.filter(username__in=names).values_list("username", "pk")
        self._make_name_table("golden_person", rows)

    def _match_groups(self) -> None:
        names: set[str | None] = set()
        for section in SECTIONS:
            for key in (c.key for c in section.columns() if c.group):
                nobody = f'"{key}":null'.encode()
                lines = (line for line in self._backup.lines(section.name) if nobody not in line)
                names |= {orjson.loads(line)[key] for line in lines}
        for name in sorted(name for name in names if name is not None):
            Group.objects.get_or_create(name=name)
        self._make_name_table("golden_group", Group.objects.values_list("name", "pk"))

    def _make_name_table(self, table: str, rows: Iterable[tuple[str, int]]) -> None:
        self._cursor.execute(f"CREATE TEMP TABLE {table} (name text PRIMARY KEY, id int) ON COMMIT DROP")
        self._cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s)", list(rows))

    # into a database that holds data -------------------------------------------------------------------------------

    def _find_offsets(self) -> None:
        for label, tables in id_spaces().items():
            greatest = ", ".join(f"(SELECT max(id) FROM {table})" for table in tables)
            self._cursor.execute(f"SELECT greatest({greatest}, 0)")
            self._offsets[label] = self._cursor.fetchall()[0][0]
        self._cursor.execute(
            "CREATE TEMP TABLE golden_type (old bigint PRIMARY KEY, new bigint) ON COMMIT DROP"
        )
        self._cursor.executemany("INSERT INTO golden_type VALUES (%s, %s)", list(self._plan.types.items()))

    def _make_scopes(self) -> None:
        """Fill a table for each kind of number that leads to a dataset with those of the chosen datasets."""
        self._cursor.execute("CREATE TEMP TABLE golden_scope_dataset (id uuid PRIMARY KEY) ON COMMIT DROP")
        chosen = [(dataset,) for dataset in self._plan.datasets or ()]
        self._cursor.executemany("INSERT INTO golden_scope_dataset VALUES (%s)", chosen)
        for kind, names, parent in (
            ("branch", ("branches", "history_branches"), "dataset"),
            ("commit", ("commits",), "dataset"),
            ("merge", ("merges", "history_merges"), "branch"),
        ):
            self._cursor.execute(f"CREATE TEMP TABLE golden_scope_{kind} (id bigint) ON COMMIT DROP")
            number = "uuid" if parent == "dataset" else "bigint"
            for name in names:
                self._stage(name)
                self._cursor.execute(
                    f"INSERT INTO golden_scope_{kind} SELECT DISTINCT (doc->>'id')::bigint FROM golden_stage "
                    f"WHERE (doc->>'{parent}_id')::{number} IN (SELECT id FROM golden_scope_{parent})"
                )
        label_scopes(self._cursor, self._stage)

    def _condition(self, section: Section) -> str:
        if section.name in CORPUS_SECTIONS:
            runs = self._offsets.get("RetrievalRun", 0)
            return condition(section.name, whole=self._plan.whole).format(offset=runs)
        if self._plan.whole:
            return ""
        if section.app == LABELING:
            return label_condition(section, items=self._offsets.get("QueueItem", 0))
        if section.name == "example_types":
            return " WHERE r.id NOT IN (SELECT old FROM golden_type)"
        if section.name == "history_example_types":
            return " WHERE r.id NOT IN (SELECT old FROM golden_type)"
        if section.scope == "example_id":
            return (
                " WHERE EXISTS (SELECT 1 FROM datasets_app_exampleidentity i WHERE i.id = r.example_id "
                "AND i.dataset_id IN (SELECT id FROM golden_scope_dataset))"
            )
        if not section.scope:
            return ""
        return f" WHERE r.{section.scope} IN (SELECT id FROM golden_scope_{_SCOPES[section.scope]})"

    # sections ------------------------------------------------------------------------------------------------------

    def _load_section(self, section: Section) -> int:
        self._stage(section.name)
        if section.name == "blobs":
            self._cursor.execute(
                "INSERT INTO datasets_app_blob (hash, body) "
                "SELECT decode(doc->>'hash', 'hex'), (doc->'content')::text FROM golden_stage ON CONFLICT DO NOTHING"
            )
        else:
            self._cursor.execute(self._insert_sql(section))
        return self._cursor.rowcount

    def _stage(self, name: str) -> None:
        self._cursor.execute("DROP TABLE IF EXISTS golden_stage")
        self._cursor.execute("CREATE TEMP TABLE golden_stage (doc json, search_text text) ON COMMIT DROP")
        searchable = name == "examples"
        into = "golden_stage" if searchable else "golden_stage (doc)"
        for part in self._backup.parts.get(name, []):
            with self._cursor.copy(f"COPY {into} FROM STDIN {CSV}") as copy:  # type: ignore[arg-type]
                for block in _searchable_blocks(part) if searchable else _blocks(part):
                    copy.write(block)
            self._step(part.count)

    def _insert_sql(self, section: Section) -> str:
        """The statement that makes rows of the staged lines; a temporary table (golden_shape) types their fields."""
        self._cursor.execute("DROP TABLE IF EXISTS golden_shape")
        self._cursor.execute(
            f"CREATE TEMP TABLE golden_shape ON COMMIT DROP AS {section.select_sql()} WITH NO DATA"
        )
        columns = list(section.columns())
        names = [f'"{c.column}"' for c in columns]
        values = [self._value(c, number) for number, c in enumerate(columns)]
        joins = "".join(_join(c, number) for number, c in enumerate(columns))
        if section.name == "examples":
            names.append("search_text")
            values.append(
                "lower(coalesce(s.search_text, golden_search_text(r.input_data, r.expected_output, r.labels, r.metadata)))"
            )
        there = section.name in _MAY_BE_THERE and not self._plan.whole
        conflict = " ON CONFLICT DO NOTHING" if there else ""
        # a temporary table is read in the order of its lines, so history and audit get their numbers in that order
        return (
            f"INSERT INTO {section.table} ({', '.join(names)}) SELECT {', '.join(values)} "
            f"FROM golden_stage s CROSS JOIN LATERAL json_populate_record(NULL::golden_shape, s.doc) r{joins}"
            f"{self._condition(section)}{conflict}"
        )

    def _value(self, column: Column, number: int) -> str:
        field_ = f'r."{column.key}"'
        if column.key == "touched_by":
            return f"CASE WHEN {field_} = '' THEN 0 ELSE n{number}.id END"
        if column.person or column.group:
            return f"n{number}.id"
        if column.hexadecimal:
            return f"decode({field_}, 'hex')"
        if column.required_json:
            return f"coalesce({field_}, 'null'::jsonb)"
        if column.column == "corpus_id" and not self._plan.whole:
            return f"coalesce((SELECT new FROM golden_corpus m WHERE m.old = {field_}), {field_})"
        offset = self._offsets.get(column.space, 0)
        if column.space == "ExampleType" and not self._plan.whole:
            return f"coalesce((SELECT new FROM golden_type m WHERE m.old = {field_}), {field_} + {offset})"
        return f"{field_} + {offset}" if offset else field_

    # afterwards ----------------------------------------------------------------------------------------------------

    def _set_sequences(self) -> None:
        """Let what comes next have greater numbers than what was restored."""
        for table in {table for tables in id_spaces().values() for table in tables[:1]}:
            self._cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), greatest(max(id), 1), max(id) IS NOT NULL) "
                f"FROM {table}"
            )
        # numbers that only history still holds must not be given out again either
        for table, *histories in id_spaces().values():
            for history in histories:
                self._cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), h.id) FROM (SELECT max(id) AS id FROM {history}) h "
                    f"WHERE h.id > (SELECT coalesce(max(id), 0) FROM {table})"
                )
        self._cursor.execute(
            "SELECT setval('golden_ordinal_seq', greatest(i.top, q.last_value)) FROM golden_ordinal_seq q, "
            "(SELECT max(ordinal) AS top FROM datasets_app_exampleidentity) i WHERE i.top IS NOT NULL"
        )

    def _count_rows(self) -> None:
        self._cursor.execute(
            "INSERT INTO datasets_app_worktreecount (branch_id, delta) "
            "SELECT e.branch_id, count(*) FROM datasets_app_example e "
            "WHERE NOT EXISTS (SELECT 1 FROM datasets_app_worktreecount w WHERE w.branch_id = e.branch_id) "
            "GROUP BY e.branch_id"
        )
        self._cursor.execute(
            "UPDATE datasets_app_blob b SET body = r.tombstone FROM datasets_app_redaction r "
            "WHERE r.blob_hash = b.hash AND b.body <> r.tombstone"
        )


def _join(column: Column, number: int) -> str:
    if not (column.person or column.group):
        return ""
    table = "golden_person" if column.person else "golden_group"
    return f' LEFT JOIN {table} n{number} ON n{number}.name = r."{column.key}"'


def _blocks(part: Part) -> Iterable[bytes]:
    """Yield the lines of a part as COPY wants them: whole lines, each with its line feed."""
    if part.is_shard and part.path is not None:
        with part.path.open("rb", buffering=0) as file:
            while block := file.read(_READ_BYTES):
                yield block
        return
    batch: list[bytes] = []
    for line in part.lines():
        batch.append(line + b"\n")
        if len(batch) >= _BATCH:
            yield b"".join(batch)
            batch.clear()
    if batch:
        yield b"".join(batch)


def _searchable_blocks(part: Part) -> Iterable[bytes]:
    """Yield lines of examples with a second field, their search text: the database's own function takes six times as long.

    A thread makes them while the database takes the ones before.
    """
    for lines in batches_ahead(map(_searchable_line, part.lines()), _BATCH):
        yield b"".join(lines)


def _searchable_line(line: bytes) -> bytes:
    """Add the search text; nothing (NULL, so the database does it) where a number is not an integer.

    Only jsonb knows how such a number is written.
    """
    fields = orjson.loads(line)
    found: list[str] = []
    if not all(_collect_text(fields.get(name), found) for name in _SEARCHED):
        return line + b"\x02\n"
    text = "\n".join(found).encode().replace(b"\x01", b"\x01\x01")
    return b"%s\x02\x01%s\x01\n" % (line, text)


def _collect_text(value: Any, found: list[str]) -> bool:
    """Add the values of a document as golden_search_text does; False when a number must be left to the database."""
    kind = type(value)
    if kind is str:
        found.append(value)
    elif kind is dict:
        return all(_collect_text(inner, found) for inner in value.values())
    elif kind is list:
        return all(_collect_text(inner, found) for inner in value)
    elif kind is int:
        found.append(str(value))
    return kind is not float
