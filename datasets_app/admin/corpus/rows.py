"""Rows of a form whose number the person chooses: read from what was sent, in the order in which they stand there.

A row is named by a hidden field: the field `chunk` has the keys of the rows, `chunk-KEY-content` is a cell. The keys of
new rows begin with “new”; one that was left empty is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

NEW = "__new__"


@dataclass
class FormRow:
    """A row as it is typed: `cells` by name; `errors` by cell, "" for the row; `notes` is what a page adds."""

    key: str
    cells: dict[str, str]
    is_removed: bool = False
    errors: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        return self.key.startswith("new") or self.key == NEW

    def refuse(self, message: str, cell: str = "") -> None:
        self.errors.setdefault(cell if cell in self.cells else "", []).append(message)


def typed_rows(typed: QueryDict, name: str, cells: Sequence[str]) -> list[FormRow]:
    """Return the rows called `name` that were sent, without new ones that are empty or taken away again."""
    rows = []
    for key in dict.fromkeys(typed.getlist(name)):
        found = {
            cell: typed.get(f"{name}-{key}-{cell}", "").replace("\r\n", "\n").replace("\x00", "")
            for cell in cells
        }
        row = FormRow(key, found, is_removed=typed.get(f"{name}-{key}-remove") == "1")
        if not (row.is_new and (row.is_removed or not any(value.strip() for value in found.values()))):
            rows.append(row)
    return rows


def empty_row(cells: Iterable[str], key: str = NEW, **values: str) -> FormRow:
    """Return the row that the page copies when one more is wanted."""
    return FormRow(key, {**dict.fromkeys(cells, ""), **values})


def any_errors(rows: Iterable[FormRow]) -> bool:
    return any(row.errors for row in rows)
