"""The search page: what a corpus holds on a question, why each chunk came up, and a test query made of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from datasets_app.admin.corpus.base import (
    id_or_none,
    query_string,
    safe_link,
    shown_url,
    text_of,
    with_query,
)
from datasets_app.admin.retrieval.frame import RetrievalPage, embedding_models, looked_at
from datasets_app.admin.retrieval.highlighting import Piece, highlighted, query_terms
from datasets_app.admin.retrieval.search_form import FUSION_CHOICES, LEG_CHOICES, SearchForm
from datasets_app.models import Chunk, Corpus, ExpectedChunk, RetrievalRun, TestQuery
from datasets_app.services.corpus.drafts import QueryDraft
from datasets_app.services.corpus.queries import save_query
from datasets_app.services.retrieval.searching import (
    LEGS,
    Hit,
    SearchAnswer,
    SearchOptions,
    search,
    with_chunks,
)
from goldenproject.kit.errors import BadInput, Conflict, GoldenError

MAX_SHOWN = 100
QUERY_CHARACTERS = 2000
EXAMPLES = 4
LEG_NAMES = {"lexical": "BM25", "vector": "vector"}
BOOST_NAMES = {"title": "title", "path": "path", "content_type": "type"}


@dataclass(frozen=True)
class ShownLeg:
    """What a leg says of a hit; `rank` None: it did not find it. `share` is its part of the hit's bar, as SVG wants it."""

    name: str
    title: str
    rank: int | None
    score: float | None
    start: str
    share: str


@dataclass(frozen=True)
class Row:
    """A hit as the page shows it."""

    rank: int
    chunk: Chunk
    hit: Hit
    source: str
    link: str
    title: list[Piece]
    snippet: list[Piece]
    legs: list[ShownLeg]
    boosts: list[tuple[str, float]]
    relevance: int | None
    is_ticked: bool


@dataclass(frozen=True)
class Column:
    """One ranking of the comparison: rank here, chunk, where it is in the other rankings, whether it is expected."""

    name: str
    rows: list[tuple[int, Chunk, str, bool]]
    note: str = ""


class SearchPage(RetrievalPage):
    """?q= asks, ?corpus= says where, the fields of `SearchForm` say how, ?show=legs compares the legs.

    A POST saves the question as a test query that expects the ticked chunks.
    """

    title = "Search"
    template_name = "datasets_app/retrieval/search.html"
    corpus: Corpus | None

    def load(self, **kwargs: Any) -> None:
        typed = self.request.POST if self.request.method == "POST" else self.request.GET
        self.text = text_of(typed, "q", QUERY_CHARACTERS)
        self.form = SearchForm.typed(typed)
        self.show = "legs" if text_of(typed, "show") == "legs" else "list"
        self.corpus, self.corpora = looked_at(typed)
        ids = self.request.POST.getlist("expected") if self.request.method == "POST" else []
        self.ticked = {found for text in ids[:MAX_SHOWN] if (found := id_or_none(text))}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(
            text=self.text,
            corpus=self.corpus,
            corpora=self.corpora,
            form=self.form,
            leg_choices=LEG_CHOICES,
            fusion_choices=FUSION_CHOICES,
            models=embedding_models(),
            show=self.show,
            own_query=self._query(),
            list_query=self._query(show=""),
            legs_query=self._query(show="legs"),
            **kwargs,
        )
        if self.corpus is None or not self.text:
            return {**context, "examples": self._examples()}
        try:
            return {**context, **self._found(self.corpus)}
        except GoldenError as error:  # the form stays, with what was typed
            return {**context, "error": error}

    def _query(self, **more: Any) -> str:
        shown = {"show": self.show if self.show != "list" else "", **more}
        corpus = self.corpus.name if self.corpus and len(self.corpora) > 1 else ""
        return query_string(q=self.text, corpus=corpus, **self.form.changed, **shown)

    def _examples(self) -> list[str]:
        if self.corpus is None:
            return []
        queries = TestQuery.objects.filter(corpus=self.corpus).order_by("created_at", "id")
        return list(queries.values_list("text", flat=True)[:EXAMPLES])

    # --- what is found
    def _found(self, corpus: Corpus) -> dict[str, Any]:
        options = self.form.options()
        if options.limit > MAX_SHOWN:
            raise BadInput(f"k: found {options.limit}, expected at most {MAX_SHOWN} hits on a page.")
        answer = search(corpus=corpus, text=self.text, options=options)
        query = TestQuery.objects.filter(corpus=corpus, text=self.text).first()
        expected = _expected(query)
        rows = self._rows(answer, options, expected)
        context = {
            "rows": rows,
            "answer": answer,
            "timings": _timings(answer),
            "query": query,
            "missed": len([pk for pk in expected if pk not in {row.chunk.pk for row in rows}]),
            "has_both_legs": len(options.legs) == len(LEGS),
            "is_asked": True,
        }
        if self.show == "legs" and len(options.legs) == len(LEGS):
            context["columns"] = self._columns(corpus, answer, options, set(expected))
        return context

    def _rows(
        self, answer: SearchAnswer, options: SearchOptions, expected: dict[uuid.UUID, int]
    ) -> list[Row]:
        wanted = query_terms(self.text)
        ranks = {hit.chunk_id: rank for rank, hit in enumerate(answer.hits, 1)}
        top = max((_parts(hit, options)[2] for hit in answer.hits), default=0.0)
        return [
            Row(
                rank=ranks[one.chunk.pk],
                chunk=one.chunk,
                hit=one.hit,
                source=shown_url(one.chunk.analysis.url),
                link=safe_link(one.chunk.analysis.url),
                title=highlighted(one.chunk.section_title, wanted, 120),
                snippet=highlighted(one.chunk.content, wanted),
                legs=_legs(one.hit, options, top),
                boosts=[(BOOST_NAMES.get(name, name), factor) for name, factor in one.hit.boosts.items()],
                relevance=expected.get(one.chunk.pk),
                is_ticked=one.chunk.pk in self.ticked,
            )
            for one in with_chunks(answer.hits)
        ]

    def _columns(
        self, corpus: Corpus, answer: SearchAnswer, options: SearchOptions, expected: set[uuid.UUID]
    ) -> list[Column]:
        """Return the rankings of the lexical leg, of both and of the vector leg, side by side."""
        fused = {hit.chunk_id: rank for rank, hit in enumerate(answer.hits, 1)}
        alone = {
            leg: search(corpus=corpus, text=self.text, options=replace(options, legs=(leg,))) for leg in LEGS
        }
        answers = [
            ("Lexical alone", alone["lexical"]),
            ("Fused", answer),
            ("Vector alone", alone["vector"]),
        ]
        columns = []
        for name, found in answers:
            places = {hit.chunk_id: rank for rank, hit in enumerate(found.hits, 1)}
            rows = [
                (
                    places[one.chunk.pk],
                    one.chunk,
                    _places_of_legs(one.hit) if found is answer else _place_in_fused(fused.get(one.chunk.pk)),
                    one.chunk.pk in expected,
                )
                for one in with_chunks(found.hits)
            ]
            columns.append(Column(name, rows, " ".join(found.warnings) if not rows else ""))
        return columns

    # --- a test query made of it
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.corpus is None or not self.text:
            raise BadInput("There is no question to save.", hint="Ask one first.")
        if not self.ticked:
            raise BadInput(
                "No chunk is ticked: a test query says which chunks should be found.",
                hint="Tick the right ones among the hits.",
            )
        if TestQuery.objects.filter(corpus=self.corpus, text=self.text).exists():
            raise Conflict("This question is a test query already.", hint="Edit that one.")
        draft = QueryDraft(text=self.text, expected=dict.fromkeys(sorted(self.ticked), 1))
        query = save_query(corpus=self.corpus, draft=draft, actor=self.person)
        own = reverse("admin:datasets_app_testquery_change", args=[query.pk])
        return self.saved("The test query was added. Give it tags and a difficulty, and test it.", own)


def _places_of_legs(hit: Hit) -> str:
    return f"lexical {hit.lexical_rank or '—'} · vector {hit.vector_rank or '—'}"


def _place_in_fused(rank: int | None) -> str:
    return f"fused {rank}" if rank else "not among the fused"


def _expected(query: TestQuery | None) -> dict[uuid.UUID, int]:
    if query is None:
        return {}
    return dict(ExpectedChunk.objects.filter(query=query).values_list("chunk_id", "relevance"))


def _parts(hit: Hit, options: SearchOptions) -> tuple[float, float, float]:
    """Return what each leg gave to the fused score by reciprocal ranks, and their sum; zeros where that is not known."""
    if options.fusion != "rrf" or len(options.legs) != len(LEGS):
        return 0.0, 0.0, 0.0
    lexical = (
        options.weights.get("lexical", 1.0) / (options.rrf_k + hit.lexical_rank) if hit.lexical_rank else 0.0
    )
    vector = (
        options.weights.get("vector", 1.0) / (options.rrf_k + hit.vector_rank) if hit.vector_rank else 0.0
    )
    return lexical, vector, lexical + vector


def _legs(hit: Hit, options: SearchOptions, top: float) -> list[ShownLeg]:
    lexical, vector, _ = _parts(hit, options)
    scale = 100 / top if top else 0.0
    ranks = {"lexical": (hit.lexical_rank, hit.lexical_score), "vector": (hit.vector_rank, hit.vector_score)}
    starts = {"lexical": 0.0, "vector": lexical}
    shares = {"lexical": lexical, "vector": vector}
    return [
        ShownLeg(
            name,
            LEG_NAMES[name],
            *ranks[name],
            start=f"{starts[name] * scale:.2f}%",
            share=f"{shares[name] * scale:.2f}%" if shares[name] else "",
        )
        for name in LEGS
        if name in options.legs
    ]


def _timings(answer: SearchAnswer) -> list[tuple[str, str]]:
    names: Sequence[str] = ("lexical", "embed", "vector", "fuse")
    return [(name, f"{answer.timings[name]:.1f}") for name in names if name in answer.timings]


# --- addresses ----------------------------------------------------------------------------------------------------
def search_address(text: str = "", corpus: str = "", form: SearchForm | None = None) -> str:
    """Return the address of the page that asks `text` in a corpus, as a form says."""
    return with_query(reverse("corpus_search"), q=text, corpus=corpus, **(form.changed if form else {}))


def search_urls() -> list[URLPattern]:
    """Return the address of the search page, for the project's urls: it is of no model."""
    model_admin = admin.site.get_model_admin(RetrievalRun)  # lends its frame
    page = admin.site.admin_view(SearchPage.as_view(model_admin=model_admin))
    return [path("admin/corpus/search/", page, name="corpus_search")]
