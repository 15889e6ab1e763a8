"""Choose uncommitted examples by what they hold, for a commit of a selection."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import orjson
from django.db import connection

from datasets_app.models import Branch
from goldenproject.kit.errors import BadInput

_CHANGES = {
    "added": "e.id IS NOT NULL AND NOT d.in_base",
    "modified": "e.id IS NOT NULL AND d.in_base",
    "removed": "e.id IS NULL",
}
_JSON_COLUMNS = {
    "input": "e.input_data",
    "output": "e.expected_output",
    "labels": "e.labels",
    "metadata": "e.metadata",
}
# Few rows are dirty: the primary key (branch, example) of the dirty table leads, rows are looked up by their unique key.
_SELECT = """
    SELECT d.example_id
      FROM datasets_app_dirtyexample d
      JOIN datasets_app_exampleidentity i ON i.id = d.example_id
      LEFT JOIN datasets_app_example e ON e.branch_id = d.branch_id AND e.example_id = d.example_id
      LEFT JOIN datasets_app_exampletype t ON t.id = e.example_type_id
     WHERE d.branch_id = %s
"""


def dirty_examples_where(branch: Branch, conditions: Iterable[str]) -> frozenset[uuid.UUID]:
    """Return the uncommitted examples of a branch for which all `conditions` (FIELD=VALUE) hold.

    FIELD is type, status, id (from outside, or UUID), change (added, modified, removed) or a dotted path such as
    output.label, whose VALUE is compared as text and as JSON. A removed example has no fields. Raises BadInput.
    """
    sql, parameters = _SELECT, [branch.pk]
    for condition in conditions:
        clause, values = _clause(condition)
        sql += f" AND {clause}"
        parameters += values
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return frozenset(row[0] for row in cursor.fetchall())


def _clause(condition: str) -> tuple[str, list[Any]]:
    field, equals, value = condition.partition("=")
    field = field.strip()
    if not equals:
        raise BadInput(f"“{condition}” is no condition: expected FIELD=VALUE, such as output.label=spam.")
    if field == "type":
        return "t.name = %s", [value]
    if field == "status":
        return "e.validation_status = %s", [value]
    if field == "id":
        return "(i.external_id = %s OR i.id::text = lower(%s))", [value, value]
    if field == "change":
        if value not in _CHANGES:
            raise BadInput(f"“{condition}”: a change is one of {', '.join(_CHANGES)}.")
        return f"({_CHANGES[value]})", []
    part, _, path = field.partition(".")
    if part not in _JSON_COLUMNS or not path:
        raise BadInput(
            f"“{condition}”: “{field}” is no field to select by.",
            hint="Use type, status, id, change, or input., output., labels. or metadata. and a name.",
        )
    return f"({_JSON_COLUMNS[part]} #> %s) IN (to_jsonb(%s::text), %s::jsonb)", [
        path.split("."),
        value,
        _as_json(value),
    ]


def _as_json(value: str) -> str:
    try:
        orjson.loads(value)
    except orjson.JSONDecodeError:
        return orjson.dumps(value).decode()
    return value
