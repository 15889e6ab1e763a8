"""The triggers that hold the database to its promises: what they are called, on which tables, and their SQL.

One list serves the migration that creates them, the check that they stand (`missing_guards`), and the restore that
lifts and restores them. The functions are in sql/functions.sql.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.db import connection

SQL = Path(__file__).parent.parent / "sql"
FUNCTIONS_SQL = SQL / "functions.sql"
CORPUS_TRIGGERS_SQL = SQL / "corpus_triggers.sql"

_FROZEN = (
    "datasets_app_exampleidentity",
    "datasets_app_node",
    "datasets_app_datasetcommit",
    "datasets_app_examplechange",
    "datasets_app_redaction",
    "datasets_app_auditevent",
)
# model table → (history table, primary key, columns whose change alone is not worth a row)
_AUDITED = {
    "datasets_app_dataset": ("datasets_app_historicaldataset", "id", ""),
    "datasets_app_exampletype": ("datasets_app_historicalexampletype", "id", ""),
    "datasets_app_example": ("datasets_app_historicalexample", "id", "updated_at"),
    "datasets_app_examplequality": ("datasets_app_historicalexamplequality", "id", "computed_at"),
    "datasets_app_datasetcommit": ("datasets_app_historicaldatasetcommit", "id", ""),
    "datasets_app_branch": ("datasets_app_historicalbranch", "id", ""),
    "datasets_app_tag": ("datasets_app_historicaltag", "id", ""),
    "datasets_app_merge": ("datasets_app_historicalmerge", "id", ""),
    "datasets_app_mergeconflict": ("datasets_app_historicalmergeconflict", "id", ""),
    "datasets_app_membership": ("datasets_app_historicalmembership", "id", ""),
}
_CORPUS_AUDITED = {
    "datasets_app_corpus": "datasets_app_historicalcorpus",
    "datasets_app_analysis": "datasets_app_historicalanalysis",
    "datasets_app_finding": "datasets_app_historicalfinding",
    "datasets_app_chunk": "datasets_app_historicalchunk",
    "datasets_app_artifact": "datasets_app_historicalartifact",
    "datasets_app_testquery": "datasets_app_historicaltestquery",
    "datasets_app_expectedchunk": "datasets_app_historicalexpectedchunk",
}
_CORPUS_FROZEN = ("datasets_app_retrievalrun", "datasets_app_retrievalresult")


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


def _frozen(table: str) -> list[Guard]:
    return [
        Guard(
            table,
            "golden_append_only",
            f"BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION golden_refuse()",
        )
    ]


def _frozen_but_redactable(table: str, function: str) -> list[Guard]:
    return [
        Guard(
            table,
            "golden_append_only",
            f"BEFORE DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION golden_refuse()",
        ),
        Guard(
            table,
            "golden_redaction_only",
            f"BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()",
        ),
    ]


def _audited(table: str, history: str, pk: str, ignored: str) -> list[Guard]:
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


def _tracked() -> list[Guard]:
    table = "datasets_app_example"
    content = "input_data, expected_output, labels, metadata"
    changed = " OR ".join(f"NEW.{c} IS DISTINCT FROM OLD.{c}" for c in content.split(", "))
    return [
        Guard(
            table,
            "golden_search_insert",
            f"BEFORE INSERT ON {table} FOR EACH ROW WHEN (NEW.search_text = '') "
            "EXECUTE FUNCTION golden_fill_search_text()",
        ),
        Guard(
            table,
            "golden_search_update",
            f"BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed} OR NEW.search_text <> OLD.search_text) "
            "EXECUTE FUNCTION golden_fill_search_text()",
        ),
        Guard(
            table,
            "golden_track_insert",
            f"AFTER INSERT ON {table} REFERENCING NEW TABLE AS new_rows "
            "FOR EACH STATEMENT EXECUTE FUNCTION golden_track_inserted()",
        ),
        Guard(
            table,
            "golden_track_update",
            f"AFTER UPDATE ON {table} REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows "
            "FOR EACH STATEMENT EXECUTE FUNCTION golden_track_updated()",
        ),
        Guard(
            table,
            "golden_track_delete",
            f"AFTER DELETE ON {table} REFERENCING OLD TABLE AS old_rows "
            "FOR EACH STATEMENT EXECUTE FUNCTION golden_track_deleted()",
        ),
    ]


def _refs() -> list[Guard]:
    return [
        *(
            Guard(
                table,
                "golden_ref_in_dataset",
                f"BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION golden_guard_ref()",
            )
            for table in ("datasets_app_branch", "datasets_app_tag")
        ),
        Guard(
            "datasets_app_datasetcommit",
            "golden_parents_in_dataset",
            "BEFORE INSERT ON datasets_app_datasetcommit FOR EACH ROW EXECUTE FUNCTION golden_guard_commit()",
        ),
    ]


def _corpus_tracked() -> list[Guard]:
    chunk, analysis = "datasets_app_chunk", "datasets_app_analysis"
    new, old = "NEW TABLE AS new_rows", "OLD TABLE AS old_rows"
    events = (
        (chunk, "insert", "INSERT", new, "golden_chunks_inserted"),
        (chunk, "update", "UPDATE", f"{old} {new}", "golden_chunks_updated"),
        (chunk, "delete", "DELETE", old, "golden_chunks_deleted"),
        (analysis, "update", "UPDATE", f"{old} {new}", "golden_analyses_updated"),
    )
    return [
        Guard(
            table,
            f"golden_track_{name}",
            f"AFTER {event} ON {table} REFERENCING {rows} FOR EACH STATEMENT EXECUTE FUNCTION {function}()",
        )
        for table, name, event, rows, function in events
    ]


def dataset_guards() -> list[Guard]:
    """The triggers of datasets and their versions, in a fixed order."""
    guards = [guard for table in _FROZEN for guard in _frozen(table)]
    guards += _frozen_but_redactable("datasets_app_blob", "golden_guard_blob_update")
    for table, (history, pk, ignored) in _AUDITED.items():
        guards += _audited(table, history, pk, ignored)
        if table == "datasets_app_example":
            guards += _frozen_but_redactable(history, "golden_guard_history_update")
        else:
            guards += _frozen(history)
    return guards + _tracked() + _refs()


def corpus_guards() -> list[Guard]:
    """The triggers of the corpus and its evaluations, in a fixed order."""
    guards = [guard for table in _CORPUS_FROZEN for guard in _frozen(table)]
    for table, history in _CORPUS_AUDITED.items():
        guards += _audited(table, history, "id", "") + _frozen(history)
    return guards + _corpus_tracked()


def all_guards() -> list[Guard]:
    """Every trigger, in a fixed order."""
    return dataset_guards() + corpus_guards()


def guarded_tables() -> list[str]:
    return sorted({guard.table for guard in all_guards()})


def create_sql() -> str:
    """The SQL of the first guards, those of datasets."""
    return FUNCTIONS_SQL.read_text() + "".join(guard.create_sql for guard in dataset_guards())


def drop_sql() -> str:
    functions = (
        "golden_refuse, golden_guard_blob_update, golden_guard_history_update, golden_audit, "
        "golden_fill_search_text, golden_search_text, golden_track_inserted, golden_track_updated, "
        "golden_track_deleted, golden_guard_ref, golden_guard_commit"
    )
    return "".join(guard.drop_sql for guard in dataset_guards()) + f"DROP FUNCTION IF EXISTS {functions};"


def create_corpus_sql() -> str:
    return CORPUS_TRIGGERS_SQL.read_text() + "".join(guard.create_sql for guard in corpus_guards())


def drop_corpus_sql() -> str:
    functions = (
        "golden_chunks_inserted, golden_chunks_updated, golden_chunks_deleted, golden_analyses_updated"
    )
    return "".join(guard.drop_sql for guard in corpus_guards()) + f"DROP FUNCTION IF EXISTS {functions};"


def missing_guards() -> list[str]:
    """Name each guard that the database lacks or that does not fire always, as "table.trigger"."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE tgname LIKE 'golden\\_%' AND tgenabled = 'A'"
        )
        standing = set(cursor.fetchall())
    return [f"{g.table}.{g.name}" for g in all_guards() if (g.table, g.name) not in standing]
