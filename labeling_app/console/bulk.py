"""The page on which a reviewer finds like examples, gives all of them one answer, and takes a batch back.

Lists are drawn here; static/labeling_app/bulk*.js ticks them and sends JSON: what is to be labeled, or taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.urls import reverse

from datasets_app.admin.corpus.base import id_in, id_or_none, query_string, text_of
from datasets_app.admin.example_rows import excerpt, plain, tone
from datasets_app.admin.jobs import job_address
from datasets_app.domain.content import is_tombstone
from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.models import Example, ExampleIdentity, JobRun, ValidationStatus
from datasets_app.services.jobs import start_job
from goldenproject.kit.errors import BadInput, GoldenError
from labeling_app.console.base import QueuePage
from labeling_app.console.form import queue_form
from labeling_app.domain.bulk_plan import told
from labeling_app.models import BulkLabeling
from labeling_app.services.bulk import MOST_AT_ONCE, bulks_of, get_bulk, label_in_bulk, undo_bulk
from labeling_app.services.erasing import ERASED_TEXT
from labeling_app.services.reordering import LEARNING, reorder_or_start
from labeling_app.services.similar import (
    Found,
    ItemFilter,
    class_paths,
    filtered_examples,
    matching_ids,
    similar_examples,
    vector_state,
)

SHOWN = (50, 100, 200, 500)
_DEFAULT_SHOWN = 100
_SHOWN_BATCHES = 6
_FIRST_THRESHOLD = 0.7
_JOBS = {
    "embed": ("label_embed", "The vectors are being made."),
    "errors": ("label_errors", "Likely label errors are being looked for; they come up in the review."),
}


@dataclass(frozen=True)
class Asked:
    """What the address of the page asks for: like an example, or like a text, and a filter."""

    like: str
    text: str
    which: ItemFilter
    limit: int

    @property
    def is_similar(self) -> bool:
        return bool(self.like or self.text)

    def query(self, **other: Any) -> str:
        """Return the query string, with `other` in place of what it says."""
        which = self.which
        said = {
            "like": self.like,
            "to": self.text,
            "text": which.text,
            "status": which.status,
            "answer": which.answer,
            "suggested": which.suggested,
            "at_least": "" if which.at_least is None else f"{which.at_least:g}",
            "all": "" if which.unlabeled_only else "1",
            "limit": "" if self.limit == _DEFAULT_SHOWN else self.limit,
        }
        return query_string(**{**said, **other})

    def rule(self) -> dict[str, Any]:
        """Return what a bulk labeling keeps of how its examples were found."""
        rule: dict[str, Any] = {}
        if self.like:
            rule["similar_to"] = self.like
        elif self.text:
            rule["similar_to_text"] = self.text
        if filters := self.which.document():
            rule["filters"] = filters
        return rule


@dataclass(frozen=True)
class BulkRow:
    """An example in the list. `percent` is its similarity in hundredths, for the bar."""

    found: Found
    name: str
    excerpt: str
    tone: int
    percent: int | None
    suggested: str
    suggested_tone: int
    like_address: str


class BulkPage(QueuePage):
    """Find, tick, label, undo."""

    title = "Label in bulk"
    tab = "bulk"
    action = Action.REVIEW
    template_name = "labeling_app/bulk/page.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = {"asked": None, "trouble": None, "rows": [], "total": 0, "like": None}
        vectors = vector_state(self.queue)
        try:
            asked = asked_of(self.request.GET)
            context |= {"asked": asked, "hidden": self._kept(asked), "like": self._like(asked)}
            context["is_asked"] = bool(asked.rule()) or not asked.which.unlabeled_only
            context |= self._results(asked)
        except GoldenError as error:
            context["trouble"] = error
        return super().get_context_data(
            **context,
            vectors=vectors,
            shown=SHOWN,
            statuses=ValidationStatus.values,
            has_class=class_paths(self.queue) is not None,
            jobs=self._jobs(),
            is_learning=self.queue.order in LEARNING,
            past=[self._batch(bulk) for bulk in bulks_of(self.queue)[:_SHOWN_BATCHES]],
            config=self._config(),
            **kwargs,
        )

    # --- what is drawn
    def _results(self, asked: Asked) -> dict[str, Any]:
        if asked.is_similar:
            found = similar_examples(
                queue=self.queue,
                actor=self.person,
                example_id=id_or_none(asked.like) if asked.like else None,
                text="" if asked.like else asked.text,
                limit=asked.limit,
                also=asked.which,
            )
            total = len(found)
        else:
            found, total = filtered_examples(
                queue=self.queue, actor=self.person, which=asked.which, limit=asked.limit
            )
        return {
            "rows": [self._row(one, asked) for one in found],
            "total": min(total, MOST_AT_ONCE),
            "is_capped": total > MOST_AT_ONCE,
            "more": 0 if asked.is_similar else min(total, MOST_AT_ONCE) - len(found),
        }

    def _row(self, found: Found, asked: Asked) -> BulkRow:
        suggested = (found.suggestion or {}).get("class") or ""
        return BulkRow(
            found=found,
            name=found.external_id or str(found.example)[:13],
            excerpt=excerpt(self.queue.example_type, found.input),
            tone=tone(found.answer) if found.answer else 0,
            percent=None if found.similarity is None else max(0, round(100 * found.similarity)),
            suggested=suggested,
            suggested_tone=tone(suggested) if suggested else 0,
            like_address="?" + asked.query(like=found.example, to=""),
        )

    def _like(self, asked: Asked) -> dict[str, str] | None:
        """Return what is shown of the example that others are to be like."""
        if not asked.like:
            return None
        rows = Example.objects.filter(branch=self.queue.branch, identity=id_in(asked.like))
        row = rows.select_related("identity").first()
        if row is None:
            raise BadInput("The example that others are to be like is not in the working copy any more.")
        return {
            "name": str(row.identity)[:60],
            "text": excerpt(self.queue.example_type, row.input_data),
            "without": "?" + asked.query(like=""),
        }

    @staticmethod
    def _kept(asked: Asked) -> list[tuple[str, str]]:
        """Return what the form of the page carries along without showing it."""
        return [("like", asked.like)] if asked.like else []

    def _jobs(self) -> dict[str, dict[str, Any]]:
        """Return the newest job of each kind for this queue: {kind: {"running", "address", "percent"}}."""
        kinds = ("label_embed", "label_reorder", "label_errors")
        jobs = JobRun.objects.filter(kind__in=kinds, arguments={"queue": str(self.queue.pk)})
        return {
            job.kind.removeprefix("label_"): {
                "running": job.state in (JobRun.State.QUEUED, JobRun.State.RUNNING),
                "failed": job.state == JobRun.State.FAILED,
                "address": job_address(job),
                "percent": round(100 * job.done / job.total) if job.total else None,
                "result": job.result,
                "finished_at": job.finished_at,
            }
            for job in jobs.order_by("kind", "-created_at").distinct("kind")
        }

    def _batch(self, bulk: BulkLabeling) -> dict[str, Any]:
        answer = plain(bulk.value if not isinstance(bulk.value, dict) else _only_value(bulk.value))[:80]
        if is_tombstone(bulk.value):
            answer = ERASED_TEXT
        return {"bulk": bulk, "answer": answer, "tone": tone(answer), "how": _how(bulk.rule)}

    def _config(self) -> dict[str, Any]:
        get_token(self.request)  # sets the cookie that the page's requests are signed with
        form = queue_form(self.queue, self.person)
        return {
            "controls": form["controls"],
            "csrf_cookie": settings.CSRF_COOKIE_NAME,
            "first_threshold": _FIRST_THRESHOLD,
        }

    @property
    def address(self) -> str:
        return reverse("label_bulk", args=[self.queue.pk])

    # --- what is done
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.content_type == "application/json":
            return self._answer(request)
        do = request.POST.get("do", "")
        if do == "reorder":
            return self._reorder()
        if do not in _JOBS:
            raise BadInput("This button is not known here; load the page again.")
        kind, said = _JOBS[do]
        self._start(kind)
        messages.success(request, said)
        return HttpResponseRedirect(f"{self.address}?{request.GET.urlencode()}".rstrip("?"))

    def _start(self, kind: str) -> JobRun:
        arguments = {"queue": str(self.queue.pk)}
        return start_job(kind=kind, dataset=self.queue.dataset, actor=self.person, arguments=arguments)

    def _reorder(self) -> HttpResponse:
        done = reorder_or_start(queue=self.queue, actor=self.person)
        said = (
            "The order is being learned anew." if isinstance(done, JobRun) else "The queue is in its order."
        )
        messages.success(self.request, said)
        return HttpResponseRedirect(f"{self.address}?{self.request.GET.urlencode()}".rstrip("?"))

    def _answer(self, request: HttpRequest) -> HttpResponse:
        """Do what the page's script asks for; errors come in the API's one shape."""
        try:
            wanted = loads_strict(request.body)
            if not isinstance(wanted, dict):
                raise BadInput("Expected a JSON object.")
            if wanted.get("do") == "label":
                return JsonResponse(self._label(wanted))
            if wanted.get("do") == "undo":
                return JsonResponse(self._undo(wanted))
            raise BadInput("This button is not known here; load the page again.")
        except GoldenError as error:
            return JsonResponse(error.as_dict(), status=error.http_status)

    def _label(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        asked = asked_of(self.request.GET)
        rule = asked.rule()
        if wanted.get("all") is True and not asked.is_similar:
            examples = matching_ids(queue=self.queue, actor=self.person, which=asked.which)
        else:
            ticked = wanted.get("examples")
            if not isinstance(ticked, list) or len(ticked) > MOST_AT_ONCE:
                raise BadInput(f"examples: expected a list of up to {MOST_AT_ONCE:,} ids.")
            examples = [id_in(one) for one in ticked]
            least = wanted.get("at_least")
            if asked.is_similar and isinstance(least, int | float) and -1 <= least <= 1:
                rule["at_least"] = round(float(least), 2)
        bulk = label_in_bulk(
            queue=self.queue, example_ids=examples, value=wanted.get("value"), actor=self.person, rule=rule
        )
        return {"bulk": str(bulk.pk), "labeled": bulk.example_count, "left_out": told(bulk.rule["left_out"])}

    def _undo(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        bulk = get_bulk(id_in(wanted.get("bulk")))
        if bulk.queue_id != self.queue.pk:
            raise BadInput("This batch belongs to another queue.")
        done = undo_bulk(bulk=bulk, actor=self.person)
        return {"bulk": str(bulk.pk), "taken_back": done.taken_back, "left": done.words()}


def asked_of(query: Mapping[str, Any]) -> Asked:
    """Read the address. Raises BadInput for a confidence that is no number, NotFound for what is no id."""
    like = text_of(query, "like", 40)
    if like:
        like = str(id_in(like))
    limit = text_of(query, "limit", 6)
    return Asked(
        like=like,
        text="" if like else text_of(query, "to", 2000),
        which=ItemFilter(
            text=text_of(query, "text"),
            status=text_of(query, "status", 20) if query.get("status") in ValidationStatus.values else "",
            answer=text_of(query, "answer"),
            suggested=text_of(query, "suggested"),
            at_least=_confidence(text_of(query, "at_least", 10)),
            unlabeled_only=query.get("all") != "1",
        ),
        limit=int(limit) if limit in {str(one) for one in SHOWN} else _DEFAULT_SHOWN,
    )


def _confidence(text: str) -> float | None:
    if not text:
        return None
    try:
        found = float(text.replace(",", "."))
    except ValueError as error:
        raise BadInput(f"Confidence: found “{text}”, expected a number from 0 to 1.") from error
    if not 0 <= found <= 1:
        raise BadInput(f"Confidence: found “{text}”, expected a number from 0 to 1.")
    return found


def _only_value(value: dict[str, Any]) -> Any:
    """Return the value of an answer of one field; of more, the answer itself."""
    return next(iter(value.values())) if len(value) == 1 else value


def _how(rule: Mapping[str, Any]) -> str:
    """Say in words how the examples of a batch were found."""
    if rule.get("redacted"):
        return ERASED_TEXT
    parts = []
    if like := rule.get("similar_to"):
        known = ExampleIdentity.objects.filter(pk=like).first()
        parts.append(f"like {known or like}"[:60])
    if text := rule.get("similar_to_text"):
        parts.append(f"like “{text[:60]}”")
    if (least := rule.get("at_least")) is not None:
        parts.append(f"similarity from {least:.2f}")
    filters = rule.get("filters") or {}
    words = {
        "text": "contains “{}”",
        "status": "{}",
        "answer": "answer {}",
        "suggested": "suggested {}",
        "at_least": "confidence from {}",
    }
    parts += [words[name].format(value) for name, value in filters.items() if name in words]
    return ", ".join(parts) or "picked by hand"
