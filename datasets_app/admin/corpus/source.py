"""One source: what is known of it at a glance, its facts as a form, adding and deleting it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from datasets_app.admin.corpus.base import CorpusPage, corpora, safe_link, shown_url, snippet
from datasets_app.admin.corpus.list_pages import CHECK_TONES
from datasets_app.admin.corpus.lists import counts_by, suggested
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
from datasets_app.admin.versioning.presentation import show_value
from datasets_app.domain.roles import Action
from datasets_app.errors import InvalidAnalysis, UrlContractBroken
from datasets_app.models import Analysis, Chunk, ExpectedChunk, Finding
from datasets_app.services.corpus.analyses import (
    delete_analysis,
    get_analysis,
    save_analysis,
    update_analysis,
)
from datasets_app.services.corpus.corpora import get_corpus
from datasets_app.services.corpus.drafts import AnalysisDraft
from goldenproject.kit.errors import BadInput, GoldenError

SHOWN_CHUNKS = 12
SHOWN_QUERIES = 12
FACTS = ("url", "content_type", "status")
# part of a source → title of its tab, name of its page
_TABS = (
    ("overview", "Overview", "datasets_app_analysis_change"),
    ("chunks", "Chunks", "datasets_app_analysis_chunks"),
    ("findings", "Findings", "datasets_app_analysis_findings"),
    ("artifact", "Artifact", "datasets_app_analysis_artifact"),
    ("history", "History", "datasets_app_analysis_history"),
)


def source_url(part: str, source_id: Any) -> str:
    """Return the address of a tab of a source."""
    return reverse(f"admin:{next(name for key, _, name in _TABS if key == part)}", args=[source_id])


class SourcePage(CorpusPage):
    """A page about one source, whose id is in the address. Sets `source`."""

    tab = ""
    source: Analysis

    def load(self, **kwargs: Any) -> None:
        self.source = get_analysis(kwargs["object_id"])
        self.title = f"Source {shown_url(self.source.url)}"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        source = self.source
        counts = {
            "chunks": Chunk.objects.filter(analysis=source).count(),
            "findings": Finding.objects.filter(analysis=source).count(),
        }
        tabs = [
            {
                "title": title,
                "url": reverse(f"admin:{name}", args=[source.pk]),
                "active": key == self.tab,
                "count": counts.get(key),
            }
            for key, title, name in _TABS
        ]
        return super().get_context_data(
            source=source,
            link=safe_link(source.url),
            tabs=tabs,
            counts=counts,
            has_corpora=len(corpora()) > 1,
            **kwargs,
        )

    def go(self, part: str, said: str) -> HttpResponse:
        """Say what was done and lead to a tab."""
        return self.saved(said, source_url(part, self.source.pk))


def facts_of(source: Analysis) -> dict[str, str]:
    return {name: getattr(source, name) for name in FACTS}


def refuse_fact(row: FormRow, error: GoldenError) -> None:
    """Put a service's refusal at the field that it names."""
    if isinstance(error, UrlContractBroken):
        reason = str(error.details.get("reason") or error.message)
        row.refuse(f"{reason[:1].upper()}{reason[1:]}. {error.hint}".strip(), "url")
    elif isinstance(error, InvalidAnalysis):
        row.refuse(str(error), str(error.details.get("field", "")))
    else:
        row.refuse(str(error))


class SourceOverviewPage(SourcePage):
    """Everything about a source in short; its URL, content type and status are edited here."""

    tab = "overview"
    template_name = "datasets_app/corpus/source.html"

    def load(self, **kwargs: Any) -> None:
        super().load(**kwargs)
        self.row = FormRow("facts", facts_of(self.source))
        self.seen: Any = facts_of(self.source)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        source = self.source
        check = getattr(source, "source_check", None)
        artifact = getattr(source, "artifact", None)
        return super().get_context_data(
            row=self.row,
            seen=seen_text(self.seen),
            statuses=Analysis.Status.choices,
            types=suggested(Analysis.objects.all(), "content_type"),
            check=check,
            check_tone=CHECK_TONES.get(check.outcome, 0) if check else 0,
            check_link=safe_link(check.final_url) if check and check.final_url != source.url else "",
            artifact=artifact,
            key_findings=[show_value(one) for one in artifact.key_findings] if artifact else [],
            metadata=show_value(artifact.metadata) if artifact and artifact.metadata else "",
            chunks=self._chunks(),
            findings=list(Finding.objects.filter(analysis=source).order_by("position")[:SHOWN_CHUNKS]),
            **self._queries(),
            **kwargs,
        )

    def _chunks(self) -> list[dict[str, Any]]:
        chunks = list(Chunk.objects.filter(analysis=self.source).order_by("chunk_index")[:SHOWN_CHUNKS])
        expected = counts_by(ExpectedChunk.objects.all(), "chunk", [chunk.pk for chunk in chunks])
        return [
            {"chunk": chunk, "snippet": snippet(chunk.content), "expected": expected.get(chunk.pk, 0)}
            for chunk in chunks
        ]

    def _queries(self) -> dict[str, Any]:
        found = ExpectedChunk.objects.filter(chunk__analysis=self.source).select_related("query", "chunk")
        shown = list(found.order_by("chunk__chunk_index", "query__created_at")[:SHOWN_QUERIES])
        return {"expectations": shown, "expectation_count": found.count()}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if "_delete" in request.POST:
            return self._delete()
        seen = seen_in(request)
        self.row = FormRow("facts", _typed_facts(request))
        self.seen = seen
        try:
            with writing(self.source.corpus, self.person, "edit source"):
                refuse_changed(seen, lambda: facts_of(get_analysis(self.source.pk)))
                changed = {name: value for name, value in self.row.cells.items() if value != seen[name]}
                if changed:
                    update_analysis(analysis=self.source, actor=self.person, **changed)
        except ChangedMeanwhile as error:
            self.seen = error.current
            self.row = FormRow("facts", merged(seen, error.current, self.row.cells))
            versions = two_versions(seen, error.current, self.row.cells)
            return self.render_to_response(self.get_context_data(error=error, **versions), status=409)
        except BadInput as error:
            refuse_fact(self.row, error)
            return self.render_to_response(self.get_context_data(), status=422)
        return self.go("overview", "The source was saved." if changed else "Nothing was changed.")

    def _delete(self) -> HttpResponse:
        delete_analysis(analysis=self.source, actor=self.person)
        said = f"{self.source.url} was deleted with its chunks and findings."
        return self.saved(said, reverse("admin:datasets_app_analysis_changelist"))


def _typed_facts(request: HttpRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "").strip() for name in FACTS}


class AddSourcePage(CorpusPage):
    """A new source; its chunks follow on the next page."""

    title = "Add a source"
    action = Action.EDIT
    template_name = "datasets_app/corpus/source_add.html"

    def load(self, **kwargs: Any) -> None:
        self.row = FormRow("facts", {"url": "", "content_type": "", "status": Analysis.Status.COMPLETED})
        self.chosen = self.request.POST.get("corpus", "")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            row=self.row,
            statuses=Analysis.Status.choices,
            types=suggested(Analysis.objects.all(), "content_type"),
            corpora=corpora(),
            chosen=self.chosen,
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        self.row = FormRow("facts", _typed_facts(request))
        try:
            source = save_analysis(
                corpus=get_corpus(self.chosen or None),
                draft=AnalysisDraft(
                    url=self.row.cells["url"],
                    content_type=self.row.cells["content_type"],
                    status=self.row.cells["status"],
                ),
                actor=self.person,
            )
        except GoldenError as error:
            if error.http_status == 403:
                raise
            refuse_fact(self.row, error)
            return self.render_to_response(self.get_context_data(), status=422)
        return self.saved("The source was added. Now its chunks.", source_url("chunks", source.pk))
