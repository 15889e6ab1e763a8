"""A curator at the corpus: every page light and dark, and a day's work from a new source to a query that passes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from datasets_app.models import Analysis, Chunk, EmbeddingModel, SourceCheck, TestQuery
from tests.browser.conftest import Visitor, make_person
from tests.integration.admin.corpus_pages import (
    EVIL,
    chunks_of,
    list_of,
    make_query,
    make_source,
    page_of,
    url_of,
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def source(live_site: str) -> Analysis:
    """A corpus with everything that a page may show."""
    make_person("corpus-curator", "curator")
    EmbeddingModel.objects.update(is_current=False)
    for name in ("csv", "argparse", "asyncio"):
        make_source(name)
    found = make_source("json", chunks=6)
    SourceCheck.objects.create(
        analysis=found, checked_at=datetime(2026, 3, 4, tzinfo=UTC), outcome="changed", http_status=200
    )
    broken = make_source("pathlib")
    Analysis.objects.filter(pk=broken.pk).update(
        url="https://example.com/", url_violation="the host is reserved for documentation"
    )
    Chunk.objects.filter(pk=chunks_of(found)[1].pk).update(content=EVIL + " and a long text. " * 40)
    make_query(
        found, "What is text 0 about json?", tags=["basics", "json"], difficulty="easy", category="lookup"
    )
    return found


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_corpus__each_page__fits_the_window(
    visitor: Callable[..., Visitor], source: Analysis, dark: bool
) -> None:
    one = visitor("corpus-dark" if dark else "corpus-light", dark=dark)
    one.sign_in("corpus-curator")
    query, chunk = TestQuery.objects.get(text__startswith="What is text 0"), chunks_of(source)[1]
    pages = {
        "sources": list_of(Analysis),
        "source": page_of(source),
        "source-chunks": page_of(source, "chunks"),
        "source-findings": page_of(source, "findings"),
        "source-artifact": page_of(source, "artifact"),
        "source-history": page_of(source, "history"),
        "source-add": "/admin/datasets_app/analysis/add/",
        "chunks": list_of(Chunk),
        "chunk": page_of(chunk),
        "chunk-edit": f"{page_of(chunk)}?edit=1",
        "queries": list_of(TestQuery),
        "query": page_of(query),
        "query-found": f"{page_of(query)}?find=text+about+csv",
        "query-add": "/admin/datasets_app/testquery/add/",
    }
    one.walk(pages)


def test_corpus__small_screen__the_pages_can_be_used(
    visitor: Callable[..., Visitor], source: Analysis
) -> None:
    one = visitor("corpus-small")
    one.sign_in("corpus-curator")
    one.page.set_viewport_size({"width": 390, "height": 844})
    too_wide = {}
    for address in (
        list_of(Analysis),
        page_of(source),
        page_of(source, "chunks"),
        page_of(TestQuery.objects.all()[0]),
    ):
        one.go(address)
        one.shot("page")
        if one.overflow() > 0:
            too_wide[address] = one.overflow()
    assert too_wide == {}


def test_corpus__from_a_new_source__to_a_query_that_passes(
    visitor: Callable[..., Visitor], source: Analysis
) -> None:
    one = visitor("corpus-story")
    page = one.page
    one.sign_in("corpus-curator")
    one.go("/admin/datasets_app/analysis/add/")
    page.get_by_label("URL").fill("https://example.com/zip")
    page.get_by_label("Content type").fill("documentation")
    with page.expect_response(lambda response: response.request.method == "POST"):
        page.get_by_role("button", name="Add, then its chunks").click()
    expect(page.locator("#f-url-help .gd-error")).to_be_visible()
    one.shot("contract")
    one.complaints.clear()  # the console names the answer 422
    page.get_by_label("URL").fill(url_of("zipfile"))
    page.get_by_role("button", name="Add, then its chunks").click()

    for title, text in (
        ("Reading", "A ZipFile reads members of archives."),
        ("Writing", "writestr adds a member."),
    ):
        page.get_by_role("button", name="Add a chunk").click()
        row = page.locator("#chunk-rows [data-row]").last
        row.get_by_label("Title").fill(title)
        row.get_by_label("Content").fill(text)
    page.get_by_role("button", name="Save chunks").click()
    expect(page.get_by_text("The chunks were saved.")).to_be_visible()
    page.get_by_role("button", name="Move down").first.click()
    one.shot("moved")
    page.get_by_role("button", name="Save chunks").click()
    expect(page.locator("#chunk-rows [data-row]").first.get_by_label("Title")).to_have_value("Writing")
    made = Analysis.objects.get(url=url_of("zipfile"))
    assert [chunk.section_title for chunk in chunks_of(made)] == ["Writing", "Reading"]

    one.go("/admin/datasets_app/testquery/add/")
    page.get_by_label("Query", exact=True).fill("How does one read members of archives?")
    page.get_by_label("Find chunks to expect").fill("members of archives")
    page.locator("#found").get_by_role("button", name="Expect it").first.click()
    expect(page.locator("#expected-rows .c-expected")).to_have_count(1)
    expect(page.locator("#found").get_by_role("button", name="Expected")).to_be_disabled()
    page.get_by_role("button", name="Test now").click()
    expect(page.locator(".c-verdict")).to_contain_text("Passes")
    one.shot("tested", whole=True)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("The test query was added.")).to_be_visible()
    query = TestQuery.objects.get(text__startswith="How does one read")
    assert [chunk.section_title for chunk in query.expected.all()] == ["Reading"]
