"""The list of examples: filters, search, pages, saved views, bulk actions, and how many queries it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets_app.admin.filters import ExampleFilter, find_page, neighbours
from datasets_app.models import Dataset, Example, SavedView
from datasets_app.services.curation.examples import bulk_upsert, set_status, update_example
from datasets_app.services.versioning.refs import create_branch
from datasets_app.services.versioning.worktrees import open_worktree
from tests.integration.admin.conftest import text_rows


def address(dataset: Dataset, page: str = "examples") -> str:
    return reverse(f"admin:datasets_app_dataset_{page}", args=[dataset.pk])


def shown(response: Any) -> list[str]:
    return [row.name for row in response.context["rows"]]


def row(dataset: Dataset, name: str) -> Example:
    return Example.objects.get(branch=dataset.main, identity__external_id=name)


def test_list__of_three_examples__shows_them_in_order_of_import(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    response = client_of("viewer").get(address(texts))
    assert response.status_code == 200
    assert shown(response) == ["t1", "t2", "t3"]
    assert "question 2" in response.content.decode()


def test_changelist__without_a_branch__goes_to_the_first_dataset(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    response = client_of("viewer").get("/admin/datasets_app/example/?status=pending")
    assert response.status_code == 302
    assert response["Location"] == f"{address(texts)}?status=pending"


def test_changelist__of_a_branch__shows_that_branch(client_of: Callable[..., Client], texts: Dataset) -> None:
    branch = create_branch(dataset=texts, name="fix", start="main", actor=None)
    open_worktree(branch=branch, actor=None)
    example = Example.objects.get(branch=branch, identity__external_id="t2")
    update_example(example=example, actor=None, input_data={"text": "only here"})
    response = client_of("viewer").get(f"/admin/datasets_app/example/?branch={branch.pk}")
    assert response.context["branch"] == branch
    assert "only here" in response.content.decode()
    assert "only here" not in client_of("viewer").get(address(texts)).content.decode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("class=b", ["t1", "t3"]),
        ("class=a", ["t2"]),
        ("class=missing", []),
        ("q=QUESTION+3", ["t3"]),
        ("q=t2", ["t2"]),
        ("q=100%25", []),
        ("status=validated", ["t1"]),
        ("status=nonsense", ["t1", "t2", "t3"]),
        ("type=text_classification", ["t1", "t2", "t3"]),
        ("type=lead_score", []),
        ("dirty=1", ["t1"]),
        ("dirty=1&class=a", []),
    ],
)
def test_list__with_a_filter__shows_what_matches(
    client_of: Callable[..., Client], texts: Dataset, query: str, expected: list[str]
) -> None:
    set_status(branch=texts.main, uuids=[row(texts, "t1").identity_id], status="validated", actor=None)
    response = client_of("viewer").get(f"{address(texts)}?{query}")
    assert response.status_code == 200
    assert (shown(response), response.context["page"].count) == (expected, len(expected))


def test_pages__forward_and_back__show_every_row_once(texts: Dataset) -> None:
    bulk_upsert(branch=texts.main, documents=text_rows(25), actor=None)
    for wanted in (ExampleFilter(), ExampleFilter(class_value="b"), ExampleFilter(search="question")):
        names: list[str] = []
        page = find_page(texts.main, wanted, size=4)
        assert page.previous is None
        while True:
            names += [r.identity.external_id for r in page.rows]
            if page.next is None:
                break
            page = find_page(texts.main, wanted, after=page.next, size=4)
        step = 2 if wanted.class_value else 1
        assert names == [f"t{n}" for n in range(1, 26, step)]
        back = find_page(texts.main, wanted, before=page.previous, size=4)
        assert [r.identity.external_id for r in back.rows] == names[-5:-1] if len(names) % 4 == 1 else True


def test_list__of_many_examples__takes_as_many_queries_as_of_few(
    client_of: Callable[..., Client], texts: Dataset, django_assert_max_num_queries: Any
) -> None:
    client = client_of("curator")
    client.get(address(texts))
    with django_assert_max_num_queries(25) as few:
        client.get(address(texts))
    bulk_upsert(branch=texts.main, documents=text_rows(500), actor=None)
    with django_assert_max_num_queries(25) as many:
        response = client.get(address(texts))
    assert len(response.context["rows"]) == 50
    assert len(many) == len(few)


def test_list__of_another_dataset__is_refused_to_a_member_of_one(
    client_of: Callable[..., Client], person: Callable[..., Any], texts: Dataset
) -> None:
    from datasets_app.models import Membership
    from datasets_app.services.curation.datasets import create_dataset

    other = create_dataset(name="other", actor=None)
    Membership.objects.create(dataset=texts, user=person(name="mira"), role="viewer")
    client = client_of(name="mira")
    assert client.get(address(texts)).status_code == 200
    assert client.get(address(other)).status_code == 403
    assert [card.dataset.name for card in client.get("/admin/").context["cards"]] == ["texts"]


# --- many at once -------------------------------------------------------------------------------------------------
def test_bulk__validate_two__changes_these_two(client_of: Callable[..., Client], texts: Dataset) -> None:
    chosen = [str(row(texts, name).identity_id) for name in ("t1", "t3")]
    response = client_of("reviewer").post(address(texts, "bulk"), {"action": "validate", "example": chosen})
    assert response.status_code == 302
    statuses = {
        r.identity.external_id: (r.validation_status, str(r.validated_by)) for r in Example.objects.all()
    }
    assert statuses == {
        "t1": ("validated", "a-reviewer"),
        "t2": ("pending", "None"),
        "t3": ("validated", "a-reviewer"),
    }


def test_bulk__all_that_match__asks_first_and_then_does_it(
    client_of: Callable[..., Client], texts: Dataset
) -> None:
    client = client_of("reviewer")
    typed = {"action": "reject", "matching": "1", "query": "class=b"}
    asked = client.post(address(texts, "bulk"), typed)
    assert asked.status_code == 200
    assert asked.context["count"] == 2
    assert not Example.objects.exclude(validation_status="pending").exists()
    done = client.post(address(texts, "bulk"), {**typed, "confirmed": "1"})
    assert done["Location"] == f"{address(texts)}?class=b"
    assert sorted(
        Example.objects.filter(validation_status="rejected").values_list("identity__external_id", flat=True)
    ) == ["t1", "t3"]


def test_bulk__mark__asks_for_the_mark_and_sets_it(client_of: Callable[..., Client], texts: Dataset) -> None:
    client = client_of("curator")
    typed = {"action": "mark", "example": [str(row(texts, "t1").identity_id)]}
    assert "mark_name" in client.post(address(texts, "bulk"), typed).content.decode()
    client.post(address(texts, "bulk"), {**typed, "confirmed": "1", "mark_name": "hard", "mark_value": ""})
    assert row(texts, "t1").labels == {"hard": True}
    client.post(address(texts, "bulk"), {**typed, "confirmed": "1", "mark_name": "", "mark_value": "x"})
    assert row(texts, "t1").labels == {"hard": True}


def test_bulk__delete__asks_first_and_then_removes(client_of: Callable[..., Client], texts: Dataset) -> None:
    client = client_of("curator")
    typed = {"action": "delete", "example": [str(row(texts, "t2").identity_id)]}
    assert client.post(address(texts, "bulk"), typed).status_code == 200
    assert Example.objects.count() == 3
    client.post(address(texts, "bulk"), {**typed, "confirmed": "1"})
    assert sorted(Example.objects.values_list("identity__external_id", flat=True)) == ["t1", "t3"]


@pytest.mark.parametrize(
    ("role", "action", "status"),
    [
        ("viewer", "validate", 403),
        ("reviewer", "delete", 403),
        ("reviewer", "mark", 403),
        ("viewer", "delete", 403),
    ],
)
def test_bulk__without_the_right__is_refused_and_changes_nothing(
    client_of: Callable[..., Client], texts: Dataset, role: str, action: str, status: int
) -> None:
    chosen = [str(row(texts, "t1").identity_id)]
    typed = {"action": action, "example": chosen, "confirmed": "1", "mark_name": "m"}
    assert client_of(role).post(address(texts, "bulk"), typed).status_code == status
    assert Example.objects.filter(validation_status="pending", labels={}).count() == 3


def test_bulk__with_a_broken_id__says_so(client_of: Callable[..., Client], texts: Dataset) -> None:
    response = client_of("curator").post(
        address(texts, "bulk"), {"action": "validate", "example": ["x"]}, follow=True
    )
    assert "An example&#x27;s id is a UUID." in response.content.decode()


# --- saved views --------------------------------------------------------------------------------------------------
def test_saved_view__own_and_shared__who_sees_it(client_of: Callable[..., Client], texts: Dataset) -> None:
    mine = client_of("curator")
    mine.post(address(texts, "views"), {"name": "Label b", "query": "class=b&evil=1"})
    mine.post(address(texts, "views"), {"name": "Rejected", "query": "status=rejected", "shared": "1"})
    assert [(v.name, v.query, v.is_shared) for v in SavedView.objects.all()] == [
        ("Label b", "class=b", False),
        ("Rejected", "status=rejected", True),
    ]
    assert [v.name for v in client_of("viewer").get(address(texts)).context["views"]] == ["Rejected"]
    view = SavedView.objects.get(name="Rejected")
    client_of("viewer").post(address(texts, "views"), {"delete": view.pk})
    assert SavedView.objects.count() == 2
    mine.post(address(texts, "views"), {"delete": view.pk})
    assert [v.name for v in SavedView.objects.all()] == ["Label b"]


def test_saved_view__without_a_filter__is_refused(client_of: Callable[..., Client], texts: Dataset) -> None:
    response = client_of("curator").post(address(texts, "views"), {"name": "All", "query": ""}, follow=True)
    assert "there is no view to save" in response.content.decode()
    assert not SavedView.objects.exists()


def test_neighbours__within_a_filter__are_the_rows_beside_it(texts: Dataset) -> None:
    first, second, third = (row(texts, name) for name in ("t1", "t2", "t3"))
    assert neighbours(texts.main, ExampleFilter(), second.ordinal) == (first.pk, third.pk)
    assert neighbours(texts.main, ExampleFilter(class_value="b"), first.ordinal) == (None, third.pk)
    assert neighbours(texts.main, ExampleFilter(class_value="b"), second.ordinal) == (first.pk, third.pk)
    assert neighbours(texts.main, ExampleFilter(search="nowhere"), second.ordinal) == (None, None)
