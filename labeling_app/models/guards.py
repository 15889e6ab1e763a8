"""The triggers that keep the labels: the log is append-only, what people decide has a history, what is erased stays so.

The functions are in sql/erasing.sql.
"""

from __future__ import annotations

from pathlib import Path

from goldenproject.kit.guards import Guard, audited, frozen, register_guards

FUNCTIONS_SQL = Path(__file__).parent.parent / "sql" / "erasing.sql"

# model table → columns whose change alone is not worth a row of history
_AUDITED = {
    "labelingqueue": "refreshed_at,ordered_at",
    "queuemember": "",
    "labelerstanding": "",
    "labelingsession": "last_seen_at,examples_labeled,served,seen_position,seen_item",
    "bulklabeling": "",
    "labelhistory": "",
    "consensus": "computed_at",
    "review": "",
    "goldanswer": "",
    "webhook": "",
}
_KEYS = {"consensus": "item_id", "goldanswer": "item_id"}
# append-only table → how a row tells its example, and what of it a redaction may erase
ERASABLE = {
    "labelhistory": ("example", "label_value,previous_value,notes"),
    "historicallabelhistory": ("example", "label_value,previous_value,notes"),
    "historicalconsensus": ("item", "value,adopted_value,before"),
    "historicalreview": ("item", "detail,comment,suggestion,value"),
    "historicalgoldanswer": ("item", "value,explanation"),
    "historicalbulklabeling": ("bulk", "value,rule"),
}
_STAYS_ERASED = {
    "labelhistory": "golden_history_stays_erased",
    "label": "golden_label_stays_erased",
    "draft": "golden_help_stays_erased",
    "suggestion": "golden_help_stays_erased",
    "goldanswer": "golden_help_stays_erased",
    "review": "golden_review_stays_erased",
}
_FUNCTIONS = (
    "golden_guard_answer_erasure, golden_history_stays_erased, golden_label_stays_erased, golden_help_stays_erased, "
    "golden_review_stays_erased, golden_tombstone_of, golden_is_erased"
)


def _append_only(name: str) -> list[Guard]:
    table = f"labeling_app_{name}"
    if name not in ERASABLE:
        return frozen(table)
    example, columns = ERASABLE[name]
    return [
        Guard(
            table,
            "golden_append_only",
            f"BEFORE DELETE OR TRUNCATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION golden_refuse()",
        ),
        Guard(
            table,
            "golden_redaction_only",
            f"BEFORE UPDATE ON {table} FOR EACH ROW "
            f"EXECUTE FUNCTION golden_guard_answer_erasure('{example}', '{columns}')",
        ),
    ]


def labeling_guards() -> list[Guard]:
    """The triggers of the labels, in a fixed order."""
    guards = _append_only("labelhistory")
    for name, ignored in _AUDITED.items():
        history = f"labeling_app_historical{name}"
        guards += audited(f"labeling_app_{name}", history, _KEYS.get(name, "id"), ignored)
        guards += _append_only(f"historical{name}")
    for name, function in _STAYS_ERASED.items():
        table = f"labeling_app_{name}"
        guards.append(
            Guard(
                table,
                "golden_stays_erased",
                f"BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()",
            )
        )
    return guards


def create_sql() -> str:
    return FUNCTIONS_SQL.read_text() + "".join(guard.create_sql for guard in labeling_guards())


def drop_sql() -> str:
    return "".join(guard.drop_sql for guard in labeling_guards()) + f"DROP FUNCTION IF EXISTS {_FUNCTIONS};"


register_guards("labeling_app", labeling_guards)
