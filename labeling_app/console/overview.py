"""A queue at a glance: how far it is and how fast, its examples, who works on it; and what is done to it as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from datasets_app.admin.corpus.base import id_in, query_string, text_of
from datasets_app.admin.example_rows import excerpt, plain, tone
from datasets_app.admin.jobs import job_address
from datasets_app.domain.roles import Action
from datasets_app.models import Example, JobRun
from goldenproject.kit.admin import capped_count, keyset_page
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput
from labeling_app.console.base import QueuePage
from labeling_app.console.queue_cards import asked_of, percent_of
from labeling_app.console.queue_form import member_chosen, possible_members
from labeling_app.domain.answer_fields import Kind
from labeling_app.models import LabelingQueue, LabelingSession, Lease, QueueItem, Review
from labeling_app.services.assigning import assign_items
from labeling_app.services.overlap import unfinished_overlap_job
from labeling_app.services.queue_fields import fields_of
from labeling_app.services.queue_pace import pace_of
from labeling_app.services.queues import progress_of, refresh_or_start, set_queue_state

PAGE_SIZE = 50
SHOWN_SESSIONS = 20
SHOWN_ANSWER_CHARACTERS = 60
# state of items → its colour and words, in the order of an example's life
STATES = {
    "open": ("open", "want labels"),
    "labeled": ("labeled", "labeled, nothing adopted"),
    "review": ("review", "to be reviewed"),
    "adopted": ("adopted", "adopted"),
    "rejected": ("rejected", "rejected"),
    "gone": ("gone", "left the queue"),
}


@dataclass(frozen=True)
class ItemRow:
    """An example of a queue in the list."""

    item: QueueItem
    name: str
    excerpt: str
    answer: str
    tone: int
    agreement: Any
    example_pk: int | None


class OverviewPage(QueuePage):
    """What a reviewer sees of a queue; a curator also runs it from here."""

    title = "Queue"
    tab = "overview"
    action = Action.REVIEW
    write_action = Action.EDIT
    template_name = "labeling_app/queue/overview.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        progress = progress_of(self.queue)
        pace = pace_of(self.queue, progress)
        most = max((count for _, count in pace.days), default=0)
        people, groups = possible_members(self.queue.dataset, self.queue)
        job = unfinished_overlap_job(self.queue)
        return super().get_context_data(
            asks=asked_of(self.queue),
            progress=progress,
            percent=percent_of(progress),
            parts=_parts(progress),
            pace=pace,
            bars=[(day, count, 100 * count / most if most else 0) for day, count in pace.days],
            members=[str(member) for member in self.queue.members.select_related("user", "group")],
            sessions=running_sessions(self.queue),
            reviews=Review.objects.filter(queue=self.queue, outcome=Review.Outcome.OPEN).count(),
            gold=QueueItem.objects.filter(queue=self.queue, is_gold=True).count(),
            people=people,
            groups=groups,
            states=STATES,
            overlap_job=job_address(job) if job else "",
            **self._items(),
            **kwargs,
        )

    def _items(self) -> dict[str, Any]:
        query = self.request.GET
        state, text = text_of(query, "state", 10), text_of(query, "q", 200)
        items = QueueItem.objects.filter(queue=self.queue, is_gold=False)
        items = items.filter(state=state) if state in STATES else items.exclude(state="gone")
        if text:
            rows = Example.objects.filter(branch=self.queue.branch_id).containing(text)
            found = Q(example__in=rows.values("identity_id")) | Q(
                example__external_id=text, example__dataset=self.queue.dataset_id
            )
            items = items.filter(found)
        assignee = text_of(query, "to", 20)
        if assignee == "any":
            items = items.filter(Q(assignee__isnull=False) | Q(assigned_group__isnull=False))
        page = keyset_page(
            items.select_related("example", "consensus", "assignee", "assigned_group"),
            key="pk",
            size=PAGE_SIZE,
            after=_number(query.get("after")),
            before=_number(query.get("before")),
        )
        kept = {"state": state, "q": text, "to": assignee}
        return {
            "rows": item_rows(self.queue, page.rows),
            "page": page,
            "state": state,
            "search": text,
            "to": assignee,
            "count": capped_count(items) if text or assignee else None,
            "previous_query": query_string(**kept, before=page.previous),
            "next_query": query_string(**kept, after=page.next),
            "is_first": not query.get("after") and not query.get("before"),
        }

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        do = request.POST.get("do", "")
        if do in LabelingQueue.State.values:
            set_queue_state(queue=self.queue, state=do, actor=self.person)
            messages.success(request, f"The queue is {do} now.")
        elif do == "refresh":
            found = refresh_or_start(queue=self.queue, actor=self.person)
            if isinstance(found, JobRun):
                return HttpResponseRedirect(job_address(found))
            messages.success(
                request, f"{found.added:,} joined, {found.gone:,} left, {found.back:,} came back."
            )
        elif do == "assign":
            self._assign()
        else:
            raise BadInput("This button is not known here; load the page again.")
        kept = query_string(**{name: text_of(request.GET, name, 200) for name in ("state", "q", "to")})
        return HttpResponseRedirect(
            f"{reverse('label_queue', args=[self.queue.pk])}{'?' if kept else ''}{kept}"
        )

    def _assign(self) -> None:
        typed = self.request.POST
        examples = [id_in(one) for one in typed.getlist("example")]
        if not examples:
            messages.warning(self.request, "No example was chosen.")
            return
        user, group = member_chosen(self.queue, typed.get("whom", ""))
        count = assign_items(
            queue=self.queue, example_ids=examples, user=user, group=group, actor=self.person
        )
        noun = "example" if count == 1 else "examples"
        messages.success(self.request, f"{count:,} {noun} given to {user or group or 'everybody'}.")


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 19 else None


def _parts(progress: Any) -> list[dict[str, Any]]:
    """Return the parts of the bar: states that items are in, with their share of the whole."""
    whole = progress.items or 1
    return [
        {
            "state": state,
            "words": words,
            "count": getattr(progress, state),
            "share": 100 * getattr(progress, state) / whole,
        }
        for state, (_, words) in STATES.items()
        if state != "gone"
    ]


def running_sessions(queue: LabelingQueue) -> list[LabelingSession]:
    """Return the sessions that are under way, with `held`: how many examples each holds. Idle ones are about to end."""
    held = Count("leases", filter=Q(leases__state=Lease.State.HELD))
    newest = now() - timedelta(seconds=queue.idle_s)
    running = LabelingSession.objects.filter(queue=queue, ended_at__isnull=True, last_seen_at__gte=newest)
    found = running.annotate(held=held)
    return list(found.select_related("labeler").order_by("-last_seen_at")[:SHOWN_SESSIONS])


def item_rows(queue: LabelingQueue, items: list[QueueItem]) -> list[ItemRow]:
    """Return items as the list shows them; one query more finds their working rows."""
    keys = [item.example_id for item in items]
    rows = Example.objects.filter(branch=queue.branch_id, identity_id__in=keys).defer("search_text")
    working = {row.identity_id: row for row in rows.select_related("example_type")}
    classes = [one for one in fields_of(queue) if one.kind == Kind.CLASS]
    made = []
    for item in items:
        row = working.get(item.example_id)
        consensus = getattr(item, "consensus", None)
        value = None
        if consensus is not None:
            value = consensus.adopted_value if consensus.adopted_value is not None else consensus.value
        shown = "" if value is None else plain(classes[0].of(value) if classes else value)
        made.append(
            ItemRow(
                item=item,
                name=str(item.example)[:36],
                excerpt=excerpt(row.example_type, row.input_data) if row else "",
                answer=shown[:SHOWN_ANSWER_CHARACTERS],
                tone=tone(shown) if shown else 0,
                agreement=consensus.agreement if consensus is not None else None,
                example_pk=row.pk if row else None,
            )
        )
    return made
