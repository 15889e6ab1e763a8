"""How the labeling console draws a type, in the type's form: keys of choices, and what the texts of an example are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest

from datasets_app.admin.example_types import ExampleTypeAdmin, ExampleTypeForm
from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import InvalidJson
from datasets_app.models import ExampleType
from labeling_app.domain.controls import fixed_keys
from labeling_app.domain.keys import ACTION_TITLES, DEFAULT_KEYS, RESERVED, normal_key
from labeling_app.domain.presentation import (
    SHOWN_AS,
    KeyGroup,
    KeyRow,
    key_groups,
    key_troubles,
    shown_as_troubles,
    text_fields,
    without_gone,
)
from labeling_app.services.keys import keys_of_people

FREE_ROWS = 3
"""Empty rows for the answers of a text, which only queues list."""
_TITLE = "Labeling console"


@dataclass
class Typed:
    """What was sent: the presentation when the page was drawn, the rows of both tables, and the text of the box."""

    was: str
    keys: list[tuple[str, str, str]]  # field, choice, key
    shown_as: list[tuple[str, str]]  # path, word
    text: str


class PresentationWidget(forms.Widget):
    """Two tables and, folded, the JSON. `example_type` gives the rows, `troubles` what is told beside them."""

    template_name = "labeling_app/types/presentation.html"
    example_type: ExampleType | None = None
    troubles: dict[tuple[str, str], str]

    def __init__(self, attrs: Any = None) -> None:
        super().__init__(attrs)
        self.troubles = {}

    def id_for_label(self, id_: str | None) -> str:
        return ""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:
        if f"{name}-was" not in data:
            return None
        many = data.getlist if hasattr(data, "getlist") else lambda key: data.get(key, [])
        rows = zip(many(f"{name}-field"), many(f"{name}-choice"), many(f"{name}-key"), strict=False)
        words = zip(many(f"{name}-path"), many(f"{name}-as"), strict=False)
        return Typed(
            was=data[f"{name}-was"],
            keys=[(field, choice.strip(), key.strip()) for field, choice, key in rows],
            shown_as=list(words),
            text=data.get(f"{name}-json", ""),
        )

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context = super().get_context(name, value, attrs)
        example_type = self.example_type or ExampleType()
        stored = example_type.presentation
        drawn = stored if not isinstance(value, Typed) else _with_tables(stored or {}, value)
        text = dumped(stored) if not isinstance(value, Typed) else value.text
        output = example_type.output_schema or {}
        context |= {
            "groups": [self._group(group) for group in key_groups(output, drawn, example_type.class_field)],
            "texts": text_fields(example_type.input_schema or {}, drawn),
            "words": SHOWN_AS,
            "was": dumped(stored) if not isinstance(value, Typed) else value.was,
            "json": text,
            "json_open": isinstance(value, Typed) and value.text != value.was,
            "taken": {
                **{
                    key: f"is the console’s own key for “{ACTION_TITLES[a]}”"
                    for a, key in DEFAULT_KEYS.items()
                },
                **{key: use for key, use in RESERVED.items() if not key.isdigit()},
            },
        }
        return context

    def _group(self, group: KeyGroup) -> dict[str, Any]:
        empty = [KeyRow("", "", "")] * FREE_ROWS if group.is_free else []
        rows = [
            {"row": row, "trouble": self.troubles.get((group.name, row.option), "")}
            for row in (*group.rows, *empty)
        ]
        return {"group": group, "rows": rows}


class PresentationField(forms.Field):
    """The presentation of a type, from the tables, or from the JSON when that was changed. Unknown words in it stay."""

    widget = PresentationWidget

    def clean(self, value: Any) -> Any:
        if not isinstance(value, Typed):
            return value or {}
        was = _read(value.was)
        made = _with_tables(was, value)
        if _same_lines(value.text, value.was):
            return made
        if made != _with_tables(was, Typed(value.was, [], [], "")):
            raise forms.ValidationError(
                "It was changed in the tables and in the JSON: change one of them, and leave the other as it was."
            )
        return _read(value.text.strip() or "{}")

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != (initial or {}))
        except forms.ValidationError:
            return True


def _same_lines(text: str, other: str) -> bool:
    return text.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


def dumped(presentation: Any) -> str:
    return json.dumps(presentation or {}, indent=2, ensure_ascii=False)


def _read(text: str) -> dict[str, Any]:
    try:
        found = loads_strict(text.encode())
    except InvalidJson as error:
        raise forms.ValidationError(f"As JSON: {error}") from error
    if not isinstance(found, dict):
        raise forms.ValidationError(
            'As JSON: expected an object, such as {"keys": {"label": {"spam": "s"}}}.'
        )
    return found


def _with_tables(was: dict[str, Any], typed: Typed) -> dict[str, Any]:
    """Return a presentation with what the tables say of the fields that they show; what they do not show stays."""
    shown = {field for field, _, _ in typed.keys}
    keys = {
        name: {option: normal_key(key) for option, key in options.items()}
        for name, options in fixed_keys(was).items()
        if name not in shown
    }
    for field, choice, key in typed.keys:
        if choice and key:
            keys.setdefault(field, {})[choice] = normal_key(key)
    said = was.get("shown_as")
    words = dict(said) if isinstance(said, dict) else {}
    for path, word in typed.shown_as:
        words.pop(path, None)
        if word and word in SHOWN_AS:
            words[path] = word
    rest = {name: part for name, part in was.items() if name not in ("keys", "shown_as")}
    return {**rest, **({"keys": keys} if keys else {}), **({"shown_as": words} if words else {})}


class LabeledTypeForm(ExampleTypeForm):
    """The form of a type, with how the labeling console draws it."""

    presentation = PresentationField(label=_TITLE, required=False)
    fields_of_errors = {**ExampleTypeForm.fields_of_errors, "key_clash": "presentation"}

    class Meta(ExampleTypeForm.Meta):
        fields: tuple[str, ...] = (*ExampleTypeForm.Meta.fields, "presentation")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gone: list[str] = []
        if "presentation" in self.fields:
            drawn = self.instance
            if drawn.pk is None:
                drawn = ExampleType(
                    **{name: self.initial.get(name) for name in ("input_schema", "output_schema")}
                )
            self.fields["presentation"].widget.example_type = drawn

    def clean(self) -> Any:
        cleaned = super().clean()
        made, output = self.cleaned_data.get("presentation"), self.cleaned_data.get("output_schema")
        if "presentation" not in self.fields or made is None or not isinstance(output, dict):
            return cleaned
        if made.get("keys") and output != self.instance.output_schema:
            before = fixed_keys(self.instance.presentation)
            left = {
                name: {o: k for o, k in options.items() if before.get(name, {}).get(o) == k}
                for name, options in fixed_keys(made).items()
            }
            _, self.gone = without_gone(left, output)
            if self.gone:
                kept, _ = without_gone(fixed_keys(made), output)
                self.cleaned_data["presentation"] = made = {**made, "keys": kept}
        if made != self.instance.presentation:
            for told in shown_as_troubles(made):
                self.add_error("presentation", told)
        widget = self.fields["presentation"].widget
        widget.troubles = key_troubles(fixed_keys(made))
        if self.instance.pk is not None or not self.errors:
            widget.example_type = ExampleType(
                input_schema=self.cleaned_data.get("input_schema") or self.instance.input_schema,
                output_schema=output,
                class_field=self.cleaned_data.get("class_field") or "",
                presentation=self.instance.presentation or {},
            )
        return cleaned


class LabeledTypeAdmin(ExampleTypeAdmin):
    """Example types; who may change them says here too how the labeling console draws them."""

    form = LabeledTypeForm
    fields: tuple[str, ...] = LabeledTypeForm.Meta.fields

    class Media:
        css = {"all": ("labeling_app/type_form.css",)}
        js = (forms.Script("labeling_app/type_form.js", defer=True),)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        mine = super().get_fields(request, obj)
        may_write = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return mine if may_write else [name for name in mine if name != "presentation"]

    def save_model(self, request: HttpRequest, obj: ExampleType, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.gone:
            messages.info(request, f"With the choices that are gone went {', '.join(form.gone)}.")
        if "presentation" in form.changed_data:
            for told in keys_of_people(obj.presentation):
                messages.warning(request, told)
