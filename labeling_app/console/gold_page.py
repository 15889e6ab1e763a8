"""The gold answers of a queue: which there are, how labelers meet them, and where new ones come from."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from datasets_app.admin.corpus.base import id_in, text_of
from datasets_app.admin.example_rows import display_name, excerpt, plain, tone
from datasets_app.admin.filters import known_classes
from datasets_app.domain.canonical import canonical_text
from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.models import Example, ValidationStatus
from goldenproject.kit.admin import keyset_page
from goldenproject.kit.errors import BadInput, NotFound
from labeling_app.console.base import QueuePage
from labeling_app.domain.answer_fields import AnswerField, Kind
from labeling_app.domain.answers import part_of, schema_at, with_part
from labeling_app.models import GoldAnswer, Label, LabelingQueue, QueueItem
from labeling_app.services.gold import (
    gold_answers,
    gold_from_present,
    promote_unanimous,
    remove_gold,
    set_gold,
    unanimous_items,
)
from labeling_app.services.queue_fields import fields_of

PAGE_SIZE = 25
CANDIDATES = 25
MOST_LABELERS = 50
SUSPICIOUS_CHECKS = 3


@dataclass(frozen=True)
class GoldRow:
    """A gold answer in the list; `is_doubtful`: most who met it answered otherwise, so the answer itself may be wrong."""

    gold: GoldAnswer
    name: str
    excerpt: str
    answer: str
    tone: int
    right: int
    is_doubtful: bool


@dataclass(frozen=True)
class Candidate:
    """A working row that could become a hidden check."""

    example: Example
    name: str
    excerpt: str
    answer: str
    tone: int


class GoldPage(QueuePage):
    """Reviewers and above. Labelers never learn which examples these are."""

    title = "Gold"
    tab = "gold"
    action = Action.REVIEW
    template_name = "labeling_app/queue/gold.html"

    def load(self, **kwargs: Any) -> None:
        self.classes = [one for one in fields_of(self.queue) if one.kind == Kind.CLASS]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.request.GET
        text = text_of(query, "q", 200)
        status = text_of(query, "status", 10) if "status" in query else ValidationStatus.VALIDATED
        at_least = _count(query.get("at_least"), 2)
        page = keyset_page(
            gold_answers(self.queue).select_related("item__example"),
            key="pk",
            size=PAGE_SIZE,
            after=_number(query.get("after")),
            before=_number(query.get("before")),
            descending=True,
        )
        checks = Label.objects.filter(queue=self.queue, gold_correct__isnull=False)
        given = checks.count()
        return super().get_context_data(
            total=GoldAnswer.objects.filter(queue=self.queue).count(),
            checks=given,
            right=_percent(checks.filter(gold_correct=True).count() / given) if given else "—",
            rate=_percent(self.queue.gold_rate),
            pause_below=None
            if self.queue.gold_pause_below is None
            else _percent(self.queue.gold_pause_below),
            rows=self._rows(page.rows),
            page=page,
            search=text,
            status=status,
            statuses=ValidationStatus.values,
            candidates=self._candidates(text, status),
            at_least=at_least,
            unanimous=unanimous_items(self.queue, at_least=at_least).count(),
            editing=self._editing(),
            **kwargs,
        )

    def _rows(self, found: list[Any]) -> list[GoldRow]:
        working = _working(self.queue, [one.item.example_id for one in found])
        made = []
        for one in found:
            row = working.get(one.item.example_id)
            shown = self._shown(one.value)
            checks, missed = one.checks, one.missed
            made.append(
                GoldRow(
                    gold=one,
                    name=str(one.item.example)[:36],
                    excerpt=excerpt(row.example_type, row.input_data) if row else "",
                    answer=shown,
                    tone=tone(shown),
                    right=checks - missed,
                    is_doubtful=checks >= SUSPICIOUS_CHECKS and 2 * missed > checks,
                )
            )
        return made

    def _shown(self, value: Any) -> str:
        found = self.classes[0].of(value) if self.classes else value
        return plain(found)[:80]

    def _candidates(self, text: str, status: str) -> list[Candidate]:
        rows = _candidate_rows(self.queue, text, status)
        made = []
        for row in rows.select_related("identity", "example_type")[:CANDIDATES]:
            part = part_of(row.expected_output, self.queue.field_path)
            shown = "" if part is None else self._shown(part)
            made.append(
                Candidate(
                    row, display_name(row), excerpt(row.example_type, row.input_data), shown, tone(shown)
                )
            )
        return made

    # --- one answer
    def _editing(self) -> dict[str, Any] | None:
        """Return what the form of one gold answer shows; ?example=ID opens it."""
        wanted = text_of(self.request.GET, "example", 40)
        if not wanted:
            return None
        row = self._row(id_in(wanted))
        gold = GoldAnswer.objects.filter(queue=self.queue, item__example=row.identity_id).first()
        value = gold.value if gold else part_of(row.expected_output, self.queue.field_path)
        typed = self.request.POST if self.request.method == "POST" else {}
        current = self.classes[0].of(value) if self.classes else None
        return {
            "example": row,
            "name": display_name(row),
            "text": excerpt(row.example_type, row.input_data),
            "is_gold": gold is not None,
            "options": [(plain(option), option == current) for option in self._options()],
            "json": typed.get("value") or ("" if value is None else canonical_text(value)),
            "explanation": typed.get("explanation") or (gold.explanation if gold else ""),
        }

    def _row(self, key: uuid.UUID) -> Example:
        found = _working(self.queue, [key]).get(key)
        if found is None:
            raise NotFound(
                f"Example {key} is not on branch {self.queue.branch.name} with the type of this queue."
            )
        return found

    def _options(self) -> list[Any]:
        """Return the values of the class to choose from; none where the answer is no class."""
        if len(self.classes) != 1:
            return []
        options = class_options(self.queue, self.classes[0])
        return options or [*known_classes(self.queue.branch, [self.queue.example_type])]

    # --- what is done
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        does = {
            "promote": self._promote,
            "choose": self._choose,
            "remove": self._remove,
            "answer": self._answer,
        }
        do = does.get(request.POST.get("do", ""))
        if do is None:
            raise BadInput("This button is not known here; load the page again.")
        messages.success(request, do())
        return HttpResponseRedirect(reverse("label_gold", args=[self.queue.pk]))

    def _promote(self) -> str:
        at_least = _count(self.request.POST.get("at_least"), 2)
        count = promote_unanimous(queue=self.queue, actor=self.person, at_least=at_least)
        return _now_checks(count)

    def _choose(self) -> str:
        keys = [id_in(one) for one in self.request.POST.getlist("example")]
        count = gold_from_present(queue=self.queue, example_ids=keys, actor=self.person)
        return _now_checks(count)

    def _remove(self) -> str:
        keys = [id_in(one) for one in self.request.POST.getlist("gold")]
        count = remove_gold(queue=self.queue, example_ids=keys, actor=self.person)
        return f"{count:,} example{'' if count == 1 else 's'} taken out of the hidden checks."

    def _answer(self) -> str:
        typed = self.request.POST
        row = self._row(id_in(self.request.GET.get("example", "")))
        chosen = typed.get("class", "")
        if chosen:
            options = {plain(option): option for option in self._options()}
            if chosen not in options:
                raise BadInput(f"“{chosen[:80]}” is no answer that can be chosen here.")
            gold = GoldAnswer.objects.filter(queue=self.queue, item__example=row.identity_id).first()
            whole: Any = gold.value if gold else {}
            path = ".".join(self.classes[0].path)
            value = with_part(whole if path else None, path, options[chosen])
        else:
            value = loads_strict(typed.get("value", "").encode())
        set_gold(
            queue=self.queue,
            answers={row.identity_id: value},
            actor=self.person,
            explanation=typed.get("explanation", "")[:2000],
        )
        return f"{display_name(row)} is a hidden check; the right answer is “{self._shown(value)}”."


def class_options(queue: LabelingQueue, field: AnswerField) -> list[Any]:
    """Return the values that the schema, or else the queue, offers for a class."""
    schema = schema_at(
        queue.example_type.output_schema, ".".join(filter(None, (queue.field_path, *field.path)))
    )
    if schema.get("type") == "boolean":
        return [True, False]
    return [value for value in schema.get("enum", queue.choices) if value is not None]


def _candidate_rows(queue: LabelingQueue, text: str, status: str) -> QuerySet[Example]:
    gold = QueueItem.objects.filter(queue=queue, is_gold=True).values("example")
    rows = Example.objects.filter(branch=queue.branch_id, example_type=queue.example_type_id)
    rows = rows.exclude(identity__in=gold).exclude(expected_output=None).order_by("ordinal")
    if status in ValidationStatus.values:
        rows = rows.filter(validation_status=status)
    return rows.containing(text) if text else rows  # type: ignore[attr-defined,no-any-return]


def _working(queue: LabelingQueue, keys: list[uuid.UUID]) -> dict[uuid.UUID, Example]:
    rows = Example.objects.filter(
        branch=queue.branch_id, example_type=queue.example_type_id, identity_id__in=keys
    )
    return {row.identity_id: row for row in rows.select_related("identity", "example_type")}


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else None


def _count(text: str | None, default: int) -> int:
    return min(max(_number(text) or default, 2), MOST_LABELERS)


def _now_checks(count: int) -> str:
    return "1 example is a hidden check now." if count == 1 else f"{count:,} examples are hidden checks now."


def _percent(share: Any) -> str:
    return f"{100 * float(share):.1f}".removesuffix(".0") + " %"
