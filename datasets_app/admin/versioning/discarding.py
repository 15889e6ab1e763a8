"""The page that asks before chosen uncommitted changes are thrown away."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect

from datasets_app.admin.versioning.changes import chosen_examples, who
from datasets_app.admin.versioning.history import people
from datasets_app.admin.versioning.page import PAGE_SIZE, VersioningPage
from datasets_app.admin.versioning.presentation import show_diff
from datasets_app.domain.roles import Action
from datasets_app.services.versioning.discarding import discard
from datasets_app.services.versioning.touched import touched_among


class DiscardPage(VersioningPage):
    """Shows what was ticked on the page of changes, with who made it, and throws it away when that is confirmed."""

    tab = "changes"
    title = "Discard changes"
    template_name = "datasets_app/versioning/discard.html"
    write_action = Action.EDIT

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponseRedirect(self.url("changes"))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        chosen = chosen_examples(request)
        if not chosen:
            messages.warning(request, "Nothing is selected: tick the changes to discard.")
            return HttpResponseRedirect(self.url("changes"))
        if request.POST.get("confirmed") != "yes":
            return self.render_to_response(self.get_context_data(chosen=chosen, **kwargs))
        count = discard(branch=self.branch, uuids=chosen, actor=self.person)
        messages.success(
            request,
            f"{count:,} uncommitted change{'' if count == 1 else 's'} on {self.branch.name} discarded.",
        )
        return HttpResponseRedirect(self.url("changes"))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        examples = touched_among(self.branch, kwargs["chosen"])
        names = people(example.touched_by for example in examples)
        me = self.person.pk
        return {
            **context,
            "changes": [
                show_diff(e.diff, who=who(e.touched_by, names), at=e.touched_at) for e in examples[:PAGE_SIZE]
            ],
            "total": len(examples),
            "more": max(0, len(examples) - PAGE_SIZE),
            "of_others": sum(example.touched_by != me for example in examples),
        }
