"""Saved views: named filters over the examples of a dataset, for oneself or for everybody."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict

from datasets_app.admin.base import DatasetPage, branch_url
from datasets_app.admin.filters import ExampleFilter
from datasets_app.models import Dataset, SavedView
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput

MAX_NAME = 80


def visible_views(dataset: Dataset, person: Any) -> QuerySet[SavedView]:
    """Return a person's own views and those that others share."""
    return SavedView.objects.filter(dataset=dataset).filter(Q(owner=person) | Q(is_shared=True))


def save_view(
    *, dataset: Dataset, actor: Any, name: str, wanted: ExampleFilter, is_shared: bool
) -> SavedView:
    """Keep a filter under a name; one's own view of that name is replaced. Raises BadInput."""
    checked = name.strip()
    if not checked or len(checked) > MAX_NAME or not checked.isprintable():
        raise BadInput(f"A view has a name of 1 to {MAX_NAME} characters.")
    if wanted.is_empty:
        raise BadInput("This list is not filtered, so there is no view to save.", hint="Set a filter first.")
    with acting(actor, "save view"):
        return SavedView.objects.update_or_create(
            dataset=dataset,
            owner=actor,
            name=checked,
            defaults={"query": wanted.query(), "is_shared": is_shared},
        )[0]


class SavedViewsPage(DatasetPage):
    """Saves the filter of the list as a view, or deletes a view of one's own; always goes back to the list."""

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._back("")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "delete" in request.POST:
            wanted = request.POST["delete"]
            mine = SavedView.objects.filter(dataset=self.dataset, owner=self.person)
            mine.filter(pk=int(wanted) if wanted.isdecimal() and len(wanted) < 19 else 0).delete()
            return self._back(request.POST.get("query", ""))
        wanted_filter = ExampleFilter.from_query(QueryDict(request.POST.get("query", "")))
        view = save_view(
            dataset=self.dataset,
            actor=self.person,
            name=request.POST.get("name", ""),
            wanted=wanted_filter,
            is_shared=request.POST.get("shared") == "1",
        )
        return self._back(view.query)

    def _back(self, query: str) -> HttpResponse:
        address = branch_url("datasets_app_dataset_examples", self.dataset, self.branch)
        wanted = ExampleFilter.from_query(QueryDict(query)).query()
        joined = f"{address}{'&' if '?' in address else '?'}{wanted}" if wanted else address
        return HttpResponseRedirect(joined)
