"""Pages of long lists by a composite key: as fast at the hundred-thousandth row as at the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import BooleanField, F, Func, Model, QuerySet, Value

from goldenproject.kit.admin import COUNT_LIMIT, capped_count, estimated_rows

PAGE_ROWS = 50
# So many matches are fetched as bare keys and sorted here; more than these are read in order along an index.
MAX_SORTED = 2000
_SEPARATOR = "~"


@dataclass(frozen=True)
class RowOrder:
    """An order of a model's rows by `keys`, which together are unique and begin an index."""

    keys: tuple[str, ...]
    descending: bool = False

    def sorted(self, rows: QuerySet[Any], *, backwards: bool = False) -> QuerySet[Any]:
        sign = "-" if self.descending != backwards else ""
        return rows.order_by(*(sign + key for key in self.keys))

    def beyond(self, rows: QuerySet[Any], edge: Sequence[Any], *, backwards: bool = False) -> QuerySet[Any]:
        """Return the rows behind `edge` (before it when `backwards`)."""
        comparison = "<" if self.descending != backwards else ">"
        return rows.filter(_RowComparison(*self.keys, edge=edge, comparison=comparison, model=rows.model))


class _RowComparison(Func):
    """(a, b) > (x, y): one condition, which the database answers with one descent of an index on (a, b)."""

    output_field = BooleanField()
    conditional = True

    def __init__(self, *keys: str, edge: Sequence[Any], comparison: str, model: type[Model]) -> None:
        values = [
            Value(value, output_field=_plain_field(model, key)) for key, value in zip(keys, edge, strict=True)
        ]
        super().__init__(*(F(key) for key in keys), *values)
        self.comparison = comparison

    def as_sql(self, compiler: Any, connection: Any, **_extra: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        parts: list[str] = []
        parameters: list[Any] = []
        for source in self.source_expressions:
            sql, found = compiler.compile(source)
            parts.append(sql)
            parameters += found
        half = len(parts) // 2
        left, right = ", ".join(parts[:half]), ", ".join(parts[half:])
        return f"({left}) {self.comparison} ({right})", parameters


def _plain_field(model: type[Model], key: str) -> Any:
    found = model._meta.get_field(key)
    return getattr(found, "target_field", found)


@dataclass(frozen=True)
class RowPage:
    """A page: its rows, what names its neighbours in the address ("" where there is none), and how many there are.

    `count` is exact, or about right when `is_estimate`, or a lower bound when `is_capped`.
    """

    rows: list[Any] = field(default_factory=list)
    previous: str = ""
    next: str = ""
    count: int = 0
    is_estimate: bool = False
    is_capped: bool = False


def find_page(
    rows: QuerySet[Any],
    order: RowOrder,
    *,
    is_narrowed: bool,
    joined: tuple[str, ...] = (),
    after: str = "",
    before: str = "",
    size: int = PAGE_ROWS,
) -> RowPage:
    """Return the page of `rows` behind the row that `after` names, or in front of `before`; else the first one.

    `is_narrowed` says that the rows are filtered by something that no index has in order; `joined` names relations to
    fetch with the rows. What cannot be understood
    in `after` and `before` is left out: the first page is the answer to a hand-made address.
    """
    edges = {"after": edge_of(rows.model, order, after), "before": edge_of(rows.model, order, before)}
    if is_narrowed:
        few = _few_keys(rows, order)
        if few is not None:
            return _sorted_page(rows, order, few, joined, size, **edges)
    with _reading_in_order() if is_narrowed else nullcontext():
        found, previous, following = _in_order(rows.select_related(*joined), order, size, **edges)
    count, is_estimate, is_capped = MAX_SORTED, False, is_narrowed
    if not is_narrowed:
        count = capped_count(rows)
        is_estimate = count > COUNT_LIMIT
        count = max(estimated_rows(rows.model._meta.db_table), count) if is_estimate else count
    return RowPage(found, previous, following, count, is_estimate, is_capped)


def edge_of(model: type[Model], order: RowOrder, text: str) -> tuple[Any, ...] | None:
    """Return the key that `text` names, None when it names none."""
    parts = text.replace("\x00", "").split(_SEPARATOR)
    if not text or len(parts) != len(order.keys):
        return None
    try:
        return tuple(
            _plain_field(model, key).to_python(part) for key, part in zip(order.keys, parts, strict=True)
        )
    except (ValidationError, ValueError):
        return None


def name_of(order: RowOrder, row: Any) -> str:
    """Return what names a row in the address of its page's neighbours."""
    values = (getattr(row, f"{key}_id", None) or getattr(row, key) for key in order.keys)
    return _SEPARATOR.join(_as_text(value) for value in values)


def _as_text(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _few_keys(rows: QuerySet[Any], order: RowOrder) -> list[tuple[Any, ...]] | None:
    """Return the keys and ids of all rows, sorted; None when there are more than are worth sorting here."""
    keys = list(rows.order_by().values_list(*order.keys, "pk")[: MAX_SORTED + 1])
    return None if len(keys) > MAX_SORTED else sorted(keys, reverse=order.descending)


@contextmanager
def _reading_in_order() -> Iterator[None]:
    """Keep the database from sorting all matches of a text, whose number it cannot guess, where it reads only the first."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = off")
        yield
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_sort = on")


def _in_order(
    rows: QuerySet[Any], order: RowOrder, size: int, *, after: Any, before: Any
) -> tuple[list[Any], str, str]:
    backwards = before is not None
    edge = before if backwards else after
    wanted = rows if edge is None else order.beyond(rows, edge, backwards=backwards)
    found = list(order.sorted(wanted, backwards=backwards)[: size + 1])
    more = len(found) > size
    found = found[:size]
    if backwards:
        found.reverse()
    has_previous = more if backwards else edge is not None
    has_next = True if backwards else more
    return (
        found,
        name_of(order, found[0]) if found and has_previous else "",
        name_of(order, found[-1]) if found and has_next else "",
    )


def _sorted_page(
    rows: QuerySet[Any],
    order: RowOrder,
    keys: list[tuple[Any, ...]],
    joined: tuple[str, ...],
    size: int,
    *,
    after: Any,
    before: Any,
) -> RowPage:
    width = len(order.keys)

    def is_before(key: tuple[Any, ...], edge: Any) -> bool:
        return bool(key[:width] > edge if order.descending else key[:width] < edge)

    if before is not None:
        end = sum(is_before(key, before) for key in keys)
        start = max(0, end - size)
    else:
        start = 0 if after is None else sum(is_before(key, after) or key[:width] == after for key in keys)
        end = start + size
    chosen = keys[start:end]
    # the conditions were paid for once
    by_id = rows.model._default_manager.filter(pk__in=[key[-1] for key in chosen])
    found = list(order.sorted(by_id.select_related(*joined)))
    return RowPage(
        found,
        previous=name_of(order, found[0]) if found and start > 0 else "",
        next=name_of(order, found[-1]) if found and end < len(keys) else "",
        count=len(keys),
    )
