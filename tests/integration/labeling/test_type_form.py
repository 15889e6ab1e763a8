"""The form of example types: how the labeling console draws a type, and choices that cannot be told apart."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from datasets_app.models import ExampleType
from labeling_app.models import KeyMap

pytestmark = pytest.mark.django_db

INPUT = {
    "type": "object",
    "properties": {
        "body": {"type": "string"},
        "parts": {"type": "array", "items": {"type": "object", "properties": {"note": {"type": "string"}}}},
        "size": {"type": "integer"},
    },
    "x-order": ["body", "parts", "size"],
}
Rows = list[tuple[str, str, str]]


def output(*choices: Any) -> dict[str, Any]:
    fields = {"label": {"enum": list(choices)}, "sure": {"type": "boolean"}}
    return {"type": "object", "properties": fields, "x-order": ["label", "sure"]}


@pytest.fixture
def kind(db: None) -> ExampleType:
    """A type of ham and spam in which spam has the key s, and a word that nobody knows yet."""
    return ExampleType.objects.create(
        name="mail",
        title="Mail",
        input_schema=INPUT,
        output_schema=output("ham", "spam"),
        presentation={"keys": {"label": {"spam": "s"}}, "shown_as": {"body": "code"}, "later": 1},
    )


@pytest.fixture
def client(client_of: Callable[..., Client]) -> Client:
    return client_of("administrator")


def address(kind: ExampleType) -> str:
    return f"/admin/datasets_app/exampletype/{kind.pk}/change/"


def typed(kind: ExampleType, keys: Rows, words: Any = None, **changes: Any) -> dict[str, Any]:
    """What a browser sends."""
    was = json.dumps(kind.presentation, indent=2)
    shown = {"body": "code", "parts.note": ""} if words is None else words
    return {
        "title": kind.title,
        "description": "",
        "input_schema": json.dumps(kind.input_schema),
        "output_schema": json.dumps(kind.output_schema),
        "class_field": "",
        "required_fields": "",
        "presentation-was": was,
        "presentation-field": [field for field, _, _ in keys],
        "presentation-choice": [choice for _, choice, _ in keys],
        "presentation-key": [key for _, _, key in keys],
        "presentation-path": list(shown),
        "presentation-as": list(shown.values()),
        "presentation-json": was.replace("\n", "\r\n"),
        "_continue": "1",
        **changes,
    }


def rows(ham: str = "", spam: str = "s", yes: str = "", no: str = "") -> Rows:
    return [("label", "ham", ham), ("label", "spam", spam), ("sure", "yes", yes), ("sure", "no", no)]


def stored(kind: ExampleType) -> Any:
    return ExampleType.objects.get(pk=kind.pk).presentation


def told(page: str) -> dict[str, str]:
    """What is told beside the rows: {choice: words}."""
    found = re.findall(
        r'name="presentation-choice" value="([^"]*)".*?role="status"(?: hidden)?>([^<]*)</p>', page, re.DOTALL
    )
    return {html.unescape(choice): html.unescape(words) for choice, words in found if words}


def test_form__of_a_type__shows_each_choice_with_its_key_and_the_consoles_own(
    client: Client, kind: ExampleType
) -> None:
    page = client.get(address(kind)).content.decode()
    keys = re.findall(r'name="presentation-key" value="([^"]*)".*?(?:lt-kbd">(.)<|none)', page, re.DOTALL)
    assert keys == [("", "1"), ("s", "2"), ("", "y"), ("", "n")]
    assert re.findall(r'name="presentation-path" value="([^"]*)"', page) == ["body", "parts.note"]
    assert page.count('<option value="code" selected>') == 1
    assert 'aria-label="Key of spam (Label)"' in page


def test_form__sent_as_it_is__changes_nothing(client: Client, kind: ExampleType) -> None:
    before = stored(kind)
    assert client.post(address(kind), typed(kind, rows())).status_code == 302
    assert stored(kind) == before


def test_form__keys_and_words_chosen__are_stored_and_what_is_unknown_stays(
    client: Client, kind: ExampleType
) -> None:
    sent = typed(kind, rows(ham="H", spam="", yes="j"), {"body": "", "parts.note": "markdown"})
    assert client.post(address(kind), sent).status_code == 302
    assert stored(kind) == {
        "keys": {"label": {"ham": "h"}, "sure": {"yes": "j"}},
        "shown_as": {"parts.note": "markdown"},
        "later": 1,
    }


@pytest.mark.parametrize(
    ("chosen", "beside"),
    [
        ({"ham": "k"}, {"ham": "k is the console’s own key for “Skip, with a reason”: choose another."}),
        (
            {"ham": "s"},
            {
                "ham": "“spam” has the key s too: choose another for one of them.",
                "spam": "“ham” has the key s too: choose another for one of them.",
            },
        ),
        ({"ham": "Tab"}, {"ham": "Tab goes to the next control: choose another."}),
        ({"ham": "ab"}, {"ham": "Expected one character: a letter, a digit or a sign."}),
    ],
)
def test_form__key_that_is_taken__is_told_beside_its_row_and_nothing_stored(
    client: Client, kind: ExampleType, chosen: dict[str, str], beside: dict[str, str]
) -> None:
    before = stored(kind)
    response = client.post(address(kind), typed(kind, rows(**chosen)))
    assert response.status_code == 200
    assert told(response.content.decode()) == beside
    assert "presentation" in response.context["adminform"].form.errors
    assert f'value="{chosen["ham"]}"' in response.content.decode()
    assert stored(kind) == before


def test_form__key_that_somebody_chose_for_an_action__is_stored_and_told(
    client: Client, kind: ExampleType, person: Callable[..., Any]
) -> None:
    KeyMap.objects.create(user=person(), keys={"skip": "x"})
    page = client.post(address(kind), typed(kind, rows(ham="x")), follow=True).content.decode()
    assert (
        "One person has the key x for “Skip, with a reason”: where “ham” can be picked, it picks that."
        in html.unescape(page)
    )
    assert stored(kind)["keys"] == {"label": {"ham": "x", "spam": "s"}}


def test_form__choice_taken_out_of_the_schema__takes_its_key_along_and_says_so(
    client: Client, kind: ExampleType
) -> None:
    sent = typed(kind, rows(ham="h"), output_schema=json.dumps(output("ham", "junk")))
    page = client.post(address(kind), sent, follow=True).content.decode()
    assert "With the choices that are gone went the key s of “spam”." in html.unescape(page)
    assert stored(kind)["keys"] == {"label": {"ham": "h"}}


def test_form__as_json__is_taken_when_it_alone_was_changed(client: Client, kind: ExampleType) -> None:
    sent = typed(kind, rows(), **{"presentation-json": '{"keys": {"sure": {"no": "0"}}}'})
    assert client.post(address(kind), sent).status_code == 302
    assert stored(kind) == {"keys": {"sure": {"no": "0"}}}


@pytest.mark.parametrize(
    ("ham", "text", "words"),
    [
        ("h", "{}", "It was changed in the tables and in the JSON"),
        ("", "[1]", "As JSON: expected an object"),
        ("", "{", "As JSON:"),
        ("", '{"shown_as": {"body": "latex"}}', "“body” cannot be shown as 'latex': expected one of text"),
        ("", '{"keys": {"other": {"a": "b"}}}', "has no options at “other”"),
    ],
)
def test_form__json_that_cannot_be_taken__is_told_and_what_was_typed_stays(
    client: Client, kind: ExampleType, ham: str, text: str, words: str
) -> None:
    before = stored(kind)
    response = client.post(address(kind), typed(kind, rows(ham=ham), **{"presentation-json": text}))
    errors = response.context["adminform"].form.errors
    assert words in str(errors.as_data()["presentation"])
    assert html.escape(text, quote=False) in response.content.decode().replace("&quot;", '"')
    assert stored(kind) == before


def test_form__of_answers_that_queues_list__takes_any_answer(client: Client) -> None:
    texts = ExampleType.objects.get(name="text_classification")
    page = client.get(address(texts)).content.decode()
    assert page.count('name="presentation-choice"') == 3
    sent = typed(texts, [("label", "spam", "s"), ("label", "", "x"), ("label", "", "")], {"text": ""})
    sent["class_field"], sent["required_fields"] = texts.class_field, ",".join(texts.required_fields)
    assert client.post(address(texts), sent).status_code == 302
    assert stored(texts) == {"keys": {"label": {"spam": "s"}}}


def test_form__choices_that_look_the_same__are_refused_beside_the_schema(
    client: Client, kind: ExampleType
) -> None:
    sent = typed(kind, rows(), output_schema=json.dumps(output("ham", "spam", "ham ")))
    errors = client.post(address(kind), sent).context["adminform"].form.errors
    assert list(errors) == ["output_schema"]
    assert "look the same on their buttons" in str(errors["output_schema"])


def test_form__choices_easily_mistaken__are_saved_with_a_warning(client: Client, kind: ExampleType) -> None:
    sent = typed(kind, rows(), output_schema=json.dumps(output("ham", "spam", "Ham")))
    page = client.post(address(kind), sent, follow=True).content.decode()
    assert '"ham" and "Ham", which are easily mistaken for one another.' in html.unescape(page)


def test_form__for_who_may_only_look__has_no_boxes(
    client_of: Callable[..., Client], kind: ExampleType
) -> None:
    page = client_of("viewer").get(address(kind))
    assert page.status_code == 200
    assert "data-type-form" not in page.content.decode()
