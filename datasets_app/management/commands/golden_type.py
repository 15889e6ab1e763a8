"""golden_type: list, show, make and change example types."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import InvalidJson
from datasets_app.management.dataset_command import DatasetCommand, allow, line, lines
from datasets_app.models import ExampleType
from datasets_app.services.curation.types import choices_to_tell, get_type, save_type
from goldenproject.kit.commands import Outcome, UsageError, json_document
from goldenproject.kit.errors import BadInput

_FIELDS = (
    "title",
    "description",
    "input_schema",
    "output_schema",
    "class_field",
    "required_fields",
    "presentation",
)


class Command(DatasetCommand):
    help = "List the example types, show one, or make or change one from a JSON file (--from)."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="TYPE", help="name of the type (default: list all)")
        parser.add_argument(
            "--from",
            dest="source",
            metavar="FILE",
            help="JSON object with input_schema, output_schema and, where wanted, title, description, class_field, "
            "required_fields, presentation; what it leaves out stays as it is",
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        name, source = options["name"], options["source"]
        if name is None:
            if source:
                raise UsageError("--from needs the name of the type.")
            return _all_types()
        if source is None:
            document = _document(get_type(name))
            return Outcome(document, json_document(document).rstrip())
        allow(actor, Action.MANAGE, None)
        definition = _read(source)
        example_type = ExampleType.objects.filter(name=name).first() or ExampleType(name=name, title=name)
        made = example_type.pk is None
        if made and not {"input_schema", "output_schema"} <= definition.keys():
            raise BadInput(f"{source}: a new type needs input_schema and output_schema.")
        for field, value in definition.items():
            setattr(example_type, field, value)
        save_type(example_type=example_type, actor=actor)
        notes = choices_to_tell(example_type)
        done = line(f"{'Made' if made else 'Changed'} the type “{name}”.")
        return Outcome(
            {**_document(example_type), "notes": notes},
            lines([done, *(line(f"Note: {one}") for one in notes)]),
        )


def _all_types() -> Outcome:
    types = list(ExampleType.objects.all())
    return Outcome(
        {"types": [_document(t) for t in types]},
        lines(
            line((t.name, "bold"), f"  {t.title}", f"  class: {t.class_field}" if t.class_field else "")
            for t in types
        ),
    )


def _document(example_type: ExampleType) -> dict[str, Any]:
    return {"name": example_type.name, **{field: getattr(example_type, field) for field in _FIELDS}}


def _read(source: str) -> dict[str, Any]:
    try:
        definition = loads_strict(Path(source).read_bytes())
    except InvalidJson as error:
        raise BadInput(f"{source}: {error.message}", hint=error.hint, **error.details) from error
    if not isinstance(definition, dict):
        raise BadInput(f"{source}: found {type(definition).__name__}, expected a JSON object.")
    unknown = definition.keys() - {*_FIELDS, "name"}
    if unknown:
        raise BadInput(
            f"{source}: a type has no “{min(unknown)}”.", hint=f"It may have: {', '.join(_FIELDS)}."
        )
    return {field: value for field, value in definition.items() if field != "name"}
