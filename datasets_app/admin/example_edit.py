"""The page of one example: a form made from its type, status, neighbours, and what happens when two people save."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse

from datasets_app.admin.base import DatasetPage, branch_url, chosen_branch
from datasets_app.admin.example_forms import FieldNode, SchemaForm
from datasets_app.admin.example_rows import dirty_among, display_name, plain
from datasets_app.admin.filters import ExampleFilter, known_classes, neighbours
from datasets_app.domain.canonical import canonical_text, same_json
from datasets_app.domain.field_diff import FieldChange, diff_fields
from datasets_app.domain.json_path import MISSING
from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import EditConflict, InvalidJson, SchemaViolation, UnknownExample
from datasets_app.models import Branch, Example, ExampleType, ValidationStatus
from datasets_app.services.access import allowed_datasets, may, require
from datasets_app.services.curation.examples import add_example, delete_examples, update_example
from datasets_app.services.curation.types import get_type
from goldenproject.kit.admin import tell
from goldenproject.kit.errors import BadInput, GoldenError, NotFound

_BOXES = ("labels", "metadata")


@dataclass(frozen=True)
class Base:
    """What the person saw when the form was drawn: the values that an untouched field keeps."""

    input: Any = MISSING
    output: Any = None
    labels: Any = None
    metadata: Any = None

    @classmethod
    def of(cls, example: Example) -> Base:
        return cls(example.input_data, example.expected_output, example.labels, example.metadata)

    @classmethod
    def typed(cls, text: str) -> Base:
        """Read what `text` wrote. Raises InvalidJson."""
        document = loads_strict(text.encode())
        if not isinstance(document, dict) or "input" not in document:
            raise InvalidJson("The hidden base of the form is damaged.", hint="Load the page again.")
        return cls(
            document["input"], document.get("output"), document.get("labels"), document.get("metadata")
        )

    def document(self) -> dict[str, Any]:
        return {
            "input": self.input,
            "output": self.output,
            "labels": self.labels or {},
            "metadata": self.metadata or {},
        }

    def text(self) -> str:
        return canonical_text(self.document())


class ExampleDraft:
    """A form over `base` with what was typed into it: the schema's fields, the raw JSON, labels and metadata."""

    def __init__(self, example_type: ExampleType, base: Base, *, disabled: bool = False) -> None:
        self.base = base
        self.form = SchemaForm(example_type, input_data=base.input, output=base.output, disabled=disabled)
        given = {} if base.input is MISSING else base.input
        self.boxes = {
            "input": _json_box("raw_input", "Input", given),
            "output": _json_box("raw_output", "Expected output", base.output),
            "labels": _json_box("labels", "Marks", base.labels or {}),
            "metadata": _json_box("metadata", "Metadata", base.metadata or {}),
        }
        self.is_raw = False

    def bind(self, typed: QueryDict) -> None:
        self.form.bind(typed)
        for box in self.boxes.values():
            box.raw = typed.get(box.name, "").replace("\r\n", "\n")
        self.is_raw = typed.get("mode") == "json"

    @property
    def has_errors(self) -> bool:
        return self.form.has_errors or any(box.errors for box in self.boxes.values())

    def contents(self) -> dict[str, Any]:
        """Return input_data, expected_output, labels, metadata as typed; errors stand at the fields."""
        raw_is_touched = self.boxes["input"].is_touched or self.boxes["output"].is_touched
        if self.is_raw and raw_is_touched and self.form.is_touched:
            self.form.problems.append(
                "Both the form and the JSON were changed, so it is not clear what to save. Undo one of them."
            )
        if self.is_raw:
            given = _empty_as(self.boxes["input"].value(), {})
            expected = _empty_as(self.boxes["output"].value(), None)
        else:
            given, expected = self.form.values()
        made = {"input_data": given, "expected_output": expected}
        for name in _BOXES:
            made[name] = _empty_as(self.boxes[name].value(), {})
            if not isinstance(made[name], dict):
                self.boxes[name].errors.append("Expected a JSON object.")
        return made

    def refuse(self, error: GoldenError) -> None:
        """Put an error at the fields that it names."""
        for violation in error.details.get("violations", []):
            if self.is_raw:
                part = "output" if violation["path"].startswith("$.output") else "input"
                self.boxes[part].errors.append(violation["message"])
            else:
                self.form.refuse(violation["path"], violation["message"])
        if not error.details.get("violations"):
            self.form.problems.append(str(error))


def _json_box(name: str, label: str, value: Any) -> FieldNode:
    shown = MISSING if value is None or value == {} else value
    box = FieldNode((name,), {}, shown, required=False, label=label)
    box.name = name
    return box


def _empty_as(value: Any, default: Any) -> Any:
    return default if value is MISSING else value


def shown_changes(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, str]]:
    """Return what differs as texts: path, old, new."""

    def text(value: Any) -> str:
        return "" if value is MISSING else plain(value)

    changes: list[FieldChange] = diff_fields(old, new)
    return [{"path": change.path[2:], "old": text(change.old), "new": text(change.new)} for change in changes]


class _FormPage(DatasetPage):
    """What adding and changing share."""

    tab = "examples"
    template_name = "datasets_app/examples/form.html"
    draft: ExampleDraft
    example_type: ExampleType

    def form_context(self, **more: Any) -> dict[str, Any]:
        class_path = f"$.output.{self.example_type.class_field}"
        for field in self.draft.form.fields():
            if field.name == class_path and field.widget == "text" and not self.draft.form.disabled:
                field.suggestions = known_classes(self.branch, [self.example_type])
        return super().get_context_data(
            draft=self.draft,
            form=self.draft.form,
            boxes=self.draft.boxes,
            example_type=self.example_type,
            statuses=ValidationStatus.values,
            list_address=self.list_address(),
            **more,
        )

    def list_address(self) -> str:
        address = branch_url("datasets_app_dataset_examples", self.dataset, self.branch)
        query = self.wanted.query()
        return f"{address}{'&' if '?' in address else '?'}{query}" if query else address

    @property
    def wanted(self) -> ExampleFilter:
        return ExampleFilter.from_query(self.request.GET)


class AddExamplePage(_FormPage):
    """A new example on a branch: ?branch=ID and, where the dataset has no type of its own, &type=NAME."""

    title = "Add example"
    action = Action.EDIT
    write_action = Action.EDIT

    def prepare(self, **kwargs: Any) -> None:
        wanted = self.request.GET.get("branch", "")
        branch = branch_by_id(wanted) if wanted else first_branch(self.person, Action.EDIT)
        self.set_place(branch.dataset, branch)
        name = self.request.GET.get("type")
        if name:
            self.example_type = get_type(name)
        else:
            self.example_type = branch.dataset.default_type or ExampleType.objects.order_by("pk")[0]
        self.draft = ExampleDraft(self.example_type, Base())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return self.form_context(
            is_new=True,
            types=ExampleType.objects.all(),
            external_id=self.request.POST.get("external_id", ""),
            can_edit=True,
            can_judge=may(self.person, Action.REVIEW, self.dataset),
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.draft.bind(request.POST)
        contents = self.draft.contents()
        if not self.draft.has_errors:
            try:
                example = add_example(
                    branch=self.branch,
                    example_type=self.example_type,
                    external_id=request.POST.get("external_id", "").strip() or None,
                    actor=self.person,
                    **contents,
                )
            except GoldenError as error:
                self.draft.refuse(error)
            else:
                messages.success(request, f"Example {display_name(example)} was added.")
                return HttpResponseRedirect(self._next_address(example))
        return self.render_to_response(self.get_context_data(), status=422)

    def _next_address(self, example: Example) -> str:
        if "_addanother" in self.request.POST:
            query = urlencode({"branch": self.branch.pk, "type": self.example_type.name})
            return f"{reverse('admin:datasets_app_example_add')}?{query}"
        if "_continue" in self.request.POST:
            return reverse("admin:datasets_app_example_change", args=[example.pk])
        return self.list_address()


class ExampleFormPage(_FormPage):
    """One example of a working copy; the filter of the list rides along, so that “next” is the next of that list."""

    title = "Example"
    example: Example

    def prepare(self, **kwargs: Any) -> None:
        self.example = example_by_id(kwargs["object_id"])
        self.set_place(self.example.branch.dataset, self.example.branch)
        self.example_type = self.example.example_type
        self.name = display_name(self.example)
        self.title = f"Example {self.name}"
        self.can_edit = may(self.person, Action.EDIT, self.dataset) and self.branch.is_open
        self.can_judge = may(self.person, Action.REVIEW, self.dataset) and self.branch.is_open
        self.draft = self._draft(Base.of(self.example))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        before, after = self._neighbours()
        return self.form_context(
            example=self.example,
            name=self.name,
            is_touched=bool(dirty_among(self.branch, [self.example.identity_id])),
            updated_at=self.example.updated_at.isoformat(),
            status=self.request.POST.get("status", self.example.validation_status),
            previous_address=self._address_of(before),
            next_address=self._address_of(after),
            can_edit=self.can_edit,
            can_judge=self.can_judge,
            filter_query=self.wanted.query(),
            **kwargs,
        )

    def _draft(self, base: Base) -> ExampleDraft:
        return ExampleDraft(self.example_type, base, disabled=not self.can_edit)

    # --- saving
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        require(self.person, Action.REVIEW, self.dataset)
        if "_remove" in request.POST:
            return self._remove()
        fields: dict[str, Any] = {}
        if self.can_edit:
            base = Base.typed(request.POST["base"]) if request.POST.get("base") else Base.of(self.example)
            self.draft = self._draft(base)
            self.draft.bind(request.POST)
            fields = self._changed(base, self.draft.contents())
            if self.draft.has_errors:
                return self._again()
        status = self._status()
        if status != self.example.validation_status:
            fields["validation_status"] = status
        _, following = self._neighbours()
        try:
            saved = update_example(
                example=self.example, actor=self.person, expected_updated_at=self._seen_at(), **fields
            )
        except EditConflict as error:
            return self._conflict(error)
        except (SchemaViolation, BadInput) as error:
            self.draft.refuse(error)
            return self._again()
        changed = saved.updated_at != self.example.updated_at
        messages.success(
            request, f"{self.name} was saved." if changed else f"{self.name}: nothing was changed."
        )
        return HttpResponseRedirect(self._after_saving(following))

    def _remove(self) -> HttpResponse:
        require(self.person, Action.EDIT, self.dataset)
        delete_examples(branch=self.branch, uuids=[self.example.identity_id], actor=self.person)
        messages.success(self.request, f"{self.name} was removed from the working copy.")
        return HttpResponseRedirect(self.list_address())

    def _changed(self, base: Base, contents: dict[str, Any]) -> dict[str, Any]:
        """Return only what differs from what the person saw."""
        seen = {
            "input_data": base.input,
            "expected_output": base.output,
            "labels": base.labels or {},
            "metadata": base.metadata or {},
        }
        return {name: value for name, value in contents.items() if not same_json(value, seen[name])}

    def _status(self) -> str:
        for button, status in (("_validate", "validated"), ("_reject", "rejected")):
            if button in self.request.POST:
                return status
        return self.request.POST.get("status") or self.example.validation_status

    def _seen_at(self) -> datetime:
        try:
            return datetime.fromisoformat(self.request.POST.get("updated_at", ""))
        except ValueError as error:
            raise BadInput(
                "The form does not say which state it shows.", hint="Load the page again."
            ) from error

    def _again(self) -> HttpResponse:
        context = self.get_context_data()
        context["updated_at"] = self.request.POST.get("updated_at", context["updated_at"])
        return self.render_to_response(context, status=422)

    def _conflict(self, error: EditConflict) -> HttpResponse:
        """Draw the form on top of what is there now: what the person touched stays typed, the rest is the other's."""
        seen = self.draft.base
        self.example = example_by_id(str(self.example.pk))
        current = Base.of(self.example)
        theirs = shown_changes(seen.document(), current.document())
        draft = self._draft(current)
        touched = {field.name: field.raw for field in self.draft.form.fields() if field.is_touched}
        for field in draft.form.fields():
            field.raw = touched.get(field.name, field.raw)
        for name, box in self.draft.boxes.items():
            if box.is_touched:
                draft.boxes[name].raw = box.raw
        draft.is_raw = self.draft.is_raw
        contents = draft.contents()
        mine = Base(
            contents["input_data"], contents["expected_output"], contents["labels"], contents["metadata"]
        )
        self.draft = draft
        tell(self.request, error)
        last = self.example.history.order_by("-history_id").select_related("history_user").first()
        context = self.get_context_data(
            conflict=True,
            their_changes=theirs,
            my_changes=shown_changes(current.document(), mine.document()),
            changed_by=getattr(last, "history_user", None) or "somebody",
            changed_at=self.example.updated_at,
        )
        return self.render_to_response(context, status=409)

    # --- neighbours
    def _neighbours(self) -> tuple[int | None, int | None]:
        return neighbours(self.branch, self.wanted, self.example.ordinal)

    def _address_of(self, row_id: int | None) -> str:
        if row_id is None:
            return ""
        address = reverse("admin:datasets_app_example_change", args=[row_id])
        query = self.wanted.query()
        return f"{address}?{query}" if query else address

    def _after_saving(self, following: int | None) -> str:
        typed = self.request.POST
        if "_next" in typed or "_validate" in typed or "_reject" in typed:
            if following is None:
                messages.info(self.request, "That was the last one of this list.")
            return self._address_of(following) or self.list_address()
        if "_continue" in typed:
            return self.request.get_full_path()
        return self.list_address()


def example_by_id(text: str) -> Example:
    """Return a row of a working copy by its number. Raises UnknownExample."""
    rows = Example.objects.select_related(
        "identity", "example_type", "branch__dataset", "branch__commit", "validated_by"
    )
    found = rows.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 19 else None
    if found is None:
        raise UnknownExample(
            "This example is not in a working copy (any more).", hint="Versions may still hold it."
        )
    return found


def branch_by_id(text: str) -> Branch:
    """Return a branch by its number. Raises NotFound."""
    branches = Branch.objects.select_related("dataset__default_type", "commit")
    found = branches.filter(pk=int(text)).first() if text.isdecimal() and len(text) < 19 else None
    if found is None:
        raise NotFound(f"There is no branch {text[:40]}.")
    return found


def first_branch(person: Any, action: Action) -> Branch:
    """Return the default branch of the first dataset in which `person` may do `action`. Raises NotFound."""
    dataset = allowed_datasets(person, action).filter(is_active=True).order_by("name").first()
    if dataset is None:
        raise NotFound(
            "There is no dataset for you yet.", hint="Create one, or ask an administrator for a role."
        )
    return chosen_branch(dataset, None)
