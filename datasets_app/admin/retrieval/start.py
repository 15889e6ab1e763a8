"""Starting an evaluation: which queries, how to search, what to measure; a worker does it."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from datasets_app.admin.corpus.base import text_of
from datasets_app.admin.corpus.lists import suggested, suggested_tags
from datasets_app.admin.jobs import job_address
from datasets_app.admin.retrieval.frame import RetrievalPage, embedding_models, looked_at
from datasets_app.admin.retrieval.run import run_form
from datasets_app.admin.retrieval.run_figures import run_of
from datasets_app.admin.retrieval.search_form import FUSION_CHOICES, LEG_CHOICES, SearchForm
from datasets_app.domain.roles import Action
from datasets_app.errors import NothingToEvaluate
from datasets_app.models import Corpus, EmbeddingModel, ExpectedChunk, RetrievalRun, TestQuery
from datasets_app.services.evaluation.options import EvaluationOptions, QueryFilter
from datasets_app.services.jobs import start_job
from goldenproject.kit.errors import BadInput

NAME_CHARACTERS = 201  # one more than a name may have, so that a longer one is refused and not cut


class StartRunPage(RetrievalPage):
    """A form; ?from=RUN begins it with the options of a run, ?model=NAME with a model."""

    title = "Start an evaluation"
    template_name = "datasets_app/retrieval/start.html"
    action = Action.EDIT

    def load(self, **kwargs: Any) -> None:
        query = self.request.GET
        typed = self.request.POST if self.request.method == "POST" else query
        self.corpus, self.corpora = looked_at(typed)
        self.form = SearchForm.typed(typed)
        self.chosen = {name: text_of(typed, name) for name in ("tags", "difficulty", "category")}
        self.name = text_of(typed, "name", NAME_CHARACTERS)
        if self.request.method != "POST" and query.get("from"):
            self._begin_with(run_of(query["from"]))

    def _begin_with(self, run: RetrievalRun) -> None:
        self.corpus = run.corpus
        self.form = run_form(run)
        queries = run.options.get("queries", {})
        self.chosen = {
            "tags": ", ".join(queries.get("tags", [])),
            "difficulty": queries.get("difficulty", ""),
            "category": queries.get("category", ""),
        }
        self.name = run.name

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        queries = TestQuery.objects.filter(corpus=self.corpus)
        return super().get_context_data(
            corpus=self.corpus,
            corpora=self.corpora,
            form=self.form,
            chosen=self.chosen,
            name=self.name,
            leg_choices=LEG_CHOICES,
            fusion_choices=FUSION_CHOICES,
            models=embedding_models(),
            difficulties=TestQuery.Difficulty.choices,
            categories=suggested(queries, "category"),
            tags=suggested_tags(),
            query_count=queries.count(),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if self.corpus is None:
            raise BadInput("There is no corpus to evaluate.", hint="Add sources and test queries first.")
        search = self.form.options()
        if search.model and not EmbeddingModel.objects.filter(name=search.model).exists():
            raise BadInput(f"There is no embedding model “{search.model}”.", hint="Choose another one.")
        options = EvaluationOptions(
            search=search,
            k=search.limit,
            query_filter=QueryFilter(
                tags=tuple(filter(None, (tag.strip() for tag in self.chosen["tags"].split(",")))),
                difficulty=self.chosen["difficulty"],
                category=self.chosen["category"],
            ),
            name=self.name,
        )
        _refuse_nothing(self.corpus, options.query_filter)
        job = start_job(
            kind="evaluate_retrieval",
            dataset=None,
            actor=self.person,
            arguments={"corpus": self.corpus.name, "options": options.document()},
        )
        return HttpResponseRedirect(job_address(job))


def _refuse_nothing(corpus: Corpus, chosen: QueryFilter) -> None:
    """Raise NothingToEvaluate now rather than in a job that fails: no chosen query expects a chunk."""
    expecting = Exists(ExpectedChunk.objects.filter(query=OuterRef("pk"), relevance__gt=0))
    queries = TestQuery.objects.filter(expecting, corpus=corpus)
    if chosen.tags:
        queries = queries.filter(tags__contains=list(chosen.tags))
    if chosen.difficulty:
        queries = queries.filter(difficulty=chosen.difficulty)
    if chosen.category:
        queries = queries.filter(category=chosen.category)
    if not queries.exists():
        raise NothingToEvaluate(
            f"Corpus “{corpus.name}”, {chosen}: found no test query that expects a chunk, expected at least one.",
            hint="Choose other queries, or give them expected chunks.",
        )
