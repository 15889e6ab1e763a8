"""How many examples a queue would have, before it is made."""

from __future__ import annotations

from typing import Any

from django.db import connection

from datasets_app.models import Branch, ExampleType
from labeling_app.services.queue_filters import checked_filters, conditions

COUNTED_AT_MOST = 100_000
# Seq scan of the branch's rows at the worst; it stops when enough are found.
_COUNT = """
SELECT count(*) FROM (
    SELECT 1 FROM datasets_app_example e
     WHERE e.branch_id = %s AND e.example_type_id = %s AND {filters} LIMIT %s) found
"""


def matching_count(
    *, branch: Branch, example_type: ExampleType, filters: dict[str, Any] | None = None
) -> int:
    """Count the working rows that a queue with these filters would hold now, up to COUNTED_AT_MOST + 1.

    Raises BadInput for filters that cannot be.
    """
    clause, values = conditions(checked_filters(filters))
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT.format(filters=clause), [branch.pk, example_type.pk, *values, COUNTED_AT_MOST + 1]
        )
        return int(cursor.fetchone()[0])
