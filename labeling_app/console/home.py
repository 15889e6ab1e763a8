"""Where labelers begin: their queues, and what they did today. And the list of all queues for who runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from datasets_app.admin.base import DatasetPage
from datasets_app.admin.corpus.base import id_in, text_of
from datasets_app.admin.summaries import with_summary
from datasets_app.domain.roles import Action
from datasets_app.models import Dataset
from datasets_app.services.access import allowed_datasets, may, may_somewhere
from goldenproject.kit.errors import BadInput, Forbidden
from labeling_app.console.base import LabelingPage
from labeling_app.console.queue_cards import QueueCard, queue_cards
from labeling_app.console.queue_form import offered_classes
from labeling_app.models import LabelingQueue
from labeling_app.services.assigning import queues_for
from labeling_app.services.queues import ensure_default_queue, update_queue

SHOWN_QUEUES = 60
SHOWN_DATASETS = 12


@dataclass(frozen=True)
class Startable:
    """A dataset without a queue for which one can be made with a click."""

    dataset: Dataset
    examples: int


class LabelHomePage(LabelingPage):
    """The queues that a person may label; where there is none, the datasets for which one can be made at once."""

    title = "Label"
    template_name = "labeling_app/home.html"

    def prepare(self, **kwargs: Any) -> None:
        if not may_somewhere(self.person, Action.LABEL):
            raise Forbidden(
                "You may not “label” in any dataset.", hint="Ask an administrator for the role of a labeler."
            )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        queues = list(queues_for(self.person)[: SHOWN_QUEUES + 1])
        cards = sorted(queue_cards(self.person, queues[:SHOWN_QUEUES]), key=_place)
        has_work = any(not card.is_done and card.queue.state == LabelingQueue.State.OPEN for card in cards)
        return super().get_context_data(
            cards=cards,
            more=len(queues) > SHOWN_QUEUES,
            today=sum(card.today for card in cards),
            reviews=sum(card.reviews for card in cards if card.may_review),
            startable=[] if has_work else startable(self.person),
            can_add=may_somewhere(self.person, Action.EDIT),
            can_review=may_somewhere(self.person, Action.REVIEW),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return start_labeling(self.person, request)


def _place(card: QueueCard) -> tuple[Any, ...]:
    """Where a card stands: what is being labeled first, what is done or paused last."""
    idle = card.is_done or card.queue.state != LabelingQueue.State.OPEN or bool(card.pause_reason)
    return (idle, not card.resumes, -card.today, card.queue.dataset.name, card.queue.name)


def start_labeling(person: Any, request: HttpRequest) -> HttpResponse:
    """Make a queue for the dataset that was sent, or take its own, and lead to its console."""
    if request.POST.get("do") != "start":
        raise BadInput("This button is not known here; load the page again.")
    chosen = allowed_datasets(person, Action.EDIT).filter(pk=id_in(request.POST.get("dataset", ""))).first()
    if chosen is None:
        raise Forbidden("You may not make a queue for this dataset.", hint="Ask a curator to make one.")
    queue = ensure_default_queue(dataset=chosen, actor=person)
    if not queue.choices and not queue.labels.exists():
        classes = offered_classes(queue.branch, queue.example_type)
        if classes:
            update_queue(queue=queue, actor=person, choices=classes)
    return HttpResponseRedirect(reverse("label_console", args=[queue.pk]))


def startable(person: Any) -> list[Startable]:
    """Return datasets with examples in which the person may make a queue and where nobody made one yet."""
    datasets = allowed_datasets(person, Action.EDIT).filter(is_active=True, labeling_queues__isnull=True)
    found = [
        Startable(one, one.example_rows)  # type: ignore[attr-defined]
        for one in with_summary(datasets).order_by("name")[:SHOWN_DATASETS]
    ]
    return [one for one in found if one.examples and may(person, Action.LABEL, one.dataset)]


class QueueListPage(LabelingPage):
    """All queues that a person may look into, closed ones too."""

    title = "Queues"
    template_name = "labeling_app/queue/list.html"

    def prepare(self, **kwargs: Any) -> None:
        if not may_somewhere(self.person, Action.REVIEW):
            raise Forbidden(
                "You may not look into queues.", hint="Ask an administrator for the role of a reviewer."
            )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        text = text_of(self.request.GET, "q", 200)
        state = text_of(self.request.GET, "state", 10)
        found = seen_queues(self.person)
        if text:
            found = found.filter(name__icontains=text) | found.filter(dataset__name__icontains=text)
        if state in LabelingQueue.State.values:
            found = found.filter(state=state)
        queues = list(found.order_by("dataset__name", "name")[: SHOWN_QUEUES + 1])
        return super().get_context_data(
            cards=queue_cards(self.person, queues[:SHOWN_QUEUES]),
            more=len(queues) > SHOWN_QUEUES,
            search=text,
            state=state,
            states=LabelingQueue.State.choices,
            can_add=may_somewhere(self.person, Action.EDIT),
            **kwargs,
        )


def seen_queues(person: Any) -> QuerySet[LabelingQueue]:
    """Return the queues that a person may look into: those of datasets in which they may review."""
    queues = LabelingQueue.objects.select_related("dataset", "branch__dataset", "example_type")
    return queues.filter(dataset__in=allowed_datasets(person, Action.REVIEW))


class DatasetQueuesPage(DatasetPage):
    """The tab “Labeling” of a dataset: its queues."""

    title = "Labeling"
    tab = "labeling"
    action = Action.REVIEW
    template_name = "labeling_app/queue/of_dataset.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        queues = list(seen_queues(self.person).filter(dataset=self.dataset).order_by("name")[:SHOWN_QUEUES])
        mine = set(queues_for(self.person).filter(dataset=self.dataset).values_list("pk", flat=True))
        cards = sorted(queue_cards(self.person, queues), key=_place)
        return super().get_context_data(
            cards=cards, mine=mine, add_query=f"dataset={self.dataset.pk}", **kwargs
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        messages.info(
            request, "This queue holds all examples of the branch; its settings can be changed at any time."
        )
        return start_labeling(self.person, request)
