"""Making a queue and changing one; how many examples it would have, and how its instructions will look."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import mark_safe

from datasets_app.admin.base import chosen_branch
from datasets_app.admin.corpus.base import id_or_none, text_of
from datasets_app.admin.filters import types_in
from datasets_app.admin.jobs import job_address
from datasets_app.domain.roles import Action
from datasets_app.models import Branch, Dataset, ExampleType
from datasets_app.services.access import allowed_datasets, may_somewhere, require
from goldenproject.kit.errors import BadInput, Forbidden, GoldenError
from labeling_app.console.base import LabelingPage, QueuePage
from labeling_app.console.instructions import instructions_html
from labeling_app.console.queue_cards import asked_of
from labeling_app.console.queue_form import (
    ADOPTS_WORDS,
    METHOD_WORDS,
    ORDER_WORDS,
    QueueForm,
    filters_in,
    has_free_class,
    initial_of,
    offered_classes,
)
from labeling_app.models import LabelingQueue
from labeling_app.services.assigning import set_members
from labeling_app.services.matching import COUNTED_AT_MOST, matching_count
from labeling_app.services.queues import (
    QueueOptions,
    create_queue,
    unfinished_overlap_job,
    update_queue,
)

MOST_INSTRUCTIONS = 50_000
# what a refusal of a service is about, by the beginning of its words
_PLACES = {
    "name": ("Dataset “", "name:"),
    "priority_field": ("Priority field",),
    "tags": ("The filter tags",),
    "text": ("The filter text",),
    "choices": ("Choices", "choices:"),
}


class _FormPage:
    """What making and changing share: the words of the choices, errors at their fields."""

    form: QueueForm

    def form_context(self) -> dict[str, Any]:
        return {
            "form": self.form,
            "orders": _choices(self.form, "order", ORDER_WORDS),
            "adoptions": _choices(self.form, "adopts", ADOPTS_WORDS),
            "methods": METHOD_WORDS,
            "needs_choices": _needs_choices(self.form),
            "many_people": len(self.form["users"].subwidgets) > 12,
        }

    def refuse(self, error: GoldenError) -> None:
        """Put the refusal of a service at the field that it is about."""
        text = str(error)
        place = next((name for name, begins in _PLACES.items() if text.startswith(begins)), None)
        self.form.add_error(place, text)
        if place:
            self.form.fields[place].widget.attrs["aria-invalid"] = "true"


def _choices(form: QueueForm, name: str, words: dict[str, str]) -> list[dict[str, Any]]:
    chosen = str(form[name].value())
    field: Any = form.fields[name]
    return [
        {
            "value": value,
            "title": str(title).capitalize(),
            "about": words.get(value, ""),
            "chosen": value == chosen,
        }
        for value, title in field.choices
    ]


def _needs_choices(form: QueueForm) -> bool:
    """Whether buttons need a list of answers: the class that is asked for has no fixed values in its schema."""
    path = form.queue.field_path if form.queue else str(form["field_path"].value() or "")
    return has_free_class(form.example_type, path)


class NewQueuePage(_FormPage, LabelingPage):
    """Makes a queue: ?dataset=ID, ?branch=ID and ?type=NAME say of what."""

    title = "New queue"
    template_name = "labeling_app/queue/new.html"
    dataset: Dataset
    branch: Branch
    example_type: ExampleType | None

    def prepare(self, **kwargs: Any) -> None:
        if not may_somewhere(self.person, Action.EDIT):
            raise Forbidden(
                "You may not “edit” any dataset.", hint="Ask an administrator for the role of a curator."
            )
        self.datasets = list(
            allowed_datasets(self.person, Action.EDIT).filter(is_active=True).order_by("name")
        )
        wanted = text_of(self.request.GET, "dataset", 40)
        found = [one for one in self.datasets if str(one.pk) == wanted]
        if wanted and not found:
            raise Forbidden("You may not make queues for this dataset.")
        self.chosen = found[0] if found else (self.datasets[0] if len(self.datasets) == 1 else None)
        if self.chosen is None:
            return
        require(self.person, Action.EDIT, self.chosen)
        self.branch = chosen_branch(self.chosen, self.request.GET.get("branch"))
        self.types = types_in(self.branch) or ([self.chosen.default_type] if self.chosen.default_type else [])
        name = text_of(self.request.GET, "type", 80)
        default = self.chosen.default_type if self.chosen.default_type in self.types else None
        self.example_type = next((one for one in self.types if one.name == name), None) or default
        self.example_type = self.example_type or (self.types[0] if self.types else None)
        if self.example_type is not None:
            self.form = self._form(self.request.POST if self.request.method == "POST" else None)

    def _form(self, data: Any) -> QueueForm:
        assert self.chosen is not None and self.example_type is not None
        return QueueForm(
            data,
            dataset=self.chosen,
            branch=self.branch,
            example_type=self.example_type,
            initial=None if data is not None else self._initial(),
        )

    def _initial(self) -> dict[str, Any]:
        assert self.chosen is not None and self.example_type is not None
        queue = LabelingQueue(example_type=self.example_type, branch=self.branch)
        there = set(LabelingQueue.objects.filter(dataset=self.chosen).values_list("name", flat=True))
        queue.name = next(
            name for n in range(1, 10_000) if (name := "Labels" if n == 1 else f"Labels {n}") not in there
        )
        return {**initial_of(queue), "choices": "\n".join(offered_classes(self.branch, self.example_type))}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context: dict[str, Any] = {"datasets": self.datasets, "chosen": self.chosen}
        if self.chosen is not None:
            context |= {
                "branch": self.branch,
                "branches": list(self.chosen.branches.filter(is_closed=False, worktree="open")),
                "types": self.types,
                "example_type": self.example_type,
                "count_query": f"?dataset={self.chosen.pk}&branch={self.branch.pk}",
            }
            if self.example_type is not None:
                context |= self.form_context()
        return super().get_context_data(**context, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.chosen is None or self.example_type is None:
            raise BadInput("There is nothing to label yet.", hint="Choose a dataset that has examples.")
        if self.form.is_valid():
            values = self.form.fields_of_queue()
            if not _needs_choices(self.form):
                values["choices"] = []
            try:
                queue = create_queue(
                    dataset=self.chosen,
                    name=values.pop("name"),
                    actor=self.person,
                    options=QueueOptions(branch=self.branch, example_type=self.example_type, **values),
                )
                users, groups = self.form.members()
                if users or groups:
                    set_members(queue=queue, users=users, groups=groups, actor=self.person)
            except BadInput as error:
                self.refuse(error)
            else:
                messages.success(request, f"Queue “{queue.name}” has been made.")
                return HttpResponseRedirect(reverse("label_queue", args=[queue.pk]))
        return self.render_to_response(self.get_context_data(**kwargs))


class QueueSettingsPage(_FormPage, QueuePage):
    """Changes a queue. What it asks for stays: labels were given for that."""

    title = "Settings"
    tab = "settings"
    action = Action.EDIT
    template_name = "labeling_app/queue/settings.html"

    def load(self, **kwargs: Any) -> None:
        self.form = QueueForm(
            self.request.POST if self.request.method == "POST" else None,
            dataset=self.queue.dataset,
            branch=self.queue.branch,
            example_type=self.queue.example_type,
            queue=self.queue,
            initial=initial_of(self.queue),
        )

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = self.form_context() | {
            "count_query": f"?dataset={self.queue.dataset_id}&branch={self.queue.branch_id}",
            "example_type": self.queue.example_type,
            "asks": asked_of(self.queue).capitalize(),
        }
        return super().get_context_data(**context, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.form.is_valid():
            try:
                update_queue(queue=self.queue, actor=self.person, **self.form.fields_of_queue())
                if {"users", "groups"} & set(self.form.changed_data):
                    users, groups = self.form.members()
                    set_members(queue=self.queue, users=users, groups=groups, actor=self.person)
            except BadInput as error:
                self.refuse(error)
            else:
                messages.success(request, f"Queue “{self.queue.name}” has been changed.")
                return HttpResponseRedirect(self._next_page())
        self.queue.refresh_from_db(fields=["name", "state"])
        return self.render_to_response(self.get_context_data(**kwargs))

    def _next_page(self) -> str:
        """Return where to go on: the job that lets the items of a big queue follow, or the queue."""
        job = unfinished_overlap_job(self.queue) if "overlap" in self.form.changed_data else None
        return job_address(job) if job else reverse("label_queue", args=[self.queue.pk])


class MatchingCountPage(LabelingPage):
    """A piece of the form: how many examples match what is typed."""

    template_name = "labeling_app/queue/count.html"

    def prepare(self, **kwargs: Any) -> None:
        query = self.request.GET
        key = id_or_none(text_of(query, "dataset", 40))
        self.dataset = Dataset.objects.filter(pk=key).first() if key else None
        if self.dataset is None:
            raise BadInput("This address must name a dataset.")
        require(self.person, Action.EDIT, self.dataset)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        query = self.request.GET
        assert self.dataset is not None
        branch = chosen_branch(self.dataset, query.get("branch"))
        kind = ExampleType.objects.filter(name=text_of(query, "example_type", 80)).first()
        typed = {
            "status": query.getlist("status"),
            "tier": query.getlist("tier"),
            "tags": text_of(query, "tags", 2000),
            "text": text_of(query, "text"),
        }
        if kind is None:
            return {"count": 0}
        try:
            count = matching_count(branch=branch, example_type=kind, filters=filters_in(typed))
        except BadInput as error:
            return {"error": error}
        return {"count": min(count, COUNTED_AT_MOST), "is_capped": count > COUNTED_AT_MOST}


class InstructionsPreview(LabelingPage):
    """A piece of the form: the instructions as labelers will see them."""

    def prepare(self, **kwargs: Any) -> None:
        if not may_somewhere(self.person, Action.EDIT):
            raise Forbidden()

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse("")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        text = request.POST.get("instructions", "").replace("\x00", "")[:MOST_INSTRUCTIONS]
        shown = mark_safe(instructions_html(text))  # noqa: S308 - raw HTML of the Markdown is text by then
        return HttpResponse(shown or "<p class='gd-muted'>No instructions yet.</p>")
