"""How far the labelers of a queue agree, and which consensus of them to trust."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from datasets_app.admin.corpus.base import text_of
from datasets_app.admin.jobs import job_address
from datasets_app.domain.roles import Action
from goldenproject.kit.errors import BadInput
from labeling_app.console.agreement_chart import Track, axis_start, track, week_chart
from labeling_app.console.base import QueuePage
from labeling_app.domain.agreement import Coefficient
from labeling_app.domain.method_choice import NUMBER_METHODS, TITLES, MethodAdvice, MethodEvidence
from labeling_app.domain.verdicts import landis_koch
from labeling_app.models import Label, LabelingQueue
from labeling_app.services.agreement import AgreementReport, FieldAgreement, agreement_report
from labeling_app.services.fresh_figures import fresh_figures, kept_figures
from labeling_app.services.method_advice import trusted_method
from labeling_app.services.queues import update_queue
from labeling_app.services.recomputing import start_recompute

_REPORT, _ADVICE, _ADVICE_CROWDLAB = "agreement", "advice", "advice with crowdlab"
_LEVEL_WORDS = {
    "nominal": "equal or not",
    "ordinal": "by ranks",
    "interval": "by distances",
    "ratio": "by proportions",
}


@dataclass(frozen=True)
class CoefficientRow:
    """A coefficient in the table. `reading` is the word of its band, where bands are made for it."""

    name: str
    about: str
    coefficient: Coefficient
    track: Track | None
    reading: str = ""
    is_main: bool = False


@dataclass(frozen=True)
class HeatCell:
    """A cell of a matrix: what stands in it, how dark it is (0–100), and what it says in full."""

    text: str
    heat: int
    title: str
    is_own: bool = False


@dataclass(frozen=True)
class LabelerRow:
    """A labeler against the others."""

    name: str
    ratings: int
    units: int
    share: Coefficient
    track: Track | None
    deviation: float | None
    bias: float | None


@dataclass(frozen=True)
class MethodRow:
    """A method of consensus and what speaks for it."""

    title: str
    evidence: MethodEvidence
    track: Track | None
    is_trusted: bool
    is_used: bool


class AgreementPage(QueuePage):
    """Coefficients, pairs, labelers, weeks, classes; what takes time comes after the page itself."""

    title = "Agreement"
    tab = "agreement"
    action = Action.REVIEW
    template_name = "labeling_app/agreement/page.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        field = text_of(self.request.GET, "field", 300)
        report = kept_figures(self.queue, _REPORT)
        advice = kept_figures(self.queue, _ADVICE)
        has_labels = report is not None or Label.objects.filter(queue=self.queue).exists()
        return super().get_context_data(
            has_labels=has_labels,
            field_name=field,
            figures=_figures(report, field) if report is not None else None,
            method=_method(self.queue, advice) if advice is not None else None,
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        method, do = request.POST.get("method", ""), request.POST.get("do", "")
        if method:
            if method not in TITLES:
                raise BadInput("This method of consensus is not known here; load the page again.")
            update_queue(queue=self.queue, actor=self.person, consensus_method=method)
            messages.success(request, f"The consensus of this queue is by {TITLES[method]} from now on.")
        if do == "recompute":
            return HttpResponseRedirect(job_address(start_recompute(queue=self.queue, actor=self.person)))
        if not method:
            raise BadInput("This button is not known here; load the page again.")
        return HttpResponseRedirect(reverse("label_agreement", args=[self.queue.pk]))


class AgreementFigures(QueuePage):
    """The part of the page with the figures of one field."""

    template_name = "labeling_app/agreement/figures.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        report = fresh_figures(self.queue, _REPORT, lambda: agreement_report(self.queue))
        advice = kept_figures(self.queue, _ADVICE)
        return super().get_context_data(
            figures=_figures(report, text_of(self.request.GET, "field", 300)),
            method=_method(self.queue, advice) if advice is not None else None,
            **kwargs,
        )


class AgreementMethod(QueuePage):
    """The part of the page that says which method to trust."""

    template_name = "labeling_app/agreement/method.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        wanted = self.request.GET.get("crowdlab") == "1"
        name = _ADVICE_CROWDLAB if wanted else _ADVICE
        advice = fresh_figures(self.queue, name, lambda: trusted_method(self.queue, with_crowdlab=wanted))
        return super().get_context_data(method=_method(self.queue, advice), **kwargs)


# --- what templates draw --------------------------------------------------------------------------------------------
def _figures(report: AgreementReport, field_name: str) -> dict[str, Any]:
    """Return what the figures of one field need; of the first field when none is named so."""
    found = next((one for one in report.fields if one.name == field_name), None)
    field = found or next(
        (one for one in report.fields if one.kind == "class"), report.fields[0] if report.fields else None
    )
    if field is None:
        return {"report": report, "field": None}
    is_number = field.kind == "number"
    return {
        "report": report,
        "field": field,
        "fields": report.fields,
        "alpha_track": track(field.alpha, axis_start([field.alpha])),
        "start": axis_start([field.alpha]),
        "rows": _coefficient_rows(field),
        "pair_coefficient": "Krippendorff's alpha" if field.level != "nominal" else "Cohen's kappa",
        "pair_names": _pair_names(field),
        "pair_rows": _pair_rows(field),
        "labelers": _labeler_rows(field),
        "is_number": is_number,
        "chart": week_chart(field.weeks),
        "class_rows": [
            (one, track(one.kappa, axis_start([c.kappa for c in field.by_class]))) for one in field.by_class
        ],
        "class_cells": _class_cells(field),
    }


def _coefficient_rows(field: FieldAgreement) -> list[CoefficientRow]:
    start = axis_start([field.alpha, field.fleiss, field.ac1, *field.alphas.values()])

    def row(
        name: str, about: str, coefficient: Coefficient, is_main: bool = False, is_kappa: bool = False
    ) -> CoefficientRow:
        reading = landis_koch(coefficient.value) if is_kappa and coefficient.value is not None else ""
        return CoefficientRow(name, about, coefficient, track(coefficient, start), reading, is_main)

    level = field.level
    rows = [
        row(f"Krippendorff's alpha, {level}", _LEVEL_WORDS[level], field.alpha, True),
        *(row(f"alpha, {name}", _LEVEL_WORDS[name], found) for name, found in field.alphas.items()),
    ]
    if field.fleiss is not None:
        rows.append(row("Fleiss' kappa", "chance by how frequent classes are", field.fleiss, is_kappa=True))
    if field.ac1 is not None:
        rows.append(row("Gwet's AC1", "steady when a class is rare", field.ac1, is_kappa=True))
    rows.append(row("Percent agreement", "with chance in it", field.percent))
    return rows


def _pair_names(field: FieldAgreement) -> list[str]:
    names: dict[str, None] = {}
    order = [one.rater for one in field.labelers]
    for pair in field.pairs:
        names.update({pair.first: None, pair.second: None})
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


def _pair_rows(field: FieldAgreement) -> list[tuple[str, list[HeatCell]]]:
    found = {frozenset((pair.first, pair.second)): pair for pair in field.pairs}
    names = _pair_names(field)
    rows = []
    for first in names:
        cells = []
        for second in names:
            pair = found.get(frozenset((first, second)))
            if first == second:
                cells.append(HeatCell("", 0, "", is_own=True))
            elif pair is None:
                cells.append(HeatCell("", 0, f"{first} and {second} have no example in common"))
            else:
                value = pair.coefficient.value
                of = f"{first} and {second}: {pair.units:,} examples in common, {pair.share:.0%} the same"
                if value is None:
                    cells.append(HeatCell("–", 0, f"{of}. {pair.coefficient.why_none}"))
                    continue
                low, high = pair.coefficient.low, pair.coefficient.high
                within = f" ({low:.2f} to {high:.2f})" if low is not None and high is not None else ""
                heat = round(100 * min(1.0, max(0.0, value)))
                cells.append(HeatCell(f"{value:.2f}", heat, f"{of}, coefficient {value:.3f}{within}"))
        rows.append((first, cells))
    return rows


def _labeler_rows(field: FieldAgreement) -> list[LabelerRow]:
    return [
        LabelerRow(one.rater, one.ratings, one.units, one.share, track(one.share), one.deviation, one.bias)
        for one in field.labelers
    ]


def _class_cells(field: FieldAgreement) -> list[tuple[str, list[HeatCell]]]:
    """Return rows of the matrix of classes, each cell in percent of its row: what others say where one says this."""
    rows = []
    for row, name in enumerate(field.classes):
        total = sum(field.matrix[row])
        cells = []
        for column, other in enumerate(field.classes):
            share = field.matrix[row][column] / total if total > 0 else 0.0
            title = f"Where one labeler says {name}, another says {other} in {share:.1%} of cases"
            text = f"{share:.0%}" if share >= 0.005 else "·"
            cells.append(HeatCell(text, round(100 * share), title, is_own=row == column))
        rows.append((name, cells))
    return rows


def _method(queue: LabelingQueue, advice: MethodAdvice) -> dict[str, Any]:
    evidence = advice.evidence
    return {
        "advice": advice,
        "title": TITLES[advice.method],
        "is_used": advice.method == queue.consensus_method,
        "used_title": TITLES[queue.consensus_method],
        "of_numbers": any(one.method in NUMBER_METHODS for one in evidence),
        "has_gold": any(one.gold for one in evidence),
        "may_try_crowdlab": any(one.why_not.startswith("Not tried") for one in evidence),
        "rows": [
            MethodRow(
                TITLES[one.method],
                one,
                track(Coefficient(one.accuracy, one.low, one.high)) if one.accuracy is not None else None,
                one.method == advice.method,
                one.method == queue.consensus_method,
            )
            for one in evidence
        ],
    }
