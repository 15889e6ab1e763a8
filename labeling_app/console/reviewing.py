"""The pages of reviewers: one question after the other, the list of all that wait, and what was decided.

The first is drawn by static/labeling_app/review*.js from the JSON that this module gives; its decisions come back as
JSON too, and the answer carries the next cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.urls import reverse

from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.services.access import may_somewhere, require
from goldenproject.kit.errors import BadInput, Forbidden, GoldenError
from labeling_app.console.base import LabelingPage, QueuePage
from labeling_app.console.form import queue_form
from labeling_app.console.review_rows import review_rows
from labeling_app.errors import AlreadyDecided, ReviewClaimed
from labeling_app.models import LabelHistory, LabelingQueue, Review, ReviewClaim
from labeling_app.services.recomputing import start_recompute
from labeling_app.services.review_cases import ReviewCase
from labeling_app.services.review_claims import (
    claim_in_words,
    claim_next,
    claim_review,
    release_claims,
    renew_claims,
)
from labeling_app.services.review_listing import held_reviews
from labeling_app.services.reviewing import (
    case_of,
    decide,
    decided_reviews,
    get_review,
    next_reviews,
    undo_decision,
)

VIEWS = (("one", "One at a time"), ("list", "All that wait"), ("decided", "Decided"))
CASES_AHEAD = 2  # the case that is shown, and the next, which is there before it is asked for
PAGE_SIZE = 50
MOST_LEFT_OUT = 1000
_TEMPLATES = {
    "one": "labeling_app/review/one.html",
    "list": "labeling_app/review/list.html",
    "decided": "labeling_app/review/decided.html",
}


class _Reviews:
    """What the page of all queues and that of one queue share; `queue` is None on the former."""

    request: HttpRequest
    person: Any
    queue: LabelingQueue | None

    @property
    def view_name(self) -> str:
        wanted = self.request.GET.get("view", "")
        return wanted if wanted in _TEMPLATES else "one"

    @property
    def reason(self) -> str:
        wanted = self.request.GET.get("reason", "")
        return wanted if wanted in Review.Reason.values else ""

    @property
    def address(self) -> str:
        """Where the page itself lies, without a query."""
        return reverse("label_review", args=[self.queue.pk]) if self.queue else reverse("label_reviews")

    def get_template_names(self) -> list[str]:
        return [_TEMPLATES[self.view_name]]

    def waiting(self, *, but: Sequence[int] = ()) -> QuerySet[Review]:
        return next_reviews(self.queue, self.person, reason=self.reason, but=but)

    # --- what is drawn
    def review_context(self) -> dict[str, Any]:
        counts = self._counts()
        context: dict[str, Any] = {
            "view": self.view_name,
            "views": [(name, title, self._address(view=name)) for name, title in VIEWS],
            "counts": counts,
            "reason": self.reason,
            "reasons": [
                (value, label.capitalize(), counts["reasons"].get(value, 0))
                for value, label in Review.Reason.choices
            ],
            "queues": [] if self.queue else self._queues(),
            "here": self.address,
            "may_recompute": self.queue is not None,
        }
        if self.view_name == "one":
            context["config"] = self._config(counts)
        elif self.view_name == "list":
            context |= self._page(self.waiting())
        else:
            context |= self._page(decided_reviews(self.queue, self.person))
        return context

    def _address(self, **query: str) -> str:
        asked = {"view": self.view_name, "reason": self.reason, **query}
        if asked["view"] == "one":
            asked["view"] = ""
        text = "&".join(f"{name}={value}" for name, value in asked.items() if value)
        return f"{self.address}?{text}" if text else self.address

    def _counts(self) -> dict[str, Any]:
        open_ = next_reviews(self.queue, self.person)
        rows = open_.order_by().values_list("reason").annotate(Count("pk"))
        reasons = dict(rows)
        total = sum(reasons.values())
        return {
            "open": total,
            "reasons": reasons,
            "shown": reasons.get(self.reason, 0) if self.reason else total,
            "elsewhere": held_reviews(self.queue, self.person, reason=self.reason).count(),
        }

    def _queues(self) -> list[tuple[str, int, str]]:
        rows = (
            self.waiting()
            .order_by("queue__dataset__name", "queue__name")
            .values_list("queue", "queue__name", "queue__dataset__name")
            .annotate(Count("pk"))
        )
        return [
            (f"{name} · {dataset}", count, reverse("label_review", args=[pk]))
            for pk, name, dataset, count in rows
        ]

    def _page(self, reviews: QuerySet[Review]) -> dict[str, Any]:
        number = _number(self.request.GET.get("page"))
        start = number * PAGE_SIZE
        found = list(
            reviews.select_related("queue__dataset", "queue__example_type", "item__example", "decided_by")[
                start : start + PAGE_SIZE + 1
            ]
        )
        shown = found[:PAGE_SIZE]
        return {
            "rows": review_rows(shown, self.address, self.person),
            "previous": self._address(page=str(number - 1)) if number else "",
            "next": self._address(page=str(number + 1)) if len(found) > PAGE_SIZE else "",
        }

    # --- one at a time
    def _config(self, counts: Mapping[str, Any]) -> dict[str, Any]:
        get_token(self.request)  # sets the cookie that the page's requests are signed with
        return {
            **self._cases(first=_number(self.request.GET.get("review"), 0)),
            "counts": counts,
            "all_queues": self.queue is None,
            "address": self._address(),
            "csrf_cookie": settings.CSRF_COOKIE_NAME,
        }

    def _cases(self, *, first: int = 0, but: Sequence[int] = (), count: int = CASES_AHEAD) -> dict[str, Any]:
        """Return {"cases", "forms"}: what comes next, the review `first` before all others; claimed for the person.

        The one ahead is claimed too: it is shown at once, and must not be another's by then. `first` is shown also when
        another reviewer has it.
        """
        reviews = []
        if first:
            review = get_review(first)
            require(self.person, Action.REVIEW, review.queue.dataset)
            with suppress(ReviewClaimed, AlreadyDecided):
                claim_review(review_id=first, actor=self.person)
            reviews.append(review)
        left = [*but, *(review.pk for review in reviews)]
        reviews += claim_next(
            self.queue, self.person, reason=self.reason, but=left, count=count - len(reviews)
        )
        forms = {str(review.queue_id): queue_form(review.queue, self.person) for review in reviews}
        return {
            "cases": [case_document(case_of(review), self.person) for review in reviews],
            "forms": forms,
        }

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Do what the page's script asks for, and answer with what comes next."""
        try:
            asked = loads_strict(request.body)
            if not isinstance(asked, dict):
                raise BadInput("Expected a JSON object.")
            release_claims(review_ids=_numbers(asked.get("leave")), actor=self.person)
            if asked.get("do") == "hold":  # a sign of life, and the last one
                wanted = _numbers(asked.get("hold"))
                decided = (
                    decided_reviews(None, self.person).filter(pk__in=wanted).values_list("pk", flat=True)
                )
                held = renew_claims(review_ids=wanted, actor=self.person)
                return JsonResponse({"held": held, "decided": list(decided)})
            told = self._done(asked)
            first, count = asked.get("open", 0), asked.get("count")
            cases = self._cases(
                first=first if isinstance(first, int) else 0,
                but=_numbers(asked.get("but")),
                count=1 if count == 1 else CASES_AHEAD,
            )
        except GoldenError as error:
            return JsonResponse(error.as_dict(), status=error.http_status)
        return JsonResponse({"done": told, "counts": self._counts(), **cases})

    def _done(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        do, review_id = asked.get("do"), asked.get("review")
        if do == "look":
            return None
        if do not in ("decide", "undo", "take_over") or not isinstance(review_id, int):
            raise BadInput("This button is not known here; load the page again.")
        if do == "take_over":
            claim_review(review_id=review_id, actor=self.person, take_over=True)
            return None
        comment = asked.get("comment") or ""
        if not isinstance(comment, str):
            raise BadInput("comment: expected text.")
        if do == "undo":
            review = undo_decision(review_id=review_id, actor=self.person, comment=comment)
        else:
            review = decide(
                review_id=review_id,
                actor=self.person,
                outcome=str(asked.get("outcome")),
                value=asked.get("value"),
                comment=comment,
                seen=asked.get("seen"),
            )
        return {
            "review": review.pk,
            "name": str(review.item.example),
            "outcome": review.outcome,
            "said": review.get_outcome_display(),
        }

    # --- the lists
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.content_type == "application/json":
            return self.answer(request)
        if request.POST.get("do") == "undo":
            review = undo_decision(review_id=_number(request.POST.get("review")), actor=self.person)
            messages.success(request, f"{review.item.example} is to be reviewed again.")
            return HttpResponseRedirect(f"{self.address}?view=decided")
        if request.POST.get("do") == "recompute" and self.queue is not None:
            start_recompute(queue=self.queue, actor=self.person)
            messages.success(request, "The consensus of this queue is being worked out anew.")
            return HttpResponseRedirect(self._address())
        raise BadInput("This button is not known here; load the page again.")


class ReviewsPage(_Reviews, LabelingPage):
    """All queues of all datasets in which the person may review."""

    title = "Review"
    queue = None

    def prepare(self, **kwargs: Any) -> None:
        if not may_somewhere(self.person, Action.REVIEW):
            raise Forbidden("You may not review.", hint="Ask an administrator for the role of a reviewer.")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**self.review_context(), **kwargs)


class QueueReviewPage(_Reviews, QueuePage):  # type: ignore[misc]
    """The reviews of one queue."""

    title = "Review"
    tab = "review"
    action = Action.REVIEW

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(**self.review_context(), **kwargs)


def case_document(case: ReviewCase, person: Any) -> dict[str, Any]:
    """Return what the page draws of a case: `ReviewCase.document` and the words around it."""
    review = case.review
    return {
        **case.document(),
        "name": str(review.item.example),
        "queue_name": review.queue.name,
        "dataset_name": review.queue.dataset.name,
        "reason_said": review.get_reason_display(),
        "decided": None
        if not review.outcome
        else {
            "said": review.get_outcome_display(),
            "by": str(review.decided_by or ""),
            "comment": review.comment,
        },
        "elsewhere": _elsewhere(case.claim, person),
        "labels_wanted": review.queue.overlap,
        "origin": "" if case.consensus is None else case.consensus.get_origin_display(),
        "method": "" if case.consensus is None else case.consensus.get_method_display(),
        "remarks": [
            {
                "who": remark.annotator,
                "said": remark.get_event_display(),
                # a label that was given back has its own notes, which stand with it
                "notes": "" if remark.event == LabelHistory.Event.RESTORED else remark.notes,
                "at": remark.labeled_at.isoformat(),
            }
            for remark in case.remarks
        ],
    }


def _elsewhere(claim: ReviewClaim | None, person: Any) -> str:
    """Say which other reviewer has a case open; empty when none has."""
    return "" if claim is None or claim.reviewer_id == person.pk else claim_in_words(claim, person)


def _numbers(given: Any) -> list[int]:
    return [one for one in given if isinstance(one, int)][:MOST_LEFT_OUT] if isinstance(given, list) else []


def _number(text: Any, default: int = 0) -> int:
    return (
        int(text)
        if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 19
        else default
    )
