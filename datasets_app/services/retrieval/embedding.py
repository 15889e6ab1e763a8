"""Make the vectors that are missing: resumable, a batch at a time, each batch committed as soon as it is there."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.errors import EmbeddingRuns, IndexNeedsOwner
from datasets_app.models import Embedding, EmbeddingModel
from datasets_app.services.access import record, require
from datasets_app.services.retrieval.embedders import embedder_for
from datasets_app.services.retrieval.stored_vectors import (
    READ_CHARACTERS,
    coverage,
    delete_unused,
    missing_page,
    only_writer,
    store_vectors,
    stored_hashes,
)
from datasets_app.services.retrieval.vector_index import (
    SMALL,
    IndexState,
    Vectored,
    ensure_index,
    index_state,
)
from goldenproject.kit.audit import acting
from goldenproject.kit.errors import BadInput

__all__ = [
    "EmbedReport",
    "Report",
    "build_index",
    "embed_missing",
    "embed_texts",
    "held",
    "index_after",
    "prune",
    "silent",
]

Report = Callable[..., None]
"""Tells progress: report(done, total, message), counts of texts."""

BATCH_TEXTS = 128
_WAIT_EVERY_S = 1.0


@dataclass(frozen=True)
class EmbedReport:
    """What was done: vectors made, texts that had one already, the state of the index, the time, what went less well."""

    model: str
    embedded: int = 0
    present: int = 0
    index: str = ""
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return the report as plain JSON."""
        return {
            "model": self.model,
            "embedded": self.embedded,
            "present": self.present,
            "index": self.index,
            "seconds": round(self.seconds, 3),
            "warnings": self.warnings,
        }


def embed_missing(
    *, model: EmbeddingModel, actor: Any, progress: Report | None = None, wait: bool = False
) -> EmbedReport:
    """Make the vectors of all texts of completed analyses that lack one, then the index, and report.

    Each batch is committed by itself: after a kill the next run goes on where this one was. Chunks that come in
    meanwhile are taken along. `wait` waits for another run on the model instead of raising EmbeddingRuns.
    Raises Forbidden, EmbeddingRuns, EmbeddingTrouble (what is done stays), WrongDimension, UnknownEmbeddingModel.
    """
    if actor is not None:
        require(actor, Action.EDIT)
    report = progress or silent
    begun = time.monotonic()
    with held(model, report, wait=wait):
        before = coverage(model)
        total, embedded = before.missing, 0
        report(0, total, f"Embedding with {model.name}")
        for page in _missing_pages(model) if total else ():
            embedded += _embed_page(model, page)
            total = max(total, embedded)
            report(embedded, total, f"Embedding with {model.name}")
        index, warnings = index_after(model, before.stored + embedded, report)
    if actor is not None:
        with acting(actor, "embed"):
            record(actor, "embedding.run", None, f"{embedded} texts with {model.name}", embedded=embedded)
    return EmbedReport(model.name, embedded, before.embedded, index, time.monotonic() - begun, warnings)


def embed_texts(
    *, model: EmbeddingModel, hashed: Iterable[tuple[bytes, str]], progress: Report | None = None
) -> EmbedReport:
    """Make the vectors of texts that no chunk has yet, for what is about to store those chunks.

    `hashed` gives (SHA-256 of the text, text); repeated ones and those with a vector cost a look. A batch at a time, as
    in `embed_missing`; no index is built. Raises BadInput for a hash that is not the text's, EmbeddingTrouble.
    """
    report = progress or silent
    begun = time.monotonic()
    done = embedded = present = 0
    source = iter(hashed)
    while part := list(islice(source, BATCH_TEXTS)):
        texts = dict(part)
        for content_hash, text in texts.items():
            if hashlib.sha256(text.encode()).digest() != content_hash:
                raise BadInput(f"Found the hash {content_hash.hex()[:12]} with a text that has another.")
        known = stored_hashes(model, list(texts))
        new = [
            (content_hash, text[:READ_CHARACTERS])
            for content_hash, text in texts.items()
            if content_hash not in known
        ]
        embedded += _embed_page(model, new)
        present += len(known)
        done += len(part)
        report(done, None, f"Embedding with {model.name}")
    return EmbedReport(model.name, embedded, present, seconds=time.monotonic() - begun)


def build_index(model: EmbeddingModel) -> IndexState:
    """Build the model's HNSW index unless it stands, however few vectors there are, and return its state.

    Raises EmbeddingRuns, IndexNeedsOwner.
    """
    with only_writer(model):
        return ensure_index(model)


def prune(*, model: EmbeddingModel, actor: Any) -> int:
    """Delete the vectors of texts that no chunk has any more and return how many. Raises Forbidden."""
    if actor is not None:
        require(actor, Action.EDIT)
    with acting(actor, "prune embeddings"):
        deleted = delete_unused(model)
        record(actor, "embedding.prune", None, f"{deleted} vectors of {model.name}", deleted=deleted)
    return deleted


def _embed_page(model: EmbeddingModel, page: list[tuple[bytes, str]]) -> int:
    """Make and store the vectors of a page; no transaction is open while they are made."""
    if not page:
        return 0
    vectors = embedder_for(model).embed_passages([text for _, text in page])
    return store_vectors(model, [content_hash for content_hash, _ in page], vectors)


def _missing_pages(model: EmbeddingModel) -> Iterator[list[tuple[bytes, str]]]:
    """Yield pages until a whole round by hash finds nothing more: chunks that came in behind it are found too."""
    while True:
        after, found = b"", False
        while page := missing_page(model, after=after, rows=BATCH_TEXTS):
            yield page
            after, found = page[-1][0], True
        if not found:
            return


@contextmanager
def held(model: EmbeddingModel, report: Report, *, wait: bool) -> Iterator[None]:
    """Hold the model's lock; asked for again and again, because a statement that waits would block an index build."""
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(only_writer(model))
                break
            except EmbeddingRuns:
                if not wait:
                    raise
            report(0, None, f"Waiting for another run with {model.name}")
            time.sleep(_WAIT_EVERY_S)
        yield


def index_after(
    model: EmbeddingModel, stored: int, report: Report, *, of: Vectored = Embedding, small: int | None = None
) -> tuple[str, list[str]]:
    """Build the index unless fewer than `small` (by default SMALL) vectors are stored; return its state and what stood in the way."""
    if stored < (SMALL if small is None else small) and index_state(model, of) == IndexState.ABSENT:
        return "not needed", []
    report(stored, stored, "Building the index")
    try:
        state = ensure_index(model, of)
    except IndexNeedsOwner as error:
        return index_state(model, of).value, [f"{error.message} {error.hint}"]
    if state == IndexState.IMPOSSIBLE:
        return state.value, [
            f"{model.dimension} dimensions are too many for an index: each search compares with every vector."
        ]
    return state.value, []


def silent(*_: Any) -> None:
    """Report to nobody."""
