"""Types whose choices cannot be told apart are refused; those that are stored go on working."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from datasets_app.errors import InvalidChoices
from datasets_app.models import ExampleType
from datasets_app.services.curation.types import choices_to_tell, get_type, save_type

pytestmark = pytest.mark.django_db


def type_of(choices: list[Any]) -> ExampleType:
    schema = {"type": "object", "properties": {"label": {"enum": choices}}, "required": ["label"]}
    return ExampleType(name="picked", title="Picked", input_schema={"type": "object"}, output_schema=schema)


def test_save_type__choice_twice__is_refused_and_nothing_stored() -> None:
    with pytest.raises(InvalidChoices, match='lists at “label” the choice "a" twice: leave one out.'):
        save_type(example_type=type_of(["a", "a"]), actor=None)
    assert not ExampleType.objects.filter(name="picked").exists()


def test_save_type__stored_with_a_choice_twice__may_change_otherwise() -> None:
    type_of(["a", "a"]).save()  # as it was accepted once
    found = get_type("picked")
    found.title = "Picked by hand"
    save_type(example_type=found, actor=None)
    assert get_type("picked").title == "Picked by hand"
    found.output_schema["properties"]["label"]["enum"] = ["a", "a", "b", "b"]
    with pytest.raises(InvalidChoices) as caught:
        save_type(example_type=found, actor=None)
    assert caught.value.details["choices"] == [
        'The output schema lists at “label” the choice "b" twice: leave one out.'
    ]


def test_choices_to_tell__that_differ_by_case__are_told_by_the_command(tmp_path: Path) -> None:
    saved = save_type(example_type=type_of(["Spam", "spam"]), actor=None)
    note = 'The output schema lists at “label” "Spam" and "spam", which are easily mistaken for one another.'
    assert choices_to_tell(saved) == [note]
    (tmp_path / "type.json").write_text(json.dumps({"title": "Picked"}))
    out = StringIO()
    call_command("golden_type", "picked", "--from", str(tmp_path / "type.json"), stdout=out)
    assert out.getvalue() == f"Changed the type “picked”.\nNote: {note}\n"
