"""The form of one example: widgets from the schema, what is written, errors at the fields, two people at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from datasets_app.admin.example_forms import FieldNode, SchemaForm
from datasets_app.domain.json_path import MISSING
from datasets_app.models import Dataset, Example, ExampleType
from datasets_app.services.curation.examples import update_example
from datasets_app.services.curation.types import get_type

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string", "x-widget": "textarea"},
        "name": {"type": ["string", "null"]},
        "size": {"type": ["string", "integer"]},
        "count": {"type": "integer", "minimum": 0},
        "share": {"type": "number"},
        "flag": {"type": "boolean"},
        "tier": {"type": "string", "enum": ["A", "B"]},
        "signals": {"type": "array", "items": {"type": "string"}},
        "points": {"type": "array", "items": {"type": "number"}},
        "place": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "zip": {"$ref": "#/$defs/zip"}},
        },
        "anything": {},
    },
    "required": ["text", "name"],
    "x-order": ["text", "tier"],
    "$defs": {"zip": {"type": "integer", "title": "ZIP"}},
}


def form_of(given_input: Any = MISSING, schema: dict[str, Any] | None = None) -> SchemaForm:
    kind = ExampleType(name="t", title="T", input_schema=schema or SCHEMA, output_schema={"type": "string"})
    return SchemaForm(kind, input_data=given_input)


def fields(form: SchemaForm) -> dict[str, FieldNode]:
    return {field.name: field for field in form.fields()}


def typed_as_shown(form: SchemaForm, **changes: str) -> dict[str, str]:
    """What a browser sends for a form as it is drawn, with CR LF at the ends of lines."""
    sent = {name: re.sub("\r\n|\r|\n", "\r\n", field.raw) for name, field in fields(form).items()}
    return {**sent, **{f"$.input.{name}": value for name, value in changes.items()}}


def values(form: SchemaForm, **changes: str) -> Any:
    form.bind(typed_as_shown(form, **changes))
    return form.values()[0]


# --- widgets and reading ------------------------------------------------------------------------------------------
def test_form__of_a_schema__chooses_a_widget_for_each_field_in_the_order_asked_for() -> None:
    assert [
        (name[8:], field.widget) for name, field in fields(form_of()).items() if name.startswith("$.input")
    ] == [
        ("text", "textarea"),
        ("tier", "choice"),
        ("anything", "json"),
        ("count", "number"),
        ("flag", "choice"),
        ("name", "text"),
        ("place.city", "text"),
        ("place.zip", "number"),
        ("points", "json"),
        ("share", "number"),
        ("signals", "lines"),
        ("size", "text"),
    ]
    assert fields(form_of())["$.input.place.zip"].label == "ZIP"


def test_form__with_nothing_filled_in__writes_no_empty_keys() -> None:
    assert values(form_of()) == {}


def test_form__filled_in__reads_values_of_the_types_of_the_schema() -> None:
    made = values(
        form_of(),
        **{
            "text": "two\r\nlines",
            "count": " 12 ",
            "share": "7.50",
            "flag": "false",
            "tier": '"B"',
            "signals": "one\r\n\r\n two ",
            "points": "[1, 2.5]",
            "size": "50",
            "place.city": "Bern",
            "anything": '{"a": null}',
        },
    )
    assert made == {
        "text": "two\nlines",
        "count": 12,
        "share": 7.5,
        "flag": False,
        "tier": "B",
        "signals": ["one", "two"],
        "points": [1, 2.5],
        "size": "50",
        "place": {"city": "Bern"},
        "anything": {"a": None},
    }


def test_form__untouched__keeps_every_value_as_it_was() -> None:
    was = {
        "text": "a\r\nb",
        "name": None,
        "size": 50,
        "share": 75.0,
        "tier": "Z",
        "signals": ["a\nb"],
        "place": {},
        "x": [1],
    }
    form = form_of(was)
    made = values(form)
    assert made == was
    assert not form.is_touched
    assert isinstance(made["size"], int)


def test_form__one_field_emptied__leaves_only_that_one_out() -> None:
    assert values(form_of({"text": "a", "tier": "A", "x": 1}), tier="") == {"text": "a", "x": 1}
    assert values(form_of({"place": {"city": "Bern"}}), **{"place.city": ""}) == {}


def test_form__required_field_that_may_be_null__becomes_null_when_emptied() -> None:
    assert values(form_of({"name": "x"}), name="") == {"name": None}


def test_form__number_changed__keeps_the_type_that_it_had() -> None:
    assert values(form_of({"size": 50}), size="60") == {"size": 60}
    assert values(form_of({"size": "50"}), size="60") == {"size": "60"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("count", "1.5", "Found “1.5”, expected a whole number."),
        ("share", "NaN", "Found “NaN”, expected a number."),
        ("points", "[1", "points"),
        ("anything", '{"a":1,"a":2}', "a"),
    ],
)
def test_form__text_that_cannot_be_read__is_told_at_the_field(name: str, text: str, message: str) -> None:
    form = form_of()
    values(form, **{name: text})
    assert form.has_errors
    errors = fields(form)[f"$.input.{name}"].errors
    assert len(errors) == 1
    if message.startswith("Found"):
        assert errors == [message]


def test_form__value_that_the_schema_does_not_expect__falls_back_to_a_json_box() -> None:
    form = form_of({"text": {"odd": 1}, "place": "Bern", "count": "many"})
    assert {n: fields(form)[f"$.input.{n}"].widget for n in ("text", "place", "count")} == dict.fromkeys(
        ("text", "place", "count"), "json"
    )
    assert values(form) == {"text": {"odd": 1}, "place": "Bern", "count": "many"}


def test_form__error_deep_inside__is_put_at_the_field_above_it() -> None:
    form = form_of()
    form.refuse("$.input.points[3]", "$.input.points[3]: found 1, expected 2.")
    form.refuse("$.elsewhere", "$.elsewhere: wrong.")
    assert fields(form)["$.input.points"].errors == ["$.input.points[3]: found 1, expected 2."]
    assert form.problems == ["$.elsewhere: wrong."]


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "more", "*"]), _json, max_size=8))
def test_form__drawn_and_sent_back__changes_nothing_whatever_it_holds(document: dict[str, Any]) -> None:
    form = form_of(document)
    assert values(form) == document
    assert not form.has_errors


# --- the page -----------------------------------------------------------------------------------------------------
def example_of(dataset: Dataset, name: str = "t1") -> Example:
    return Example.objects.get(branch=dataset.main, identity__external_id=name)


def address(example: Example) -> str:
    return reverse("admin:datasets_app_example_change", args=[example.pk])


def sent_by_browser(response: Any, **changes: str) -> dict[str, str]:
    """The fields of the page as a browser would send them."""
    context = response.context
    sent = {field.name: field.raw for field in context["form"].fields()}
    sent |= {box.name: box.raw for box in context["boxes"].values()}
    sent |= {
        "base": context["draft"].base.text(),
        "updated_at": context["updated_at"],
        "status": context["status"],
        "mode": "form",
    }
    return {**sent, **changes}


def test_page__label_changed__is_saved_and_history_knows_who(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client, example = client_of("curator"), example_of(texts)
    page = client.get(address(example))
    sent = sent_by_browser(page, **{"$.output.label": "c", "_save": ""})
    response = client.post(address(example), sent)
    assert response.status_code == 302
    example.refresh_from_db()
    assert (example.input_data, example.expected_output) == ({"text": "question 1"}, {"label": "c"})
    last = example.history.order_by("-history_id").first()
    assert last is not None
    assert (str(last.history_user), last.history_type) == ("a-curator", "~")


def test_page__nothing_changed__writes_nothing(client_of: Callable[..., Client], texts: Dataset) -> None:
    client, example = client_of("curator"), example_of(texts)
    before = (example.updated_at, example.history.count())
    client.post(address(example), sent_by_browser(client.get(address(example)), _save=""))
    example.refresh_from_db()
    assert (example.updated_at, example.history.count()) == before
    assert not texts.main.dirty.exists()


def test_page__save_and_next__goes_to_the_next_of_the_filter(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client, example = client_of("curator"), example_of(texts)
    page = client.get(f"{address(example)}?class=b")
    sent = sent_by_browser(page, **{"$.output.label": "z", "_next": ""})
    response = client.post(f"{address(example)}?class=b", sent)
    assert response["Location"] == f"{address(example_of(texts, 't3'))}?class=b"


def test_page__emptied_label__is_refused_at_the_field_and_keeps_what_was_typed(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client, example = client_of("curator"), example_of(texts)
    sent = sent_by_browser(
        client.get(address(example)), **{"$.input.text": "new words", "$.output.label": "", "_save": ""}
    )
    response = client.post(address(example), sent)
    assert response.status_code == 422
    by_name = {field.name: field for field in response.context["form"].fields()}
    assert by_name["$.output.label"].errors
    assert by_name["$.input.text"].raw == "new words"
    assert example_of(texts).input_data == {"text": "question 1"}


def test_page__two_people_at_once__second_sees_both_versions_and_loses_nothing(
    client_of: Callable[..., Client], person: Callable[..., Any], texts: Dataset
) -> None:
    client, example = client_of("curator"), example_of(texts)
    sent = sent_by_browser(client.get(address(example)), **{"$.output.label": "mine", "_save": ""})
    update_example(example=example, actor=person("reviewer"), input_data={"text": "theirs"})
    response = client.post(address(example), sent)
    assert response.status_code == 409
    assert response.context["their_changes"] == [{"path": "input.text", "old": "question 1", "new": "theirs"}]
    assert response.context["my_changes"] == [{"path": "output.label", "old": "b", "new": "mine"}]
    assert "a-reviewer saved this example" in response.content.decode()
    assert example_of(texts).expected_output == {"label": "b"}
    again = client.post(address(example), sent_by_browser(response, _save=""))
    assert again.status_code == 302
    after = example_of(texts)
    assert (after.input_data, after.expected_output) == ({"text": "theirs"}, {"label": "mine"})


def test_page__json_tab__saves_what_the_json_says(client_of: Callable[..., Client], texts: Dataset) -> None:
    client, example = client_of("curator"), example_of(texts)
    sent = sent_by_browser(
        client.get(address(example)), mode="json", raw_output='{"label": "j"}', labels='{"hard": true}'
    )
    assert client.post(address(example), sent).status_code == 302
    after = example_of(texts)
    assert (after.expected_output, after.labels) == ({"label": "j"}, {"hard": True})


def test_page__form_and_json_both_changed__is_refused(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client, example = client_of("curator"), example_of(texts)
    page = client.get(address(example))
    sent = sent_by_browser(page, mode="json", raw_output='{"label": "j"}', **{"$.input.text": "form"})
    response = client.post(address(example), sent)
    assert response.status_code == 422
    assert "not clear what to save" in response.content.decode()


def test_page__reviewer__may_judge_but_not_edit(client_of: Callable[..., Client], texts: Dataset) -> None:
    client, example = client_of("reviewer"), example_of(texts)
    sent = sent_by_browser(client.get(address(example)), **{"$.output.label": "x", "_validate": ""})
    assert client.post(address(example), sent).status_code == 302
    after = example_of(texts)
    assert (after.expected_output, after.validation_status) == ({"label": "b"}, "validated")
    assert str(after.validated_by) == "a-reviewer"


def test_page__viewer__reads_only(client_of: Callable[..., Client], texts: Dataset) -> None:
    client, example = client_of("viewer"), example_of(texts)
    page = client.get(address(example))
    assert 'name="_save"' not in page.content.decode()
    assert client.post(address(example), sent_by_browser(page, status="validated")).status_code == 403
    assert example_of(texts).validation_status == "pending"


def test_page__remove__takes_the_row_out(client_of: Callable[..., Client], texts: Dataset) -> None:
    example = example_of(texts)
    assert client_of("reviewer").post(address(example), {"_remove": ""}).status_code == 403
    assert client_of("curator").post(address(example), {"_remove": ""}).status_code == 302
    assert client_of("curator").get(address(example)).status_code == 404


def test_page__field_named_dataset__is_saved(client_of: Callable[..., Client], texts: Dataset) -> None:
    kind = ExampleType.objects.create(
        name="odd",
        title="Odd",
        input_schema={"type": "object", "properties": {"dataset": {"type": "string"}}},
        output_schema={"type": "object", "properties": {"dataset": {"type": "string"}}},
    )
    client = client_of("curator")
    add = f"{reverse('admin:datasets_app_example_add')}?branch={texts.main.pk}&type={kind.name}"
    sent = {
        "$.input.dataset": "in",
        "$.output.dataset": "out",
        "external_id": "d1",
        "mode": "form",
        "dataset": "x",
    }
    assert client.post(add, sent).status_code == 302
    made = example_of(texts, "d1")
    assert (made.input_data, made.expected_output) == ({"dataset": "in"}, {"dataset": "out"})


def test_add__id_that_exists__is_refused_and_keeps_what_was_typed(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    add = f"{reverse('admin:datasets_app_example_add')}?branch={texts.main.pk}"
    sent = {"$.input.text": "again", "$.output.label": "a", "external_id": "t1", "mode": "form"}
    response = client_of("curator").post(add, sent)
    assert response.status_code == 422
    body = response.content.decode()
    assert "has an example “t1” already" in body
    assert "again" in body
    assert Example.objects.count() == 3


def test_base__damaged__is_told(client_of: Callable[..., Client], texts: Dataset) -> None:
    response = client_of("curator").post(address(example_of(texts)), {"base": "[]", "updated_at": ""})
    assert "The hidden base of the form is damaged." in response.content.decode()


def test_lead_score__form_of_the_builtin_type__reads_back(db: None) -> None:
    form = SchemaForm(get_type("lead_score"))
    data = QueryDict(mutable=True)
    data.update(
        {
            "$.input.fit_score": "75.0",
            "$.input.engagement_score": "8",
            "$.output.lead_score": "9.5",
            "$.output.priority": '"hot"',
        }
    )
    form.bind(data)
    assert form.values() == (
        {"fit_score": 75.0, "engagement_score": 8},
        {"lead_score": 9.5, "priority": "hot"},
    )
