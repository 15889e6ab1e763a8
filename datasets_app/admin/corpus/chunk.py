"""One chunk: its text, what stands before and after it, which test queries expect it; and its form."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from datasets_app.admin.corpus.base import CorpusPage, id_in, safe_link, shown_url, snippet
from datasets_app.admin.corpus.chunk_edit import CELLS, as_sent, chunk_document
from datasets_app.admin.corpus.lists import embedded_among, suggested
from datasets_app.admin.corpus.rows import FormRow
from datasets_app.admin.corpus.seen import (
    ChangedMeanwhile,
    merged,
    refuse_changed,
    seen_in,
    seen_text,
    two_versions,
    writing,
)
from datasets_app.domain.roles import Action
from datasets_app.errors import InvalidAnalysis
from datasets_app.models import Chunk, EmbeddingModel, ExpectedChunk
from datasets_app.services.access import require
from datasets_app.services.corpus.analyses import update_chunk
from datasets_app.services.corpus.drafts import MAX_INDEX
from goldenproject.kit.errors import BadInput, NotFound

SHOWN_QUERIES = 50


class ChunkPage(CorpusPage):
    """A chunk to read; with ?edit=1 its form."""

    template_name = "datasets_app/corpus/chunk.html"
    chunk: Chunk

    def load(self, **kwargs: Any) -> None:
        self.is_edited = self.request.GET.get("edit") == "1" or self.request.method == "POST"
        if self.is_edited:
            require(self.person, Action.EDIT)
        self.chunk = get_chunk(kwargs["object_id"])
        self.title = f"Chunk {self.chunk.section_title or self.chunk.chunk_index}"
        self.seen: Any = chunk_document(self.chunk)
        self.row = FormRow("chunk", {name: str(value) for name, value in self.seen.items()})

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        chunk = self.chunk
        source = chunk.analysis
        model = EmbeddingModel.objects.filter(is_current=True).first()
        expectations = ExpectedChunk.objects.filter(chunk=chunk).select_related("query")
        return super().get_context_data(
            chunk=chunk,
            source=source,
            source_shown=shown_url(source.url),
            link=safe_link(source.url),
            previous=self._neighbour(-1),
            next=self._neighbour(1),
            expectations=list(expectations.order_by("-relevance", "query__created_at")[:SHOWN_QUERIES]),
            expectation_count=expectations.count(),
            model=model,
            is_embedded=bool(embedded_among([chunk], model)),
            is_edited=self.is_edited,
            row=self.row,
            seen=seen_text(self.seen),
            types=suggested(Chunk.objects.all(), "content_type") if self.is_edited else [],
            **kwargs,
        )

    def _neighbour(self, step: int) -> dict[str, Any] | None:
        others = Chunk.objects.filter(analysis=self.chunk.analysis_id)
        if step < 0:
            found = others.filter(chunk_index__lt=self.chunk.chunk_index).order_by("-chunk_index").first()
        else:
            found = others.filter(chunk_index__gt=self.chunk.chunk_index).order_by("chunk_index").first()
        return {"chunk": found, "snippet": snippet(found.content, length=140)} if found else None

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        seen = self.seen = seen_in(request)
        cells = {name: request.POST.get(name, "").replace("\r\n", "\n") for name in CELLS}
        self.row = FormRow("chunk", cells)
        index = cells["chunk_index"].strip()
        if not index.isdecimal() or int(index[:11]) > MAX_INDEX:
            self.row.refuse("Expected a whole number from 0.", "chunk_index")
            return self._again(422)
        untouched = as_sent(seen) or {}
        typed: dict[str, Any] = {**cells, "chunk_index": int(index)}
        changed = {name: value for name, value in typed.items() if value != untouched.get(name)}
        try:
            with writing(self.chunk.analysis.corpus, self.person, "edit chunk"):
                refuse_changed(seen, lambda: chunk_document(get_chunk(self.chunk.pk)))
                if changed:
                    update_chunk(chunk=self.chunk, actor=self.person, **changed)
        except ChangedMeanwhile as error:
            self.seen = error.current
            mine = merged(untouched, error.current, typed)
            self.row = FormRow("chunk", {name: str(value) for name, value in mine.items()})
            return self._again(409, error=error, **two_versions(seen, error.current, mine))
        except InvalidAnalysis as error:
            self.row.refuse(
                f"Found {error.details['found']}, expected {error.details['expected']}.",
                str(error.details.get("field", "")).rpartition(".")[2],
            )
            return self._again(422)
        except BadInput as error:
            self.row.refuse(str(error))
            return self._again(422)
        return self.saved("The chunk was saved." if changed else "Nothing was changed.", self.own_url())

    def own_url(self) -> str:
        return reverse("admin:datasets_app_chunk_change", args=[self.chunk.pk])

    def _again(self, status: int, **context: Any) -> HttpResponse:
        return self.render_to_response(self.get_context_data(**context), status=status)


def get_chunk(chunk_id: Any) -> Chunk:
    """Return the chunk of this id with its source and corpus. Raises NotFound."""
    found = Chunk.objects.select_related("analysis__corpus").filter(pk=id_in(chunk_id)).first()
    if found is None:
        raise NotFound(f"There is no chunk {chunk_id}.", hint="It may have been removed from its source.")
    return found
