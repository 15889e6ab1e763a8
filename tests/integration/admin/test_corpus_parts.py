"""Chunks, findings and artifact of a source: edited in place, refused in their row, and what two people at once do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from datasets_app.models import Artifact, Chunk, Finding
from datasets_app.services.corpus.analyses import (
    replace_findings,
    save_artifact,
    update_chunk,
)
from datasets_app.services.corpus.drafts import ArtifactDraft
from tests.integration.admin.corpus_pages import (
    chunk_rows,
    chunks_of,
    make_query,
    make_source,
    page_of,
    seen,
    sent_rows,
)


@pytest.fixture
def curator(client_of: Callable[..., Client]) -> Client:
    return client_of("curator", name="corpus-curator")


# --- chunks -------------------------------------------------------------------------------------------------------
def test_chunks__edited_added_removed_and_moved__are_saved_at_once(curator: Client) -> None:
    source = make_source("json")
    first, second, third = chunks_of(source)
    page = curator.get(page_of(source, "chunks"))
    rows = chunk_rows(source)
    rows[first.pk] |= {"content": "line 1\r\nline 2", "chunk_index": 1}
    rows[second.pk] |= {"chunk_index": 0, "content_type": "api"}
    rows[third.pk] |= {"remove": "1"}
    rows["new1"] = {"chunk_index": "", "section_title": "added", "content": "new text"}
    rows["new2"] = dict.fromkeys(("chunk_index", "section_title", "content"), "")
    response = curator.post(page_of(source, "chunks"), {"seen": seen(page), **sent_rows("chunk", rows)})
    assert response["Location"] == page_of(source, "chunks")
    now = chunks_of(source)
    assert [(chunk.chunk_index, chunk.section_title, chunk.content) for chunk in now] == [
        (0, "json 1", "Text 1 about json."),
        (1, "json 0", "line 1\nline 2"),
        (2, "added", "new text"),
    ]
    assert [chunk.pk for chunk in now[:2]] == [second.pk, first.pk]
    assert now[0].content_type == "api"


def test_chunks__sent_untouched__change_nothing(curator: Client) -> None:
    source = make_source("json")
    Chunk.objects.filter(analysis=source).update(content="a\r\nb\rc\n", section_title="two\nlines")
    history = Chunk.history.count()
    rows = chunk_rows(source)
    for row in rows.values():
        row |= {"content": "a\r\nb\r\nc\r\n", "section_title": "twolines"}  # as a browser sends them back
    page = curator.get(page_of(source, "chunks"))
    curator.post(page_of(source, "chunks"), {"seen": seen(page), **sent_rows("chunk", rows)})
    assert Chunk.history.count() == history


@pytest.mark.parametrize(
    ("cell", "value", "expected"),
    [
        ("chunk_index", "1", "each chunk_index once in an analysis"),
        ("chunk_index", "-1", "Expected a whole number from 0."),
        ("chunk_index", "", "Expected a whole number from 0."),
        ("chunk_index", "9" * 30, "Expected a whole number from 0."),
        ("content", "  ", "a chunk that can be found"),
        ("content_type", "t" * 121, "at most 120"),
    ],
)
def test_chunks__that_cannot_be_saved__are_refused_in_their_row(
    curator: Client, cell: str, value: str, expected: str
) -> None:
    source = make_source("json")
    page = curator.get(page_of(source, "chunks"))
    rows = chunk_rows(source)
    bad = chunks_of(source)[2].pk
    rows[bad][cell] = value
    response = curator.post(page_of(source, "chunks"), {"seen": seen(page), **sent_rows("chunk", rows)})
    assert response.status_code == 422
    wrong = [row for row in response.context["rows"] if row.errors]
    assert [row.key for row in wrong] == [str(bad)]
    assert expected in str(wrong[0].errors)
    assert [chunk.chunk_index for chunk in chunks_of(source)] == [0, 1, 2]


def test_chunks__one_changed_meanwhile__only_whoever_touched_it_is_told(curator: Client) -> None:
    source = make_source("json")
    first, second, _ = chunks_of(source)
    page = curator.get(page_of(source, "chunks"))
    rows = chunk_rows(source)
    update_chunk(chunk=second, actor=None, content="theirs", section_path="their path")
    rows[first.pk]["content"] = "mine"
    curator.post(page_of(source, "chunks"), {"seen": seen(page), **sent_rows("chunk", rows)})
    assert [chunk.content for chunk in chunks_of(source)][:2] == ["mine", "theirs"]

    rows[second.pk]["content"] = "mine too"
    rows[first.pk]["content"] = "mine again"
    response = curator.post(page_of(source, "chunks"), {"seen": seen(page), **sent_rows("chunk", rows)})
    assert response.status_code == 409
    assert "Saved meanwhile" in response.content.decode()
    assert "theirs" in response.content.decode()
    assert [chunk.content for chunk in chunks_of(source)][:2] == ["mine", "theirs"]
    shown = {row.key: row.cells for row in response.context["rows"]}
    assert (shown[str(second.pk)]["content"], shown[str(second.pk)]["section_path"]) == (
        "mine too",
        "their path",
    )
    again = {"seen": seen(response), **sent_rows("chunk", shown)}
    assert curator.post(page_of(source, "chunks"), again).status_code == 302
    assert [chunk.content for chunk in chunks_of(source)][:2] == ["mine again", "mine too"]
    assert chunks_of(source)[1].section_path == "their path"


def test_chunks__removing_an_expected_one__is_refused_with_the_query(curator: Client) -> None:
    source = make_source("json")
    make_query(source, "Who needs it?")
    page = curator.get(page_of(source, "chunks"))
    rows = chunk_rows(source)
    rows[chunks_of(source)[0].pk]["remove"] = "1"
    response = curator.post(page_of(source, "chunks"), {"seen": seen(page), **sent_rows("chunk", rows)})
    assert response.status_code == 409
    assert "Who needs it?" in response.content.decode()
    assert len(chunks_of(source)) == 3


def test_chunks__of_a_long_source__are_edited_fifty_at_a_time(curator: Client) -> None:
    source = make_source("json", chunks=60)
    page = curator.get(page_of(source, "chunks"), {"from": "50"})
    assert [row.cells["chunk_index"] for row in page.context["rows"]] == [str(n) for n in range(50, 60)]
    rows = dict(list(chunk_rows(source).items())[50:])
    last = chunks_of(source)[59]
    rows[last.pk]["content"] = "changed"
    address = f"{page_of(source, 'chunks')}?from=50"
    response = curator.post(address, {"seen": seen(page), **sent_rows("chunk", rows)})
    assert response["Location"] == address
    now = chunks_of(source)
    assert (len(now), now[59].content, now[0].content) == (60, "changed", "Text 0 about json.")


def test_chunk__edited_on_its_page__is_saved_or_told(curator: Client) -> None:
    chunk = chunks_of(make_source("json"))[1]
    page = curator.get(page_of(chunk), {"edit": "1"})
    cells = {
        "chunk_index": "1",
        "section_title": "renamed",
        "section_path": "p",
        "content_type": "",
        "content": "x",
    }
    assert curator.post(page_of(chunk), {**cells, "seen": seen(page)})["Location"] == page_of(chunk)
    chunk.refresh_from_db()
    assert (chunk.section_title, chunk.content) == ("renamed", "x")
    stale = curator.post(page_of(chunk), {**cells, "content": "y", "seen": seen(page)})
    assert stale.status_code == 409
    taken = curator.post(page_of(chunk), {**cells, "chunk_index": "0", "seen": seen(stale)})
    assert (taken.status_code, list(taken.context["row"].errors)) == (422, ["chunk_index"])
    chunk.refresh_from_db()
    assert (chunk.chunk_index, chunk.content) == (1, "x")


# --- findings and artifact ----------------------------------------------------------------------------------------
def finding(content: str, confidence: str = "0.5") -> dict[str, str]:
    return {"agent": "tutor", "category": "", "confidence": confidence, "content": content}


def test_findings__edited_moved_and_added__are_saved_in_that_order(curator: Client) -> None:
    source = make_source("json")
    page = curator.get(page_of(source, "findings"))
    rows = {
        "1": finding("second, first now"),
        "0": {**finding("gone"), "remove": "1"},
        "new1": finding("new", "1"),
    }
    response = curator.post(page_of(source, "findings"), {"seen": seen(page), **sent_rows("finding", rows)})
    assert response.status_code == 302
    found = Finding.objects.filter(analysis=source).order_by("position")
    assert [(one.content, one.confidence) for one in found] == [("second, first now", 0.5), ("new", 1.0)]


@pytest.mark.parametrize("confidence", ["1.5", "-1", "nan", "much", ""])
def test_findings__with_a_confidence_out_of_range__are_refused_at_the_cell(
    curator: Client, confidence: str
) -> None:
    source = make_source("json")
    page = curator.get(page_of(source, "findings"))
    rows = {"0": finding("fine"), "1": finding("not fine", confidence)}
    response = curator.post(page_of(source, "findings"), {"seen": seen(page), **sent_rows("finding", rows)})
    assert response.status_code == 422
    assert [list(row.errors) for row in response.context["rows"]] == [[], ["confidence"]]
    assert Finding.objects.filter(analysis=source, content="fine").count() == 0


def test_findings__changed_meanwhile__are_told_and_not_overwritten(curator: Client) -> None:
    source = make_source("json")
    page = curator.get(page_of(source, "findings"))
    replace_findings(analysis=source, findings=[], actor=None)
    sent = {"seen": seen(page), **sent_rows("finding", {"0": finding("mine")})}
    assert curator.post(page_of(source, "findings"), sent).status_code == 409
    assert Finding.objects.count() == 0


def test_artifact__edited_value_by_value__keeps_kinds(curator: Client) -> None:
    source = make_source("json")
    there = Artifact.objects.get()
    page = curator.get(page_of(source, "artifact"))
    assert 'name="metadata"' not in page.content.decode()
    findings = {
        "0": {"value": "shorter", "kind": "text"},
        "1": {"value": '{"pages": 4}', "kind": "json"},
        "new1": {"value": "12", "kind": "text"},
        "new2": {"value": " ", "kind": "text"},
    }
    fields = {
        "0": {"name": "language", "value": "de", "kind": "text"},
        "new1": {"name": "tags", "value": '["a", 1, true]', "kind": "json"},
    }
    sent = {
        "seen": seen(page),
        "summary": "New\r\nsummary",
        **sent_rows("finding", findings),
        **sent_rows("meta", fields),
    }
    assert curator.post(page_of(source, "artifact"), sent).status_code == 302
    artifact = Artifact.objects.get()
    assert artifact.pk == there.pk
    assert artifact.summary == "New\nsummary"
    assert artifact.key_findings == ["shorter", {"pages": 4}, "12"]
    assert artifact.metadata == {"language": "de", "tags": ["a", 1, True]}


@pytest.mark.parametrize(
    ("row", "cell"),
    [
        ({"name": "n", "value": "{not json", "kind": "json"}, "value"),
        ({"name": "", "value": "x", "kind": "text"}, "name"),
        ({"name": "language", "value": "x", "kind": "text"}, "name"),
    ],
)
def test_artifact__with_a_wrong_field__is_refused_there(
    curator: Client, row: dict[str, str], cell: str
) -> None:
    source = make_source("json")
    page = curator.get(page_of(source, "artifact"))
    fields = {"0": {"name": "language", "value": "de", "kind": "text"}, "new1": row}
    sent = {"seen": seen(page), "summary": "New", **sent_rows("meta", fields)}
    response = curator.post(page_of(source, "artifact"), sent)
    assert response.status_code == 422
    assert list(response.context["metadata"][1].errors) == [cell]
    assert Artifact.objects.get().summary == "Summary of json."


def test_artifact__changed_meanwhile__is_theirs_with_mine_on_top(curator: Client) -> None:
    source = make_source("json")
    page = curator.get(page_of(source, "artifact"))
    theirs = ArtifactDraft("Theirs.", [], {"language": "fr", "minutes": 7}, id=Artifact.objects.get().pk)
    save_artifact(analysis=source, draft=theirs, actor=None)
    fields = {
        "0": {"name": "language", "value": "en", "kind": "text"},
        "1": {"name": "minutes", "value": "9", "kind": "json"},
    }
    findings = {"0": {"value": "short", "kind": "text"}, "1": {"value": '{"pages": 3}', "kind": "json"}}
    sent = {"summary": "Summary of json.", **sent_rows("finding", findings), **sent_rows("meta", fields)}
    response = curator.post(page_of(source, "artifact"), {"seen": seen(page), **sent})
    assert response.status_code == 409
    assert response.context["summary"] == "Theirs."
    assert response.context["key_findings"] == []
    shown = {row.cells["name"]: row.cells["value"] for row in response.context["metadata"]}
    assert shown == {"language": "fr", "minutes": "9"}
    assert Artifact.objects.get().summary == "Theirs."


def test_artifact__for_a_viewer__is_never_raw_json(client_of: Callable[..., Client]) -> None:
    source = make_source("json")
    body = client_of("viewer").get(page_of(source, "artifact")).content.decode()
    assert '<dl class="v-object"><dt>pages</dt><dd><span class="v-atom">3</span></dd></dl>' in body
    assert "<textarea" not in body


def test_artifact__removed__stays_in_the_history(curator: Client) -> None:
    source = make_source("json")
    page = curator.get(page_of(source, "artifact"))
    assert curator.post(page_of(source, "artifact"), {"seen": seen(page), "_remove": "1"}).status_code == 302
    assert Artifact.objects.count() == 0
    history = curator.get(page_of(source, "history")).content.decode()
    assert "<b>corpus-curator</b> deleted the artifact" in history
    assert "Summary of json." in history
