"""The page of the labeling console, the form that it is drawn from, and the keys that people choose."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from datasets_app.models import ExampleType
from datasets_app.services.curation.types import get_type, save_type
from labeling_app.domain.keys import DEFAULT_KEYS
from labeling_app.errors import KeyClash
from labeling_app.models import KeyMap, LabelingQueue, QueueMember
from labeling_app.services.keys import keys_of, save_keys


@pytest.fixture
def queue(queue_factory: Callable[..., LabelingQueue]) -> LabelingQueue:
    return queue_factory(choices=["ham", "spam"], instructions="Pick **one** <script>.")


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def type_with_keys(**keys: str) -> ExampleType:
    found = get_type("text_classification")
    found.presentation = {"keys": {"label": keys}}
    return save_type(example_type=found, actor=None)


def test_page__for_a_labeler__has_all_that_the_scripts_need(queue: LabelingQueue, person: Any) -> None:
    type_with_keys(spam="s")
    response = signed_in(person()).get(f"/admin/label/{queue.pk}/")
    config = json.loads(
        response.content.decode().split('id="lc-config" type="application/json">')[1].split("</script>")[0]
    )
    assert response.cookies["golden_csrf" if "golden_csrf" in response.cookies else "csrftoken"].value
    assert config["session_type"] == "initial_labeling"
    assert config["form"]["instructions"] == "<p>Pick <strong>one</strong> &lt;script&gt;.</p>"
    assert [c["options"] for c in config["form"]["controls"]] == [
        [
            {"value": "ham", "title": "ham", "key": "1"},
            {"value": "spam", "title": "spam", "key": "s"},
        ]
    ]
    assert config["form"]["keys"] == DEFAULT_KEYS
    assert "<script>" not in response.content.decode().split("lc-markdown")[1].split("</aside>")[0]


def test_page__queue_assigned_to_others__is_refused(queue: LabelingQueue, person: Any, labelers: Any) -> None:
    QueueMember.objects.create(queue=queue, user=labelers[1])
    assert signed_in(labelers[0]).get(f"/admin/label/{queue.pk}/").status_code == 403
    assert signed_in(labelers[1]).get(f"/admin/label/{queue.pk}/").status_code == 200


def test_form__of_a_part__asks_for_that_part(dataset: Any, person: Any, queue_factory: Any) -> None:
    part = queue_factory(field_path="label", choices=["x"])
    form = signed_in(person()).get(f"/admin/label/{part.pk}/form/").json()
    assert [(c["name"], c["kind"], c["title"]) for c in form["controls"]] == [("", "class", "Label")]
    assert form["person"] == str(User.objects.get(username="labeler").pk)


def test_save_keys__own_key__replaces_the_consoles(person: Any) -> None:
    labeler = person()
    keys = save_keys(person=labeler, keys={**DEFAULT_KEYS, "skip": "X"})
    assert keys == keys_of(labeler) == {**DEFAULT_KEYS, "skip": "x"}
    assert KeyMap.objects.get(user=labeler).keys == {"skip": "x"}
    assert save_keys(person=labeler, keys={}) == DEFAULT_KEYS


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"skip": "u"}, "The key u is wanted by “Skip, with a reason” and by “Undo the last answer”."),
        ({"skip": "1"}, "“Skip, with a reason” cannot have the key 1: it picks an option."),
        ({"fly": "x"}, "“fly” is no action of the console"),
        ({"skip": "s"}, "and by the option “spam” of label in the type “text_classification”."),
    ],
)
def test_save_keys__clash__is_refused_and_nothing_kept(person: Any, keys: dict[str, str], told: str) -> None:
    type_with_keys(spam="s")
    with pytest.raises(KeyClash) as caught:
        save_keys(person=person(), keys=keys)
    assert told in str(caught.value)
    assert not KeyMap.objects.exists()


def test_save_type__key_of_the_console_fixed_for_an_option__is_refused(db: None) -> None:
    with pytest.raises(KeyClash) as caught:
        type_with_keys(spam="u")
    assert "The key u is wanted by “Undo the last answer” and by the option “spam”" in str(caught.value)
    assert get_type("text_classification").presentation == {}


def test_keys_page__clash__is_told_and_what_was_typed_stays(person: Any) -> None:
    client = signed_in(person())
    response = client.post("/admin/label/keys/", {**DEFAULT_KEYS, "skip": "u"})
    assert response.status_code == 200
    page = response.content.decode()
    assert "The key u is wanted by" in page
    assert 'id="key-skip" name="skip" value="u"' in page
    assert not KeyMap.objects.exists()
    assert client.post("/admin/label/keys/", {**DEFAULT_KEYS, "skip": "x"}).status_code == 302
    assert keys_of(User.objects.get(username="labeler"))["skip"] == "x"
    client.post("/admin/label/keys/", {"do": "reset"})
    assert keys_of(User.objects.get(username="labeler")) == DEFAULT_KEYS
