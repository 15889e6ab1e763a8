"""Which tables a backup holds, and how a row becomes a line of JSON and a row again.

The columns come from the models, so a new field is in the backup without anybody thinking of it. A line is written by
PostgreSQL itself (row_to_json): jsonb keeps its exact numbers, and a million rows need no Python objects. Numbers that
only mean something in one database (bigserial keys) stay as they are in an empty database and are shifted in one that
holds data; people and groups go by name; history rows are known by their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import models

from exports_app.backup.analyses import IN_DOCUMENTS

# Told by the database itself about backups and restores: not golden data, and it would make each backup differ.
HOUSEKEEPING = (
    "backup",
    "backup.retention",
    "backup.download",
    "backup.verify",
    "restore",
    "restore.drill",
    "verify",
    "backup_change",
    "job.start",  # jobs are not in backups; what they do has entries of its own
)


@dataclass(frozen=True)
class Column:
    """A column of a line: its key, the SQL that reads it from t, the table column, and what restoring needs to know."""

    key: str
    read_sql: str
    column: str
    join: str = ""
    person: bool = False
    group: bool = False
    hexadecimal: bool = False
    required_json: bool = False
    space: str = ""  # label of the model whose bigserial key this number is


@dataclass(frozen=True)
class Section:
    """A kind of record of a backup: its key in the main file, its table, its order.

    `key` names the fields that make a record unique; the first of them leads the line. `bulk` sections may lie beside
    the main file: cut `by_month` of the history, or by the first digits of the leading field, or (neither) by count.
    `scope` names the column that leads to the dataset; "" when the record belongs to none.
    """

    name: str
    label: str
    order: str
    key: tuple[str, ...]
    scope: str = ""
    bulk: bool = False
    by_month: bool = False
    by_prefix: bool = False
    leave_out: tuple[str, ...] = ()
    where: str = ""

    @property
    def model(self) -> type[models.Model]:
        return apps.get_model("datasets_app", self.label)

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def is_history(self) -> bool:
        return self.by_month

    def columns(self) -> tuple[Column, ...]:
        return _columns(self)

    def select_sql(self, where: str = "") -> str:
        """The query whose rows are the records; `where` is a condition on t."""
        columns = self.columns()
        picked = ", ".join(f'{c.read_sql} AS "{c.key}"' for c in columns)
        joins = "".join(c.join for c in columns)
        conditions = " AND ".join(c for c in (self.where, where) if c)
        tail = f" WHERE {conditions}" if conditions else ""
        return f"SELECT {picked} FROM {self.table} t{joins}{tail}"

    def line_sql(self, where: str = "") -> str:
        """The query whose one column is the line of each record, in the order of the backup."""
        if self.name == "blobs":
            tail = f" WHERE {where}" if where else ""
            return (
                "SELECT '{\"hash\":\"' || encode(t.hash, 'hex') || '\",\"content\":' || t.body || '}' "
                f"FROM {self.table} t{tail} ORDER BY {self.order}"
            )
        return f"SELECT row_to_json(s)::text FROM ({self.select_sql(where)} ORDER BY {self.order}) s"

    def required_keys(self) -> tuple[str, ...]:
        return ("hash", "content") if self.name == "blobs" else tuple(c.key for c in self.columns())


def _history(name: str, label: str, scope: str) -> Section:
    return Section(
        name,
        label,
        "t.history_id",
        (),
        scope=scope,
        bulk=True,
        by_month=True,
        leave_out=("history_id",),
    )


_CORPUS_HISTORIES = {
    "history_corpora": "Corpus",
    "history_analyses": "Analysis",
    "history_findings": "Finding",
    "history_chunks": "Chunk",
    "history_artifacts": "Artifact",
    "history_test_queries": "TestQuery",
    "history_expected_chunks": "ExpectedChunk",
}
SECTIONS: tuple[Section, ...] = (
    Section("example_types", "ExampleType", 't.name COLLATE "C"', ("name",)),
    Section("datasets", "Dataset", "t.id", ("id",), scope="id"),
    Section("commits", "DatasetCommit", "t.id", ("commit_hash",), scope="dataset_id"),
    Section(
        "branches", "Branch", 't.dataset_id, t.name COLLATE "C"', ("dataset_id", "name"), scope="dataset_id"
    ),
    Section("tags", "Tag", 't.dataset_id, t.name COLLATE "C"', ("dataset_id", "name"), scope="dataset_id"),
    Section("merges", "Merge", "t.id", ("id",), scope="branch_id"),
    Section(
        "merge_conflicts",
        "MergeConflict",
        't.example_id, t.merge_id, t.path COLLATE "C"',
        ("example_id", "merge_id", "path"),
        scope="merge_id",
        bulk=True,
        by_prefix=True,
    ),
    Section("redactions", "Redaction", "t.blob_hash", ("blob_hash",), scope="dataset_id", leave_out=("id",)),
    Section("memberships", "Membership", "t.id", ("id",), scope="dataset_id"),
    Section(
        "saved_views",
        "SavedView",
        't.dataset_id, t.name COLLATE "C", (SELECT username FROM auth_user o WHERE o.id = t.owner_id) COLLATE "C"',
        ("dataset_id", "name", "owner"),
        scope="dataset_id",
        leave_out=("id",),
    ),
    Section("identities", "ExampleIdentity", "t.id", ("id",), scope="dataset_id", bulk=True, by_prefix=True),
    Section(
        "examples",
        "Example",
        "t.example_id, t.branch_id",
        ("example_id", "branch_id"),
        scope="branch_id",
        bulk=True,
        by_prefix=True,
        leave_out=("search_text",),
    ),
    Section(
        "uncommitted",
        "DirtyExample",
        "t.example_id, t.branch_id",
        ("example_id", "branch_id"),
        scope="branch_id",
        bulk=True,
        by_prefix=True,
    ),
    Section("blobs", "Blob", "t.hash", ("hash",), bulk=True, by_prefix=True),
    Section(
        "changes",
        "ExampleChange",
        "t.example_id, t.commit_id",
        ("example_id", "commit_id"),
        scope="commit_id",
        bulk=True,
        by_prefix=True,
    ),
    Section(
        "quality",
        "ExampleQuality",
        't.example_id, t.metric_name COLLATE "C"',
        ("example_id", "metric_name"),
        scope="example_id",
        bulk=True,
        by_prefix=True,
    ),
    _history("history_example_types", "HistoricalExampleType", ""),
    _history("history_datasets", "HistoricalDataset", "id"),
    _history("history_commits", "HistoricalDatasetCommit", "dataset_id"),
    _history("history_branches", "HistoricalBranch", "dataset_id"),
    _history("history_tags", "HistoricalTag", "dataset_id"),
    _history("history_merges", "HistoricalMerge", "branch_id"),
    _history("history_merge_conflicts", "HistoricalMergeConflict", "merge_id"),
    _history("history_memberships", "HistoricalMembership", "dataset_id"),
    _history("history_quality", "HistoricalExampleQuality", "example_id"),
    _history("history_examples", "HistoricalExample", "branch_id"),
    Section("corpora", "Corpus", 't.name COLLATE "C"', ("id",)),
    Section("source_checks", "SourceCheck", "t.analysis_id", ("analysis_id",), bulk=True, by_prefix=True),
    Section("test_queries", "TestQuery", "t.id", ("id",), bulk=True, by_prefix=True),
    Section(
        "expected_chunks",
        "ExpectedChunk",
        "t.query_id, t.chunk_id",
        ("query_id", "chunk_id"),
        bulk=True,
        by_prefix=True,
    ),
    Section("retrieval_runs", "RetrievalRun", "t.id", ("id",)),
    Section(
        "retrieval_results",
        "RetrievalResult",
        "t.query_id, t.run_id",
        ("query_id", "run_id"),
        bulk=True,
        by_prefix=True,
    ),
    *(_history(name, f"Historical{label}", "") for name, label in _CORPUS_HISTORIES.items()),
    Section(
        "audit_events",
        "AuditEvent",
        "t.id",
        (),
        scope="dataset_id",
        bulk=True,
        leave_out=("id",),
        where=f"t.action NOT IN {HOUSEKEEPING!r}",
    ),
)
CORPUS_SECTIONS = (
    "corpora",
    "source_checks",
    "test_queries",
    "expected_chunks",
    "retrieval_runs",
    "retrieval_results",
    *_CORPUS_HISTORIES,
)
BY_NAME = {section.name: section for section in SECTIONS}

# What retrieval makes of the corpus, and how the installation reaches its embedding models.
DERIVED = ("EmbeddingModel", "Embedding", "LexicalSegment", "LexicalTerm", "ChangedChunk")
# Rebuilt on restore, or no golden data: trees, row counts; staged imports, jobs and tokens belong to the installation.
NOT_IN_BACKUP = ("Node", "WorktreeCount", "ImportBatch", "StagedRow", "JobRun", "ApiToken", *DERIVED)


def saved_tables() -> list[str]:
    """Return every table that a backup holds, in a fixed order."""
    return sorted({s.table for s in SECTIONS} | {f"datasets_app_{label.lower()}" for label in IN_DOCUMENTS})


@cache
def _columns(section: Section) -> tuple[Column, ...]:
    fields = [f for f in section.model._meta.concrete_fields if f.column not in section.leave_out]
    leading = section.key[:1]
    columns = [_column(section, field, number) for number, field in enumerate(fields)]
    if section.name == "uncommitted":
        columns = [_touched_by(c) if c.column == "touched_by" else c for c in columns]
    columns.sort(key=lambda c: c.key not in leading)
    return tuple(columns)


def _column(section: Section, field: models.Field, number: int) -> Column:
    column = field.column or field.name
    target = field.related_model if field.is_relation else None
    if target is get_user_model():
        user = f"u{number}"
        return Column(
            field.name,
            f"coalesce({user}.username, 'deleted user ' || t.{column})",
            column,
            join=f" LEFT JOIN {target._meta.db_table} {user} ON {user}.id = t.{column}",
            person=True,
        )
    if target is Group:
        group = f"g{number}"
        return Column(
            field.name,
            f"coalesce({group}.name, 'deleted group ' || t.{column})",
            column,
            join=f" LEFT JOIN auth_group {group} ON {group}.id = t.{column}",
            group=True,
        )
    if isinstance(field, models.BinaryField):
        return Column(column, f"encode(t.{column}, 'hex')", column, hexadecimal=True)
    return Column(
        column,
        f"t.{column}",
        column,
        required_json=isinstance(field, models.JSONField) and not field.null,
        space=_space(section, field),
    )


def _touched_by(column: Column) -> Column:
    """A user by name; "" stands for several."""
    return Column(
        column.key,
        "CASE WHEN t.touched_by = 0 THEN '' ELSE coalesce(ut.username, 'deleted user ' || t.touched_by) END",
        column.column,
        join=f" LEFT JOIN {get_user_model()._meta.db_table} ut ON ut.id = t.touched_by",
        person=True,
    )


def _space(section: Section, field: models.Field) -> str:
    """Label of the model whose bigserial key the numbers of `field` are, "" when they are something else."""
    if field.is_relation:
        target = field.related_model
        assert isinstance(target, type)
        return target.__name__ if isinstance(target._meta.pk, models.AutoField) else ""
    if isinstance(field, models.AutoField):
        return section.label
    if field.column == "id" and section.is_history:
        tracked = apps.get_model("datasets_app", section.label.removeprefix("Historical"))
        return tracked.__name__ if isinstance(tracked._meta.pk, models.AutoField) else ""
    return ""


def id_spaces() -> dict[str, tuple[str, ...]]:
    """Return for each model with a bigserial key the tables whose "id" shares it: its own and its history's."""
    spaces: dict[str, list[str]] = {}
    for section in SECTIONS:
        for column in section.columns():
            if column.column == "id" and column.space:
                spaces.setdefault(column.space, []).append(section.table)
    return {label: tuple(tables) for label, tables in spaces.items()}


def people_sql() -> str:
    """The query of every person's name that the records give, in the order of bytes."""
    parts = []
    for section in SECTIONS:
        for column in section.columns():
            if column.person:
                condition = f" WHERE {section.where}" if section.where else ""
                parts.append(f"SELECT DISTINCT t.{column.column} AS id FROM {section.table} t{condition}")
    users = get_user_model()._meta.db_table
    return (
        "SELECT name FROM (SELECT DISTINCT coalesce(u.username, 'deleted user ' || p.id) AS name "
        f"FROM ({' UNION '.join(parts)}) p LEFT JOIN {users} u ON u.id = p.id WHERE p.id <> 0) n "
        'ORDER BY name COLLATE "C"'
    )
