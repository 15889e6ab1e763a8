"""The page on which people choose their keys of the labeling console, and the one that a new sign-in ends on."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from datasets_app.domain.roles import Action
from datasets_app.services.access import may_somewhere
from goldenproject.kit.errors import Forbidden
from labeling_app.console.base import LabelingPage
from labeling_app.domain.keys import ACTION_TITLES, DEFAULT_KEYS, RESERVED
from labeling_app.services.keys import keys_of, save_keys

_DIGITS = "1234567890"


class KeysPage(LabelingPage):
    """/admin/label/keys/: an own key for each action. Clashes are refused, and what was typed stays."""

    title = "Keys of the labeling console"
    template_name = "labeling_app/console/keys.html"

    def prepare(self, **kwargs: Any) -> None:
        if not may_somewhere(self.person, Action.LABEL):
            raise Forbidden("You may not label anywhere.", hint="Roles that may: Labeler and above.")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        keys = keys_of(self.person)
        typed = self.request.POST
        rows = [
            {
                "action": action,
                "title": title,
                "key": typed.get(action, keys[action]),
                "default": DEFAULT_KEYS[action],
            }
            for action, title in ACTION_TITLES.items()
        ]
        reserved = {key: use for key, use in RESERVED.items() if key not in _DIGITS}
        return super().get_context_data(rows=rows, reserved=reserved, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        reset = request.POST.get("do") == "reset"
        keys = {} if reset else {action: request.POST.get(action, "") for action in DEFAULT_KEYS}
        save_keys(person=self.person, keys=keys)
        messages.success(request, "The console's own keys are back." if reset else "Your keys are saved.")
        return HttpResponseRedirect(reverse("label_keys"))


class SignedInPage(LabelingPage):
    """/admin/label/signed-in/: where a sign-in in a second tab ends; the answers wait in the first."""

    title = "You are signed in again"
    template_name = "labeling_app/console/signed_in.html"
