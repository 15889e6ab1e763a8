"""The admin of examples: Django's addresses, served by pages of our own that always look at one branch."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse

from datasets_app.admin.base import branch_url
from datasets_app.admin.example_edit import (
    AddExamplePage,
    ExampleFormPage,
    branch_by_id,
    example_by_id,
    first_branch,
)
from datasets_app.admin.examples import ExamplesPage
from datasets_app.domain.roles import Action
from datasets_app.services.access import may_somewhere
from goldenproject.kit.admin import ConsoleAdmin, error_page
from goldenproject.kit.errors import GoldenError


class ExampleAdmin(ConsoleAdmin):
    """Without ?branch=ID the list goes to the first dataset that the person may see."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_somewhere(request.user, Action.VIEW)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:
        try:
            wanted = request.GET.get("branch", "")
            if not wanted:
                branch = first_branch(request.user, Action.VIEW)
                query = request.GET.urlencode()
                address = branch_url("datasets_app_dataset_examples", branch.dataset)
                return HttpResponseRedirect(f"{address}?{query}" if query else address)
            branch = branch_by_id(wanted)
        except GoldenError as error:
            return error_page(request, error, self.admin_site.each_context(request))
        return ExamplesPage.as_view(model_admin=self)(request, dataset_id=branch.dataset_id)  # type: ignore[no-any-return]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponseBase:
        return AddExamplePage.as_view(model_admin=self)(request)  # type: ignore[no-any-return]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponseBase:
        return ExampleFormPage.as_view(model_admin=self)(request, object_id=object_id)  # type: ignore[no-any-return]

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponseBase:
        return HttpResponseRedirect(reverse("admin:datasets_app_example_change", args=[object_id]))

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponseBase:
        try:
            example = example_by_id(object_id)
            address = reverse(
                "admin:datasets_app_dataset_example_history",
                args=[example.branch.dataset_id, example.identity_id],
            )
        except NoReverseMatch:
            address = reverse("admin:datasets_app_example_change", args=[object_id])
        except GoldenError as error:
            return error_page(request, error, self.admin_site.each_context(request))
        return HttpResponseRedirect(address)
