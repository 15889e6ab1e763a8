"""One test query: its form with the chunks that it expects, a search for more of them, and a test of it at once."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from datasets_app.admin.corpus.base import CorpusPage, corpora, id_in, id_or_none, shown_url, snippet, text_of
from datasets_app.admin.corpus.chunk import get_chunk
from datasets_app.admin.corpus.lists import suggested, suggested_tags
from datasets_app.admin.corpus.query_form import (
    RULE_NAMES,
    QueryForm,
    query_document,
    shown_expectation,
    with_names,
)
from datasets_app.admin.corpus.query_test import DEFAULT_K, QueryTest, ask
from datasets_app.admin.corpus.seen import (
    ChangedMeanwhile,
    merged,
    refuse_changed,
    seen_in,
    seen_text,
    two_versions,
    writing,
)
from datasets_app.domain.retrieval.pass_rules import checked_rule
from datasets_app.domain.roles import Action
from datasets_app.models import Chunk, Corpus, RetrievalResult, TestQuery
from datasets_app.services.access import require
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.corpus.drafts import QueryDraft
from datasets_app.services.corpus.queries import delete_query, save_query, update_query
from datasets_app.services.retrieval.searching import SearchOptions, search, with_chunks
from goldenproject.kit.errors import BadInput, Conflict, GoldenError, NotFound

FOUND_CHUNKS = 10


class QueryFormPage(CorpusPage):
    """What adding and changing share. `_test` asks the query as it is typed, which everybody who reads may."""

    write_action = None
    template_name = "datasets_app/corpus/query.html"
    form: QueryForm
    corpus: Corpus
    query: TestQuery | None = None

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        wanted = text_of(self.request.GET, "find")
        return super().get_context_data(
            query=self.query,
            corpus=self.corpus,
            row=self.form.row,
            expectations=self.form.expectations(),
            rules=RULE_NAMES.items(),
            rule_text=str(checked_rule(self.query.pass_rule)).capitalize() if self.query else "",
            default_k=DEFAULT_K,
            difficulties=TestQuery.Difficulty.choices,
            categories=suggested(TestQuery.objects.all(), "category"),
            tags=suggested_tags(),
            find=wanted,
            found=found_chunks(self.corpus, wanted) if wanted else [],
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "_test" in request.POST:
            return self._test(request)
        require(self.person, Action.EDIT)
        self.form = QueryForm.typed(request.POST)
        if "_expect" in request.POST:
            self.form.expect(get_chunk(request.POST["_expect"]).pk)
            return self.render_to_response(self.get_context_data(is_unsaved=True))
        document = self.form.document()
        if document is None:
            return self._again(422)
        try:
            return self.save(document)
        except (BadInput, Conflict) as error:
            self.form.refuse(error)
            return self._again(422)

    def save(self, document: dict[str, Any]) -> HttpResponse:
        """Write the fields of the query."""
        raise NotImplementedError

    def _test(self, request: HttpRequest) -> HttpResponse:
        if "text" in request.POST:
            self.form = QueryForm.typed(request.POST)
        rule = self.form.rule()
        tested: QueryTest | None = None
        if not self.form.row.cells["text"]:
            self.form.row.refuse("There is nothing to ask: the text is empty.", "text")
        elif rule is not None:
            try:
                tested = ask(self.corpus, self.form.row.cells["text"], rule, self.form.expected)
            except GoldenError as error:  # told where the answer would stand
                self.form.row.refuse(str(error))
        if getattr(request, "htmx", False):
            self.template_name = "datasets_app/corpus/query_test.html"
            return self.render_to_response({"tested": tested, "row": self.form.row, "user": self.person})
        return self.render_to_response(self.get_context_data(tested=tested, is_unsaved=True))

    def _again(self, status: int, **context: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(is_unsaved=True, **context), status=status)


class QueryPage(QueryFormPage):
    """A test query that is there."""

    def load(self, **kwargs: Any) -> None:
        self.query = get_query(kwargs["object_id"])
        self.title = f"Query {snippet(self.query.text, length=60)}"
        self.corpus = self.query.corpus
        self.form = QueryForm.of(self.query)
        self.seen: Any = query_document(self.query)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.query is not None
        results = RetrievalResult.objects.filter(query_id=self.query.pk, run__corpus=self.corpus)
        return super().get_context_data(
            seen=seen_text(self.seen),
            results=list(results.select_related("run").order_by("-run_id")[:5]),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "_delete" in request.POST:
            require(self.person, Action.EDIT)
            delete_query(query=self.query, actor=self.person)  # type: ignore[arg-type]
            return self.saved(
                "The test query was deleted.", reverse("admin:datasets_app_testquery_changelist")
            )
        if "_test" not in request.POST:
            require(self.person, Action.EDIT)
            self.seen = seen_in(request)
        return super().post(request, *args, **kwargs)

    def save(self, document: dict[str, Any]) -> HttpResponse:
        query, seen = self.query, self.seen
        assert query is not None
        try:
            with writing(self.corpus, self.person, "edit test query"):
                refuse_changed(seen, lambda: query_document(get_query(query.pk)))
                changed = {name: value for name, value in document.items() if value != seen[name]}
                if "expected" in changed:
                    changed["expected"] = self.form.expected
                if changed:
                    update_query(query=query, actor=self.person, **changed)
        except ChangedMeanwhile as error:
            self.seen = error.current
            mine = merged(seen, error.current, document)
            self.form = QueryForm.of_document(mine)
            documents = (with_names(one) for one in (seen, error.current, mine))
            return self._again(409, error=error, **two_versions(*documents))
        own = reverse("admin:datasets_app_testquery_change", args=[query.pk])
        return self.saved("The test query was saved." if changed else "Nothing was changed.", own)


class AddQueryPage(QueryFormPage):
    """A new test query; ?corpus=NAME chooses where, ?text= and ?expect=CHUNK begin it."""

    title = "Add a test query"
    action = Action.EDIT

    def load(self, **kwargs: Any) -> None:
        typed = self.request.POST if self.request.method == "POST" else self.request.GET
        self.corpus = get_corpus(text_of(typed, "corpus") or None)
        self.form = QueryForm.empty()
        self.form.row.cells["text"] = text_of(self.request.GET, "text", 2000)
        wanted = id_or_none(text_of(self.request.GET, "expect"))
        if wanted is not None:
            self.form.expect(get_chunk(wanted).pk)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(corpora=corpora(), **kwargs)

    def save(self, document: dict[str, Any]) -> HttpResponse:
        draft = QueryDraft(**{**document, "expected": self.form.expected})
        query = save_query(corpus=self.corpus, draft=draft, actor=self.person)
        own = reverse("admin:datasets_app_testquery_change", args=[query.pk])
        return self.saved("The test query was added.", own)


# --- pieces that the page asks for --------------------------------------------------------------------------------
class FindChunksPage(CorpusPage):
    """Chunks to expect: ?find=TEXT&corpus=NAME, as a piece of the query's page."""

    template_name = "datasets_app/corpus/query_found.html"
    http_method_names = ["get"]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        wanted = text_of(self.request.GET, "find")
        corpus = get_corpus(text_of(self.request.GET, "corpus") or None)
        return super().get_context_data(
            find=wanted, found=found_chunks(corpus, wanted) if wanted else [], corpus=corpus, **kwargs
        )


class ExpectRowPage(CorpusPage):
    """One expected chunk as a row of the form: ?chunk=ID. Nothing is saved by it."""

    template_name = "datasets_app/corpus/expected_row.html"
    action = Action.EDIT
    http_method_names = ["get"]

    def load(self, **kwargs: Any) -> None:
        self.chunk = get_chunk(text_of(self.request.GET, "chunk"))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(one=shown_expectation(self.chunk, 1), **kwargs)


def found_chunks(corpus: Corpus, wanted: str) -> list[dict[str, Any]]:
    """Return chunks on `wanted`: those whose title, path or id it is first, then what the hybrid search finds."""
    chunks = Chunk.objects.select_related("analysis").filter(analysis__corpus=corpus)
    exact = chunks.filter(Q(section_path=wanted) | Q(section_title=wanted) | Q(pk=id_or_none(wanted)))
    found = {chunk.pk: chunk for chunk in exact.order_by("pk")[:FOUND_CHUNKS]}
    try:
        hits = search(corpus=corpus, text=wanted, options=SearchOptions(limit=FOUND_CHUNKS)).hits
    except (
        GoldenError
    ):  # an endpoint that is down must not keep a curator from adding what is known by its title
        hits = []
    for one in with_chunks(hits):
        found.setdefault(one.chunk.pk, one.chunk)
    return [
        {"chunk": chunk, "source": shown_url(chunk.analysis.url), "snippet": snippet(chunk.content, wanted)}
        for chunk in list(found.values())[:FOUND_CHUNKS]
    ]


def get_query(query_id: Any) -> TestQuery:
    """Return the test query of this id with its corpus. Raises NotFound."""
    found = TestQuery.objects.select_related("corpus").filter(pk=id_in(query_id)).first()
    if found is None:
        raise NotFound(f"There is no test query {query_id}.", hint="Somebody may have deleted it.")
    return found
