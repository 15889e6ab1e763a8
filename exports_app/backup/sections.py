"""What a kind of record of a backup is: its table, its order, and how a row becomes a line of JSON and a row again.

The columns come from the models, so a new field is in the backup without anybody thinking of it. A line is written by
PostgreSQL itself (row_to_json): jsonb keeps its exact numbers, and a million rows need no Python objects. Numbers that
only mean something in one database (bigserial keys) stay as they are in an empty database and are shifted in one that
holds data; people and groups go by name; history rows are known by their order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import models


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
    the main file: cut `by_month` of the history, `by_prefix`: the first digits of the leading field, `by_block`: where
    its number passes a round one, or (none of these) by count. `scope` names the column that leads to the dataset; ""
    when the record belongs to none. `instead` gives columns that are not saved as they are: (column, SQL, join).
    """

    name: str
    label: str
    order: str
    key: tuple[str, ...]
    scope: str = ""
    bulk: bool = False
    by_month: bool = False
    by_prefix: bool = False
    by_block: bool = False
    leave_out: tuple[str, ...] = ()
    where: str = ""
    app: str = "datasets_app"
    instead: tuple[tuple[str, str, str], ...] = ()

    @property
    def model(self) -> type[models.Model]:
        return apps.get_model(self.app, self.label)

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


def history_section(name: str, label: str, scope: str, app: str = "datasets_app") -> Section:
    """Return the section of a historical table: in the order in which history was written, cut by month."""
    return Section(
        name,
        label,
        "t.history_id",
        (),
        scope=scope,
        bulk=True,
        by_month=True,
        leave_out=("history_id",),
        app=app,
    )


@cache
def _columns(section: Section) -> tuple[Column, ...]:
    fields = [f for f in section.model._meta.concrete_fields if f.column not in section.leave_out]
    leading = section.key[:1]
    columns = [_column(section, field, number) for number, field in enumerate(fields)]
    if section.name == "uncommitted":
        columns = [_touched_by(c) if c.column == "touched_by" else c for c in columns]
    changed = {column: (read, join) for column, read, join in section.instead}
    columns = [
        replace(c, read_sql=changed[c.column][0], join=changed[c.column][1]) if c.column in changed else c
        for c in columns
    ]
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
    if field.column == "seen_item":
        return "QueueItem"
    if field.column == "id" and section.is_history:
        tracked = apps.get_model(section.app, section.label.removeprefix("Historical"))
        return tracked.__name__ if isinstance(tracked._meta.pk, models.AutoField) else ""
    return ""
