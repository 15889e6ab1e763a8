"""Check a whole working copy against its types, streamed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from datasets_app.domain.canonical import loads_stored
from datasets_app.models import Branch, ExampleType
from datasets_app.services.curation.types import violation_dict
from datasets_app.services.versioning.compiled_types import compiled
from goldenproject.kit.database_io import stream

MAX_REPORTED = 1000
_ROWS = """
    SELECT e.example_id, i.external_id, e.example_type_id, e.input_data::text, e.expected_output::text
      FROM datasets_app_example e JOIN datasets_app_exampleidentity i ON i.id = e.example_id
     WHERE e.branch_id = %s ORDER BY e.ordinal
"""


@dataclass(frozen=True)
class InvalidExample:
    """An example that its type does not allow (any more), and why."""

    uuid: uuid.UUID
    external_id: str | None
    violations: list[dict[str, Any]]


@dataclass
class ValidationReport:
    """How many rows were checked and which are not valid; the first 1,000 of them are listed."""

    checked: int = 0
    invalid_count: int = 0
    invalid: list[InvalidExample] = field(default_factory=list)

    @property
    def is_valid(self) -> bool:
        return self.invalid_count == 0


def validate_working_copy(branch: Branch) -> ValidationReport:
    """Check every row of a working copy; a missing output counts as invalid only where the type requires a field of it."""
    types = {t.pk: compiled(t) for t in ExampleType.objects.all()}
    report = ValidationReport()
    with transaction.atomic():
        for rows in stream(_ROWS, [branch.pk]):
            for example_id, external_id, type_id, input_, output in rows:
                report.checked += 1
                violations = types[type_id].validate(
                    loads_stored(input_),
                    None if output is None else loads_stored(output),
                    require_output=False,
                )
                if violations:
                    report.invalid_count += 1
                    if report.invalid_count <= MAX_REPORTED:
                        report.invalid.append(
                            InvalidExample(example_id, external_id, [violation_dict(v) for v in violations])
                        )
    return report
