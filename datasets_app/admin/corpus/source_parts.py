"""The chunks, findings and artifact of one source, each edited as a whole under an optimistic lock."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse

from datasets_app.admin.corpus.lists import suggested
from datasets_app.admin.corpus.rows import FormRow, any_errors, empty_row, typed_rows
from datasets_app.admin.corpus.seen import (
    ChangedMeanwhile,
    merged,
    refuse_changed,
    seen_in,
    seen_text,
    two_versions,
    writing,
)
from datasets_app.admin.corpus.source import SourcePage
from datasets_app.admin.versioning.presentation import show_value
from datasets_app.domain.strict_json import loads_strict
from datasets_app.models import Artifact, Finding
from datasets_app.services.corpus.analyses import replace_findings, save_artifact
from datasets_app.services.corpus.drafts import ArtifactDraft, FindingDraft
from goldenproject.kit.errors import BadInput, GoldenError

_FINDING_CELLS = ("agent", "category", "confidence", "content")


class _PartPage(SourcePage):
    """A part that is saved as one: subclasses say how it looks as a document, as a form, and how it is written."""

    said = ""

    def load(self, **kwargs: Any) -> None:
        super().load(**kwargs)
        self.problems: list[str] = []
        self.seen = self.document()
        self.draw(self.seen)

    def document(self) -> dict[str, Any]:
        """Return the part as it is now."""
        raise NotImplementedError

    def draw(self, document: dict[str, Any]) -> None:
        """Fill the form from a document."""
        raise NotImplementedError

    def read(self, request: HttpRequest) -> dict[str, Any] | None:
        """Fill the form with what was typed and return the document that it makes; None when it makes none."""
        raise NotImplementedError

    def write(self, document: dict[str, Any]) -> None:
        """Save the document by its service."""
        raise NotImplementedError

    def refuse(self, error: GoldenError) -> None:
        """Put a refusal of the service where it belongs in the form."""
        self.problems.append(str(error))

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(seen=seen_text(self.seen), problems=self.problems, **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        seen = self.seen = seen_in(request)
        document = self.read(request)
        if document is None:
            return self.render_to_response(self.get_context_data(), status=422)
        try:
            with writing(self.source.corpus, self.person, f"edit {self.tab}"):
                refuse_changed(seen, self.document)
                self.write(document)
        except ChangedMeanwhile as error:
            self.seen = error.current
            document = merged(seen, error.current, document)
            self.draw(document)
            versions = two_versions(seen, error.current, document)
            return self.render_to_response(self.get_context_data(error=error, **versions), status=409)
        except BadInput as error:
            self.refuse(error)
            return self.render_to_response(self.get_context_data(), status=422)
        return self.go(self.tab, self.said)


def row_of_error(error: GoldenError, rows: Sequence[FormRow], name: str) -> tuple[FormRow | None, str]:
    """Return the row and the cell that an error of a service names as `name`[NUMBER].CELL."""
    place, _, cell = str(error.details.get("field", "")).partition("].")
    head, _, number = place.partition("[")
    found = rows[int(number)] if head == name and number.isdecimal() and int(number) < len(rows) else None
    return found, cell


class FindingsPage(_PartPage):
    """What agents found in a source: added, changed, moved, removed."""

    tab = "findings"
    template_name = "datasets_app/corpus/findings.html"
    said = "The findings were saved."
    rows: list[FormRow]

    def document(self) -> dict[str, Any]:
        found = Finding.objects.filter(analysis=self.source).order_by("position")
        return {"findings": list(found.values("agent", "category", "content", "confidence"))}

    def draw(self, document: dict[str, Any]) -> None:
        self.rows = [
            FormRow(str(number), {name: _shown(one[name]) for name in _FINDING_CELLS})
            for number, one in enumerate(document["findings"])
        ]

    def read(self, request: HttpRequest) -> dict[str, Any] | None:
        self.rows = typed_rows(request.POST, "finding", _FINDING_CELLS)
        made = []
        for row in self._kept():
            try:
                confidence = float(row.cells["confidence"].replace(",", "."))
            except ValueError:
                row.refuse("Expected a number from 0 to 1.", "confidence")
                continue
            made.append({**row.cells, "confidence": confidence})
        return None if any_errors(self.rows) else {"findings": made}

    def _kept(self) -> list[FormRow]:
        return [row for row in self.rows if not row.is_removed]

    def write(self, document: dict[str, Any]) -> None:
        drafts = [FindingDraft(**one) for one in document["findings"]]
        replace_findings(analysis=self.source, findings=drafts, actor=self.person)

    def refuse(self, error: GoldenError) -> None:
        row, cell = row_of_error(error, self._kept(), "findings")
        if row is None:
            super().refuse(error)
        else:
            row.refuse(f"Found {error.details['found']}, expected {error.details['expected']}.", cell)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            rows=self.rows,
            empty=empty_row(_FINDING_CELLS),
            agents=suggested(Finding.objects.all(), "agent"),
            categories=suggested(Finding.objects.all(), "category"),
            **kwargs,
        )


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


class ArtifactPage(_PartPage):
    """What was made of a whole source: a summary, key findings as a list, metadata field by field."""

    tab = "artifact"
    template_name = "datasets_app/corpus/artifact.html"
    said = "The artifact was saved."

    def document(self) -> dict[str, Any]:
        artifact = Artifact.objects.filter(analysis=self.source).first()
        return {"artifact": artifact_document(artifact)}

    def draw(self, document: dict[str, Any]) -> None:
        artifact = document["artifact"]
        self.is_there = artifact is not None
        self.summary = artifact["summary"] if artifact else ""
        self.key_findings = _value_rows(enumerate(artifact["key_findings"])) if artifact else []
        self.metadata = _value_rows(artifact["metadata"].items()) if artifact else []

    def read(self, request: HttpRequest) -> dict[str, Any] | None:
        if "_remove" in request.POST:
            return {"artifact": None}
        self.summary = request.POST.get("summary", "").replace("\r\n", "\n")
        self.key_findings = typed_rows(request.POST, "finding", ("value", "kind"))
        self.metadata = typed_rows(request.POST, "meta", ("name", "value", "kind"))
        findings = [_value_of(row) for row in self._kept(self.key_findings)]
        metadata: dict[str, Any] = {}
        for row in self._kept(self.metadata):
            name = row.cells["name"].strip()
            if not name or name in metadata:
                row.refuse("Each field has a name, and each name once.", "name")
            metadata[name] = _value_of(row)
        if any_errors([*self.key_findings, *self.metadata]):
            return None
        return {"artifact": {"summary": self.summary, "key_findings": findings, "metadata": metadata}}

    @staticmethod
    def _kept(rows: list[FormRow]) -> list[FormRow]:
        return [row for row in rows if not row.is_removed and not _is_blank(row)]

    def write(self, document: dict[str, Any]) -> None:
        artifact = document["artifact"]
        if artifact is None:
            save_artifact(analysis=self.source, draft=None, actor=self.person)
            return
        there = Artifact.objects.filter(analysis=self.source).values_list("pk", flat=True).first()
        save_artifact(analysis=self.source, draft=ArtifactDraft(**artifact, id=there), actor=self.person)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        stored = self.seen["artifact"] or {"key_findings": [], "metadata": {}}
        return super().get_context_data(
            is_there=self.is_there,
            shown_findings=[show_value(one) for one in stored["key_findings"]],
            shown_metadata=show_value(stored["metadata"]) if stored["metadata"] else "",
            summary=self.summary,
            key_findings=self.key_findings,
            metadata=self.metadata,
            empty_finding=empty_row(("value", "kind"), kind="text"),
            empty_field=empty_row(("name", "value", "kind"), kind="text"),
            **kwargs,
        )


def artifact_document(artifact: Artifact | None) -> dict[str, Any] | None:
    if artifact is None:
        return None
    return {
        "summary": artifact.summary,
        "key_findings": artifact.key_findings,
        "metadata": artifact.metadata,
    }


def _value_rows(items: Any) -> list[FormRow]:
    return [
        FormRow(
            str(number),
            {
                "name": str(name),
                "value": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2),
                "kind": "text" if isinstance(value, str) else "json",
            },
        )
        for number, (name, value) in enumerate(items)
    ]


def _is_blank(row: FormRow) -> bool:
    return row.is_new and not row.cells["value"].strip() and not row.cells.get("name", "").strip()


def _value_of(row: FormRow) -> Any:
    """Return the value that a row writes: its text, or what its JSON says."""
    if row.cells["kind"] != "json":
        return row.cells["value"]
    try:
        return loads_strict(row.cells["value"].encode())
    except GoldenError as error:
        row.refuse(f"This is not JSON: {error.message}", "value")
        return None
