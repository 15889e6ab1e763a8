"""Bring what lexical searches derive from the chunks up to date, in every corpus that changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import Exists, OuterRef

from datasets_app.models import ChangedChunk, Corpus
from datasets_app.services.retrieval import lexical_index


def refresh_lexical_indexes(progress: Callable[..., Any] | None = None) -> int:
    """Bring all changes that wait into the lexical indexes and return the number of corpora that had some.

    `progress(done, total, message)` counts changed chunks of one corpus after the other.
    """
    corpora = list(Corpus.objects.filter(Exists(ChangedChunk.objects.filter(corpus=OuterRef("pk")))))
    for corpus in corpora:
        if progress is not None:
            progress(0, None, f"Indexing the words of {corpus.name}")
        lexical_index.refresh(corpus, progress)
    return len(corpora)
