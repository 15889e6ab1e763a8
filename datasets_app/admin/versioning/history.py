"""The life of one example: who changed what when, committed or not, and where each field's value comes from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model

from datasets_app.admin.versioning.page import VersioningPage, number
from datasets_app.admin.versioning.presentation import (
    ShownField,
    excerpt,
    plain_field_name,
    show_changes,
    show_diff,
    show_value,
)
from datasets_app.domain.canonical import loads_stored
from datasets_app.domain.content import Content
from datasets_app.domain.field_diff import diff_fields
from datasets_app.errors import UnknownExample
from datasets_app.models import Example, ExampleChange, ExampleType
from datasets_app.services.versioning.commits import author_of
from datasets_app.services.versioning.comparing import ExampleDiff
from datasets_app.services.versioning.log import blame, find_example, row_history
from datasets_app.services.versioning.store import blob_texts

SHOWN_EDITS = 50
SHOWN_COMMITS = 100
VERBS = {"+": "added", "~": "changed", "-": "deleted"}


@dataclass(frozen=True)
class Event:
    """A line of the timeline. `kind` is edit or commit; `what` the verb; `where` a branch or a commit's short hash."""

    kind: str
    at: datetime
    who: str
    what: str
    where: str
    said: str
    fields: list[ShownField]
    address: str = ""
    database_user: str = ""


class ExampleHistoryPage(VersioningPage):
    """Edits and commits of one example in one timeline, newest first, and a blame view."""

    tab = "examples"
    title = "History of an example"
    template_name = "datasets_app/versioning/example_history.html"

    def prepare(self, **kwargs: Any) -> None:
        super().prepare(**kwargs)
        self.identity = find_example(self.dataset, kwargs["example_id"])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        before = number(self.request.GET.get("before"), -1)
        edits, older = self._edits(before)
        commits = row_history(self.dataset, self.identity.pk)[:SHOWN_COMMITS] if before < 0 else []
        events = sorted([*edits, *self._commits(commits)], key=lambda event: event.at, reverse=True)
        row = (
            Example.objects.filter(branch=self.branch, identity=self.identity)
            .select_related("example_type")
            .first()
        )
        return {
            **super().get_context_data(**kwargs),
            "identity": self.identity,
            "row": row,
            "excerpt": excerpt({"input": row.input_data}) if row else "",
            "events": events,
            "older": self.url("example_history", self.identity.pk, before=older) if older is not None else "",
            "blame": self._blame(),
        }

    def _edits(self, before: int) -> tuple[list[Event], int | None]:
        """Rows of the history table, whatever the write path was, each with what it changed in the row before."""
        rows = Example.history.filter(identity_id=self.identity.pk).order_by("-history_id")
        page = list(rows if before < 0 else rows.filter(history_id__lt=before))
        earlier = _earlier_rows(page)
        names = dict(ExampleType.objects.values_list("pk", "name"))
        branches = dict(self.dataset.branches.values_list("pk", "name"))
        shown = page[:SHOWN_EDITS]
        names_of_people = people(row.history_user_id for row in shown)
        events = [
            self._edit(
                row,
                earlier.get(row.history_id),
                names,
                branches,
                names_of_people.get(row.history_user_id, ""),
            )
            for row in shown
        ]
        return events, shown[-1].history_id if len(page) > SHOWN_EDITS else None

    def _edit(
        self, row: Any, earlier: Any, types: dict[int, str], branches: dict[int, str], person: str
    ) -> Event:
        new = _document(row, types)
        old = _document(earlier, types) if earlier is not None and earlier.history_type != "-" else None
        if row.history_type == "~" and old is not None:
            fields = show_changes(diff_fields(old, new))
        else:
            fields = []
        return Event(
            kind="edit",
            at=row.history_date,
            who=person or "somebody outside of the console",
            what=VERBS.get(row.history_type, "changed"),
            where=branches.get(row.branch_id, "a branch that is gone"),
            said=row.history_change_reason or "",
            fields=fields,
            database_user="" if person else row.db_user,
        )

    def _commits(self, changes: list[ExampleChange]) -> list[Event]:
        hashes = {bytes(h) for change in changes for h in (change.old_hash, change.new_hash) if h is not None}
        texts = {digest: loads_stored(text) for digest, text in blob_texts(hashes).items()}
        events = []
        for change in changes:
            diff = ExampleDiff(
                uuid=self.identity.pk,
                external_id=self.identity.external_id,
                ordinal=self.identity.ordinal,
                change_type=change.change_type,
                old=None if change.old_hash is None else texts[bytes(change.old_hash)],
                new=None if change.new_hash is None else texts[bytes(change.new_hash)],
            )
            commit = change.commit
            events.append(
                Event(
                    kind="commit",
                    at=commit.committed_at,
                    who=commit.author,
                    what=change.change_type,
                    where=commit.short_hash,
                    said=commit.message.partition("\n")[0],
                    fields=show_diff(diff).fields if change.change_type == "modified" else [],
                    address=self.url("commit", commit.commit_hash),
                )
            )
        return events

    def _blame(self) -> list[dict[str, Any]]:
        """Each field as the branch's commit has it, with the commit that it comes from; empty when it is not there."""
        if self.branch.commit is None:
            return []
        try:
            lines = blame(self.dataset, self.identity.pk, at=self.branch.commit)
        except UnknownExample:
            return []
        return [
            {
                "name": plain_field_name(line.path),
                "value": show_value(line.value),
                "commit": line.commit,
                "label": line.label,
                "address": self.url("commit", line.commit.commit_hash),
            }
            for line in lines
        ]


def _earlier_rows(rows: list[Any]) -> dict[int, Any]:
    """Return history id → the row before it on the same branch. `rows` are newest first."""
    last: dict[int, Any] = {}
    earlier: dict[int, Any] = {}
    for row in reversed(rows):
        if row.branch_id in last:
            earlier[row.history_id] = last[row.branch_id]
        last[row.branch_id] = row
    return earlier


def people(pks: Iterable[int | None]) -> dict[int | None, str]:
    """Return user id → name."""
    return {
        user.pk: author_of(user) for user in get_user_model().objects.filter(pk__in={pk for pk in pks if pk})
    }


def _document(row: Any, types: dict[int, str]) -> dict[str, Any]:
    """The content document of a history row."""
    return Content(
        type=types.get(row.example_type_id, str(row.example_type_id)),
        input=row.input_data,
        output=row.expected_output,
        labels=row.labels or {},
        metadata=row.metadata or {},
        provenance=row.provenance or {},
        source=row.source_decision_id,
        status=row.validation_status,
    ).document()
