"""The pages that list sources, chunks and test queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from datasets_app.admin.corpus.base import CorpusPage, corpora, safe_link, shown_url, snippet
from datasets_app.admin.corpus.lists import (
    ChunkFilter,
    QueryFilter,
    RowFilter,
    SourceFilter,
    counts_by,
    embedded_among,
    passed_in_last_run,
    suggested,
    suggested_tags,
)
from datasets_app.admin.corpus.row_pages import RowPage
from datasets_app.admin.example_rows import tone
from datasets_app.models import (
    Analysis,
    Chunk,
    EmbeddingModel,
    ExpectedChunk,
    Finding,
    SourceCheck,
    TestQuery,
)

# what a look at a source found → the tone in which it is shown
CHECK_TONES = {"first": 0, "same": 2, "changed": 3, "moved": 3, "gone": 6, "failed": 6, "refused": 6}


class ListPage(CorpusPage):
    """A list with its filter; subclasses say what a line shows."""

    filter_class: ClassVar[type[RowFilter]]
    noun: ClassVar[tuple[str, str]]  # of one, of many

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        wanted = self.filter_class.from_query(self.request.GET)
        page = wanted.page(self.request.GET)
        return super().get_context_data(
            wanted=wanted,
            filter_query=wanted.query(),
            page=page,
            rows=self.lines(page, wanted),
            corpora=corpora(),
            noun=self.noun[0],
            nouns=self.noun[1],
            previous_query=wanted.query(before=page.previous),
            next_query=wanted.query(after=page.next),
            first_query=wanted.query(),
            is_first=not self.request.GET.get("after") and not self.request.GET.get("before"),
            **self.choices(),
            **kwargs,
        )

    def lines(self, page: RowPage, wanted: Any) -> list[Any]:
        raise NotImplementedError

    def choices(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class SourceLine:
    """A line of the list of sources."""

    source: Analysis
    url: str
    link: str
    chunks: int
    findings: int
    check: SourceCheck | None

    @property
    def check_tone(self) -> int:
        return CHECK_TONES.get(self.check.outcome, 0) if self.check else 0


class SourceListPage(ListPage):
    title = "Sources"
    template_name = "datasets_app/corpus/source_list.html"
    filter_class = SourceFilter
    noun = ("source", "sources")

    def lines(self, page: RowPage, wanted: Any) -> list[SourceLine]:
        ids = [row.pk for row in page.rows]
        chunks = counts_by(Chunk.objects.all(), "analysis", ids)
        findings = counts_by(Finding.objects.all(), "analysis", ids)
        return [
            SourceLine(
                source=row,
                url=shown_url(row.url),
                link=safe_link(row.url),
                chunks=chunks.get(row.pk, 0),
                findings=findings.get(row.pk, 0),
                check=getattr(row, "source_check", None),
            )
            for row in page.rows
        ]

    def choices(self) -> dict[str, Any]:
        return {
            "statuses": Analysis.Status.choices,
            "checks": SourceCheck.Outcome.choices,
            "types": suggested(Analysis.objects.all(), "content_type"),
        }


@dataclass(frozen=True)
class ChunkLine:
    """A line of the list of chunks."""

    chunk: Chunk
    source: str
    snippet: str
    expected: int
    is_embedded: bool


class ChunkListPage(ListPage):
    title = "Chunks"
    template_name = "datasets_app/corpus/chunk_list.html"
    filter_class = ChunkFilter
    noun = ("chunk", "chunks")

    def lines(self, page: RowPage, wanted: Any) -> list[ChunkLine]:
        self.model = EmbeddingModel.objects.filter(is_current=True).first()
        embedded = embedded_among(page.rows, self.model)
        expected = counts_by(ExpectedChunk.objects.all(), "chunk", [row.pk for row in page.rows])
        return [
            ChunkLine(
                chunk=row,
                source=shown_url(row.analysis.url),
                snippet=snippet(row.content, wanted.q),
                expected=expected.get(row.pk, 0),
                is_embedded=row.pk in embedded,
            )
            for row in page.rows
        ]

    def choices(self) -> dict[str, Any]:
        return {"types": suggested(Chunk.objects.all(), "content_type"), "model": self.model}


@dataclass(frozen=True)
class QueryLine:
    """A line of the list of test queries; `passed` is None when the last run did not ask it."""

    query: TestQuery
    expected: int
    passed: bool | None

    @property
    def tags(self) -> list[tuple[str, int]]:
        return [(tag, tone(tag)) for tag in self.query.tags]


class QueryListPage(ListPage):
    title = "Test queries"
    template_name = "datasets_app/corpus/query_list.html"
    filter_class = QueryFilter
    noun = ("test query", "test queries")

    def lines(self, page: RowPage, wanted: Any) -> list[QueryLine]:
        ids = [row.pk for row in page.rows]
        expected = counts_by(ExpectedChunk.objects.all(), "query", ids)
        passed = passed_in_last_run(ids)
        return [QueryLine(row, expected.get(row.pk, 0), passed.get(row.pk)) for row in page.rows]

    def choices(self) -> dict[str, Any]:
        return {
            "difficulties": TestQuery.Difficulty.choices,
            "categories": suggested(TestQuery.objects.all(), "category"),
            "tags": suggested_tags(),
        }
