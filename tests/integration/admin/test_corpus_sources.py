"""The pages of one source and one chunk: what they show, how they are edited, and what two people at once do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets_app.models import Analysis, Artifact, AuditEvent, Chunk, Finding, SourceCheck
from datasets_app.services.corpus.analyses import (
    update_analysis,
)
from tests.integration.admin.corpus_pages import (
    EVIL,
    chunks_of,
    list_of,
    make_query,
    make_source,
    nobody,
    page_of,
    seen,
    url_of,
)

ADD = reverse("admin:datasets_app_analysis_add")


@pytest.fixture
def curator(client_of: Callable[..., Client]) -> Client:
    return client_of("curator", name="corpus-curator")


def facts(source: Analysis, **changed: str) -> dict[str, str]:
    names = ("url", "content_type", "status")
    return {**{name: getattr(source, name) for name in names}, **changed}


# --- looking ------------------------------------------------------------------------------------------------------
def test_source__page__tells_everything_in_short(client_of: Callable[..., Client]) -> None:
    source = make_source("json")
    make_query(source, "Who expects it?")
    SourceCheck.objects.create(
        analysis=source,
        checked_at=datetime(2026, 3, 4, tzinfo=UTC),
        outcome="moved",
        http_status=301,
        final_url="https://docs.python.org/3/new.html",
    )
    body = client_of("viewer").get(page_of(source)).content.decode()
    for text in (
        "Summary of json.",
        "short",
        "minutes",
        "json 2",
        "json has no limits.",
        "Who expects it?",
        "redirects elsewhere",
        'href="https://docs.python.org/3/new.html" rel="noopener noreferrer"',
    ):
        assert text in body
    assert "_delete" not in body
    assert 'name="seen"' not in body


def test_source__query_budget__does_not_grow_with_its_parts(
    client_of: Callable[..., Client], django_assert_max_num_queries: Any
) -> None:
    source = make_source("json", chunks=60)
    client = client_of("curator")
    for part in ("change", "chunks", "findings", "artifact", "history"):
        with django_assert_max_num_queries(24):
            assert client.get(page_of(source, part)).status_code == 200
    with django_assert_max_num_queries(18):
        assert client.get(page_of(chunks_of(source)[3])).status_code == 200


def test_pages__content_with_markup__is_text(client_of: Callable[..., Client]) -> None:
    source = make_source("json", content_type=EVIL)
    Chunk.objects.filter(analysis=source).update(
        content=EVIL, section_title=EVIL, section_path=EVIL, content_type=EVIL
    )
    Finding.objects.filter(analysis=source).update(content=EVIL, agent=EVIL, category=EVIL)
    Artifact.objects.filter(analysis=source).update(
        summary=EVIL, key_findings=[EVIL, {EVIL: EVIL}], metadata={EVIL: [EVIL]}
    )
    SourceCheck.objects.create(
        analysis=source,
        checked_at=datetime(2026, 3, 4, tzinfo=UTC),
        outcome="failed",
        message=EVIL,
        final_url=EVIL,
    )
    Analysis.objects.filter(pk=source.pk).update(url=f"javascript:{EVIL}", url_violation=EVIL)
    make_query(source, EVIL)
    chunk = chunks_of(source)[1]
    addresses = [page_of(source, part) for part in ("change", "chunks", "findings", "artifact", "history")]
    addresses += [page_of(chunk), page_of(chunk, "history")]
    for role in ("viewer", "curator"):
        for address in addresses:
            body = client_of(role).get(address).content.decode()
            assert "<script>alert(1)" not in body, address
            assert "<img src=x" not in body, address
            assert 'href="javascript:' not in body, address


def test_chunk__page__has_text_neighbours_and_the_queries_that_expect_it(
    client_of: Callable[..., Client],
) -> None:
    source = make_source("json")
    first, second, third = chunks_of(source)
    make_query(source, "Who expects it?", expected={second.pk: 3})
    response = client_of("viewer").get(page_of(second))
    body = response.content.decode()
    assert "Text 1 about json." in body
    assert response.context["previous"]["chunk"] == first
    assert response.context["next"]["chunk"] == third
    assert "Who expects it?" in body
    assert "relevance 3" in body
    assert client_of("viewer").get(page_of(first)).context["previous"] is None


def test_pages__of_nothing__are_not_found(client_of: Callable[..., Client], db: None) -> None:
    client = client_of("curator")
    for model in ("analysis", "chunk"):
        for object_id in (nobody(), "nonsense"):
            response = client.get(f"/admin/datasets_app/{model}/{object_id}/change/")
            assert response.status_code == 404
            assert client.get(f"/admin/datasets_app/{model}/{object_id}/history/").status_code == 404


# --- adding, facts, deleting --------------------------------------------------------------------------------------
def test_add__of_a_good_url__leads_to_its_chunks(curator: Client) -> None:
    response = curator.post(ADD, {"url": url_of("csv"), "content_type": "page", "status": "completed"})
    source = Analysis.objects.get()
    assert response["Location"] == page_of(source, "chunks")
    assert facts(source) == {"url": url_of("csv"), "content_type": "page", "status": "completed"}
    event = AuditEvent.objects.get(action="corpus.analysis.add")
    assert event.actor_name == "corpus-curator"


@pytest.mark.parametrize("url", ["https://example.com/page", "nonsense", "", url_of("json")])
def test_add__of_a_url_against_the_contract__says_so_at_the_field(curator: Client, url: str) -> None:
    make_source("json")
    response = curator.post(ADD, {"url": url, "content_type": "page", "status": "completed"})
    assert response.status_code == 422
    assert list(response.context["row"].errors) == ["url"]
    assert 'id="f-url-help"><p class="gd-error" role="alert">' in response.content.decode()
    assert 'value="page"' in response.content.decode()
    assert Analysis.objects.count() == 1


def test_facts__changed__are_saved_under_the_name_of_the_person(curator: Client) -> None:
    source = make_source("json")
    page = curator.get(page_of(source))
    sent = {**facts(source, status="failed", url=url_of("json5")), "seen": seen(page)}
    assert curator.post(page_of(source), sent)["Location"] == page_of(source)
    source.refresh_from_db()
    assert (source.url, source.status) == (url_of("json5"), "failed")
    assert source.history.latest("history_id").history_user.username == "corpus-curator"
    assert "failed" in curator.get(page_of(source, "history")).content.decode()


def test_facts__with_a_broken_url__are_refused_at_the_field(curator: Client) -> None:
    source = make_source("json")
    sent = {**facts(source, url="http://localhost/x"), "seen": seen(curator.get(page_of(source)))}
    response = curator.post(page_of(source), sent)
    assert (response.status_code, list(response.context["row"].errors)) == (422, ["url"])
    assert 'value="http://localhost/x"' in response.content.decode()
    source.refresh_from_db()
    assert source.url == url_of("json")


def test_facts__changed_meanwhile__are_told_and_not_overwritten(curator: Client) -> None:
    source = make_source("json")
    page = curator.get(page_of(source))
    update_analysis(analysis=source, actor=None, status="failed")
    sent = {**facts(source, content_type="mine"), "seen": seen(page)}
    response = curator.post(page_of(source), sent)
    assert response.status_code == 409
    assert "Somebody else changed this" in response.content.decode()
    assert [change["path"] for change in response.context["their_changes"]] == ["status"]
    source.refresh_from_db()
    assert (source.status, source.content_type) == ("failed", "documentation")
    # what was not touched here is as the other person made it
    assert response.context["row"].cells == facts(source, content_type="mine")
    again = {**response.context["row"].cells, "seen": seen(response)}
    assert curator.post(page_of(source), again).status_code == 302
    source.refresh_from_db()
    assert (source.status, source.content_type) == ("failed", "mine")


def test_delete__of_a_source_that_queries_expect__is_refused_with_their_names(curator: Client) -> None:
    source = make_source("json")
    make_query(source, "Who needs these chunks?")
    response = curator.post(page_of(source), {"_delete": "1"})
    assert "Who needs these chunks?" in response.content.decode()
    assert "Test queries expect chunks" in response.content.decode()
    assert Chunk.objects.count() == 3


def test_delete__of_a_source_nobody_expects__takes_its_parts_along(curator: Client) -> None:
    source = make_source("json")
    assert curator.post(page_of(source), {"_delete": "1"})["Location"] == list_of(Analysis)
    assert (Analysis.objects.count(), Chunk.objects.count(), Finding.objects.count()) == (0, 0, 0)


# --- history and rights -------------------------------------------------------------------------------------------
def test_history__of_parts__tells_who_changed_which_field(curator: Client) -> None:
    source = make_source("json")
    chunk = chunks_of(source)[1]
    page = curator.get(page_of(chunk), {"edit": "1"})
    cells = {
        "chunk_index": "1",
        "section_title": "json 1",
        "section_path": "json#1",
        "content_type": "",
        "content": "x",
    }
    curator.post(page_of(chunk), {**cells, "seen": seen(page)})
    for address in (page_of(source, "history"), page_of(chunk, "history")):
        event = curator.get(address).context["events"][0]
        assert (event.who, event.verb, event.noun) == ("corpus-curator", "changed", "chunk")
        assert [field.path for field in event.fields] == ["$.Content"]


def test_history__longer_than_a_page__goes_on_without_a_gap(curator: Client) -> None:
    source = make_source("json", chunks=40)
    for number in range(45):
        update_analysis(analysis=source, actor=None, content_type=f"type {number}")
    first = curator.get(page_of(source, "history"))
    second = curator.get(page_of(source, "history") + first.context["next"])
    assert len(first.context["events"]) + len(second.context["events"]) == 45 + 40 + 2 + 1 + 1


def test_writing__by_a_viewer__is_refused_and_nothing_is_written(client_of: Callable[..., Client]) -> None:
    source = make_source("json")
    viewer = client_of("viewer")
    for address in (
        ADD,
        page_of(source),
        *(page_of(source, part) for part in ("chunks", "findings", "artifact")),
        page_of(chunks_of(source)[0]),
    ):
        assert viewer.post(address, {"_delete": "1", "_remove": "1", "seen": "{}"}).status_code == 403, (
            address
        )
    assert viewer.get(page_of(chunks_of(source)[0]), {"edit": "1"}).status_code == 403
    assert (Analysis.objects.count(), Chunk.objects.count(), Artifact.objects.count()) == (1, 3, 1)


def test_writing__without_what_was_seen__is_refused(curator: Client) -> None:
    source = make_source("json")
    for part in ("change", "chunks", "findings", "artifact"):
        response = curator.post(page_of(source, part), {"seen": "nonsense", "summary": "x"})
        assert "does not say which state it shows" in response.content.decode()
    assert Analysis.objects.get().url == url_of("json")
