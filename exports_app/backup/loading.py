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

from exports_app.backup.reading import Backup, Part
from exports_app.backup.tables import BY_NAME, SECTIONS, Column, Section, id_spaces
from exports_app.backup.writing import CSV
from exports_app.errors import RestoreFailed

_READ_BYTES = 1 << 20
_BATCH = 5000
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
        self._expected = sum(backup.count(s.name) for s in SECTIONS)
        self.new_people: list[str] = []

    def load(self) -> dict[str, int]:
        """Load all and return how many rows each section added."""
        self._match_people()
        self._match_groups()
        if not self._plan.whole:
            self._find_offsets()
            self._make_scopes()
        added = {section.name: self._load_section(section) for section in SECTIONS}
        self._set_sequences()
        self._count_rows()
        return added

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
        names = set()
        for section in ("memberships", "history_memberships"):
            names |= {orjson.loads(line)["group"] for line in self._backup.lines(section)} - {None}
        for name in sorted(names):
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
                self._stage(BY_NAME[name])
                self._cursor.execute(
                    f"INSERT INTO golden_scope_{kind} SELECT DISTINCT (doc->>'id')::bigint FROM golden_stage "
                    f"WHERE (doc->>'{parent}_id')::{number} IN (SELECT id FROM golden_scope_{parent})"
                )

    def _condition(self, section: Section) -> str:
        if self._plan.whole:
            return ""
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
        self._stage(section)
        if section.name == "blobs":
            self._cursor.execute(
                "INSERT INTO datasets_app_blob (hash, body) "
                "SELECT decode(doc->>'hash', 'hex'), (doc->'content')::text FROM golden_stage ON CONFLICT DO NOTHING"
            )
        else:
            self._cursor.execute(self._insert_sql(section))
        return self._cursor.rowcount

    def _stage(self, section: Section) -> None:
        self._cursor.execute("DROP TABLE IF EXISTS golden_stage")
        self._cursor.execute("CREATE TEMP TABLE golden_stage (doc json) ON COMMIT DROP")
        for part in self._backup.parts.get(section.name, []):
            with self._cursor.copy(f"COPY golden_stage FROM STDIN {CSV}") as copy:  # type: ignore[arg-type]
                for block in _blocks(part):
                    copy.write(block)
            self._done += part.count
            if self._progress is not None:
                self._progress(min(self._done, self._expected), self._expected)

    def _insert_sql(self, section: Section) -> str:
        """The statement that makes rows of the staged lines; a temporary table (golden_shape) types their fields."""
        self._cursor.execute("DROP TABLE IF EXISTS golden_shape")
        self._cursor.execute(
            f"CREATE TEMP TABLE golden_shape ON COMMIT DROP AS {section.select_sql()} WITH NO DATA"
        )
        columns = list(section.columns())
        names = [c.column for c in columns]
        values = [self._value(c, number) for number, c in enumerate(columns)]
        joins = "".join(_join(c, number) for number, c in enumerate(columns))
        if section.name == "examples":
            names.append("search_text")
            values.append("lower(golden_search_text(r.input_data, r.expected_output, r.labels, r.metadata))")
        conflict = " ON CONFLICT DO NOTHING" if section.name == "redactions" and not self._plan.whole else ""
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


def wipe(cursor: psycopg.Cursor[Any]) -> None:
    """Delete all golden data, and the audit of it; what was recorded about backups and restores stays.

    Good runs of verify are forgotten too: what they covered is gone.
    """
    kept = ("datasets_app_dataset", "datasets_app_exampletype", "datasets_app_auditevent")
    tables = [s.table for s in SECTIONS if s.table not in kept]
    tables += [f"datasets_app_{name}" for name in ("node", "worktreecount", "importbatch", "stagedrow")]
    cursor.execute("TRUNCATE " + ", ".join(tables))
    cursor.execute("DELETE FROM datasets_app_dataset")  # jobs point at datasets, so no TRUNCATE
    cursor.execute("DELETE FROM datasets_app_exampletype")
    cursor.execute("DELETE FROM datasets_app_auditevent WHERE action NOT IN ('backup', 'restore')")


_BRANCHES = (
    "(SELECT id FROM datasets_app_branch WHERE dataset_id = ANY(%(ids)s) "
    "UNION SELECT id FROM datasets_app_historicalbranch WHERE dataset_id = ANY(%(ids)s))"
)
_MERGES = (
    f"(SELECT id FROM datasets_app_historicalmerge WHERE branch_id IN {_BRANCHES} "
    f"UNION SELECT id FROM datasets_app_merge WHERE branch_id IN {_BRANCHES})"
)
_IDENTITIES = "(SELECT id FROM datasets_app_exampleidentity WHERE dataset_id = ANY(%(ids)s))"
_COMMITS = "(SELECT id FROM datasets_app_datasetcommit WHERE dataset_id = ANY(%(ids)s))"
_SUBSETS = {"branch_id": _BRANCHES, "merge_id": _MERGES, "example_id": _IDENTITIES, "commit_id": _COMMITS}


def delete_datasets(cursor: psycopg.Cursor[Any], ids: list[uuid.UUID]) -> None:
    """Delete datasets with all that leads to them, children first. Blobs and nodes stay: others may share them."""
    parameters = {"ids": ids}
    cursor.execute(
        f"DELETE FROM datasets_app_stagedrow WHERE batch_id IN "
        f"(SELECT id FROM datasets_app_importbatch WHERE branch_id IN {_BRANCHES})",
        parameters,
    )
    for table in ("datasets_app_importbatch", "datasets_app_worktreecount"):
        cursor.execute(f"DELETE FROM {table} WHERE branch_id IN {_BRANCHES}", parameters)
    # what others are found through goes last
    late = [
        "history_merge_conflicts",
        "merge_conflicts",
        "history_merges",
        "merges",
        "quality",
        "changes",
        "tags",
        "history_branches",
        "branches",
        "commits",
        "identities",
        "datasets",
    ]
    order = [s.name for s in SECTIONS if s.scope and s.name not in late] + late
    for name in order:
        section = BY_NAME[name]
        subset = _SUBSETS.get(section.scope, "(SELECT unnest(%(ids)s::uuid[]))")
        cursor.execute(f"DELETE FROM {section.table} t WHERE t.{section.scope} IN {subset}", parameters)


def check_references(cursor: psycopg.Cursor[Any]) -> None:
    """Raise RestoreFailed when a row points at nothing where no foreign key would tell, or a content is not its hash."""
    for what, query in _CHECKS.items():
        cursor.execute(query + " LIMIT 1")
        row = cursor.fetchone()
        if row is not None:
            raise RestoreFailed(
                f"The backup does not prove sound: {what} ({row[0]}). Nothing was changed.",
                hint="Use another copy of the backup, or an older one.",
            )


_CHECKS = {
    "a working row has no identity in the dataset of its branch": (
        "SELECT e.example_id FROM datasets_app_example e LEFT JOIN datasets_app_branch b ON b.id = e.branch_id "
        "LEFT JOIN datasets_app_exampleidentity i ON i.id = e.example_id AND i.dataset_id = b.dataset_id "
        "AND i.ordinal = e.ordinal WHERE i.id IS NULL"
    ),
    "a working row has an unknown type": (
        "SELECT e.example_id FROM datasets_app_example e "
        "LEFT JOIN datasets_app_exampletype t ON t.id = e.example_type_id WHERE t.id IS NULL"
    ),
    "an identity has no dataset": (
        "SELECT i.id FROM datasets_app_exampleidentity i "
        "LEFT JOIN datasets_app_dataset d ON d.id = i.dataset_id WHERE d.id IS NULL"
    ),
    "a change belongs to no commit": (
        "SELECT c.example_id FROM datasets_app_examplechange c "
        "LEFT JOIN datasets_app_datasetcommit k ON k.id = c.commit_id WHERE k.id IS NULL"
    ),
    "a change gives an example a content that is missing": (
        "SELECT c.example_id FROM datasets_app_examplechange c "
        "LEFT JOIN datasets_app_blob b ON b.hash = c.new_hash WHERE c.new_hash IS NOT NULL AND b.hash IS NULL"
    ),
    "a content does not match its hash": (
        "SELECT encode(b.hash, 'hex') FROM datasets_app_blob b "
        "WHERE sha256(convert_to(b.body, 'UTF8')) <> b.hash "
        "AND NOT EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.blob_hash = b.hash)"
    ),
}
