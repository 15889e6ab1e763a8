"""What retrieval derives from a restored corpus: vectors before the restore's transaction, indexes after it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from datasets_app.errors import EmbeddingTrouble, NoCurrentModel
from datasets_app.models import ChangedChunk, Corpus
from datasets_app.models.corpus import searched_text
from datasets_app.services.retrieval.embedding import embed_missing, embed_texts
from datasets_app.services.retrieval.embedding_models import get_model
from datasets_app.services.retrieval.lexical_index import refresh
from exports_app.backup.analyses import COMPLETED
from exports_app.backup.opened import Backup, loaded_document
from goldenproject.kit.errors import GoldenError

Progress = Callable[..., None]


def embed_first(backup: Backup, progress: Progress | None = None) -> list[str]:
    """Make the vectors that the backup's texts lack under the current model; return what went wrong.

    Vectors belong to texts, so those that are there are taken as they are, and a restore that is killed afterwards has
    lost none. A model that does not answer hinders no restore: the chunks are found by their words until it does.
    """
    if not backup.census.chunks:
        return []
    try:
        model = get_model()
    except NoCurrentModel:
        return ["no embedding model is the current one: chunks are found by their words alone"]
    report = _counted(progress, backup.census.chunks)
    try:
        embed_texts(model=model, hashed=_hashed(backup), progress=report)
    except EmbeddingTrouble as error:
        return [f"not all chunks have their vectors ({error.message}): run golden_embed"]
    return []


def index_afterwards(*, embeddings: bool, progress: Progress | None = None) -> list[str]:
    """Bring the indexes up to the restored chunks, when the restore is committed; return what went wrong."""
    try:
        for corpus in Corpus.objects.order_by("name"):
            if ChangedChunk.objects.filter(corpus=corpus).exists():
                refresh(corpus)
        if not embeddings:
            return []
        return embed_missing(model=get_model(), actor=None, progress=progress, wait=True).warnings
    except NoCurrentModel:
        return []
    except GoldenError as error:  # the data is there and committed: what is missing can be made later
        return [f"{error.message.removesuffix('.')}: run golden_embed"]


def _hashed(backup: Backup) -> Iterator[tuple[bytes, str]]:
    part = backup.documents.get(COMPLETED)
    for record in part.records() if part is not None else ():
        document = loaded_document(record)
        if document["status"] != "completed":
            continue
        for chunk in document["chunks"]:
            text = searched_text(chunk["section_title"] or "", chunk["content"])
            yield hashlib.sha256(text.encode()).digest(), text


def _counted(progress: Progress | None, total: int) -> Progress | None:
    if progress is None:
        return None

    def report(done: int, _: int | None = None, *message: Any) -> None:
        progress(done, total, *message)

    return report
