"""The list of a branch's examples and what is done to many of them at once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict

from datasets_app.admin.base import DatasetPage, branch_url
from datasets_app.admin.example_rows import rows_of
from datasets_app.admin.filters import ExampleFilter, find_page, known_classes, types_in
from datasets_app.admin.saved_views import visible_views
from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import InvalidJson
from datasets_app.models import Branch, Example, ValidationStatus
from datasets_app.services.access import require
from datasets_app.services.curation.examples import delete_examples, set_mark, set_status
from goldenproject.kit.errors import BadInput

LIST = "datasets_app_dataset_examples"
_SAMPLE_ROWS = 8


class ExamplesPage(DatasetPage):
    """The examples of a branch, 50 a page, in the order of import."""

    title = "Examples"
    tab = "examples"
    template_name = "datasets_app/examples/list.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.request.GET
        wanted = ExampleFilter.from_query(query)
        page = find_page(
            self.branch, wanted, after=_ordinal(query.get("after")), before=_ordinal(query.get("before"))
        )
        types = types_in(self.branch)
        keep = {} if self.branch.is_default else {"branch": self.branch.pk}
        return super().get_context_data(
            wanted=wanted,
            filter_query=wanted.query(),
            page=page,
            rows=rows_of(self.branch, page.rows),
            types=types,
            classes=known_classes(self.branch, types),
            statuses=ValidationStatus.values,
            views=list(visible_views(self.dataset, self.person).select_related("owner")),
            branch_query=f"branch={self.branch.pk}&" if keep else "",
            previous_query=wanted.query(**keep, before=page.previous),
            next_query=wanted.query(**keep, after=page.next),
            first_query=wanted.query(**keep),
            is_first=not query.get("after") and not query.get("before"),
            bulk_actions=[action for action in bulk_actions().values() if action.applies(self.branch)],
        )


def _ordinal(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and len(text) < 19 else None


# --- many at once -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class BulkAction:
    """Something that can be done to many examples: `done` is the sentence for the result, {n} how many changed.

    Where the branch has nothing to do it with (`applies`), it is not offered.
    """

    key: str
    title: str
    right: Action
    done: str
    run: Callable[[Branch, list[uuid.UUID], QueryDict, Any], int]
    asks_first: bool = False
    is_dangerous: bool = False
    template: str = ""  # what the page that asks first includes, with `asked` as `asks` returns it
    asks: Callable[[Branch, Any], Any] | None = None
    applies: Callable[[Branch], bool] = lambda branch: True


def _judged(status: str) -> Callable[[Branch, list[uuid.UUID], QueryDict, Any], int]:
    def run(branch: Branch, uuids: list[uuid.UUID], typed: QueryDict, actor: Any) -> int:
        return set_status(branch=branch, uuids=uuids, status=status, actor=actor)

    return run


def _deleted(branch: Branch, uuids: list[uuid.UUID], typed: QueryDict, actor: Any) -> int:
    return delete_examples(branch=branch, uuids=uuids, actor=actor)


def _marked(branch: Branch, uuids: list[uuid.UUID], typed: QueryDict, actor: Any) -> int:
    name = typed.get("mark_name", "").strip()
    if typed.get("mark_remove") == "1":
        return set_mark(branch=branch, uuids=uuids, name=name, value=None, actor=actor)
    return set_mark(
        branch=branch, uuids=uuids, name=name, value=read_mark(typed.get("mark_value", "")), actor=actor
    )


def read_mark(text: str) -> Any:
    """Read the value of a mark: nothing is true, JSON is what it says, anything else is text."""
    if not text.strip():
        return True
    try:
        json.loads(text)
    except ValueError:
        return text
    value = loads_strict(text.encode())
    if value is None:
        raise BadInput("A mark cannot be null.", hint="Choose “take the mark away” instead.")
    return value


BULK_ACTIONS = (
    BulkAction("validate", "Validate", Action.REVIEW, "{n} validated.", _judged(ValidationStatus.VALIDATED)),
    BulkAction("reject", "Reject", Action.REVIEW, "{n} rejected.", _judged(ValidationStatus.REJECTED)),
    BulkAction(
        "reset", "Set back", Action.REVIEW, "{n} set back to pending.", _judged(ValidationStatus.PENDING)
    ),
    BulkAction("mark", "Mark…", Action.EDIT, "{n} marked.", _marked, asks_first=True),
    BulkAction(
        "delete",
        "Remove…",
        Action.EDIT,
        "{n} removed from the working copy.",
        _deleted,
        asks_first=True,
        is_dangerous=True,
    ),
)
# what apps above this one add; filled when their admin modules are loaded
EXTRA_BULK_ACTIONS: list[BulkAction] = []


def bulk_actions() -> dict[str, BulkAction]:
    return {action.key: action for action in (*BULK_ACTIONS, *EXTRA_BULK_ACTIONS)}


class BulkPage(DatasetPage):
    """Does one thing to the chosen examples, or to all that match the filter; asks first where that is due."""

    title = "Examples"
    tab = "examples"
    template_name = "datasets_app/examples/bulk.html"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "GET":
            return HttpResponseRedirect(self._list_address(ExampleFilter()))
        return self.render_to_response(self.get_context_data(**kwargs))

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        action = self._action()
        require(self.person, action.right, self.dataset)
        wanted = self._wanted()
        everything = request.POST.get("matching") == "1"
        chosen = [] if everything else _uuids(request.POST.getlist("example"))
        if not chosen and not everything:
            messages.warning(request, "No example was chosen.")
            return HttpResponseRedirect(self._list_address(wanted))
        if (action.asks_first or everything) and request.POST.get("confirmed") != "1":
            return self.render_to_response(self.get_context_data(**kwargs))
        uuids = wanted.uuids(self.branch) if everything else chosen
        changed = action.run(self.branch, uuids, request.POST, self.person)
        noun = "example" if changed == 1 else "examples"
        messages.success(request, action.done.format(n=f"{changed:,} {noun}"))
        return HttpResponseRedirect(self._list_address(wanted))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        wanted = self._wanted()
        typed = self.request.POST
        if typed.get("matching") == "1":
            page = find_page(self.branch, wanted, size=_SAMPLE_ROWS)
            sample, count, is_capped, chosen = page.rows, page.count, page.is_capped, []
        else:
            chosen = _uuids(typed.getlist("example"))
            found = Example.objects.filter(branch=self.branch, identity_id__in=chosen)
            sample = list(found.select_related("identity", "example_type").order_by("ordinal")[:_SAMPLE_ROWS])
            count, is_capped = found.count(), False
        action = self._action()
        return super().get_context_data(
            action=action,
            asked=action.asks(self.branch, self.person) if action.asks else None,
            wanted=wanted,
            filter_query=wanted.query(),
            matching=typed.get("matching") == "1",
            chosen=chosen,
            count=count,
            is_capped=is_capped,
            rows=rows_of(self.branch, sample),
            more=count - len(sample),
            typed=typed,
            list_address=self._list_address(wanted),
        )

    def _action(self) -> BulkAction:
        key = self.request.POST.get("action", "")
        known = bulk_actions()
        if key not in known:
            raise BadInput(f"“{key}” cannot be done to examples.", hint=f"Choose one of {', '.join(known)}.")
        return known[key]

    def _wanted(self) -> ExampleFilter:
        return ExampleFilter.from_query(QueryDict(self.request.POST.get("query", "")))

    def _list_address(self, wanted: ExampleFilter) -> str:
        address = branch_url(LIST, self.dataset, self.branch)
        query = wanted.query()
        return f"{address}{'&' if '?' in address else '?'}{query}" if query else address


def _uuids(texts: list[str]) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text) for text in texts]
    except ValueError as error:
        raise InvalidJson("An example's id is a UUID.") from error
