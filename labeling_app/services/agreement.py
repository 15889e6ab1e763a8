"""How far the labelers of a queue agree: by field of the answer, by pair, by labeler, over time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np

from datasets_app.domain.canonical import canonical_text, loads_stored
from datasets_app.domain.roles import Action
from datasets_app.services.access import require
from labeling_app.domain.agreement import (
    Coefficient,
    Level,
    fleiss_kappa,
    gwet_ac1,
    krippendorff_alpha,
    midranks,
    percent_agreement,
)
from labeling_app.domain.answer_fields import AnswerField, Kind
from labeling_app.domain.pairwise import (
    Confusion,
    PairAgreement,
    RaterAgreement,
    busiest,
    coincidences,
    confusions,
    pair_agreements,
    rater_agreements,
)
from labeling_app.domain.ratings import FloatArray, RatingTable
from labeling_app.domain.verdicts import Verdict, of_alpha
from labeling_app.models import LabelingQueue
from labeling_app.services.queue_fields import fields_of
from labeling_app.services.ratings import QueueRatings, ratings_of

MAX_IN_MATRIX: Final = 12
MAX_LABELERS: Final = 50
MAX_CLASSES: Final = 12
MAX_WEEKS: Final = 26
MAX_CONFUSIONS: Final = 8
_FIRST_MONDAY = date(1969, 12, 29)
_LEVELS: Final[dict[str, tuple[Level, ...]]] = {
    "nominal": ("nominal",),
    "ordinal": ("nominal", "ordinal", "interval"),
    "interval": ("nominal", "ordinal", "interval", "ratio"),
    "ratio": ("nominal", "ordinal", "interval", "ratio"),
}


@dataclass(frozen=True)
class ClassAgreement:
    """One class: its share of all labels, and Fleiss' kappa of it against all others."""

    name: str
    share: float
    kappa: Coefficient


@dataclass(frozen=True)
class WeekAgreement:
    """Examples whose newest label is of the week that begins on a Monday (UTC)."""

    monday: date
    labels: int
    alpha: Coefficient


@dataclass(frozen=True)
class FieldAgreement:
    """Agreement on one field of the answer. `alpha` is at the field's level of measurement and has the verdict.

    `alphas` has the other levels that make sense; kappa and AC1 are of classes. `matrix[i][j]`: of all ratings, how often
    `classes` i and j were given to one example (coincidences). A field in labelers' own words has percent alone.
    """

    name: str
    title: str
    kind: str
    level: str
    alpha: Coefficient
    verdict: Verdict
    percent: Coefficient
    fleiss: Coefficient | None = None
    ac1: Coefficient | None = None
    alphas: dict[str, Coefficient] = field(default_factory=dict)
    by_class: tuple[ClassAgreement, ...] = ()
    classes: tuple[str, ...] = ()
    classes_left_out: int = 0
    matrix: tuple[tuple[float, ...], ...] = ()
    confusions: tuple[Confusion, ...] = ()
    pairs: tuple[PairAgreement, ...] = ()
    labelers: tuple[RaterAgreement, ...] = ()
    weeks: tuple[WeekAgreement, ...] = ()


@dataclass(frozen=True)
class AgreementReport:
    """Agreement in a queue: `items` have labels, `compared` of them those of two labelers or more."""

    labels: int
    items: int
    compared: int
    labelers: int
    fields: tuple[FieldAgreement, ...]
    computed_at: datetime | None = None
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        found: dict[str, Any] = _plain(asdict(self))
        return found


def agreement_report(
    queue: LabelingQueue,
    *,
    actor: Any = None,
    since: datetime | None = None,
    until: datetime | None = None,
    labelers: Sequence[str] | None = None,
    ratings: QueueRatings | None = None,
) -> AgreementReport:
    """Return how far the labels that hold now agree; those given from `since` to before `until`, of these `labelers`.

    One query, whatever the number of labels. `ratings` saves reading them when they are at hand. Raises Forbidden.
    """
    if actor is not None:
        require(actor, Action.REVIEW, queue.dataset)
    began = time.monotonic()
    ratings = ratings or ratings_of(queue, since=since, until=until, labelers=labelers)
    sizes = ratings.table.unit_sizes
    return AgreementReport(
        labels=len(ratings.table),
        items=int((sizes > 0).sum()),
        compared=int((sizes > 1).sum()),
        labelers=ratings.table.raters_seen,
        fields=tuple(_field_agreement(ratings, one) for one in fields_of(queue)),
        computed_at=datetime.now(UTC),
        seconds=time.monotonic() - began,
    )


# --- one field ------------------------------------------------------------------------------------------------------
def _field_agreement(ratings: QueueRatings, one: AnswerField) -> FieldAgreement:
    table = ratings.by_class(one)
    percent = percent_agreement(table)
    base = FieldAgreement(one.name, one.title, one.kind, one.level, percent, _NOT_MEASURED, percent)
    if one.kind in (Kind.TEXT, Kind.OTHER):
        return replace(base, alpha=Coefficient(None, why_none=_NOT_MEASURED.advice))
    table = _in_order(table, one)
    numbers: FloatArray | None = None
    if one.level != "nominal":
        table, numbers = ratings.by_number(one)
        percent = percent_agreement(table)
    alphas: dict[str, Coefficient] = {
        level: krippendorff_alpha(table, level, numbers=numbers) for level in _LEVELS[one.level]
    }
    alpha = alphas.pop(one.level)
    scale = midranks(table, numbers) if one.level == "ordinal" and numbers is not None else numbers
    found = replace(
        base,
        alpha=alpha,
        verdict=of_alpha(alpha, of_numbers=one.kind == Kind.NUMBER),
        percent=percent,
        alphas=alphas,
        pairs=tuple(pair_agreements(table, busiest(table, MAX_IN_MATRIX), scale)),
        labelers=tuple(rater_agreements(table, busiest(table, MAX_LABELERS), numbers)),
        weeks=_weeks(ratings, one, table),
    )
    return (
        _with_classes(found, _in_order(ratings.by_class(one), one), one) if one.kind == Kind.CLASS else found
    )


_NOT_MEASURED: Final = Verdict(
    "not measured",
    "Answers in one's own words are hardly ever the same letter by letter; only equal ones are counted here.",
    "unknown",
)


def _with_classes(found: FieldAgreement, table: RatingTable, one: AnswerField) -> FieldAgreement:
    totals = np.bincount(table.values, minlength=len(table.value_names))
    given = np.flatnonzero(totals).tolist()
    frequent = sorted(sorted(given, key=lambda code: (-int(totals[code]), code))[:MAX_CLASSES])
    matrix = coincidences(table, given) if len(given) > 1 else np.zeros((len(given), len(given)))
    place = {code: number for number, code in enumerate(given)}
    shown = [place[code] for code in frequent]
    return replace(
        found,
        fleiss=fleiss_kappa(table),
        ac1=gwet_ac1(table, classes=len(one.values) or None),
        by_class=tuple(
            ClassAgreement(
                table.value_names[code],
                float(totals[code] / totals.sum()),
                fleiss_kappa(
                    table.recoded((np.arange(len(totals)) == code).astype(np.int64), ("other", "this"))
                ),
            )
            for code in frequent
        ),
        classes=tuple(str(table.value_names[code]) for code in frequent),
        classes_left_out=len(given) - len(frequent),
        matrix=tuple(tuple(float(matrix[row, column]) for column in shown) for row in shown),
        confusions=tuple(confusions(table, matrix, given, MAX_CONFUSIONS)),
    )


def _weeks(ratings: QueueRatings, one: AnswerField, table: RatingTable) -> tuple[WeekAgreement, ...]:
    """Return agreement by week of the newest label of an example, the last half year of weeks that have some."""
    pairable = table.pairable()
    if not len(pairable):
        return ()
    week_of = ratings.week_of_units()
    weeks = week_of[pairable.units]
    level: Level = one.level  # type: ignore[assignment]
    numbers = np.array(table.value_names, dtype=np.float64) if one.level != "nominal" else None
    found = []
    for week in np.unique(weeks)[-MAX_WEEKS:].tolist():
        part = pairable.where(weeks == week)
        alpha = krippendorff_alpha(part, level, numbers=numbers)
        found.append(WeekAgreement(_FIRST_MONDAY + timedelta(weeks=week), len(part), alpha))
    return tuple(found)


def _in_order(table: RatingTable, one: AnswerField) -> RatingTable:
    """Return the table with its classes in the schema's order, then by name, and written as people read them."""
    known = {canonical_text(value): number for number, value in enumerate(one.values)}
    names = list(table.value_names)
    order = sorted(range(len(names)), key=lambda code: (known.get(names[code], len(known)), names[code]))
    codes = np.empty(len(names), dtype=np.int64)
    codes[order] = np.arange(len(names))
    return table.recoded(codes, [_read(names[code]) for code in order])


def _read(canonical: str) -> str:
    value = loads_stored(canonical)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return " + ".join(value) or "none of them"
    return value if isinstance(value, str) else {"true": "yes", "false": "no"}.get(canonical, canonical)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.isoformat() if isinstance(value, date | datetime) else value
