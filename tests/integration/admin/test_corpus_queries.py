"""The page of one test query: its form, chunks to expect, and the test at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets_app.admin.corpus.query_form import QueryForm, query_document
from datasets_app.models import Analysis, AuditEvent, Chunk, EmbeddingModel, RetrievalRun, TestQuery
from datasets_app.services.corpus.queries import update_query
from tests.integration.admin.corpus_pages import (
    EVIL,
    chunks_of,
    list_of,
    make_query,
    make_source,
    nobody,
    page_of,
    seen,
)

ADD = reverse("admin:datasets_app_testquery_add")
FIND = reverse("admin:datasets_app_testquery_find")
EXPECT = reverse("admin:datasets_app_testquery_expect")
HTMX = {"HX-Request": "true"}


@pytest.fixture
def curator(client_of: Callable[..., Client]) -> Client:
    EmbeddingModel.objects.update(is_current=False)  # the lexical leg alone: no model is loaded
    return client_of("curator", name="corpus-curator")


def typed(
    text: str = "How is it done?", expected: dict[Any, int] | None = None, **more: Any
) -> dict[str, Any]:
    """Return what a browser sends for the form of a query."""
    wanted = expected or {}
    relevances = {f"expected-{pk}-relevance": relevance for pk, relevance in wanted.items()}
    return {
        "text": text,
        "tags": "basics",
        "difficulty": "",
        "category": "",
        "rule": "any",
        "k": "",
        "at_least": "",
        "expected": [str(pk) for pk in wanted],
        **relevances,
        **more,
    }


# --- the form -----------------------------------------------------------------------------------------------------
def test_query__page__shows_its_expected_chunks_readable(client_of: Callable[..., Client]) -> None:
    source = make_source("json")
    query = make_query(source, expected={chunks_of(source)[1].pk: 2, chunks_of(source)[2].pk: 3})
    response = client_of("viewer").get(page_of(query))
    shown = [(one.chunk.section_title, one.relevance) for one in response.context["expectations"]]
    assert shown == [("json 2", 3), ("json 1", 2)]
    body = response.content.decode()
    assert "Text 2 about json." in body
    assert "An expected chunk in the top k, where k is the run's (10 here)" in body
    assert 'name="seen"' not in body
    assert "Test now" in body


def test_query__saved__has_text_kind_rule_and_relevances(curator: Client) -> None:
    source = make_source("json")
    query = make_query(source)
    first, second, third = chunks_of(source)
    sent = typed(
        "What else?",
        {first.pk: 3, second.pk: 1, third.pk: 1},
        tags="basics, edge case,basics, ",
        difficulty="hard",
        category="lookup",
        rule="recall",
        k="20",
        at_least="0,5",
        seen=seen(curator.get(page_of(query))),
    )
    sent[f"expected-{third.pk}-remove"] = "1"
    assert curator.post(page_of(query), sent)["Location"] == page_of(query)
    query.refresh_from_db()
    assert query_document(query) == {
        "text": "What else?",
        "tags": ["basics", "edge case"],
        "difficulty": "hard",
        "category": "lookup",
        "pass_rule": {"rule": "recall", "k": 20, "at_least": 0.5},
        "expected": {str(first.pk): 3, str(second.pk): 1},
    }
    events = curator.get(page_of(query, "history")).context["events"]
    assert {(event.who, event.verb, event.noun) for event in events[:3]} == {
        ("corpus-curator", "changed", "query"),
        ("corpus-curator", "added", "expected chunk"),
        ("corpus-curator", "changed", "expected chunk"),
    }


@pytest.mark.parametrize(
    ("changed", "cell"),
    [
        ({"text": "  "}, "text"),
        ({"k": "0"}, "k"),
        ({"k": "ten"}, "k"),
        ({"rule": "recall"}, "at_least"),
        ({"rule": "ndcg", "at_least": "2"}, "at_least"),
        ({"rule": "guess"}, "rule"),
        ({"tags": "t" * 61}, "tags"),
        ({"category": "c" * 121}, "category"),
    ],
)
def test_query__that_cannot_be_saved__is_refused_at_the_cell(
    curator: Client, changed: dict[str, str], cell: str
) -> None:
    query = make_query(make_source("json"))
    sent = {**typed(), **changed, "seen": seen(curator.get(page_of(query)))}
    response = curator.post(page_of(query), sent)
    assert response.status_code == 422
    assert list(response.context["row"].errors) == [cell]
    query.refresh_from_db()
    assert (query.text, query.expectations.count()) == ("How is it done?", 1)


def test_query__changed_meanwhile__is_told_and_not_overwritten(curator: Client) -> None:
    source = make_source("json")
    query = make_query(source)
    first, second, third = chunks_of(source)
    page = curator.get(page_of(query))
    update_query(query=query, actor=None, category="theirs", expected={first.pk: 1, second.pk: 3})
    sent = typed("mine", {first.pk: 2, third.pk: 1}, seen=seen(page))
    response = curator.post(page_of(query), sent)
    assert response.status_code == 409
    assert "category" in [change["path"] for change in response.context["their_changes"]]
    # what was not touched here is as the other person made it
    assert response.context["row"].cells["category"] == "theirs"
    assert ">\nmine</textarea>" in response.content.decode()
    shown = {one.chunk.pk: one.relevance for one in response.context["expectations"]}
    assert shown == {first.pk: 2, second.pk: 3, third.pk: 1}
    query.refresh_from_db()
    assert (query.text, query.category) == ("How is it done?", "theirs")
    assert curator.post(page_of(query), typed("mine", shown, seen=seen(response))).status_code == 302


def test_query__with_a_relevance_beyond_the_usual__keeps_it(curator: Client) -> None:
    source = make_source("json")
    query = make_query(source, expected={chunks_of(source)[0].pk: 7})
    page = curator.get(page_of(query))
    assert '<option value="7" selected>' in page.content.decode()
    curator.post(page_of(query), typed(expected={chunks_of(source)[0].pk: 7}, seen=seen(page)))
    assert query.expectations.get().relevance == 7


def test_add__a_query_with_chunks__is_saved(curator: Client) -> None:
    source = make_source("json")
    chunk = chunks_of(source)[1]
    page = curator.get(ADD, {"text": "Begun elsewhere", "expect": str(chunk.pk)})
    assert [one.chunk for one in page.context["expectations"]] == [chunk]
    assert "Begun elsewhere" in page.content.decode()
    response = curator.post(ADD, typed("A new one", {chunk.pk: 2}))
    query = TestQuery.objects.get()
    assert response["Location"] == page_of(query)
    assert query_document(query)["expected"] == {str(chunk.pk): 2}
    assert AuditEvent.objects.get(action="corpus.query.add").actor_name == "corpus-curator"


def test_delete__a_query__leaves_its_chunks(curator: Client) -> None:
    query = make_query(make_source("json"))
    assert curator.post(page_of(query), {"_delete": "1"})["Location"] == list_of(TestQuery)
    assert (TestQuery.objects.count(), Chunk.objects.count()) == (0, 3)


# --- chunks to expect ---------------------------------------------------------------------------------------------
def test_find__words_title_or_id__offers_chunks(curator: Client) -> None:
    source = make_source("json")
    make_source("csv")
    chunk = chunks_of(source)[2]
    for wanted in ("json 2", "json#2", str(chunk.pk)):
        found = curator.get(FIND, {"find": wanted, "corpus": "default"}, headers=HTMX).context["found"]
        assert found[0]["chunk"] == chunk
    words = curator.get(FIND, {"find": "text about csv"}, headers=HTMX)
    assert {one["chunk"].analysis.url.rpartition("/")[2] for one in words.context["found"][:3]} == {
        "csv.html"
    }
    assert "<html" not in words.content.decode()
    assert curator.get(FIND, {"find": ""}).context["found"] == []
    assert curator.get(FIND, {"find": "x", "corpus": "none"}).status_code == 404


def test_expect__a_found_chunk__is_a_row_and_nothing_is_saved(curator: Client) -> None:
    source = make_source("json")
    query = make_query(source)
    chunk = chunks_of(source)[2]
    row = curator.get(EXPECT, {"chunk": str(chunk.pk)}, headers=HTMX).content.decode()
    assert f'name="expected" value="{chunk.pk}"' in row
    assert curator.get(EXPECT, {"chunk": str(nobody())}).status_code == 404
    # without a script the button sends the whole form, which comes back with one row more
    sent = typed("typed", seen=seen(curator.get(page_of(query))), _expect=str(chunk.pk))
    page = curator.post(page_of(query), sent)
    assert [one.chunk for one in page.context["expectations"]] == [chunk]
    assert ">\ntyped</textarea>" in page.content.decode()
    assert [one.chunk_id for one in query.expectations.all()] == [chunks_of(source)[0].pk]


# --- test now -----------------------------------------------------------------------------------------------------
def test_test_now__of_what_is_typed__tells_rank_and_reason_and_stores_nothing(curator: Client) -> None:
    source = make_source("json")
    query = make_query(source)
    wanted = Chunk.objects.get(pk=chunks_of(source)[2].pk)
    Chunk.objects.filter(pk=wanted.pk).update(content="Parsing of enormous documents.")
    sent = typed("enormous documents", {wanted.pk: 2, chunks_of(source)[0].pk: 1}, _test="1")
    response = curator.post(page_of(query), sent, headers=HTMX)
    tested = response.context["tested"]
    assert (tested.passed, tested.first_rank, tested.k) == (True, 1, 10)
    assert [one.rank for one in tested.expected] == [1, None]
    assert tested.expected[0].hit.lexical_rank == 1
    assert tested.recall == 0.5
    assert tested.warnings != []
    body = response.content.decode()
    assert "Passes" in body
    assert "nothing was stored" in body
    assert "<html" not in body
    assert (RetrievalRun.objects.count(), query.text) == (0, "How is it done?")


@pytest.mark.parametrize(
    ("rule", "passed"),
    [
        ({"rule": "any"}, True),
        ({"rule": "all"}, False),
        ({"rule": "recall", "at_least": "0.5"}, True),
        ({"rule": "recall", "at_least": "0.6"}, False),
        ({"rule": "any", "k": "1"}, True),
    ],
)
def test_test_now__judges_by_the_rule_that_is_typed(
    curator: Client, rule: dict[str, str], passed: bool
) -> None:
    source = make_source("json")
    first, _, third = chunks_of(source)
    Chunk.objects.filter(pk=third.pk).update(content="Parsing of enormous documents.")
    query = make_query(source)
    sent = {**typed("enormous", {third.pk: 1, first.pk: 1}, _test="1"), **rule}
    assert curator.post(page_of(query), sent, headers=HTMX).context["tested"].passed is passed


def test_test_now__of_nothing_to_judge__says_so(curator: Client) -> None:
    query = make_query(make_source("json"))
    tested = curator.post(page_of(query), typed("json", _test="1"), headers=HTMX)
    assert tested.context["tested"].passed is None
    assert "Cannot be judged" in tested.content.decode()
    for sent in (typed("", _test="1"), typed("json", rule="recall", _test="1")):
        response = curator.post(page_of(query), sent, headers=HTMX)
        assert response.context["tested"] is None
        assert 'role="alert"' in response.content.decode()


def test_test_now__by_a_viewer__asks_the_query_as_it_is_stored(
    curator: Client, client_of: Callable[..., Client]
) -> None:
    query = make_query(make_source("json"), "text about json")
    response = client_of("viewer").post(page_of(query), {"_test": "1"})
    assert response.status_code == 200
    assert response.context["tested"].passed is True
    assert "<html" in response.content.decode()


def test_test_now__of_a_chunk_whose_source_is_not_golden__says_why_it_is_not_found(curator: Client) -> None:
    source = make_source("json")
    query = make_query(source)
    Analysis.objects.filter(pk=source.pk).update(status="failed")
    body = curator.post(page_of(query), {"_test": "1"}, headers=HTMX).content.decode()
    assert "its source is failed, so it is not searched" in body


# --- rights and markup --------------------------------------------------------------------------------------------
def test_writing__by_a_viewer__is_refused(client_of: Callable[..., Client]) -> None:
    query = make_query(make_source("json"))
    viewer = client_of("viewer")
    for sent in (typed("x", seen="{}"), {"_delete": "1"}, {"_expect": "x"}):
        assert viewer.post(page_of(query), sent).status_code == 403
    assert viewer.post(ADD, typed()).status_code == 403
    assert viewer.get(EXPECT, {"chunk": str(nobody())}).status_code == 403
    assert TestQuery.objects.get().text == "How is it done?"


def test_pages__content_with_markup__is_text(curator: Client) -> None:
    source = make_source("json", status="completed")
    Chunk.objects.filter(analysis=source).update(
        content=f"needle {EVIL}", section_title=EVIL, section_path=EVIL
    )
    query = make_query(source, f"needle {EVIL}", tags=[EVIL[:60]], category=EVIL, external_id=EVIL)
    pages = [
        curator.get(page_of(query)),
        curator.get(page_of(query), {"find": f"needle {EVIL}"}),
        curator.get(page_of(query, "history")),
        curator.post(page_of(query), {"_test": "1"}),
        curator.get(FIND, {"find": EVIL}),
        curator.get(EXPECT, {"chunk": str(chunks_of(source)[0].pk)}),
        curator.get(ADD, {"text": EVIL}),
    ]
    for page in pages:
        assert page.status_code == 200
        assert "<script>alert(1)" not in page.content.decode()
        assert "<img src=x" not in page.content.decode()


def test_query__of_nothing__is_not_found(curator: Client) -> None:
    for object_id in (nobody(), "nonsense"):
        for part in ("change", "history"):
            assert curator.get(f"/admin/datasets_app/testquery/{object_id}/{part}/").status_code == 404


def test_query_form__of_a_stored_query__makes_the_same_document(db: None) -> None:
    query = make_query(
        make_source("json"),
        tags=["a", "b"],
        difficulty="easy",
        pass_rule={"rule": "ndcg", "k": 5, "at_least": 0.25},
    )
    assert QueryForm.of(query).document() == query_document(query)
