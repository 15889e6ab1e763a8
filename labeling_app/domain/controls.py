"""What a form is made of, from the JSON Schema of an answer; and how the fields of an example are called and ordered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from datasets_app.domain.canonical import canonical_text

Kind = Literal[
    "choice", "class", "boolean", "scale", "number", "text", "toggles", "tags", "list", "group", "json"
]

MAX_DEPTH: Final = 8  # a schema may contain itself; deeper than this a box for JSON is drawn
KEYED: Final[tuple[Kind, ...]] = ("choice", "class", "boolean", "toggles")  # answered by one key


@dataclass(frozen=True)
class Option:
    """An answer to pick: its value, what it is called, and its key ("" without one)."""

    value: Any
    title: str
    key: str = ""


@dataclass(frozen=True)
class Control:
    """A part of the answer and what it is given with.

    `path` leads to it from the answer ((), the whole answer, when the answer is one value). `options` are what may be
    picked, in order; a "class" takes other text too. `item` is the control of each entry of a "list". `must_differ`
    forbids the same entry twice. Limits are None where the schema has none; `above` and `below` are exclusive.
    """

    path: tuple[str, ...]
    kind: Kind
    title: str
    description: str = ""
    required: bool = False
    nullable: bool = False
    options: tuple[Option, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    step: float | None = None
    integer: bool = False
    min_length: int | None = None
    max_length: int | None = None
    pattern: str = ""
    long: bool = False
    min_items: int | None = None
    max_items: int | None = None
    must_differ: bool = False
    children: tuple[Control, ...] = ()
    item: Control | None = None

    @property
    def name(self) -> str:
        """The dotted path, as the type's presentation names it."""
        return ".".join(self.path)

    def document(self) -> dict[str, Any]:
        """Return the control as JSON for the console; what is not set is left out."""
        found: dict[str, Any] = {"name": self.name, "path": list(self.path)}
        for key, value in vars(self).items():
            if (
                key in ("path", "options", "children", "item")
                or value is None
                or value == ""
                or value is False
            ):
                continue
            found[key] = value
        if self.kind in KEYED:
            found["options"] = [vars(option) for option in self.options]
        if self.children:
            found["children"] = [child.document() for child in self.children]
        if self.item is not None:
            found["item"] = self.item.document()
        return found


@dataclass(frozen=True)
class FieldView:
    """How a field of an example is shown: its title, what kind of text it is, and the fields in it, in order.

    `shown_as` is "" (decided by the value), "code", "markdown" or "text".
    """

    name: str
    title: str
    description: str = ""
    shown_as: str = ""
    children: tuple[FieldView, ...] = ()
    item: FieldView | None = None

    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = {"name": self.name, "title": self.title}
        if self.description:
            found["description"] = self.description
        if self.shown_as:
            found["shown_as"] = self.shown_as
        if self.children:
            found["children"] = [child.document() for child in self.children]
        if self.item is not None:
            found["item"] = self.item.document()
        return found


def controls(
    schema: Mapping[str, Any],
    presentation: Mapping[str, Any] | None = None,
    choices: Sequence[Any] = (),
    class_field: str = "",
    title: str = "Answer",
) -> list[Control]:
    """Return the controls of an answer's schema, in the order that the schema asks for.

    An answer that is an object has one control per field, any other has one control with the path (). `choices` are
    offered for the class: the field `class_field` (dotted), or else the first required text of an object, or the
    answer itself. `title` names an answer that is one value and has no title. `presentation` may fix keys: {"keys": {"label": {"spam": "s"}}}; they are filled into the options.
    A schema that says nothing gives one control of the kind "json".
    """
    root = _resolved(schema, schema)
    if _kind(root) == "group":
        made = list(_fields(schema, root, (), 0))
    else:
        made = [_control(schema, root, (), title, required=True, depth=0)]
    if choices:
        made = _with_choices(made, choices, class_field)
    return _with_fixed_keys(made, fixed_keys(presentation))


def input_view(schema: Mapping[str, Any], presentation: Mapping[str, Any] | None = None) -> list[FieldView]:
    """Return how the fields of an example are shown, in the order of the schema.

    `presentation` may say what a text is: {"shown_as": {"snippet": "code"}}, by dotted path. Fields that an example
    has beyond these are drawn after them under their own names.
    """
    shown_as = (presentation or {}).get("shown_as", {})
    root = _resolved(schema, schema)
    return _views(schema, root, (), shown_as if isinstance(shown_as, Mapping) else {}, 0)


def fixed_keys(presentation: Mapping[str, Any] | None) -> dict[str, dict[str, str]]:
    """Return the keys that a type's presentation fixes: {dotted path of the control: {option: key}}."""
    keys = (presentation or {}).get("keys", {})
    if not isinstance(keys, Mapping):
        return {}
    return {
        str(name): {str(option): str(key) for option, key in options.items()}
        for name, options in keys.items()
        if isinstance(options, Mapping)
    }


def walk(found: Sequence[Control]) -> Iterator[Control]:
    """Yield the controls and those in them, outer ones first; not the entries of lists."""
    for control in found:
        yield control
        yield from walk(control.children)


def option_text(value: Any) -> str:
    """Return what an option is called, in a presentation and on its button."""
    if isinstance(value, str):
        return value
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


# --- controls -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Shape:
    """A schema with what it says about null taken out."""

    schema: Mapping[str, Any]
    nullable: bool = False
    types: tuple[str, ...] = field(default=())


def _resolved(root: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """Follow local references; what stands beside a reference wins over what it leads to."""
    seen: set[str] = set()
    while isinstance(schema, Mapping) and isinstance(schema.get("$ref"), str):
        reference = schema["$ref"]
        if reference in seen or not reference.startswith("#"):
            break
        seen.add(reference)
        target: Any = root
        for part in reference.lstrip("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if part:
                target = target.get(name) if isinstance(target, Mapping) else None
        if not isinstance(target, Mapping):
            break
        schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
    return schema if isinstance(schema, Mapping) else {}


def _shape(root: Mapping[str, Any], schema: Any) -> _Shape:
    found = _resolved(root, schema)
    nullable = False
    for word in ("anyOf", "oneOf"):
        branches = found.get(word)
        if isinstance(branches, list):
            rest = [b for b in branches if not (isinstance(b, Mapping) and b.get("type") == "null")]
            if len(rest) == 1 and len(rest) < len(branches):
                nullable = True
                beside = {name: value for name, value in found.items() if name != word}
                found = {**_resolved(root, rest[0]), **beside}
    kinds = found.get("type")
    types = tuple(kinds) if isinstance(kinds, list) else (kinds,) if isinstance(kinds, str) else ()
    if "null" in types:
        nullable = True
        types = tuple(kind for kind in types if kind != "null")
    options = found.get("enum")
    if isinstance(options, list) and None in options:
        nullable = True
        found = {**found, "enum": [option for option in options if option is not None]}
    if set(types) == {"integer", "number"}:
        types = ("number",)
    return _Shape(found, nullable, types)


def _kind(schema: Mapping[str, Any], types: tuple[str, ...] | None = None) -> Kind:
    if types is None:
        shape = _shape(schema, schema)
        schema, types = shape.schema, shape.types
    if "const" in schema or (isinstance(schema.get("enum"), list) and schema["enum"]):
        return "choice"
    if types == ("boolean",):
        return "boolean"
    if types in (("number",), ("integer",)):
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        return "scale" if low is not None and high is not None and low < high else "number"
    if types == ("string",):
        return "text"
    if types == ("object",) or (not types and isinstance(schema.get("properties"), Mapping)):
        return "group" if isinstance(schema.get("properties"), Mapping) and schema["properties"] else "json"
    if types == ("array",):
        return "list"
    return "json"


def _control(
    root: Mapping[str, Any],
    schema: Any,
    path: tuple[str, ...],
    title: str,
    *,
    required: bool,
    depth: int,
) -> Control:
    shape = _shape(root, schema)
    found = shape.schema
    kind = _kind(found, shape.types) if depth < MAX_DEPTH else "json"
    made = Control(
        path=path,
        kind=kind,
        title=str(found.get("title") or title),
        description=str(found.get("description") or ""),
        required=required,
        nullable=shape.nullable,
    )
    if kind == "choice":
        values = [found["const"]] if "const" in found else found["enum"]
        different: dict[str, Any] = {}  # a type of old may list a choice twice
        for value in values:
            different.setdefault(canonical_text(value), value)
        options = tuple(Option(value, option_text(value)) for value in different.values())
        return replace(made, options=options + _none(shape.nullable))
    if kind == "boolean":
        return replace(made, options=(Option(True, "Yes"), Option(False, "No"), *_none(shape.nullable)))
    if kind in ("scale", "number"):
        return replace(made, integer=shape.types == ("integer",), **_limits(found))
    if kind == "text":
        return replace(made, **_text(found))
    if kind == "group":
        return replace(made, children=tuple(_fields(root, found, path, depth + 1)))
    if kind == "list":
        return _list(root, found, made, depth)
    return made


def _none(nullable: bool) -> tuple[Option, ...]:
    return (Option(None, "None"),) if nullable else ()


def _limits(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "minimum": found.get("minimum"),
        "maximum": found.get("maximum"),
        "above": found.get("exclusiveMinimum"),
        "below": found.get("exclusiveMaximum"),
        "step": found.get("multipleOf"),
    }


def _text(found: Mapping[str, Any]) -> dict[str, Any]:
    length = found.get("maxLength")
    return {
        "min_length": found.get("minLength"),
        "max_length": length,
        "pattern": str(found.get("pattern") or ""),
        "long": found.get("x-widget") == "textarea" or (length or 0) > 200,
    }


def _list(root: Mapping[str, Any], found: Mapping[str, Any], made: Control, depth: int) -> Control:
    made = replace(
        made,
        min_items=found.get("minItems"),
        max_items=found.get("maxItems"),
        must_differ=bool(found.get("uniqueItems")),
    )
    item = _control(root, found.get("items", {}), (), "Entry", required=True, depth=depth + 1)
    if item.kind == "choice" and not item.nullable:
        return replace(made, kind="toggles", options=item.options)
    if item.kind == "text" and not item.long and not item.pattern:
        return replace(made, kind="tags", min_length=item.min_length, max_length=item.max_length)
    return replace(made, item=item)


def _fields(
    root: Mapping[str, Any], schema: Mapping[str, Any], path: tuple[str, ...], depth: int
) -> Iterator[Control]:
    found = _shape(root, schema).schema
    required = found.get("required") or ()
    for name in _ordered(found):
        yield _control(
            root,
            found["properties"][name],
            (*path, name),
            _spoken(name),
            required=name in required,
            depth=depth,
        )


def _ordered(schema: Mapping[str, Any]) -> list[str]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return []
    order = schema.get("x-order")
    said = [name for name in order if name in properties] if isinstance(order, list) else []
    return list(dict.fromkeys([*said, *properties]))


def _spoken(name: str) -> str:
    words = name.replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:] if words else name


def _with_choices(made: list[Control], choices: Sequence[Any], class_field: str) -> list[Control]:
    texts = [control for control in walk(made) if control.kind == "text"]
    named = [control for control in texts if class_field and control.name == class_field]
    first = [control for control in texts if control.required or control.path == ()]
    target = next(iter(named or ([] if class_field else first)), None)
    if target is None and not class_field:
        target = next(iter(texts), None)
    if target is None:
        return made
    options = tuple(Option(value, option_text(value)) for value in dict.fromkeys(map(str, choices)))
    return _replaced(made, target.path, replace(target, kind="class", options=options, long=False))


def _replaced(made: Sequence[Control], path: tuple[str, ...], new: Control) -> list[Control]:
    return [
        new
        if control.path == path
        else replace(control, children=tuple(_replaced(control.children, path, new)))
        if control.children
        else control
        for control in made
    ]


def _with_fixed_keys(made: Sequence[Control], fixed: Mapping[str, Mapping[str, str]]) -> list[Control]:
    if not fixed:
        return list(made)
    return [
        replace(
            control,
            options=tuple(
                replace(option, key=fixed.get(control.name, {}).get(option_text(option.value), option.key))
                for option in control.options
            ),
            children=tuple(_with_fixed_keys(control.children, fixed)),
        )
        for control in made
    ]


# --- how an example is shown --------------------------------------------------------------------------------------
def _views(
    root: Mapping[str, Any],
    schema: Mapping[str, Any],
    path: tuple[str, ...],
    shown_as: Mapping[str, Any],
    depth: int,
) -> list[FieldView]:
    found = _shape(root, schema).schema
    if depth >= MAX_DEPTH:
        return []
    return [
        _view(root, found["properties"][name], name, (*path, name), shown_as, depth)
        for name in _ordered(found)
    ]


def _view(
    root: Mapping[str, Any],
    schema: Any,
    name: str,
    path: tuple[str, ...],
    shown_as: Mapping[str, Any],
    depth: int,
) -> FieldView:
    found = _shape(root, schema).schema
    said = shown_as.get(".".join(path), found.get("x-shown-as", ""))
    entries = found.get("items")
    return FieldView(
        name=name,
        title=str(found.get("title") or _spoken(name)),
        description=str(found.get("description") or ""),
        shown_as=said if said in ("code", "markdown", "text") else "",
        children=tuple(_views(root, found, path, shown_as, depth + 1)),
        item=_view(root, entries, "", path, shown_as, depth + 1)
        if isinstance(entries, Mapping) and depth < MAX_DEPTH
        else None,
    )
