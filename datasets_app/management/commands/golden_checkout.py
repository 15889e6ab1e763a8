"""golden_checkout: set a working copy to the state of a version."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import DatasetCommand, commit_document, count, line, lines
from datasets_app.services.versioning.worktrees import checkout
from goldenproject.kit.commands import Outcome


class Command(DatasetCommand):
    help = (
        "Set the working copy of a branch to the state of a version. The branch does not move: what differs from its "
        "commit is then uncommitted. Refused over uncommitted changes, unless told what becomes of them."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        self.add_dataset(parser, branch=True)
        parser.add_argument("ref", metavar="REF", help="branch, tag, commit hash or HEAD, each with ~n")
        fate = parser.add_mutually_exclusive_group()
        fate.add_argument("--force", action="store_true", help="throw uncommitted changes away")
        fate.add_argument(
            "--stash", action="store_true", help="keep uncommitted changes as a commit on a branch of its own"
        )

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        branch = self.branch_for(actor, Action.EDIT, options)
        result = checkout(
            branch=branch, ref=options["ref"], actor=actor, discard=options["force"], stash=options["stash"]
        )
        document = {
            "dataset": branch.dataset.name,
            "branch": branch.name,
            "commit": commit_document(result.commit),
            "rows_changed": result.changed,
            "stash": result.stash.name if result.stash else None,
        }
        rows = [
            line(
                f"The working copy of {branch} is as in ",
                (result.commit.short_hash, "yellow"),
                f"; {count(result.changed, 'row')} set.",
            )
        ]
        if result.stash:
            rows.append(line(f"Uncommitted changes are kept on the branch “{result.stash.name}”."))
        return Outcome(document, lines(rows))
