"""Which examples of a branch a list shows: filters from the address, and pages that cost the same at a million rows."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet

from datasets_app.models import Branch, Example, ExampleIdentity, ExampleType, ValidationStatus
from datasets_app.services.versioning.worktrees import row_count
from goldenproject.kit.admin import KeysetPage, keyset_page

PAGE_ROWS = 50
# So many matches are fetched as bare ordinals and sorted here; more than these are read in order along an index.
MAX_SORTED = 2000
SAMPLED_RUNS = 40
ROWS_IN_RUN = 100
MAX_CLASSES = 200


@dataclass(frozen=True)
class ExampleFilter:
    """What a list of examples is narrowed to; empty parts do not narrow."""

    search: str = ""
    status: str = ""
    type_name: str = ""
    class_value: str = ""
    dirty: bool = False

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> ExampleFilter:
        """Read ?q= &status= &type= &class= &dirty=1; what is not understood is left out."""
        status = query.get("status", "")
        return cls(
            search=query.get("q", "").replace("\x00", "").strip()[:500],
            status=status if status in ValidationStatus.values else "",
            type_name=query.get("type", "").replace("\x00", ""),
            class_value=query.get("class", "").replace("\x00", "").strip(),
            dirty=query.get("dirty") == "1",
        )

    @property
    def is_empty(self) -> bool:
        return self == ExampleFilter()

    def query(self, **more: Any) -> str:
        """Return the query string that says this filter, and `more` parameters."""
        parts = {
            "q": self.search,
            "status": self.status,
            "type": self.type_name,
            "class": self.class_value,
            "dirty": "1" if self.dirty else "",
            **more,
        }
        return urlencode({name: value for name, value in parts.items() if value not in ("", None)})

    def examples(self, branch: Branch) -> QuerySet[Example]:
        """Return the rows of `branch` that match, without an order."""
        found: QuerySet[Example] = Example.objects.filter(branch=branch)
        if self.status:
            found = found.filter(validation_status=self.status)
        if self.type_name:
            found = found.filter(example_type__name=self.type_name)
        if self.class_value:
            found = found.filter(_class_is(branch, self.class_value))
        if self.dirty:
            found = found.filter(identity_id__in=branch.dirty.values("example_id"))
        if self.search:
            found = _searched(found, branch, self.search)
        return found

    def uuids(self, branch: Branch) -> list[uuid.UUID]:
        """Return the ids of all examples that match."""
        return list(self.examples(branch).values_list("identity_id", flat=True))


def _searched(examples: QuerySet[Example], branch: Branch, text: str) -> QuerySet[Example]:
    """Rows that contain the text or whose id it is."""
    known = ExampleIdentity.objects.filter(dataset_id=branch.dataset_id)
    named = list(known.filter(external_id=text).values_list("pk", flat=True))
    try:
        named.append(uuid.UUID(text))
    except ValueError:
        pass
    if not named:
        return examples.containing(text)  # type: ignore[attr-defined, no-any-return]
    return examples.filter(Q(search_text__contains=text.lower()) | Q(identity_id__in=named))


def _class_is(branch: Branch, value: str) -> Q:
    """Match the class in whichever field the types of the branch keep it; 3 and true are asked for as JSON too."""
    wanted: list[Any] = [value]
    try:
        read = json.loads(value)
    except ValueError:
        read = None
    if isinstance(read, bool | int | float):
        wanted.append(read)
    condition = Q(pk__in=[])
    for class_field in {t.class_field for t in types_in(branch) if t.class_field}:
        for one in wanted:
            condition |= Q(expected_output__contains=_nested(class_field, one))
    return condition


def _nested(class_field: str, value: Any) -> Any:
    for key in reversed(class_field.split(".")):
        value = {key: value}
    return value


def class_of(example_type: ExampleType, output: Any) -> Any:
    """Return the value of the class field of an output, None where there is none."""
    if not example_type.class_field:
        return None
    for key in example_type.class_field.split("."):
        output = output.get(key) if isinstance(output, dict) else None
    return output


def types_in(branch: Branch) -> list[ExampleType]:
    """Return the types that examples of the branch have: one look into an index for each type."""
    rows = Example.objects.filter(branch=branch, example_type=OuterRef("pk"))
    return list(ExampleType.objects.filter(Exists(rows)))


def known_classes(branch: Branch, types: list[ExampleType]) -> list[str]:
    """Return class values to choose from: those the schemas list, and those of a sample of rows."""
    values: dict[str, None] = {}
    for one in types:
        properties = one.output_schema.get("properties", {})
        for value in properties.get(one.class_field, {}).get("enum", []):
            values[_as_text(value)] = None
    if not values:
        fields = {one.pk: one for one in types}
        for type_id, output in _sample_of_outputs(branch):
            value = class_of(fields[type_id], output) if type_id in fields else None
            if value is not None:
                values[_as_text(value)] = None
    return sorted(values)[:MAX_CLASSES]


def _sample_of_outputs(branch: Branch) -> Iterable[tuple[int, Any]]:
    """Return (type id, output) of runs of rows from all over a branch: files are often sorted by their classes."""
    rows = Example.objects.filter(branch=branch)
    edges = rows.aggregate(first=Min("ordinal"), last=Max("ordinal"))
    if edges["first"] is None:
        return []
    step = max((edges["last"] - edges["first"]) // SAMPLED_RUNS, 1)
    starts = range(edges["first"], edges["last"] + 1, step)
    outputs = rows.values_list("example_type_id", "expected_output").order_by("ordinal")
    runs = [outputs.filter(ordinal__gte=start)[: min(step, ROWS_IN_RUN)] for start in starts]
    return runs[0].union(*runs[1:], all=True) if len(runs) > 1 else runs[0]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class ExamplePage:
    """A page of a list: its rows, the ordinals from which its neighbours go on, and how many rows match in all.

    `is_capped` says that more than `count` match.
    """

    rows: list[Example]
    previous: int | None
    next: int | None
    count: int
    is_capped: bool = False


def find_page(
    branch: Branch,
    wanted: ExampleFilter,
    *,
    after: int | None = None,
    before: int | None = None,
    size: int = PAGE_ROWS,
) -> ExamplePage:
    """Return a page of the examples that match, in the order of import."""
    if wanted.is_empty:
        page = _in_order(_shown(Example.objects.filter(branch=branch)), after, before, size)
        return ExamplePage(page.rows, page.previous, page.next, row_count(branch))
    matching = wanted.examples(branch)
    ordinals = _few_ordinals(matching)
    if ordinals is None:
        page = _in_order(_shown(matching), after, before, size)
        return ExamplePage(page.rows, page.previous, page.next, MAX_SORTED, is_capped=True)
    return _sorted_page(branch, ordinals, after, before, size)


def neighbours(branch: Branch, wanted: ExampleFilter, ordinal: int) -> tuple[int | None, int | None]:
    """Return the ids of the rows before and after a place, among those that match."""
    rows = wanted.examples(branch)
    ordinals = None if wanted.is_empty else _few_ordinals(rows)
    if ordinals is not None:  # the filter was paid for once; what follows goes by the index
        rows = Example.objects.filter(branch=branch, ordinal__in=ordinals)
    ids = rows.values_list("pk", flat=True)
    before = ids.filter(ordinal__lt=ordinal).order_by("-ordinal").first()
    after = ids.filter(ordinal__gt=ordinal).order_by("ordinal").first()
    return before, after


def _few_ordinals(matching: QuerySet[Example]) -> list[int] | None:
    """Return the places of all rows that match, sorted; None when there are more than are worth sorting here."""
    ordinals = sorted(matching.order_by().values_list("ordinal", flat=True)[: MAX_SORTED + 1])
    return None if len(ordinals) > MAX_SORTED else ordinals


def _in_order(examples: QuerySet[Example], after: int | None, before: int | None, size: int) -> KeysetPage:
    return keyset_page(examples, key="ordinal", size=size, after=after, before=before)


def _sorted_page(
    branch: Branch, ordinals: list[int], after: int | None, before: int | None, size: int
) -> ExamplePage:
    if before is not None:
        end = sum(ordinal < before for ordinal in ordinals)
        start = max(0, end - size)
    else:
        start = 0 if after is None else sum(ordinal <= after for ordinal in ordinals)
        end = start + size
    chosen = ordinals[start:end]
    rows = list(_shown(Example.objects.filter(branch=branch, ordinal__in=chosen)).order_by("ordinal"))
    return ExamplePage(
        rows,
        previous=chosen[0] if chosen and start > 0 else None,
        next=chosen[-1] if chosen and end < len(ordinals) else None,
        count=len(ordinals),
    )


def _shown(examples: QuerySet[Example]) -> QuerySet[Example]:
    """Only the columns that a list shows; the type is joined."""
    return examples.select_related("identity", "example_type").defer(
        "search_text", "provenance", "metadata", "source_decision_id"
    )
