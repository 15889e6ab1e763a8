"""golden_show: one version: its author, its message, what it changed; or one example as it holds it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import (
    DatasetCommand,
    change_lines,
    commit_document,
    commit_lines,
    comparison_document,
    limit_argument,
    line,
    lines,
    rest_line,
)
from datasets_app.models import Dataset, DatasetCommit
from datasets_app.services.versioning.comparing import compare
from datasets_app.services.versioning.log import find_example, refs_by_commit
from datasets_app.services.versioning.reading import example_at
from datasets_app.services.versioning.refs import resolve
from goldenproject.kit.commands import Outcome, json_document


class Command(DatasetCommand):
    help = "Show a version and what it changed against its first parent, or one example as that version holds it."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser)
        parser.add_argument("ref", metavar="REF", help="branch, tag, commit hash or HEAD, each with ~n")
        parser.add_argument("example", nargs="?", metavar="EXAMPLE", help="id or UUID of one example to show")
        parser.add_argument("--stat", action="store_true", help="leave the changed examples out")
        limit_argument(parser, 20, "changed examples")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        dataset = self.dataset_for(actor, Action.VIEW, options)
        commit = resolve(dataset, options["ref"])
        if options["example"]:
            return _example(dataset, commit, options["example"])
        branches, tags = refs_by_commit(dataset)
        own_branches, own_tags = branches.get(commit.pk, []), tags.get(commit.pk, [])
        parent = DatasetCommit.objects.filter(commit_hash=commit.parent_commit_hash).first()
        comparison = compare(dataset, parent, commit)
        changes = [] if options["stat"] else comparison.page(0, options["limit"] or None)
        rows = commit_lines(commit, [*own_branches, *(f"tag {name}" for name in own_tags)])
        if changes:
            rows += [line(), *(row for change in changes for row in change_lines(change))]
            rows += rest_line(len(comparison), len(changes))
        document = {
            "dataset": dataset.name,
            **commit_document(commit),
            "branches": own_branches,
            "tags": own_tags,
            "shown": len(changes),
            "changes": comparison_document(comparison, changes)["changes"],
        }
        return Outcome(document, lines(rows))


def _example(dataset: Dataset, commit: DatasetCommit, name: str) -> Outcome:
    identity = find_example(dataset, name)
    found = example_at(commit, identity.pk)
    content = found.content.document() if found.content else {}
    document = {
        "dataset": dataset.name,
        "commit": commit.commit_hash,
        "id": str(found.uuid),
        "external_id": found.external_id,
        "content": content,
    }
    return Outcome(document, json_document(content).rstrip())
