"""The lists of sources, chunks and test queries: filters, search across all, pages by key, how many queries they take."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from datasets_app.admin.corpus import row_pages
from datasets_app.admin.corpus.base import safe_link, shown_url, snippet
from datasets_app.models import (
    Analysis,
    Chunk,
    Embedding,
    EmbeddingModel,
    RetrievalResult,
    RetrievalRun,
    SourceCheck,
    TestQuery,
)
from datasets_app.services.corpus.corpora import create_corpus, get_corpus
from tests.integration.admin.corpus_pages import EVIL, chunks_of, list_of, make_query, make_source

SOURCES, CHUNKS, QUERIES = (list_of(model) for model in (Analysis, Chunk, TestQuery))


def many_sources(count: int, *, at_once: bool = False) -> None:
    """Add sources source-1 … without parts, each a second younger than the one before, or all of one moment."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    corpus = get_corpus()
    Analysis.objects.bulk_create(
        Analysis(
            corpus=corpus,
            url=f"https://docs.python.org/{n}",
            canonical_url=f"https://docs.python.org/{n}",
            content_type="page",
            status="completed",
            created_at=start if at_once else start + timedelta(seconds=n),
        )
        for n in range(1, count + 1)
    )


def urls(response: Any) -> list[str]:
    return [line.source.url for line in response.context["rows"]]


# --- sources ------------------------------------------------------------------------------------------------------
SOURCE_FILTERS: dict[str, list[str]] = {
    "": ["csv", "json"],
    "q=JSON.html": ["json"],
    "q=Text+1+about+csv": ["csv"],
    "q=csv%23 2": [],
    "q=csv%232": ["csv"],
    "q=json+has+no+limits": ["json"],
    "q=summary+of+csv": ["csv"],
    "q=100%25": [],
    "status=pending": ["csv"],
    "status=nonsense": ["csv", "json"],
    "type=tutorial": ["csv"],
    "contract=broken": ["csv"],
    "contract=kept": ["json"],
    "check=changed": ["json"],
    "check=never": ["csv"],
    "corpus=default": ["csv", "json"],
    "corpus=other": [],
    "q=%00csv.html": ["csv"],
}


def test_sources__narrowed__shows_those_that_match(client_of: Callable[..., Client]) -> None:
    json_source = make_source("json")
    csv_source = make_source("csv", status="pending", content_type="tutorial")
    Analysis.objects.filter(pk=csv_source.pk).update(url_violation="reserved host")
    SourceCheck.objects.create(
        analysis=json_source, checked_at=datetime(2026, 1, 1, tzinfo=UTC), outcome="changed"
    )
    client = client_of("viewer")
    pages = {query: urls(client.get(f"{SOURCES}?{query}")) for query in SOURCE_FILTERS}
    names = {
        query: [url.rpartition("/")[2].removesuffix(".html") for url in page] for query, page in pages.items()
    }
    assert names == SOURCE_FILTERS


def test_sources__a_line__tells_counts_violation_and_last_check(client_of: Callable[..., Client]) -> None:
    source = make_source("json", chunks=4)
    Analysis.objects.filter(pk=source.pk).update(url_violation="the host is reserved")
    SourceCheck.objects.create(analysis=source, checked_at=datetime(2026, 3, 4, tzinfo=UTC), outcome="gone")
    response = client_of("viewer").get(SOURCES)
    line = response.context["rows"][0]
    assert (line.chunks, line.findings, line.check.outcome) == (4, 2, "gone")
    body = response.content.decode()
    assert "contract: the host is reserved" in body
    assert 'rel="noopener noreferrer" target="_blank"' in body
    assert "Mar 4" in body


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("query", ["", "q=docs.python.org"])
def test_sources__more_than_a_page__pages_forth_and_back_by_key(
    client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch, at_once: bool, query: str
) -> None:
    many_sources(120, at_once=at_once)
    client = client_of("viewer")
    for most_sorted in (2000, 10):  # few matches are sorted here, many are read in order
        monkeypatch.setattr(row_pages, "MAX_SORTED", most_sorted)
        pages = [client.get(f"{SOURCES}?{query}")]
        while pages[-1].context["page"].next:
            pages.append(client.get(f"{SOURCES}?{pages[-1].context['next_query']}"))
        shown = [url for page in pages for url in urls(page)]
        assert len(pages) == 3
        assert len(shown) == len(set(shown)) == 120
        if not at_once:
            assert shown[:2] == ["https://docs.python.org/120", "https://docs.python.org/119"]
        back = client.get(f"{SOURCES}?{pages[2].context['previous_query']}")
        assert urls(back) == urls(pages[1])
        assert pages[0].context["page"].previous == ""


def test_sources__hand_made_addresses__are_the_first_page(client_of: Callable[..., Client]) -> None:
    make_source()
    client = client_of("viewer")
    for query in ("after=x", "after=2026-01-01~no", "before=~~", "after=%00", "after=9999-99-99~x"):
        assert len(urls(client.get(f"{SOURCES}?{query}"))) == 1


def test_sources__next_page__is_read_by_one_descent_of_the_index(db: None) -> None:
    many_sources(300, at_once=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE datasets_app_analysis")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    order = row_pages.RowOrder(("created_at", "id"), descending=True)
    edge = Analysis.objects.order_by("-created_at", "-id").values_list("created_at", "id")[100]
    plan = order.sorted(order.beyond(Analysis.objects.all(), edge))[:51].explain()
    assert "Index Scan Backward using analysis_order" in plan
    assert "Index Cond: (ROW(created_at, id) <" in plan


def test_lists__however_many_rows__take_as_many_queries(
    client_of: Callable[..., Client], django_assert_max_num_queries: Any
) -> None:
    for name in ("a", "b", "c", "d", "e", "f"):
        make_query(make_source(name), f"What is text {name}?")
    client = client_of("viewer")
    for address in (SOURCES, CHUNKS, QUERIES, f"{SOURCES}?q=text", f"{CHUNKS}?q=text"):
        with django_assert_max_num_queries(18):
            assert client.get(address).status_code == 200


def test_lists__of_nothing__invite_to_begin(client_of: Callable[..., Client], db: None) -> None:
    curator, viewer = client_of("curator"), client_of("viewer")
    assert "Add a source" in curator.get(SOURCES).content.decode()
    assert "Add a source" not in viewer.get(SOURCES).content.decode()
    assert "No chunks yet" in viewer.get(CHUNKS).content.decode()
    assert "No test queries yet" in viewer.get(QUERIES).content.decode()


def test_lists__content_with_markup__is_text(client_of: Callable[..., Client]) -> None:
    source = make_source("json", content_type=EVIL)
    Chunk.objects.filter(analysis=source).update(
        content=EVIL, section_title=EVIL, section_path=EVIL, content_type=EVIL
    )
    Analysis.objects.filter(pk=source.pk).update(url=f"https://x/{EVIL}", url_violation=EVIL)
    make_query(source, EVIL, tags=[EVIL[:60]], category=EVIL)
    client = client_of("curator")
    for address in (SOURCES, CHUNKS, QUERIES):
        body = client.get(address, {"q": "<script>"}).content.decode()
        assert "<script>alert(1)" not in body
        assert "<img src=x" not in body
        assert "&lt;script&gt;alert(1)" in body


# --- chunks -------------------------------------------------------------------------------------------------------
CHUNK_FILTERS: dict[str, list[str]] = {
    "": ["json 0", "json 1", "json 2"],
    "q=text+2": ["json 2"],
    "q=json%231": ["json 1"],
    "type=api": ["json 1"],
    "embedded=yes": ["json 0"],
    "embedded=no": ["json 1", "json 2"],
    "expected=yes": ["json 0"],
    "expected=no": ["json 1", "json 2"],
    "corpus=other": [],
}


def test_chunks__narrowed__shows_those_that_match(client_of: Callable[..., Client]) -> None:
    source = make_source("json")
    first, second, _ = chunks_of(source)
    Chunk.objects.filter(pk=second.pk).update(content_type="api")
    model = a_model(is_current=True)
    Embedding.objects.create(model=model, content_hash=first.content_hash, vector=[1.0, 0.0])
    make_query(source)
    client = client_of("viewer")
    pages = {query: client.get(f"{CHUNKS}?{query}").context["rows"] for query in CHUNK_FILTERS}
    assert {
        query: [line.chunk.section_title for line in page] for query, page in pages.items()
    } == CHUNK_FILTERS


def a_model(*, is_current: bool) -> EmbeddingModel:
    EmbeddingModel.objects.update(is_current=False)
    return EmbeddingModel.objects.create(name="tiny", provider="openai", dimension=2, is_current=is_current)


def test_chunks__without_a_current_model__none_is_embedded(client_of: Callable[..., Client]) -> None:
    make_source("json")
    EmbeddingModel.objects.update(is_current=False)
    client = client_of("viewer")
    assert client.get(f"{CHUNKS}?embedded=yes").context["rows"] == []
    everything = client.get(f"{CHUNKS}?embedded=no")
    assert [line.is_embedded for line in everything.context["rows"]] == [False, False, False]
    assert "no model" in everything.content.decode()


# --- test queries -------------------------------------------------------------------------------------------------
QUERY_FILTERS: dict[str, list[str]] = {
    "": ["never", "failing", "passing"],
    "q=FAIL": ["failing"],
    "q=x-1": ["passing"],
    "tag=hard": ["failing"],
    "difficulty=easy": ["passing"],
    "category=lookup": ["failing"],
    "result=passed": ["passing"],
    "result=failed": ["failing"],
    "result=not_run": ["never"],
    "result=nothing_expected": ["never"],
    "corpus=other": [],
}


def test_queries__narrowed__shows_those_that_match(client_of: Callable[..., Client]) -> None:
    source = make_source("json")
    passing = make_query(source, "passing", difficulty="easy", external_id="x-1")
    failing = make_query(source, "failing", tags=["hard"], category="lookup")
    make_query(source, "never", expected={})
    a_run({passing: False, failing: True})
    a_run({passing: True, failing: False})  # the newest counts
    client = client_of("viewer")
    pages = {query: client.get(f"{QUERIES}?{query}").context["rows"] for query in QUERY_FILTERS}
    assert {query: [line.query.text for line in page] for query, page in pages.items()} == QUERY_FILTERS


def a_run(passed: dict[TestQuery, bool]) -> RetrievalRun:
    run = RetrievalRun.objects.create(
        corpus=get_corpus(),
        options={},
        k=10,
        corpus_hash="0" * 64,
        queries_hash="0" * 64,
        query_count=len(passed),
        passed_count=sum(passed.values()),
        metrics={},
        seconds=0.1,
    )
    for query, ok in passed.items():
        RetrievalResult.objects.create(
            run=run, query_id=query.pk, text=query.text, passed=ok, metrics={}, expected=[], found=[]
        )
    return run


def test_lists__with_several_corpora__offer_to_choose_one(client_of: Callable[..., Client]) -> None:
    make_source("json")
    other = create_corpus(name="other", actor=None)
    make_source("json", corpus=other)
    client = client_of("viewer")
    assert 'name="corpus"' in client.get(SOURCES).content.decode()
    found = client.get(f"{SOURCES}?corpus=other").context["rows"]
    assert [line.source.corpus for line in found] == [other]


# --- how things look ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.python.org/", "python.org"),
        ("https://docs.python.org/3/library/json.html", "docs.python.org/3/library/json.html"),
        ("https://docs.python.org/" + "a" * 40 + "/end.html", "docs.python.org/…" + "a" * 20 + "/end.html"),
        ("no url at all", "no url at all"),
        ("h" * 60, "h" * 45 + "…"),
    ],
)
def test_shown_url__long_or_short__keeps_host_and_end(url: str, expected: str) -> None:
    assert shown_url(url) == expected


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "data:text/html,x", "//host", "https:///x", "http://[", ""]
)
def test_safe_link__not_an_address_of_the_web__is_none(url: str) -> None:
    assert safe_link(url) == ""


def test_snippet__of_what_was_searched__shows_where_it_stands() -> None:
    text = "word " * 200 + "needle " + "word " * 200
    assert "needle" in snippet(text, "NEEDLE", 80)
    assert len(snippet(text, "needle", 80)) == 82
    assert snippet("short\n text", "none") == "short text"
