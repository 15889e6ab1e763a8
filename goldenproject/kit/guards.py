"""Triggers that hold the database to its promises, by app: one list serves the migrations that create them, the check
that they stand, and the restore that lifts them and puts them back.

The functions behind them are made by the migrations of the golden data (golden_refuse, golden_audit).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection

_registered: dict[str, Callable[[], list[Guard]]] = {}


@dataclass(frozen=True)
class Guard:
    """A trigger: its table, its name, and the statement that creates it."""

    table: str
    name: str
    definition: str

    @property
    def create_sql(self) -> str:
        return (
            f"DROP TRIGGER IF EXISTS {self.name} ON {self.table};\n"
            f"CREATE TRIGGER {self.name} {self.definition};\n"
            f"ALTER TABLE {self.table} ENABLE ALWAYS TRIGGER {self.name};\n"
        )

    @property
    def drop_sql(self) -> str:
        return f"DROP TRIGGER IF EXISTS {self.name} ON {self.table};\n"


def frozen(table: str) -> list[Guard]:
    """The guard of an append-only table."""
    return [
        Guard(
            table,
            "golden_append_only",
            f"BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION golden_refuse()",
        )
    ]


def audited(table: str, history: str, pk: str, ignored: str) -> list[Guard]:
    """The guards that write the history of `table`; `ignored` names columns, with commas, whose change alone is none."""
    call = f"FOR EACH STATEMENT EXECUTE FUNCTION golden_audit('{history}', '{pk}', '{ignored}')"
    return [
        Guard(
            table, "golden_audit_insert", f"AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows {call}"
        ),
        Guard(
            table,
            "golden_audit_update",
            f"AFTER UPDATE ON {table} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows {call}",
        ),
        Guard(
            table, "golden_audit_delete", f"AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows {call}"
        ),
        Guard(
            table,
            "golden_no_truncate",
            f"BEFORE TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION golden_refuse()",
        ),
    ]


def register_guards(name: str, guards: Callable[[], list[Guard]]) -> None:
    """Make the guards of an app known under its name. The same name again replaces them."""
    _registered[name] = guards


def all_guards() -> list[Guard]:
    """Every trigger of every app, in a fixed order."""
    return [guard for name in sorted(_registered) for guard in _registered[name]()]


def guarded_tables() -> list[str]:
    return sorted({guard.table for guard in all_guards()})


def missing_guards() -> list[str]:
    """Name each guard that the database lacks or that does not fire always, as "table.trigger"."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE 'golden\\_%' AND tgenabled = 'A'"
        )
        standing = set(cursor.fetchall())
    return [f"{g.table}.{g.name}" for g in all_guards() if (g.table, g.name) not in standing]
