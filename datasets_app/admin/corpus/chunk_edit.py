"""The chunks of one source in a form: fifty at a time, each compared by itself with what the person saw."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpRequest, HttpResponse

from datasets_app.admin.corpus.base import with_query
from datasets_app.admin.corpus.lists import counts_by, suggested
from datasets_app.admin.corpus.rows import FormRow, any_errors, empty_row, typed_rows
from datasets_app.admin.corpus.seen import merged, seen_in, seen_text, writing
from datasets_app.admin.corpus.source import SourcePage, source_url
from datasets_app.admin.corpus.source_parts import row_of_error
from datasets_app.models import Chunk, ExpectedChunk
from datasets_app.services.corpus.analyses import replace_chunks
from datasets_app.services.corpus.drafts import MAX_INDEX, ChunkDraft
from goldenproject.kit.errors import BadInput, Conflict, GoldenError

CELLS = ("chunk_index", "section_title", "section_path", "content_type", "content")
PAGE_CHUNKS = 50


def chunk_document(chunk: Chunk) -> dict[str, Any]:
    """Return what can be edited of a chunk."""
    return {name: getattr(chunk, name) for name in CELLS}


def as_sent(document: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a chunk's document as a browser sends it back untouched: lines end with LF, a line has no break."""
    if document is None:
        return None
    sent = {
        name: value if isinstance(value, int) else "".join(value.splitlines())
        for name, value in document.items()
    }
    return {**sent, "content": document["content"].replace("\r\n", "\n").replace("\r", "\n")}


class ChunksPage(SourcePage):
    """Chunks edited in place, added, removed, put in another order; ?from=N shows those from the N-th on."""

    tab = "chunks"
    template_name = "datasets_app/corpus/chunks.html"
    rows: list[FormRow]

    def load(self, **kwargs: Any) -> None:
        super().load(**kwargs)
        wanted = self.request.GET.get("from", "")
        self.start = int(wanted) if wanted.isdecimal() and len(wanted) < 10 else 0
        self.problems: list[str] = []
        self.is_conflict = False
        self.keys: list[
            str
        ] = []  # of the rows behind the drafts that were sent to the service, in their order
        self.total = Chunk.objects.filter(analysis=self.source).count()
        chunks = Chunk.objects.filter(analysis=self.source).order_by("chunk_index")
        shown = chunks[self.start : self.start + PAGE_CHUNKS]
        self.seen: dict[str, Any] = {str(chunk.pk): chunk_document(chunk) for chunk in shown}
        self.rows = [FormRow(key, _cells(document)) for key, document in self.seen.items()]

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        ids = [uuid.UUID(row.key) for row in self.rows if not row.is_new]
        expected = counts_by(ExpectedChunk.objects.all(), "chunk", ids)
        for row in self.rows:
            row.notes["expected"] = 0 if row.is_new else expected.get(uuid.UUID(row.key), 0)
        after = self.start + PAGE_CHUNKS
        return super().get_context_data(
            rows=self.rows,
            seen=seen_text(self.seen),
            problems=self.problems,
            is_conflict=self.is_conflict,
            empty=empty_row(CELLS),
            types=suggested(Chunk.objects.all(), "content_type"),
            start=self.start,
            first=self.start + 1,
            last=min(after, self.total),
            total=self.total,
            previous_start=max(0, self.start - PAGE_CHUNKS) if self.start else None,
            next_start=after if after < self.total else None,
            **kwargs,
        )

    # --- saving
    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        seen = seen_in(request)
        if not isinstance(seen, dict):
            raise BadInput("The form does not say which chunks it shows.", hint="Load the page again.")
        self.seen = seen
        self.rows = typed_rows(request.POST, "chunk", CELLS)
        typed = {row.key: _document_of(row) for row in self.rows}
        if any_errors(self.rows):
            return self._again(422)
        try:
            with writing(self.source.corpus, self.person, "edit chunks"):
                drafts = self._merged(typed)
                if drafts is None:
                    return self._again(409)
                replace_chunks(analysis=self.source, chunks=list(drafts.values()), actor=self.person)
        except (BadInput, Conflict) as error:
            self._refuse(error)
            return self._again(error.http_status if error.http_status == 409 else 422)
        start = {"from": self.start or ""}
        return self.saved("The chunks were saved.", with_query(source_url("chunks", self.source.pk), **start))

    def _merged(self, typed: dict[str, dict[str, Any]]) -> dict[str, ChunkDraft] | None:
        """Return all chunks of the source as they shall be, by the key of their row or their id.

        None when somebody else changed one that is changed or removed here: the rows then say what is there now.
        """
        current = {
            str(chunk.pk): chunk
            for chunk in Chunk.objects.filter(analysis=self.source).order_by("chunk_index")
        }
        wanted = {key: _draft(chunk_document(chunk), chunk.pk) for key, chunk in current.items()}
        for row in self.rows:
            if row.is_new:
                continue
            if not row.is_removed and typed[row.key] == as_sent(self.seen.get(row.key)):
                continue
            now = chunk_document(current[row.key]) if row.key in current else None
            if now != self.seen.get(row.key):
                self._note_conflict(row, typed[row.key], now)
            elif row.is_removed:
                del wanted[row.key]
            else:
                wanted[row.key] = _draft(typed[row.key], current[row.key].pk)
        if self.is_conflict:
            return None
        following = max((draft.chunk_index or 0 for draft in wanted.values()), default=-1) + 1
        for row in self.rows:
            if row.is_new:
                document = typed[row.key]
                if document["chunk_index"] is None:
                    document["chunk_index"], following = following, following + 1
                wanted[row.key] = _draft(document, None)
        self.keys = list(wanted)
        return wanted

    def _note_conflict(self, row: FormRow, mine: dict[str, Any], now: dict[str, Any] | None) -> None:
        self.is_conflict = True
        row.notes["theirs"] = now
        row.notes["is_gone"] = now is None
        if now is None:
            row.refuse("Somebody else removed this chunk while you had it open.")
            self.seen.pop(row.key, None)
            row.key = f"new-{row.key}"  # whoever saves again adds it anew
        else:
            row.refuse(
                "Somebody else changed this chunk while you had it open. Save again to keep what you typed."
            )
            row.cells = _cells(merged(as_sent(self.seen.get(row.key)), now, mine))
            self.seen[row.key] = now

    def _refuse(self, error: GoldenError) -> None:
        by_key = {row.key: row for row in self.rows}
        rows = [by_key.get(key, FormRow(key, {})) for key in self.keys]
        row, cell = row_of_error(error, rows, "chunks")
        if row is not None and row.key in by_key:
            row.refuse(f"Found {error.details['found']}, expected {error.details['expected']}.", cell)
        else:
            self.problems.append(str(error))

    def _again(self, status: int) -> HttpResponse:
        return self.render_to_response(self.get_context_data(), status=status)


def _cells(document: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in document.items()}


def _document_of(row: FormRow) -> dict[str, Any]:
    document: dict[str, Any] = dict(row.cells)
    index = row.cells["chunk_index"].strip()
    document["chunk_index"] = None
    if index.isdecimal() and len(index) < 11 and int(index) <= MAX_INDEX:
        document["chunk_index"] = int(index)
    elif index or not row.is_new:
        row.refuse("Expected a whole number from 0.", "chunk_index")
    return document


def _draft(document: dict[str, Any], chunk_id: uuid.UUID | None) -> ChunkDraft:
    return ChunkDraft(**document, id=chunk_id)
