"""Datasets in the console: home, list, create, settings, members, types, tokens, people."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse

from datasets_app.models import ApiToken, AuditEvent, Dataset, ExampleType, Membership
from datasets_app.services.curation.datasets import create_dataset
from datasets_app.services.curation.examples import set_status
from datasets_app.services.versioning.refs import create_tag

ADD = "/admin/datasets_app/dataset/add/"
NO_MEMBERS = {
    "memberships-TOTAL_FORMS": "0",
    "memberships-INITIAL_FORMS": "0",
    "memberships-MIN_NUM_FORMS": "0",
    "memberships-MAX_NUM_FORMS": "1000",
}


def settings_of(dataset: Dataset) -> str:
    return reverse("admin:datasets_app_dataset_change", args=[dataset.pk])


# --- home and list ------------------------------------------------------------------------------------------------
def test_home__without_datasets__tells_the_newcomer_what_to_do(client_of: Callable[..., Client]) -> None:
    curator = client_of("curator").get("/admin/").content.decode()
    assert "No datasets yet" in curator
    assert "Create the first dataset" in curator
    assert "Create the first dataset" not in client_of("viewer").get("/admin/").content.decode()
    assert "You have no role yet" in client_of(None, name="nobody").get("/admin/").content.decode()


def test_home__with_datasets__shows_state_count_tag_and_marker(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    create_dataset(name="fresh", actor=None)
    create_tag(dataset=texts, name="v1.0", actor=None)
    set_status(
        branch=texts.main,
        uuids=list(texts.identities.values_list("pk", flat=True))[:1],
        status="rejected",
        actor=None,
    )
    cards = client_of("viewer").get("/admin/").context["cards"]
    assert [
        (
            c.dataset.name,
            c.state,
            c.dataset.example_rows,
            c.dataset.newest_tag,
            c.dataset.has_changes,
            c.can_import,
        )
        for c in cards
    ] == [("fresh", "empty", 0, None, False, False), ("texts", "tagged", 3, "v1.0", True, False)]


def test_home__of_many_datasets__takes_as_many_queries_as_of_one(
    client_of: Callable[..., Client], texts: Dataset, django_assert_max_num_queries: Any
) -> None:
    client = client_of("curator")
    with django_assert_max_num_queries(15) as few:
        client.get("/admin/")
    for number in range(5):
        create_dataset(name=f"d{number}", actor=None)
    with django_assert_max_num_queries(15) as many:
        client.get("/admin/")
    assert len(many) == len(few)
    with django_assert_max_num_queries(15):
        page = client.get("/admin/datasets_app/dataset/").content.decode()
    assert all(f">d{number}<" in page for number in range(5))


def test_list__searched__finds_by_name(client_of: Callable[..., Client], texts: Dataset) -> None:
    create_dataset(name="other", actor=None)
    body = client_of("viewer").get("/admin/datasets_app/dataset/?q=text").content.decode()
    assert ">texts<" in body
    assert ">other<" not in body


# --- create and change --------------------------------------------------------------------------------------------
def test_add__by_a_curator__makes_it_with_its_branch(client_of: Callable[..., Client]) -> None:
    kind = ExampleType.objects.get(name="text_classification")
    typed = {"name": "new", "description": "d", "default_type": kind.pk, "tags": "a, b", "parent_version": ""}
    response = client_of("curator").post(ADD, typed)
    made = Dataset.objects.get(name="new")
    assert response["Location"] == reverse("admin:datasets_app_dataset_examples", args=[made.pk])
    assert (made.description, made.default_type, made.tags, str(made.created_by)) == (
        "d",
        kind,
        ["a", "b"],
        "a-curator",
    )
    assert made.main.is_open
    assert AuditEvent.objects.filter(action="dataset.create", actor_name="a-curator").count() == 1


def test_add__from_a_version_of_another__brings_its_examples(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client_of("curator").post(ADD, {"name": "copy", "tags": "", "parent_version": "texts@main"})
    assert Dataset.objects.get(name="copy").main.examples.count() == 3


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"name": "texts"}, "already exists"),
        ({"name": "x", "parent_version": "nowhere@main"}, "There is no dataset “nowhere”."),
        ({"name": "x", "parent_version": "texts@v9"}, "v9"),
        ({"name": ""}, "This field is required."),
    ],
)
def test_add__refused__says_why_and_keeps_what_was_typed(
    client_of: Callable[..., Client], texts: Dataset, typed: dict[str, str], message: str
) -> None:
    response = client_of("curator").post(ADD, {"description": "keep me", "tags": "", **typed})
    body = response.content.decode()
    assert response.status_code == 200
    assert message in body
    assert "keep me" in body
    assert Dataset.objects.count() == 1


def test_settings__changed__are_saved_and_on_record(client_of: Callable[..., Client], texts: Dataset) -> None:
    typed = {
        "name": "renamed",
        "description": "",
        "tags": "",
        "metadata": '{"a": 1}',
        "is_active": "on",
        **NO_MEMBERS,
    }
    assert client_of("curator").post(settings_of(texts), typed).status_code == 302
    texts.refresh_from_db()
    assert (texts.name, texts.metadata, texts.default_type) == ("renamed", {"a": 1}, None)
    assert str(texts.history.order_by("-history_id")[0].history_user) == "a-curator"


def test_members__given_a_role_by_an_administrator__have_it(
    client_of: Callable[..., Client], person: Callable[..., Any], texts: Dataset
) -> None:
    member = person(name="member")
    typed = {
        "name": "texts",
        "tags": "",
        "metadata": "{}",
        "is_active": "on",
        **NO_MEMBERS,
        "memberships-TOTAL_FORMS": "1",
        "memberships-0-dataset": str(texts.pk),
        "memberships-0-user": member.pk,
        "memberships-0-role": "reviewer",
    }
    assert client_of("curator").post(settings_of(texts), typed).status_code in (302, 403)
    assert not Membership.objects.exists()
    assert client_of("administrator").post(settings_of(texts), typed).status_code == 302
    assert [(m.user, m.role) for m in Membership.objects.all()] == [(member, "reviewer")]
    assert AuditEvent.objects.get(action="members.change").summary == "member: reviewer"


# --- types --------------------------------------------------------------------------------------------------------
def type_form(**changes: str) -> dict[str, str]:
    schema = '{"type": "object", "properties": {"zeta": {"type": "string"}, "alpha": {"type": "string"}}}'
    return {
        "name": "odd",
        "title": "Odd",
        "input_schema": schema,
        "output_schema": schema,
        "class_field": "zeta",
        "required_fields": "output.zeta",
        **changes,
    }


def test_type__added__keeps_the_order_in_which_its_fields_were_typed(
    client_of: Callable[..., Client],
) -> None:
    client = client_of("administrator")
    assert client.post("/admin/datasets_app/exampletype/add/", type_form()).status_code == 302
    made = ExampleType.objects.get(name="odd")
    assert made.input_schema["x-order"] == ["zeta", "alpha"]
    page = client.get(reverse("admin:datasets_app_exampletype_change", args=[made.pk]))
    shown = page.context["adminform"].form["input_schema"].value()
    assert list(json.loads(shown)["properties"]) == ["zeta", "alpha"]
    assert "The form that this type makes" in page.content.decode()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_schema": '{"type": "nonsense"}'}, "nonsense"),
        ({"input_schema": '{"a": 1, "a": 2}'}, "input_schema"),
        ({"output_schema": "[1]"}, "expected a JSON object"),
        ({"required_fields": "label"}, "expected a dotted path"),
    ],
)
def test_type__that_cannot_be_used__is_refused(
    client_of: Callable[..., Client], changes: dict[str, str], message: str
) -> None:
    before = ExampleType.objects.count()
    response = client_of("administrator").post("/admin/datasets_app/exampletype/add/", type_form(**changes))
    assert response.status_code == 200
    assert message in response.content.decode()
    assert ExampleType.objects.count() == before


# --- tokens and people --------------------------------------------------------------------------------------------
TOKENS = "/admin/datasets_app/apitoken/"


def test_token__made__is_shown_once_and_revoked(client_of: Callable[..., Client]) -> None:
    client = client_of("curator")
    made = client.post(TOKENS, {"name": "training", "days": "30", "scopes": ["read"]})
    secret = made.context["secret"]
    assert secret in made.content.decode()
    assert "no-store" in made["Cache-Control"]
    assert secret not in client.get(TOKENS).content.decode()
    token = ApiToken.objects.get(name="training")
    assert client_of("viewer").post(TOKENS, {"revoke": token.token_key}).status_code == 404
    assert ApiToken.objects.count() == 1
    client.post(TOKENS, {"revoke": token.token_key})
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"name": "", "days": "30", "scopes": ["read"]}, "A token needs a name"),
        ({"name": "n", "days": "0", "scopes": ["read"]}, "expected a whole number from 1 to 3650"),
        ({"name": "n", "days": "30"}, "expected one or more of"),
    ],
)
def test_token__refused__says_why(
    client_of: Callable[..., Client], typed: dict[str, Any], message: str
) -> None:
    response = client_of("curator").post(TOKENS, typed)
    assert message in response.content.decode()
    assert not ApiToken.objects.exists()


def test_people__added_by_an_administrator__may_sign_in_and_are_on_record(
    client_of: Callable[..., Client],
) -> None:
    typed = {
        "username": "nina",
        "usable_password": "true",
        "password1": "long-enough-1",
        "password2": "long-enough-1",
    }
    client = client_of("administrator")
    assert client.post("/admin/auth/user/add/", typed).status_code == 302
    nina = get_user_model().objects.get(username="nina")
    assert (nina.is_staff, nina.is_superuser) == (True, False)
    assert AuditEvent.objects.filter(action="user.save", actor_name="a-administrator").exists()


def test_people__an_administrator__cannot_make_or_touch_a_superuser(
    client_of: Callable[..., Client], person: Callable[..., Any]
) -> None:
    root = get_user_model().objects.create(username="root", is_staff=True, is_superuser=True)
    member = person(name="member")
    client = client_of("administrator")
    assert client.post(f"/admin/auth/user/{root.pk}/change/", {"username": "mine"}).status_code == 403
    assert client.post(f"/admin/auth/user/{root.pk}/password/", {"password1": "x"}).status_code == 403
    client.post(
        f"/admin/auth/user/{member.pk}/change/",
        {"username": "member", "is_superuser": "on", "is_active": "on", "is_staff": "on"},
    )
    member.refresh_from_db()
    root.refresh_from_db()
    assert (member.is_superuser, root.username) == (False, "root")
