"""Runs and addresses for the tests of the pages about retrieval."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from datasets_app.models import Corpus, EmbeddingModel, RetrievalRun
from datasets_app.services.evaluation.options import EvaluationOptions
from datasets_app.services.evaluation.running import evaluate
from datasets_app.services.retrieval.searching import SearchOptions

SEARCH = reverse("corpus_search")
RUNS = reverse("admin:datasets_app_retrievalrun_changelist")
START = reverse("admin:datasets_app_retrievalrun_add")
COMPARE = reverse("admin:datasets_app_retrievalrun_compare")
MODELS = reverse("admin:datasets_app_embeddingmodel_changelist")
REGISTER = reverse("admin:datasets_app_embeddingmodel_add")


def make_run(corpus: Corpus, *, k: int = 10, name: str = "", **search: Any) -> RetrievalRun:
    """Evaluate the corpus by the lexical leg: no model is loaded."""
    options = EvaluationOptions(search=SearchOptions(legs=("lexical",), **search), k=k, name=name)
    return evaluate(corpus=corpus, options=options, actor=None)


def run_page(run: RetrievalRun, part: str = "change") -> str:
    return reverse(f"admin:datasets_app_retrievalrun_{part}", args=[run.pk])


def model_page(model: EmbeddingModel, part: str = "change") -> str:
    return reverse(f"admin:datasets_app_embeddingmodel_{part}", args=[model.pk])


def make_model(name: str = "other", *, current: bool = False) -> EmbeddingModel:
    """Register a model of which nothing is asked."""
    if current:
        EmbeddingModel.objects.update(is_current=False)
    return EmbeddingModel.objects.create(name=name, provider="minilm", dimension=8, is_current=current)
