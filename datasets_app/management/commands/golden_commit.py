"""golden_commit: make the next version of a branch from what is uncommitted."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import (
    DatasetCommand,
    changes_summary,
    commit_document,
    count,
    line,
)
from datasets_app.services.versioning.commits import Selection, commit
from datasets_app.services.versioning.selecting import dirty_examples_where
from goldenproject.kit.commands import Outcome, UsageError


class Command(DatasetCommand):
    help = "Commit what is uncommitted in a working copy: all of it, your own edits (--mine) or a selection (--where)."

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser, branch=True)
        parser.add_argument("-m", "--message", required=True, help="what changed, and why")
        parser.add_argument(
            "--author", metavar="NAME", help="author as it will stand in the log (default: who acts)"
        )
        parser.add_argument(
            "--mine", action="store_true", help="only what nobody but the acting user touched"
        )
        parser.add_argument(
            "--where",
            action="append",
            default=[],
            metavar="FIELD=VALUE",
            help="only examples in which this holds: type, status, id, change (added, modified, removed), "
            "or a field such as output.label (repeatable; all must hold)",
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        branch = self.branch_for(actor, Action.COMMIT, options)
        if options["mine"] and actor is None:
            raise UsageError("--mine needs to know who you are.", hint="Say --user NAME.")
        selected = dirty_examples_where(branch, options["where"]) if options["where"] else None
        made = commit(
            branch=branch,
            message=options["message"],
            actor=actor,
            author=options["author"],
            selection=Selection(mine=actor if options["mine"] else None, example_ids=selected),
        )
        summary = changes_summary(made.examples_added, made.examples_modified, made.examples_removed)
        return Outcome(
            {"dataset": branch.dataset.name, "branch": branch.name, "commit": commit_document(made)},
            line(
                f"{branch} is now ",
                (made.short_hash, "yellow"),
                f": {summary}; {count(made.example_count, 'example')}.",
            ),
        )
