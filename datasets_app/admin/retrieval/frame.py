"""What the pages about retrieval share: which corpus is looked at, which models there are, numbers of addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Case, Exists, IntegerField, OuterRef, Value, When

from datasets_app.admin.corpus.base import CorpusPage, text_of
from datasets_app.models import Analysis, Corpus, EmbeddingModel
from datasets_app.models.corpus import DEFAULT_CORPUS
from datasets_app.services.corpus.corpora import get_corpus


class RetrievalPage(CorpusPage):
    """A page about retrieval. The line at its top names the page alone: what is above it, the page says itself."""

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "model_admin": None}


def looked_at(query: Mapping[str, Any]) -> tuple[Corpus | None, list[Corpus]]:
    """Return the corpus that ?corpus= names, else one that has sources, and all corpora. Raises UnknownCorpus.

    Without any corpus it is None: looking makes none.
    """
    has_sources = Exists(Analysis.objects.filter(corpus=OuterRef("pk")))
    is_default = Case(When(name=DEFAULT_CORPUS, then=Value(0)), default=Value(1), output_field=IntegerField())
    found = list(Corpus.objects.annotate(has_sources=has_sources, place=is_default).order_by("place", "name"))
    wanted = text_of(query, "corpus", 120)
    corpus: Corpus | None
    if wanted:
        corpus = next((one for one in found if one.name == wanted), None) or get_corpus(wanted)
    else:
        corpus = next((one for one in found if one.has_sources), found[0] if found else None)
    return corpus, sorted(found, key=lambda one: one.name)


def embedding_models() -> list[EmbeddingModel]:
    return list(EmbeddingModel.objects.order_by("name"))


def number_in(text: Any) -> int | None:
    """Read a row's number of an address; None when it is none."""
    shown = str(text)
    return int(shown) if shown.isascii() and shown.isdecimal() and len(shown) < 19 else None
