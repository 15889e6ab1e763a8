"""What the pages of one labeling queue share: its rights, its header, its tabs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.urls import NoReverseMatch, URLPattern, path, reverse

from datasets_app.domain.roles import Action
from datasets_app.models import Dataset
from datasets_app.services.access import may, require
from goldenproject.kit.admin import ConsolePage
from labeling_app.errors import UnknownQueue
from labeling_app.models import LabelingQueue


@dataclass(frozen=True)
class QueueTab:
    """A tab of a queue. `url_name` takes the queue's id."""

    key: str
    title: str
    url_name: str
    action: Action


QUEUE_TABS = (
    QueueTab("overview", "Overview", "label_queue", Action.REVIEW),
    QueueTab("review", "Review", "label_review", Action.REVIEW),
    QueueTab("agreement", "Agreement", "label_agreement", Action.REVIEW),
    QueueTab("labelers", "Labelers", "label_scorecards", Action.LABEL),
    QueueTab("gold", "Gold", "label_gold", Action.REVIEW),
    QueueTab("bulk", "Bulk", "label_bulk", Action.REVIEW),
    QueueTab("files", "Files", "label_files", Action.REVIEW),
    QueueTab("settings", "Settings", "label_queue_settings", Action.EDIT),
)


class LabelingPage(ConsolePage):
    """A page about labeling that belongs to no one queue."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        # without a model, so that the line at the top does not say that this is one of the datasets
        return {**super().get_context_data(**kwargs), "model_admin": None, "page_title": self.title}


class QueuePage(LabelingPage):
    """A page about one queue, whose id is in the address.

    `action` is the right that the page asks for, `write_action` the one that a POST asks for besides; `tab` is the key of
    its tab. Sets `queue`. Subclasses that need more override `load`.
    """

    action = Action.REVIEW
    write_action: Action | None = None
    tab = ""
    queue: LabelingQueue

    def prepare(self, **kwargs: Any) -> None:
        self.queue = queue_of(kwargs["queue_id"])
        require(self.person, self.action, self.queue.dataset)
        if self.request.method == "POST" and self.write_action is not None:
            require(self.person, self.write_action, self.queue.dataset)
        self.load(**kwargs)

    def load(self, **kwargs: Any) -> None:
        """Load what the page is about, after the rights were asked for."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        return {**context, **queue_context(self.person, self.queue, self.tab), **kwargs}


def queue_of(queue_id: Any) -> LabelingQueue:
    """Return the queue with its dataset, branch and type. Raises UnknownQueue."""
    queues = LabelingQueue.objects.select_related("dataset", "branch", "example_type")
    found = queues.filter(pk=queue_id).first()
    if found is None:
        raise UnknownQueue(hint="It may have been removed, or the address is not whole.")
    return found


def queue_context(person: Any, queue: LabelingQueue, tab: str) -> dict[str, Any]:
    """Return what labeling_app/queue_header.html draws: the queue, what the person may do there, tabs."""
    rights = {action.value: may(person, action, queue.dataset) for action in Action}
    return {"queue": queue, "may": rights, "tabs": _tabs(queue, rights, tab)}


def _tabs(queue: LabelingQueue, rights: dict[str, bool], active: str) -> list[dict[str, Any]]:
    tabs = []
    for tab in QUEUE_TABS:
        if not rights[tab.action.value]:
            continue
        try:
            url = reverse(tab.url_name, args=[queue.pk])
        except NoReverseMatch:  # a part of the console that is not installed
            continue
        # who may not review sees nobody else there
        title = tab.title if rights[Action.REVIEW.value] or tab.key != "labelers" else "My figures"
        tabs.append({"title": title, "url": url, "active": tab.key == active})
    return tabs


def label_page(address: str, page: type[ConsolePage], name: str) -> URLPattern:
    """Return the address admin/label/`address` of a page, for signed-in people only; `name` is the URL's name."""
    # any model's admin lends its frame: a queue has no pages of Django's own
    view = page.as_view(model_admin=admin.site.get_model_admin(Dataset))
    return path(f"admin/label/{address}", admin.site.admin_view(view), name=name)
