"""The triggers that hold the database to its promises: what they are called, on which tables, and their SQL.

The functions are in sql/functions.sql.
"""

from __future__ import annotations

from pathlib import Path

from goldenproject.kit.guards import Guard, audited, frozen, register_guards

SQL = Path(__file__).parent.parent / "sql"
FUNCTIONS_SQL = SQL / "functions.sql"
CORPUS_TRIGGERS_SQL = SQL / "corpus_triggers.sql"

_FROZEN = (
    "datasets_app_exampleidentity",
    "datasets_app_node",
    "datasets_app_datasetcommit",
    "datasets_app_examplechange",
    "datasets_app_redaction",
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
    guards = [guard for table in _FROZEN for guard in frozen(table)]
    guards += _frozen_but_redactable("datasets_app_blob", "golden_guard_blob_update")
    guards += _frozen_but_redactable("datasets_app_auditevent", "golden_guard_audit_erasure")
    for table, (history, pk, ignored) in _AUDITED.items():
        guards += audited(table, history, pk, ignored)
        if table == "datasets_app_example":
            guards += _frozen_but_redactable(history, "golden_guard_history_update")
        else:
            guards += frozen(history)
    return guards + _tracked() + _refs()


def corpus_guards() -> list[Guard]:
    """The triggers of the corpus and its evaluations, in a fixed order."""
    guards = [guard for table in _CORPUS_FROZEN for guard in frozen(table)]
    for table, history in _CORPUS_AUDITED.items():
        guards += audited(table, history, "id", "") + frozen(history)
    return guards + _corpus_tracked()


def create_sql() -> str:
    """The SQL of the first guards, those of datasets."""
    return FUNCTIONS_SQL.read_text() + "".join(guard.create_sql for guard in dataset_guards())


def drop_sql() -> str:
    functions = (
        "golden_refuse, golden_guard_blob_update, golden_guard_history_update, golden_guard_audit_erasure, golden_audit, "
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


def _guards() -> list[Guard]:
    return dataset_guards() + corpus_guards()


register_guards("datasets_app", _guards)
