"""Corpora, sources, chunks, test queries, search and evaluation runs through the API."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from datasets_app.models import Analysis, Chunk, JobRun, TestQuery
from datasets_app.services.evaluation.options import EvaluationOptions
from datasets_app.services.evaluation.running import evaluate
from datasets_app.services.retrieval.searching import SearchOptions

from .conftest import Api

pytestmark = pytest.mark.django_db


def source(number: int, *texts: str, **more: Any) -> dict[str, Any]:
    chunks = [{"content": text, "section_title": f"Part {i}"} for i, text in enumerate(texts)]
    url = f"https://docs.python.org/3/library/page{number}.html"
    return {"url": url, "content_type": "documentation", "chunks": chunks, **more}


@pytest.fixture
def corpus(api: Api) -> str:
    assert api.post("corpora", {"name": "docs", "description": "to search"}).status_code == 201
    return "corpora/docs"


@pytest.fixture
def filled(api: Api, corpus: str) -> str:
    body = {
        "analyses": [
            source(1, "A heap is a tree for a priority queue.", "Lists can be sorted in place."),
            source(2, "Sockets carry bytes between two machines."),
        ]
    }
    answer = api.post(f"{corpus}/bulk", body)
    assert answer.status_code == 200, answer.content
    assert answer.json()["analyses"] == {"added": 2, "updated": 0, "unchanged": 0, "skipped": 0}
    return corpus


def chunk_about(word: str) -> str:
    return str(Chunk.objects.get(content__contains=word).pk)


def test_corpus__read__counts_what_is_golden(api: Api, filled: str) -> None:
    api.post(f"{filled}/analyses", source(3, "Not read yet.", status="pending"))
    body = api.get(filled).json()
    assert (body["analyses"], body["analyses_not_completed"], body["chunks"], body["queries"]) == (2, 1, 3, 0)
    assert api.get(f"corpora/{body['id']}").json() == body
    assert api.get("corpora/elsewhere").json()["code"] == "unknown_corpus"


def test_analysis__made__has_the_shape_of_format_1_0(api: Api, corpus: str) -> None:
    finding = {"agent": "reader", "category": "summary", "content": "short", "confidence": 0.25}
    artifact = {"summary": "all of it", "key_findings": ["one"], "metadata": {"pages": 3}}
    made = api.post(f"{corpus}/analyses", source(7, "text", findings=[finding], artifact=artifact))
    assert made.status_code == 201, made.content
    body = made.json()
    assert body["findings"] == [finding]
    assert {k: body["artifact"][k] for k in artifact} == artifact
    assert [(c["content"], c["section_title"], c["chunk_index"]) for c in body["chunks"]] == [
        ("text", "Part 0", 0)
    ]
    assert (body["status"], body["url_violation"], body["source_check"]) == ("completed", "", None)
    assert api.get(f"analyses/{body['id']}").json() == body


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"url": "https://example.com/a"}, "url_contract_broken"),
        ({"url": "ftp://docs.python.org/a"}, "url_contract_broken"),
        ({"url": ""}, "invalid_request"),
        ({"content_type": None}, "invalid_request"),
        ({"chunks": [{"content": "a", "chunk_index": -1}]}, "invalid_analysis"),
        (
            {"chunks": [{"content": "a", "chunk_index": 1}, {"content": "b", "chunk_index": 1}]},
            "invalid_analysis",
        ),
        ({"chunks": [{"section_title": "without content"}]}, "invalid_analysis"),
        ({"findings": [{"agent": "a", "content": "c", "confidence": 1.5}]}, "invalid_analysis"),
        ({"unheard": 1}, "invalid_request"),
    ],
)
def test_analysis__that_cannot_be_saved__is_told_and_nothing_is_written(
    api: Api, corpus: str, change: dict[str, Any], code: str
) -> None:
    answer = api.post(f"{corpus}/analyses", {**source(1, "text"), **change})
    assert (answer.status_code, answer.json()["code"]) == (400, code), answer.content
    assert not Analysis.objects.exists()


def test_analysis__of_a_url_that_is_taken__is_refused_naming_the_contract(api: Api, filled: str) -> None:
    answer = api.post(f"{filled}/analyses", source(1, "again"))
    assert answer.status_code == 400
    assert "page1.html" in answer.json()["message"]
    assert Analysis.objects.count() == 2


def test_analysis__changed_with_an_old_etag__is_412_and_as_it_was(api: Api, filled: str) -> None:
    key = Analysis.objects.get(url__endswith="page1.html").pk
    read = api.get(f"analyses/{key}")
    first = api.patch(f"analyses/{key}", {"status": "failed"}, **{"If-Match": read["ETag"]})
    assert (first.status_code, first.json()["status"]) == (200, "failed")
    second = api.patch(f"analyses/{key}", {"status": "pending"}, **{"If-Match": read["ETag"]})
    assert second.status_code == 412
    assert Analysis.objects.get(pk=key).status == "failed"


def test_analysis__with_given_chunks__replaces_them_as_a_whole(api: Api, filled: str) -> None:
    key = Analysis.objects.get(url__endswith="page2.html").pk
    answer = api.patch(f"analyses/{key}", {"chunks": [{"content": "one"}, {"content": "two"}]})
    assert [chunk["content"] for chunk in answer.json()["chunks"]] == ["one", "two"]


def test_bulk__with_one_bad_row__writes_nothing_and_names_it(api: Api, corpus: str) -> None:
    rows = [source(1, "good"), source(2, "bad", url="https://localhost/x")]
    answer = api.post(f"{corpus}/bulk", {"analyses": rows})
    assert answer.status_code == 400
    assert "analyses[1]" in answer.json()["message"]
    assert not Analysis.objects.exists()


def test_analysis__that_a_query_expects__cannot_be_deleted(api: Api, filled: str) -> None:
    asked = {"text": "what is a heap?", "expected": [{"chunk": chunk_about("heap")}]}
    query = api.post(f"{filled}/queries", asked).json()
    key = Analysis.objects.get(url__endswith="page1.html").pk
    refused = api.delete(f"analyses/{key}")
    assert refused.status_code == 409
    assert "what is a heap?" in refused.json()["message"]
    assert api.delete(f"queries/{query['id']}").status_code == 204
    assert api.delete(f"analyses/{key}").status_code == 204
    assert not Chunk.objects.filter(analysis=key).exists()


def test_chunk__changed__keeps_its_id_and_is_found_by_its_new_text(api: Api, filled: str) -> None:
    key = chunk_about("Sockets")
    read = api.get(f"chunks/{key}")
    changed = api.patch(f"chunks/{key}", {"content": "Pipes carry bytes."}, **{"If-Match": read["ETag"]})
    assert changed.json()["content"] == "Pipes carry bytes."
    hits = api.post(f"{filled}/search", {"query": "pipes", "legs": ["lexical"]}).json()["hits"]
    assert [hit["chunk"] for hit in hits] == [key]
    assert api.patch(f"chunks/{key}", {"content": "x"}, **{"If-Match": read["ETag"]}).status_code == 412


def test_query__made_and_changed__keeps_graded_judgments(api: Api, filled: str) -> None:
    heap, sort = chunk_about("heap"), chunk_about("sorted")
    made = api.post(f"{filled}/queries", {"text": "order things", "tags": ["easy one"], "difficulty": "easy"})
    assert made.status_code == 201, made.content
    assert made.json()["warnings"] == [
        "This query expects no chunk: it can be asked, but evaluations leave it out."
    ]
    key = made.json()["id"]
    expected = [{"chunk": sort, "relevance": 2}, {"chunk": heap, "relevance": 1}]
    changed = api.patch(f"queries/{key}", {"expected": expected, "pass_rule": {"rule": "all", "k": 5}}).json()
    assert (changed["expected"], changed["warnings"]) == (expected, [])
    assert changed["pass_rule"] == {"rule": "all", "k": 5}
    assert [q["id"] for q in api.get(f"{filled}/queries?tag=easy%20one").json()["results"]] == [key]
    assert api.get(f"{filled}/queries?difficulty=hard").json()["results"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"text": ""},
        {"expected": [{"chunk": str(uuid.uuid4())}]},
        {"expected": [{"chunk": "not a uuid"}]},
        {"pass_rule": {"rule": "sometimes"}},
        {"difficulty": "impossible"},
    ],
)
def test_query__that_cannot_be_saved__is_told(api: Api, filled: str, change: dict[str, Any]) -> None:
    answer = api.post(f"{filled}/queries", {"text": "a question", **change})
    assert answer.status_code == 400, answer.content
    assert not TestQuery.objects.exists()


def test_search__answers__with_rank_and_score_of_each_leg(api: Api, filled: str) -> None:
    answer = api.post(f"{filled}/search", {"query": "priority queue", "limit": 2}).json()
    best = answer["hits"][0]
    assert best["chunk"] == chunk_about("heap")
    assert (best["lexical_rank"], best["url"]) == (1, "https://docs.python.org/3/library/page1.html")
    assert best["lexical_score"] > 0
    assert answer["timings"]["total"] > 0
    assert answer["warnings"], "no chunk has a vector yet, which must be said"
    refused = api.post(f"{filled}/search", {"query": "x", "limit": 0})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_search")
    assert api.post(f"{filled}/search", {"query": "x", "model": "none"}).status_code == 404


def test_runs__started_read_and_compared(api: Api, filled: str) -> None:
    api.post(f"{filled}/queries", {"text": "priority queue", "expected": [{"chunk": chunk_about("heap")}]})
    api.post(f"{filled}/queries", {"text": "sort", "expected": [{"chunk": chunk_about("Sockets")}]})
    started = api.post(f"{filled}/runs", {"k": 1, "search": {"legs": ["lexical"]}})
    assert started.status_code == 202, started.content
    assert JobRun.objects.get(pk=started.json()["id"]).kind == "evaluate_retrieval"
    corpus = Analysis.objects.all()[0].corpus
    options = EvaluationOptions(search=SearchOptions(legs=("lexical",)), k=1)
    first, second = (evaluate(corpus=corpus, options=options, actor=None) for _ in range(2))
    listed = api.get(f"{filled}/runs").json()["results"]
    assert [run["number"] for run in listed] == [second.pk, first.pk]
    assert (listed[0]["query_count"], listed[0]["passed_count"]) == (2, 1)
    failing = api.get(f"runs/{first.pk}/results?passed=false").json()["results"]
    assert [result["text"] for result in failing] == ["sort"]
    assert failing[0]["expected"][0]["rank"] is None
    compared = api.get(f"runs/{second.pk}/against/{first.pk}").json()
    assert (compared["common_queries"], compared["not_comparable"], compared["lost"]) == (2, [], [])
    assert api.get("runs/999999").json()["code"] == "unknown_run"


def test_embedding_models__read__tell_how_much_they_cover(api: Api, filled: str) -> None:
    assert [model["name"] for model in api.get("embedding-models").json()["results"]] == ["minilm"]
    model = api.get("embedding-models/minilm").json()
    assert (model["texts"], model["embedded"], model["missing"], model["is_current"]) == (3, 0, 3, True)
    started = api.post("embedding-models/minilm/embed")
    assert (started.status_code, started.json()["kind"]) == (202, "embed")
    assert api.delete("embedding-models/minilm").status_code == 409
    assert api.get("embedding-models/other").status_code == 404


def test_lists__queries__do_not_grow_with_the_page(
    api: Api, filled: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(10, 18):
        api.post(f"{filled}/analyses", source(number, "some text"))
        api.post(f"{filled}/queries", {"text": f"query {number}"})
    for path in ("analyses", "chunks", "queries"):
        with django_assert_max_num_queries(8):
            assert len(api.get(f"{filled}/{path}").json()["results"]) >= 8
