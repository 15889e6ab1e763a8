"""The console in which a labeler works: a page around the modules in static/labeling_app/console*.js."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import NoReverseMatch, reverse

from datasets_app.domain.roles import Action
from datasets_app.services.access import require
from labeling_app.console.base import QueuePage
from labeling_app.console.form import queue_form
from labeling_app.errors import LabelerPaused
from labeling_app.models import LabelingSession
from labeling_app.services.assigning import require_labeler

API = "/api/v1/labeling/"


class LabelConsole(QueuePage):
    """/admin/label/<queue>/: one example at a time. `?type=validation` or `correction` shows reviewers the answers that are there."""

    action = Action.LABEL
    template_name = "labeling_app/console/labeling.html"

    def load(self, **kwargs: Any) -> None:
        self.title = self.queue.name
        with suppress(
            LabelerPaused
        ):  # the page itself tells this, and what waits in the browser is not out of reach
            require_labeler(self.person, self.queue)
        if self._session_type() != LabelingSession.Type.INITIAL_LABELING:
            require(self.person, Action.REVIEW, self.queue.dataset)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        get_token(self.request)  # sets the cookie that the page's requests are signed with
        form = queue_form(self.queue, self.person)
        return super().get_context_data(
            form=form,
            session_type=self._session_type(),
            home_url=_home_url(),
            config=self._config(form),
            **kwargs,
        )

    def _session_type(self) -> LabelingSession.Type:
        wanted = self.request.GET.get("type", "")
        known = LabelingSession.Type
        return known(wanted) if wanted in known.values else known.INITIAL_LABELING

    def _config(self, form: dict[str, Any]) -> dict[str, Any]:
        return {
            "queue": str(self.queue.pk),
            "person": str(self.person.pk),
            "session_type": self._session_type().value,
            "form": form,
            "api": API,
            "csrf_cookie": settings.CSRF_COOKIE_NAME,
            "form_url": reverse("label_form", args=[self.queue.pk]),
            "keys_url": reverse("label_keys"),
            "home_url": _home_url(),
            "login_url": reverse("admin:login") + "?next=" + reverse("label_signed_in"),
        }


class LabelForm(QueuePage):
    """/admin/label/<queue>/form/: the form as it is now, as JSON; the console asks when the type was changed."""

    action = Action.LABEL

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        return JsonResponse({**queue_form(self.queue, self.person), "person": str(self.person.pk)})


def _home_url() -> str:
    try:
        return reverse("label_home")
    except NoReverseMatch:
        return reverse("admin:index")
