"""The pages of webhooks: which there are, a new one, and one with its messages and what became of them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from datasets_app.admin.corpus.base import id_in, text_of
from datasets_app.domain.roles import Action
from datasets_app.models import Dataset
from datasets_app.services.access import allowed_datasets, may, may_somewhere, require
from datasets_app.services.versioning.refs import get_dataset
from goldenproject.kit.errors import BadInput, NotFound
from labeling_app.console.base import LabelingPage
from labeling_app.models import Webhook, WebhookDelivery
from labeling_app.services.webhook_deliveries import KEPT, MAX_TRIES, resend, send_test
from labeling_app.services.webhooks import (
    create_webhook,
    delete_webhook,
    get_webhook,
    rotate_secret,
    update_webhook,
    webhooks_for,
)

PAGE_SIZE = 25
MOST_PAGES = 400
SHOWN = 200
EVENTS = {
    Webhook.Event.SUBMITTED: "a label was given, or changed",
    Webhook.Event.VALIDATED: "an example was validated",
    Webhook.Event.REJECTED: "an example was rejected by a reviewer",
    Webhook.Event.DISAGREEMENT: "labelers disagree, and a reviewer is asked",
}


class WebhooksPage(LabelingPage):
    """All webhooks that one may manage, and the form for a new one. A new secret is in the answer, and nowhere else."""

    title = "Webhooks"
    template_name = "labeling_app/webhooks/list.html"
    made: Webhook | None = None
    secret = ""

    def prepare(self, **kwargs: Any) -> None:
        if not may_somewhere(self.person, Action.MANAGE):
            require(self.person, Action.MANAGE)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        newest = WebhookDelivery.objects.filter(webhook=OuterRef("pk")).order_by("-created_at")
        rows = webhooks_for(self.person).annotate(
            last_state=Subquery(newest.values("state")[:1]), last_at=Subquery(newest.values("created_at")[:1])
        )
        typed = self.request.POST if self.made is None else {}
        return super().get_context_data(
            rows=rows.order_by("name")[:SHOWN],
            made=self.made,
            secret=self.secret,
            events=EVENTS.items(),
            datasets=self._datasets(),
            may_everywhere=may(self.person, Action.MANAGE),
            typed=typed,
            typed_events=self.request.POST.getlist("events") if typed else [],
            **kwargs,
        )

    def _datasets(self) -> list[str]:
        names = allowed_datasets(self.person, Action.MANAGE).order_by("name").values_list("name", flat=True)
        return list(names[:SHOWN])

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        typed = request.POST
        name = text_of(typed, "dataset", 200)
        dataset: Dataset | None = get_dataset(name) if name else None
        if dataset is not None:
            require(self.person, Action.MANAGE, dataset)
        self.made, self.secret = create_webhook(
            name=typed.get("name", ""),
            url=typed.get("url", "").strip(),
            events=typed.getlist("events"),
            dataset=dataset,
            actor=self.person,
        )
        return self.render_to_response(self.get_context_data())


class WebhookPage(LabelingPage):
    """One webhook: its address and events, its secret anew, a test message, and its messages of thirty days."""

    title = "Webhook"
    template_name = "labeling_app/webhooks/webhook.html"
    webhook: Webhook
    secret = ""

    def prepare(self, **kwargs: Any) -> None:
        if not may_somewhere(self.person, Action.MANAGE):
            require(self.person, Action.MANAGE)
        self.webhook = get_webhook(self.person, kwargs["webhook_id"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        state = text_of(self.request.GET, "state", 9)
        rows = WebhookDelivery.objects.filter(webhook=self.webhook)
        if state in WebhookDelivery.State.values:
            rows = rows.filter(state=state)
        number = self._page_number()
        found = list(rows.order_by("-created_at", "-pk")[(number - 1) * PAGE_SIZE : number * PAGE_SIZE + 1])
        kept = {"name": self.webhook.name, "url": self.webhook.url}
        is_refused = self.request.method == "POST" and self.request.POST.get("do") == "save"
        typed = self.request.POST if is_refused else kept
        return super().get_context_data(
            webhook=self.webhook,
            secret=self.secret,
            events=EVENTS.items(),
            typed=typed,
            typed_events=self.request.POST.getlist("events") if is_refused else self.webhook.events,
            deliveries=found[:PAGE_SIZE],
            newer=number - 1,
            older=number + 1 if len(found) > PAGE_SIZE and number < MOST_PAGES else None,
            state=state,
            states=WebhookDelivery.State.values,
            tries=MAX_TRIES,
            kept_days=KEPT.days,
            **kwargs,
        )

    def _page_number(self) -> int:
        wanted = self.request.GET.get("page", "")
        return min(max(int(wanted), 1), MOST_PAGES) if wanted.isdecimal() and len(wanted) < 6 else 1

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        does = {
            "save": self._save,
            "switch": self._switch,
            "test": self._test,
            "resend": self._resend,
            "remove": self._remove,
        }
        do = request.POST.get("do", "")
        if do == "rotate":
            self.secret = rotate_secret(webhook=self.webhook, actor=self.person)
            return self.render_to_response(self.get_context_data())
        if do not in does:
            raise BadInput("This button is not known here; load the page again.")
        does[do]()
        if do == "remove":
            return HttpResponseRedirect(reverse("label_webhooks"))
        return HttpResponseRedirect(reverse("label_webhook", args=[self.webhook.pk]))

    def _save(self) -> None:
        typed = self.request.POST
        update_webhook(
            webhook=get_webhook(
                self.person, self.webhook.pk
            ),  # refused, the page goes on with what is stored
            actor=self.person,
            name=typed.get("name", ""),
            url=typed.get("url", "").strip(),
            events=typed.getlist("events"),
        )
        messages.success(self.request, "Saved.")

    def _switch(self) -> None:
        is_active = not self.webhook.is_active
        update_webhook(webhook=self.webhook, actor=self.person, is_active=is_active)
        messages.success(
            self.request, "Switched on." if is_active else "Switched off: nothing is sent to it."
        )

    def _test(self) -> None:
        self._told(send_test(webhook=self.webhook, actor=self.person))

    def _resend(self) -> None:
        key = id_in(self.request.POST.get("delivery", ""))
        found = WebhookDelivery.objects.filter(webhook=self.webhook, pk=key).first()
        if found is None:
            raise NotFound("There is no such message any more.")
        found.webhook = self.webhook
        self._told(resend(delivery=found, actor=self.person))

    def _told(self, delivery: WebhookDelivery) -> None:
        if delivery.state == WebhookDelivery.State.DELIVERED:
            messages.success(self.request, f"Delivered: the answer was {delivery.response_status}.")
        else:
            messages.error(self.request, f"Not delivered: {delivery.error} It is tried again by itself.")

    def _remove(self) -> None:
        if self.request.POST.get("confirm", "").strip() != self.webhook.name:
            raise BadInput("The webhook was not removed: type its name to confirm.")
        delete_webhook(webhook=self.webhook, actor=self.person)
        messages.success(self.request, f"“{self.webhook.name}” is removed.")
