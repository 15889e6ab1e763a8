"""Conflicts of a merge: base, ours and theirs side by side, and what a person decides."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.contrib import messages
from django.shortcuts import get_object_or_404
from django.utils.safestring import SafeString

from datasets_app.admin.versioning.page import PAGE_SIZE, VersioningPage
from datasets_app.admin.versioning.presentation import excerpt, plain_field_name, show_field, show_value
from datasets_app.domain.field_diff import FieldChange
from datasets_app.domain.json_path import MISSING, get_path, parse_path, set_path
from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.models import ExampleIdentity, ExampleType, Merge, MergeConflict
from datasets_app.services.curation.types import check_content
from datasets_app.services.versioning.merging import (
    abort_merge,
    complete_merge,
    resolve_all,
    resolve_conflict,
)
from datasets_app.services.versioning.previewing import contents_at
from goldenproject.kit.admin import tell
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput, GoldenError

SIDES = ("ours", "theirs", "base")
WHOLE = "$"


@dataclass(frozen=True)
class Side:
    """One of the three values that may be taken."""

    name: str
    title: str
    html: SafeString
    is_missing: bool
    checked: bool


@dataclass(frozen=True)
class ShownConflict:
    """A field that clashes. `input_kind` is text, long, number, boolean, choice or json; "" when no value can be written."""

    pk: int
    field_name: str
    sides: list[Side]
    input_kind: str
    typed: str
    choices: list[str]
    own_checked: bool
    resolved_by: str


@dataclass(frozen=True)
class ConflictingExample:
    """The clashing fields of one example."""

    uuid: uuid.UUID
    name: str
    excerpt: str
    conflicts: list[ShownConflict] = field(default_factory=list)


class ConflictsPage(VersioningPage):
    """An open merge, or what became of a finished one."""

    tab = "merge"
    title = "Resolve conflicts"
    template_name = "datasets_app/versioning/conflicts.html"
    posts: ClassVar[dict[str, Action]] = {
        "save": Action.MERGE,
        "resolve_all": Action.MERGE,
        "complete": Action.MERGE,
        "abort": Action.MERGE,
    }

    def prepare(self, **kwargs: Any) -> None:
        super().prepare(**kwargs)
        self.merging = get_object_or_404(
            Merge.objects.select_related("branch", "ours", "theirs", "base", "result", "started_by"),
            pk=kwargs["merge_id"],
            branch__dataset=self.dataset,
        )
        self.set_place(self.dataset, self.merging.branch)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        all_conflicts = self.merging.conflicts.all()
        total = all_conflicts.count()
        resolved = all_conflicts.exclude(resolution="").count()
        page = max(_page_number(self.request.GET.get("page")), 1)
        shown = list(all_conflicts.select_related("resolved_by")[(page - 1) * PAGE_SIZE : page * PAGE_SIZE])
        return {
            **context,
            "merging": self.merging,
            "is_open": self.merging.state == Merge.State.OPEN,
            "is_revert": self.merging.kind == Merge.Kind.REVERT,
            "total": total,
            "resolved": resolved,
            "resolved_elsewhere": resolved - sum(bool(conflict.resolution) for conflict in shown),
            "percent": 100 * resolved // total if total else 100,
            "examples": self._examples(shown),
            "page": page,
            "previous_page": page - 1 if page > 1 else None,
            "next_page": page + 1 if page * PAGE_SIZE < total else None,
        }

    def _examples(self, conflicts: list[MergeConflict]) -> list[ConflictingExample]:
        uuids = {conflict.example_id for conflict in conflicts}
        identities = {i.pk: i for i in ExampleIdentity.objects.filter(pk__in=uuids)}
        ours = contents_at(self.merging.ours, uuids)
        types = {
            t.name: t
            for t in ExampleType.objects.filter(name__in={content.type for content in ours.values()})
        }
        found: dict[uuid.UUID, ConflictingExample] = {}
        for conflict in conflicts:
            content = ours.get(conflict.example_id)
            if conflict.example_id not in found:
                line = excerpt(content.document()) if content else "deleted on one side"
                found[conflict.example_id] = ConflictingExample(
                    conflict.example_id, str(identities[conflict.example_id]), line
                )
            example_type = types.get(content.type) if content else None
            found[conflict.example_id].conflicts.append(self._shown(conflict, example_type))
        return list(found.values())

    def _shown(self, conflict: MergeConflict, example_type: ExampleType | None) -> ShownConflict:
        typed = self.request.POST.get(f"choice-{conflict.pk}", conflict.resolution)
        choices = _choices(example_type, conflict.path)
        kind = _input_kind(conflict, choices)
        written = self.request.POST.get(f"value-{conflict.pk}", _as_typed(conflict, kind))
        return ShownConflict(
            pk=conflict.pk,
            field_name=plain_field_name(conflict.path),
            sides=[
                Side(name, title, html, not getattr(conflict, name), typed == name)
                for name, title, html in self._side_values(conflict)
            ],
            input_kind=kind,
            typed=written,
            choices=choices,
            own_checked=typed == MergeConflict.Resolution.VALUE,
            resolved_by=str(conflict.resolved_by or "") if conflict.resolution else "",
        )

    def _side_values(self, conflict: MergeConflict) -> Iterable[tuple[str, str, SafeString]]:
        """Ours and theirs are shown against the base, so that one sees what each side did."""
        base = _value(conflict.base)
        revert = self.merging.kind == Merge.Kind.REVERT
        titles = {
            "ours": f"Ours · {self.merging.branch.name}",
            "theirs": "Before the reverted commit" if revert else f"Theirs · {self.merging.source_ref}",
            "base": "The reverted commit" if revert else "Base · before both",
        }
        for name in SIDES:
            value = _value(getattr(conflict, name))
            if name == "base" or not (isinstance(base, str) and isinstance(value, str)):
                yield name, titles[name], show_value(value)
            else:
                yield name, titles[name], show_field(FieldChange(conflict.path, "changed", base, value)).new

    def post_save(self) -> str:
        count = self._save_choices()
        messages.success(self.request, f"{count} choice{'' if count == 1 else 's'} saved.")
        return self._here()

    def _here(self) -> str:
        return self.url("conflicts", self.merging.pk, page=self.request.GET.get("page"))

    def _save_choices(self) -> int:
        """Save what was chosen on this page, all or nothing; a value that the type does not allow is refused."""
        by_key = {str(conflict.pk): conflict for conflict in self.merging.conflicts.all()}
        chosen = 0
        with acting(self.person, "resolve conflicts"):
            for name, choice in self.request.POST.items():
                key = name.removeprefix("choice-")
                conflict = by_key.get(key) if key != name else None
                if conflict is None or not choice:
                    continue
                value: Any = MISSING
                if choice == MergeConflict.Resolution.VALUE:
                    value = self._written(conflict, str(self.request.POST.get(f"value-{key}", "")))
                if conflict.resolution == choice and _value(conflict.value) == value:
                    continue
                resolve_conflict(conflict=conflict, resolution=str(choice), actor=self.person, value=value)
                chosen += 1
        return chosen

    def _written(self, conflict: MergeConflict, text: str) -> Any:
        """Read a value that a person wrote, as the field's type wants it."""
        content = contents_at(self.merging.ours, {conflict.example_id}).get(conflict.example_id)
        example_type = ExampleType.objects.filter(name=content.type).first() if content else None
        kind = _input_kind(conflict, _choices(example_type, conflict.path))
        value = _parsed(text, kind, plain_field_name(conflict.path))
        if (
            content is not None
            and example_type is not None
            and parse_path(conflict.path)[:1] in (("input",), ("output",))
        ):
            document = set_path(content.document(), conflict.path, value)
            check_content(
                example_type, document.get("input"), document.get("output"), where="the value that you wrote"
            )
        return value

    def post_resolve_all(self) -> str:
        self._save_choices()
        side = self.request.POST.get("side", "")
        if side not in SIDES:
            raise BadInput(f"“{side}” is no side; use ours, theirs or base.")
        count = resolve_all(merging=self.merging, resolution=side, actor=self.person)
        messages.success(
            self.request, f"{count} open conflict{'' if count == 1 else 's'} resolved with {side}."
        )
        return self._here()

    def post_complete(self) -> str:
        self._save_choices()
        try:
            made = complete_merge(
                merging=self.merging,
                actor=self.person,
                message=self.request.POST.get("message", "").strip() or None,
            )
        except GoldenError as error:
            tell(self.request, error)
            return self._here()
        messages.success(
            self.request, f"The merge is complete: {made.short_hash} on {self.merging.branch.name}."
        )
        return self.url("commit", made.commit_hash)

    def post_abort(self) -> str:
        if self.request.POST.get("confirmed") != "yes":
            raise BadInput(
                "Aborting was not confirmed.", hint="Tick the box: the choices made here are given up."
            )
        abort_merge(merging=self.merging, actor=self.person)
        messages.success(self.request, "The merge was given up; nothing was changed.")
        return self.url("merge")


def _page_number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 else 1


def _value(side: dict[str, Any]) -> Any:
    return side.get("value", MISSING)


def _choices(example_type: ExampleType | None, path: str) -> list[str]:
    """The words that the type allows at a path, when it names them."""
    steps = parse_path(path)
    if steps == ("status",):
        return ["pending", "validated", "rejected"]
    if example_type is None or not steps or steps[0] not in ("input", "output"):
        return []
    node: Any = example_type.input_schema if steps[0] == "input" else example_type.output_schema
    for step in steps[1:]:
        node = (
            get_path(node, ("properties", step), {})
            if isinstance(step, str)
            else get_path(node, ("items",), {})
        )
    values = node.get("enum", []) if isinstance(node, dict) else []
    return values if values and all(isinstance(value, str) for value in values) else []


def _input_kind(conflict: MergeConflict, choices: list[str]) -> str:
    if conflict.path == WHOLE:
        return ""
    if choices:
        return "choice"
    values = [
        value
        for value in map(_value, (conflict.ours, conflict.theirs, conflict.base))
        if value is not MISSING
    ]
    if values and all(isinstance(value, bool) for value in values):
        return "boolean"
    if values and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return "number"
    if values and all(isinstance(value, str) for value in values):
        return "long" if any(len(value) > 60 or "\n" in value for value in values) else "text"
    return "json"


def _as_typed(conflict: MergeConflict, kind: str) -> str:
    """What the field for an own value holds at first: the value that was chosen, else ours to start from."""
    value = (
        _value(conflict.value)
        if conflict.resolution == MergeConflict.Resolution.VALUE
        else _value(conflict.ours)
    )
    if value is MISSING:
        return ""
    if kind in ("text", "long", "choice"):
        return str(value)
    if kind == "boolean":
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, indent=2 if isinstance(value, dict | list) else None)


def _parsed(text: str, kind: str, name: str) -> Any:
    if kind in ("text", "long", "choice"):
        return text.replace("\r\n", "\n")
    if not kind:
        raise BadInput(f"{name}: only ours, theirs or base can be chosen.")
    try:
        value = loads_strict(text)
    except GoldenError as error:
        raise BadInput(
            f"{name}: what you wrote is not {'a number' if kind == 'number' else 'JSON'}. {error}"
        ) from error
    if kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise BadInput(f"{name}: found {text!r}, expected a number.")
    if kind == "boolean" and not isinstance(value, bool):
        raise BadInput(f"{name}: found {text!r}, expected true or false.")
    return value
