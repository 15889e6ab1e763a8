"""Example types: their schemas, checked as they are saved, and the form that they make."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from datasets_app.admin.example_forms import SchemaForm
from datasets_app.admin.example_rows import ordered_properties
from datasets_app.admin.versioning import ObjectHistoryMixin
from datasets_app.domain.roles import Action
from datasets_app.domain.schema_types import with_property_order
from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import InvalidJson
from datasets_app.models import ExampleType
from datasets_app.services.access import may, may_somewhere, require
from datasets_app.services.curation.types import check_type, choices_to_tell, save_type
from goldenproject.kit.admin import ConsoleAdmin
from goldenproject.kit.errors import GoldenError

_START_SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string", "title": "Text"}},
    "required": ["text"],
}


class SchemaField(forms.CharField):
    """A JSON Schema as text. The order in which properties are typed is kept in `x-order`: jsonb does not keep it."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 14, "class": "gd-mono", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return (
            value
            if isinstance(value, str) or value is None
            else json.dumps(in_order(value), indent=2, ensure_ascii=False)
        )

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            return with_property_order(loads_strict(text.encode()))
        except InvalidJson as error:
            raise forms.ValidationError(str(error)) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != initial)
        except forms.ValidationError:
            return True


def in_order(schema: Any) -> Any:
    """Return a schema with its properties in the order that it asks for."""
    if not isinstance(schema, dict):
        return [in_order(item) for item in schema] if isinstance(schema, list) else schema
    made = {name: in_order(value) for name, value in schema.items() if name != "x-order"}
    if isinstance(schema.get("properties"), dict):
        made["properties"] = {
            name: in_order(schema["properties"][name]) for name in ordered_properties(schema)
        }
    first = [name for name in ("type", "title", "description", "properties", "required") if name in made]
    return {name: made[name] for name in [*first, *(n for n in made if n not in first)]}


class ExampleTypeForm(forms.ModelForm):
    input_schema = SchemaField(label="Input schema", help_text="JSON Schema of what goes in.")
    output_schema = SchemaField(
        label="Output schema", help_text="JSON Schema of what is expected to come out."
    )

    class Meta:
        model = ExampleType
        fields: tuple[str, ...] = (
            "name",
            "title",
            "description",
            "input_schema",
            "output_schema",
            "class_field",
            "required_fields",
        )
        widgets = {
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 2}),
            "required_fields": UnfoldAdminTextInputWidget(),
        }
        help_texts = {
            "name": "Letters, digits, - and _; files and the API use it.",
            "required_fields": "Dotted paths such as input.text, output.label, separated by commas; they may not be empty.",
        }

    # code of an error → the field beside which it is told
    fields_of_errors: ClassVar = {"invalid_choices": "output_schema"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            for name in ("input_schema", "output_schema"):
                if name in self.fields:
                    self.initial.setdefault(name, _START_SCHEMA)

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors or "output_schema" not in self.fields:
            return
        try:
            check_type(self.instance)
        except GoldenError as error:
            name = self.fields_of_errors.get(error.code)
            self.add_error(name if name in self.fields else None, str(error))


class ExampleTypeAdmin(ObjectHistoryMixin, ConsoleAdmin):
    form = ExampleTypeForm
    list_display = ("title", "name", "class_field", "origin")
    search_fields = ("name", "title", "description")
    fields: tuple[str, ...] = ExampleTypeForm.Meta.fields
    change_form_outer_after_template = "datasets_app/examples/type_preview.html"

    class Media:
        css = {"all": ("datasets_app/forms.css",)}

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may_somewhere(request.user, Action.VIEW)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Action.MANAGE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, Action.MANAGE)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # versions and files call a type by its name
        return ("name",) if obj is not None else ()

    def origin(self, example_type: ExampleType) -> str:
        return "built in" if example_type.is_builtin else "your own"

    def save_model(self, request: HttpRequest, obj: ExampleType, form: Any, change: bool) -> None:
        require(request.user, Action.MANAGE)
        save_type(example_type=obj, actor=request.user)
        for told in choices_to_tell(obj):
            messages.warning(request, told)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponseBase:
        found = self.get_object(request, object_id)
        preview = SchemaForm(found, disabled=True) if found is not None else None
        context = {**(extra_context or {}), "preview": preview}
        return super().change_view(request, object_id, form_url, context)  # type: ignore[no-any-return]
