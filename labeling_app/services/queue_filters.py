"""Which working rows a queue, or a session within it, is about: filters as conditions of SQL."""

from __future__ import annotations

from typing import Any

from datasets_app.models import ValidationStatus
from goldenproject.kit.errors import BadInput

TIERS = ("gold", "silver", "bronze", "rejected")
_LISTS = ("status", "tags", "tier", "type")
_MOST = 100

_TAGS = (
    "(coalesce(e.labels -> 'tags', '[]'::jsonb) ?| %s::text[] "
    "OR EXISTS (SELECT 1 FROM unnest(%s::text[]) mark WHERE e.labels -> mark = 'true'::jsonb))"
)
_TIER = """(SELECT CASE WHEN q.metric_value >= 90 THEN 'gold' WHEN q.metric_value >= 75 THEN 'silver'
                        WHEN q.metric_value >= 60 THEN 'bronze' ELSE 'rejected' END
              FROM datasets_app_examplequality q
             WHERE q.example_id = e.example_id AND q.metric_name = 'quality_score') = ANY(%s)"""


def checked_filters(filters: dict[str, Any] | None, *, with_type: bool = False) -> dict[str, Any]:
    """Return filters without what is empty: lists under status, tags, tier (and type for a session), text under text.

    A single value stands for a list of it. Raises BadInput naming the filter.
    """
    if filters is not None and not isinstance(filters, dict):
        raise BadInput(f"Filters: found {type(filters).__name__}, expected an object.")
    checked: dict[str, Any] = {}
    for name, given in (filters or {}).items():
        if name == "text":
            if not isinstance(given, str | None) or "\x00" in (given or ""):
                raise BadInput("The filter text takes a text that examples hold.")
            if given:
                checked[name] = given
        elif name in _LISTS and (with_type or name != "type"):
            values = _listed(name, given)
            if values:
                checked[name] = values
        else:
            raise BadInput(f"“{name}” is no filter.", hint="Filters: status, tags, tier, text.")
    _check_known("status", checked, ValidationStatus.values)
    _check_known("tier", checked, TIERS)
    return checked


def _listed(name: str, given: Any) -> list[str]:
    values = [given] if isinstance(given, str) else given or []
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise BadInput(f"The filter {name} takes a list of texts.")
    if len(values) > _MOST or any("\x00" in value for value in values):
        raise BadInput(f"The filter {name} takes up to {_MOST} values without control characters.")
    return sorted({value for value in values if value})


def _check_known(name: str, filters: dict[str, Any], known: Any) -> None:
    strange = [value for value in filters.get(name, ()) if value not in known]
    if strange:
        raise BadInput(f"The filter {name}: found {strange}, expected some of {', '.join(known)}.")


def telling(filters: dict[str, Any], of_queue: dict[str, Any]) -> list[str]:
    """Return the names of a session's filters that tell more of an example than that it is in the queue.

    A list that holds all that the queue's own filter allows tells nothing. The type is the queue's, and shown. That an
    example is pending is why it is labeled.
    """
    told = [
        name
        for name in ("status", "tags", "tier")
        if filters.get(name)
        and not (of_queue.get(name) and set(of_queue[name]) <= set(filters[name]))
        and (name, filters[name]) != ("status", [ValidationStatus.PENDING])
    ]
    return [*told, "text"] if filters.get("text") else told


def conditions(filters: dict[str, Any], *, of_labeler: bool = False) -> tuple[str, list[Any]]:
    """Return checked filters as SQL on a working row `e`, with its parameters; TRUE when there are none.

    Those `of_labeler` find a text in the input alone: in the answer that is there, it would tell what that is.
    """
    clauses: list[str] = []
    parameters: list[Any] = []
    if filters.get("status"):
        clauses.append("e.validation_status = ANY(%s)")
        parameters.append(filters["status"])
    if filters.get("tags"):
        clauses.append(_TAGS)
        parameters += [filters["tags"], filters["tags"]]
    if filters.get("tier"):
        clauses.append(_TIER)
        parameters.append(filters["tier"])
    if filters.get("text"):
        pattern = filters["text"].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        clauses.append("e.search_text LIKE lower(%s)")
        parameters.append(f"%{pattern}%")
        if of_labeler:
            clauses.append("lower(golden_search_text(e.input_data)) LIKE lower(%s)")
            parameters.append(f"%{pattern}%")
    return " AND ".join(clauses) or "TRUE", parameters
