"""golden_blame: which version gave each field of an example its value."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import (
    SIGNS,
    DatasetCommand,
    commit_document,
    line,
    lines,
    shown,
    subject,
)
from datasets_app.models import Dataset
from datasets_app.services.versioning.log import blame, find_example, row_history
from datasets_app.services.versioning.refs import resolve
from goldenproject.kit.commands import Outcome


class Command(DatasetCommand):
    help = (
        "Show for each field of an example which version gave it its value, who made that version, and when."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser)
        parser.add_argument(
            "example", metavar="EXAMPLE", help="id of the example from its import, or its UUID"
        )
        parser.add_argument(
            "--at", metavar="REF", help="as this version holds it (default: the default branch's)"
        )
        parser.add_argument(
            "--history", action="store_true", help="instead list every version that changed the example"
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        dataset = self.dataset_for(actor, Action.VIEW, options)
        identity = find_example(dataset, options["example"])
        head = {"dataset": dataset.name, "id": str(identity.pk), "external_id": identity.external_id}
        if options["history"]:
            return _history(dataset, identity.pk, head)
        commit = resolve(dataset, options["at"])
        found = blame(dataset, identity.pk, at=commit)
        fields = [
            {
                "path": b.path,
                "value": b.value,
                "change": b.change_type,
                "commit": commit_document(b.commit),
                "label": None if b.label is None else {"who": list(b.label.who), "said": b.label.said},
            }
            for b in found
        ]
        wide = max((len(b.path) for b in found), default=0)
        author_wide = max((len(b.commit.author) for b in found), default=0)
        rows = [
            line(
                (b.commit.short_hash, "yellow"),
                f" {b.commit.author:<{author_wide}} {b.commit.committed_at:%Y-%m-%d}  ",
                (f"{b.path:<{wide}}", "cyan"),
                f"  {shown(b.value)}",
                "" if b.label is None else f"  (label: {', '.join(b.label.who)}; {b.label.said})",
            )
            for b in found
        ]
        return Outcome({**head, "at": commit.commit_hash, "fields": fields}, lines(rows))


def _history(dataset: Dataset, example: Any, head: dict[str, Any]) -> Outcome:
    changes = row_history(dataset, example)
    rows = [
        line(
            (SIGNS[c.change_type][0], SIGNS[c.change_type][1]),
            " ",
            (c.commit.short_hash, "yellow"),
            f" {c.commit.committed_at:%Y-%m-%d} {c.commit.author}: {subject(c.commit)}",
        )
        for c in changes
    ]
    document = {
        **head,
        "history": [{"change": c.change_type, "commit": commit_document(c.commit)} for c in changes],
    }
    return Outcome(
        document, lines(rows) if rows else "No version holds this example yet; it is only in a working copy."
    )
