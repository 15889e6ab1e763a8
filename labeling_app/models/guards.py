"""The triggers that keep the labels: the log is append-only, and what people decide has a history."""

from __future__ import annotations

from goldenproject.kit.guards import Guard, audited, frozen, register_guards

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


def labeling_guards() -> list[Guard]:
    """The triggers of the labels, in a fixed order."""
    guards = frozen("labeling_app_labelhistory")
    for name, ignored in _AUDITED.items():
        history = f"labeling_app_historical{name}"
        guards += audited(f"labeling_app_{name}", history, _KEYS.get(name, "id"), ignored) + frozen(history)
    return guards


def create_sql() -> str:
    return "".join(guard.create_sql for guard in labeling_guards())


def drop_sql() -> str:
    return "".join(guard.drop_sql for guard in labeling_guards())


register_guards("labeling_app", labeling_guards)
